//! Where certificates, keys and authorities come from: the one place that makes a `ConfigSource`
//! for secrets.
//!
//! Whether a proxy gets a secret depends on who its stream has proven to be; its listeners and
//! clusters do not. So a proxy without a proven identity asks for secrets that it never gets, and
//! has to work in plain text nevertheless. What an Envoy 1.40.0 does with a listener that has a
//! plain and an encrypted chain, and a cluster that may use either:
//!
//! | answer to the first request for a secret | start of the proxy | encrypted chain | later |
//! |---|---|---|---|
//! | none, `initial_fetch_timeout: 0s` | never ready: the cluster warms for ever | - | ready when it comes |
//! | none, `initial_fetch_timeout: 1s` | after that time, once for all secrets | connections are reset | works when it comes |
//! | delta: its name in `removed_resources` | at once | connections are reset | works when it comes |
//! | state of the world: a response without it | as if there was no answer | | |
//! | a `Secret` that cannot be used | at once, but the refused content is kept: every listener that uses it is refused, the plain chain included | | |
//!
//! A secret that changes is used by the next handshake; the listener is neither changed nor
//! drained, and open connections go on. A secret that is taken away later changes nothing: Envoy
//! goes on with what it has.
//!
//! So a name that has no secret is answered as removed (`push`), which lets a proxy over delta
//! start at once, and the time limit here is for the other protocol alone. What cannot be used is
//! never sent.

use envoy::{
    config::core::v3::{
        AggregatedConfigSource, ApiConfigSource, ApiVersion, ConfigSource, GrpcService,
        api_config_source::ApiType,
        config_source::ConfigSourceSpecifier,
        grpc_service::{EnvoyGrpc, TargetSpecifier},
    },
    extensions::transport_sockets::tls::v3::SdsSecretConfig,
};
use model::Proxy;

use crate::filters::seconds;

/// The secret with a proxy's own certificate and key.
pub const OWN_CERTIFICATE: &str = "default";
/// The secret with the authorities of the mesh.
pub const MESH_AUTHORITIES: &str = "ROOTCA";
/// What names of Kubernetes Secrets begin with.
pub const KUBERNETES: &str = "kubernetes://";
/// What the name of a secret with authorities ends with.
pub const AUTHORITIES_SUFFIX: &str = "-cacert";

/// The cluster of Istio's agent, in the bootstrap that the agent writes.
const AGENT_CLUSTER: &str = "sds-grpc";
/// What only the agent puts into the node.
const AGENT_METADATA: &str = "PROXY_CONFIG";
/// How long a state-of-the-world proxy waits for secrets that nobody gives it.
const PATIENCE_SECONDS: i64 = 2;

/// Who gives a proxy the secrets of its own identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SdsSource {
    /// We do, over the stream that everything else comes over.
    #[default]
    Ads,
    /// Istio's agent beside the proxy.
    Agent,
}

impl SdsSource {
    /// An agent shows itself by the metadata that it fills in.
    pub fn of(proxy: &Proxy) -> Self {
        match proxy.metadata.contains_key(AGENT_METADATA) {
            true => Self::Agent,
            false => Self::Ads,
        }
    }

    /// A secret by its name. Only those of the proxy's own identity, [`OWN_CERTIFICATE`] and
    /// [`MESH_AUTHORITIES`], are the agent's.
    pub fn secret(self, name: &str) -> SdsSecretConfig {
        let own = matches!(name, OWN_CERTIFICATE | MESH_AUTHORITIES);
        match self {
            // The agent gives every proxy an identity: it is waited for.
            Self::Agent if own => secret(name, agent(), 0),
            Self::Agent | Self::Ads => ads_secret(name),
        }
    }
}

/// A secret that comes over the stream that everything else comes over: those of Kubernetes always
/// do.
pub fn ads_secret(name: &str) -> SdsSecretConfig {
    secret(name, ConfigSourceSpecifier::Ads(AggregatedConfigSource {}), PATIENCE_SECONDS)
}

fn secret(name: &str, specifier: ConfigSourceSpecifier, patience: i64) -> SdsSecretConfig {
    let source = ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        initial_fetch_timeout: Some(seconds(patience)),
        config_source_specifier: Some(specifier),
        ..ConfigSource::default()
    };
    SdsSecretConfig { name: name.to_owned(), sds_config: Some(source) }
}

fn agent() -> ConfigSourceSpecifier {
    let cluster = EnvoyGrpc { cluster_name: AGENT_CLUSTER.to_owned(), ..EnvoyGrpc::default() };
    ConfigSourceSpecifier::ApiConfigSource(ApiConfigSource {
        api_type: ApiType::Grpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        set_node_on_first_message_only: true,
        grpc_services: vec![GrpcService {
            target_specifier: Some(TargetSpecifier::EnvoyGrpc(cluster)),
            ..GrpcService::default()
        }],
        ..ApiConfigSource::default()
    })
}

#[cfg(test)]
mod tests {
    use model::{Locality, Proxy};
    use serde_json::{Map, json};

    use super::{SdsSource, ads_secret};

    fn source(metadata: serde_json::Value) -> SdsSource {
        let metadata: Map<_, _> = metadata.as_object().cloned().unwrap_or_default();
        let id = "sidecar~10.0.0.1~cart-1.shop~shop.svc.cluster.local";
        SdsSource::of(&Proxy::parse(id, metadata, Locality::default()).unwrap())
    }

    #[test]
    fn an_agent_gives_the_secrets_of_the_proxies_that_it_starts() {
        assert_eq!(source(json!({})), SdsSource::Ads);
        assert_eq!(source(json!({ "PROXY_CONFIG": {} })), SdsSource::Agent);
    }

    #[test]
    fn nobody_waits_for_ever_for_a_secret_that_we_may_refuse() {
        let limit = |it: SdsSource| it.secret("default").sds_config?.initial_fetch_timeout;
        assert_eq!(limit(SdsSource::Ads).unwrap().seconds, 2);
        assert_eq!(limit(SdsSource::Agent).unwrap().seconds, 0);
        assert_eq!(ads_secret("default"), SdsSource::Ads.secret("default"));
        assert_eq!(ads_secret("kubernetes://a"), SdsSource::Agent.secret("kubernetes://a"));
    }
}
