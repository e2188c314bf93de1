//! The providers of the mesh by name.

use api::istio::{extension_provider::ExtensionProvider, mesh_config::MeshConfig};

/// Istio's own providers, which a mesh may give another meaning.
pub(super) const ENVOY: &str = "envoy";
const PROMETHEUS: &str = "prometheus";

/// A provider.
#[derive(Clone, Copy, Debug)]
pub(super) enum Provider<'a> {
    /// A log to standard output.
    Envoy,
    Prometheus,
    Configured(&'a ExtensionProvider),
}

impl<'a> Provider<'a> {
    pub(super) fn find(name: &str, config: &'a MeshConfig) -> Option<Self> {
        let configured = config.extension_providers.iter().find(|it| it.name == name);
        match (configured, name) {
            (Some(provider), _) => Some(Self::Configured(provider)),
            (None, ENVOY) => Some(Self::Envoy),
            (None, PROMETHEUS) => Some(Self::Prometheus),
            (None, _) => None,
        }
    }

    /// A kind that Envoy has nothing for.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        let Self::Configured(provider) = self else { return None };
        let kinds = [
            (provider.lightstep.is_some(), "lightstep"),
            (provider.stackdriver.is_some(), "stackdriver"),
            (provider.opencensus.is_some(), "opencensus"),
        ];
        kinds.into_iter().find(|(is_set, _)| *is_set).map(|(_, kind)| kind)
    }
}
