//! Rules as readers find them: names completed, visibility decided, delegates merged.

use std::{collections::BTreeSet, sync::Arc};

use api::istio::{
    destination_rule::DestinationRule, gateway::Gateway, sidecar::Sidecar,
    virtual_service::VirtualService,
};
use model::{Hostname, Labels, Namespace, ObjectKey, Visibility};

/// A VirtualService that can be bound to something; delegates are merged into it.
#[derive(Clone, Debug)]
pub struct VirtualServiceRecord {
    pub key: ObjectKey,
    pub created: i64,
    pub hosts: Arc<[Hostname]>,
    /// `mesh`, or `namespace/name` of a gateway.
    pub gateways: Arc<[Arc<str>]>,
    pub visibility: Visibility,
    /// The delegates whose routes are in `spec`.
    pub delegates: BTreeSet<ObjectKey>,
    /// Hosts in destinations are complete.
    pub spec: VirtualService,
}

impl VirtualServiceRecord {
    pub fn namespace(&self) -> &Namespace {
        &self.key.namespace
    }

    pub fn binds_to_mesh(&self) -> bool {
        self.gateways.iter().any(|gateway| &**gateway == "mesh")
    }

    /// What sets are made of: when this is equal, only the content has changed.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        self.hosts == other.hosts
            && self.gateways == other.gateways
            && self.visibility == other.visibility
            && self.created == other.created
            && self.imports() == other.imports()
            && self.asks_for_caller() == other.asks_for_caller()
            && self.spec.tls.is_empty() == other.spec.tls.is_empty()
    }

    /// Whether its HTTP routes depend on who calls.
    pub fn asks_for_caller(&self) -> bool {
        let mut conditions = self.spec.http.iter().flat_map(|route| &route.match_);
        conditions.any(|it| !it.source_namespace.is_empty() || !it.source_labels.is_empty())
    }

    /// The hosts that its routes lead to: a Sidecar that imports the rule imports them too.
    pub fn imports(&self) -> BTreeSet<&str> {
        let http = self.spec.http.iter().flat_map(|route| {
            let mirrors = route.mirrors.iter().filter_map(|mirror| mirror.destination.as_ref());
            let routes = route.route.iter().filter_map(|route| route.destination.as_ref());
            routes.chain(mirrors).chain(route.mirror.as_ref())
        });
        let tcp = self.spec.tcp.iter().flat_map(|route| &route.route);
        let tls = self.spec.tls.iter().flat_map(|route| &route.route);
        let bytes = tcp.chain(tls).filter_map(|route| route.destination.as_ref());
        http.chain(bytes).map(|destination| destination.host.as_str()).collect()
    }
}

/// One DestinationRule.
#[derive(Clone, Debug)]
pub struct DestinationRuleRecord {
    pub key: ObjectKey,
    pub created: i64,
    pub host: Hostname,
    pub visibility: Visibility,
    /// Only for these clients, if any.
    pub selector: Option<Labels>,
    pub spec: Arc<DestinationRule>,
}

/// One Sidecar.
#[derive(Clone, Debug)]
pub struct SidecarRecord {
    pub key: ObjectKey,
    pub created: i64,
    /// `None` applies to the whole namespace.
    pub selector: Option<Labels>,
    pub spec: Arc<Sidecar>,
}

/// One Gateway.
#[derive(Clone, Debug)]
pub struct GatewayRecord {
    pub key: ObjectKey,
    pub created: i64,
    pub selector: Labels,
    pub spec: Arc<Gateway>,
}
