//! Which clusters of a service there are, and in which form each is compiled.

use std::{collections::BTreeSet, sync::Arc};

use model::Service;

use crate::{
    Compiled,
    cluster::{ClusterInput, compile_cluster},
    endpoint::{EndpointInput, compile_endpoints},
    gateway::{compile_sni_cluster, compile_sni_endpoints},
    traffic_policy::Rules,
};

/// One cluster of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterRef {
    pub form: ClusterForm,
    pub port: u16,
    /// Empty for the whole service.
    pub subset: Arc<str>,
}

/// How the cluster is called, and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClusterForm {
    /// `outbound|80||host`.
    Outbound,
    /// `outbound_.80_._.host`: forwards what is encrypted already.
    Sni,
}

impl ClusterForm {
    /// Compiles a cluster in this form; `None` where there is none.
    pub fn compile_cluster(self, input: &ClusterInput) -> Option<Compiled> {
        match self {
            Self::Outbound => compile_cluster(input),
            Self::Sni => compile_sni_cluster(input),
        }
    }

    /// Compiles the assignment of a cluster in this form.
    pub fn compile_endpoints(self, input: &EndpointInput) -> Compiled {
        match self {
            Self::Outbound => compile_endpoints(input),
            Self::Sni => compile_sni_endpoints(input),
        }
    }
}

/// The clusters that callers in the mesh have: one for each port and subset.
pub fn every_cluster(service: &Service, rules: &Rules) -> BTreeSet<ClusterRef> {
    let subsets = rules.subsets().into_iter().map(|(name, _)| name);
    let subsets: Vec<Arc<str>> = std::iter::once("".into()).chain(subsets).collect();
    let form = ClusterForm::Outbound;
    let of_port =
        |port| subsets.iter().map(move |subset| ClusterRef { form, port, subset: subset.clone() });
    service.ports.iter().map(|port| port.number).flat_map(of_port).collect()
}
