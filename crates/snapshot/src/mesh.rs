//! Settings of the whole mesh, with every default filled in.

use std::{collections::BTreeMap, sync::Arc};

use api::istio::mesh_config::{
    MeshConfig, MeshH2UpgradePolicy, MeshInboundMode, MeshOutboundMode, NormalizationType,
};
use model::{Namespace, Visibility};

/// istiod's environment switches that mean something here (`PILOT_…`), read once by the binary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features(pub BTreeMap<String, String>);

impl Features {
    pub fn flag(&self, name: &str, default: bool) -> bool {
        match self.0.get(name).map(|value| value.to_ascii_lowercase()) {
            Some(value) => matches!(value.as_str(), "true" | "1" | "t"),
            None => default,
        }
    }
}

/// Where traffic to unknown destinations goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutboundPolicy {
    RegistryOnly,
    AllowAny,
    AllowAnyDynamicDns,
}

/// How paths are normalised before they are matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathNormalization {
    None,
    Base,
    MergeSlashes,
    DecodeAndMergeSlashes,
}

/// What a `MeshConfig` and the switches come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Mesh {
    pub root_namespace: Namespace,
    /// Suffix of Kubernetes names, without a dot in front.
    pub domain: Arc<str>,
    pub trust_domain: Arc<str>,
    pub outbound_policy: OutboundPolicy,
    /// Inbound traffic goes to 127.0.0.1 and not to the original destination.
    pub inbound_localhost: bool,
    pub h2_upgrade: bool,
    pub path_normalization: PathNormalization,
    pub default_service_visibility: Vec<String>,
    pub default_virtual_service_visibility: Vec<String>,
    pub default_destination_rule_visibility: Vec<String>,
    pub features: Features,
    /// As written, for fields that are used in one place only.
    pub config: Arc<MeshConfig>,
}

impl Mesh {
    pub fn new(config: Arc<MeshConfig>, features: Features, domain: &str) -> Self {
        let or = |text: &str, default: &str| match text {
            "" => Arc::from(default),
            text => Arc::from(text),
        };
        Self {
            root_namespace: match config.root_namespace.as_str() {
                "" => "istio-system".into(),
                name => name.into(),
            },
            domain: domain.into(),
            trust_domain: or(&config.trust_domain, "cluster.local"),
            outbound_policy: match config.outbound_traffic_policy.as_ref().map(|it| it.mode) {
                Some(MeshOutboundMode::RegistryOnly) => OutboundPolicy::RegistryOnly,
                Some(MeshOutboundMode::AllowAnyDynamicDns) => OutboundPolicy::AllowAnyDynamicDns,
                Some(MeshOutboundMode::AllowAny) | None => OutboundPolicy::AllowAny,
            },
            inbound_localhost: config
                .inbound_traffic_policy
                .as_ref()
                .is_some_and(|policy| policy.mode == MeshInboundMode::Localhost),
            h2_upgrade: config.h2_upgrade_policy == MeshH2UpgradePolicy::Upgrade,
            path_normalization: path_normalization(&config),
            default_service_visibility: config.default_service_export_to.clone(),
            default_virtual_service_visibility: config.default_virtual_service_export_to.clone(),
            default_destination_rule_visibility: config.default_destination_rule_export_to.clone(),
            features,
            config,
        }
    }

    /// Who sees an object that says `export_to`, or `default` when it says nothing.
    pub fn visibility(
        &self,
        export_to: &[String],
        default: &[String],
        own: &Namespace,
    ) -> Visibility {
        let written = if export_to.is_empty() { default } else { export_to };
        if written.is_empty() || written.iter().any(|entry| entry == "*") {
            return Visibility::Public;
        }
        if written.iter().any(|entry| entry == "~") {
            return Visibility::Namespaces(Arc::from([]));
        }
        let mut namespaces: Vec<Namespace> = written
            .iter()
            .map(|entry| if entry == "." { own.clone() } else { entry.as_str().into() })
            .collect();
        namespaces.sort();
        namespaces.dedup();
        Visibility::Namespaces(namespaces.into())
    }
}

fn path_normalization(config: &MeshConfig) -> PathNormalization {
    match config.path_normalization.as_ref().map(|it| it.normalization) {
        Some(NormalizationType::None) => PathNormalization::None,
        Some(NormalizationType::MergeSlashes) => PathNormalization::MergeSlashes,
        Some(NormalizationType::DecodeAndMergeSlashes) => PathNormalization::DecodeAndMergeSlashes,
        Some(NormalizationType::Base | NormalizationType::Default) | None => {
            PathNormalization::Base
        }
    }
}
