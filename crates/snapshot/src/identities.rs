//! Who answers for a service: what clients must know of its endpoints to call them encrypted.
//!
//! - Changes far less often than the endpoints do: one more instance of a workload changes nothing.
//! - Not here: which clients call encrypted (`compile`).

use std::{collections::BTreeSet, sync::Arc};

use model::{Endpoint, Namespace};

/// How many of a service's endpoints end mTLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MutualEndpoints {
    #[default]
    None,
    Some,
    All,
}

/// The workloads behind a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EndpointIdentities {
    /// Namespace and service account, sorted. The account of one that ends mTLS and does not say it
    /// is empty.
    pub accounts: BTreeSet<(Namespace, Arc<str>)>,
    pub mutual: MutualEndpoints,
}

impl EndpointIdentities {
    pub(crate) fn new(endpoints: &[Endpoint]) -> Self {
        // What is not known of an endpoint that is called in plain text does not matter: it may be a
        // pod that is listed before it is seen.
        let telling = |it: &&Endpoint| it.mtls || !it.service_account.is_empty();
        let account = |it: &Endpoint| (it.namespace.clone(), it.service_account.clone());
        let ending = endpoints.iter().filter(|endpoint| endpoint.mtls).count();
        Self {
            accounts: endpoints.iter().filter(telling).map(account).collect(),
            mutual: match ending {
                0 => MutualEndpoints::None,
                all if all == endpoints.len() => MutualEndpoints::All,
                _ => MutualEndpoints::Some,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::istio::mesh_config::MeshConfig;
    use model::{Namespace, ServiceKey};

    use super::MutualEndpoints;
    use crate::{Change, ChangeSet, Features, Index, ReadKey, Reader};

    fn entry(endpoints: &str) -> Vec<Change> {
        let yaml = format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: web, namespace: shop}}
spec:
  hosts: [web.example]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{endpoints}]
"
        );
        let (objects, _) = api::parse_documents("web.yaml", yaml.as_bytes());
        objects.into_iter().map(Change::Put).collect()
    }

    fn key() -> ServiceKey {
        ServiceKey { namespace: Namespace::from("shop"), hostname: "web.example".into() }
    }

    fn touches(changes: &ChangeSet) -> bool {
        changes.keys.contains(&ReadKey::Identities(key()))
    }

    #[test]
    fn one_more_instance_of_a_workload_changes_no_identities() {
        let mut index = Index::new(Arc::new(MeshConfig::default()), Features::default(), "c.l");
        let tls = "labels: {security.istio.io/tlsMode: istio}";
        let one = format!("{{address: 10.0.0.1, serviceAccount: a, {tls}}}");
        let two = format!("{one}, {{address: 10.0.0.2, serviceAccount: a, {tls}}}");
        let plain = format!("{two}, {{address: 10.0.0.3, serviceAccount: b}}");
        assert!(touches(&index.apply(entry(&one))));
        let grown = index.apply(entry(&two));
        assert!(!touches(&grown) && grown.keys.contains(&ReadKey::Endpoints(key())));
        assert!(touches(&index.apply(entry(&plain))));
        let snapshot = index.snapshot();
        let reader = Reader::new(&snapshot);
        let identities = reader.identities(&key());
        assert_eq!(identities.mutual, MutualEndpoints::Some);
        let accounts: Vec<&str> = identities.accounts.iter().map(|(_, it)| &**it).collect();
        assert_eq!(accounts, ["a", "b"]);
        assert!(touches(&index.apply(entry(""))));
    }
}
