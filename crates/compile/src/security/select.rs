//! Picks the policies of a proxy, and looks up what they need.

use std::{collections::BTreeMap, sync::Arc};

use api::istio::{
    authorization_policy::Action, mesh_config::MeshConfig, request_authentication::JwtRule,
};
use model::{Hostname, Labels, ProxyKind, Service, Shared};
use snapshot::{KeySource, Policy, PolicyRecord, Reader};

use super::{Authorizer, SecurityInput, authorizer, rbac::provider_name};
use crate::{Client, Scope, gateway::find_service, lazy_gateway::identities};

/// Lets one workload have several external authorizers.
const SEVERAL_SWITCH: &str = "PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS";

/// Selects what decides about the callers of one proxy. `labels` are all of its labels.
pub fn select_security(labels: &Labels, client: &Client, reader: &Reader<'_>) -> SecurityInput {
    let mesh = reader.mesh();
    let mut input = SecurityInput {
        policies: selecting(labels, client, reader),
        authentications: selecting(labels, client, reader),
        ..SecurityInput::default()
    };
    if !input.policies.is_empty() {
        let aliases = mesh.config.trust_domain_aliases.iter().map(|alias| alias.as_str().into());
        let gateway = reader.fencing().gateway.as_ref().filter(|_| client.relay().is_none());
        input.relays = gateway.map(|it| identities(it, mesh)).unwrap_or_default();
        input.trust_domains = std::iter::once(mesh.trust_domain.clone()).chain(aliases).collect();
    }
    let custom = input.policies.iter().filter(|record| record.spec.action == Action::Custom);
    let names: Vec<&str> = custom.map(provider_name).collect();
    if !names.is_empty() {
        let mut known = Known { client, reader, scope: None };
        for name in names {
            if !input.authorizers.contains_key(name) {
                let authorizer = known.authorizer(name, &mesh.config);
                input.authorizers.insert(name.into(), authorizer.map_err(Arc::from));
            }
        }
        input.several_authorizers = mesh.features.flag(SEVERAL_SWITCH, false);
    }
    let rules = input.authentications.iter().flat_map(|record| &record.spec.jwt_rules);
    input.key_sets = key_sets(rules, reader);
    input
}

/// The policies for a workload: of the root namespace, then of its own. The lazy gateway passes on what is
/// for others, who judge it by the policies for all; its own are those that name it.
fn selecting<S: Policy>(
    labels: &Labels,
    client: &Client,
    reader: &Reader<'_>,
) -> Vec<Shared<PolicyRecord<S>>> {
    let (root, namespace) = (&reader.mesh().root_namespace, &client.namespace);
    let own = (namespace != root).then_some(namespace);
    let namespaces = std::iter::once(root).chain(own);
    let records = namespaces.flat_map(|namespace| reader.policies::<S>(namespace));
    let holds = |record: &&Shared<PolicyRecord<S>>| {
        record.selects(labels) && (client.relay().is_none() || record.names_workloads())
    };
    records.filter(holds).cloned().collect()
}

fn key_sets<'a>(
    rules: impl Iterator<Item = &'a JwtRule>,
    reader: &Reader<'_>,
) -> BTreeMap<KeySource, Option<Shared<String>>> {
    let sources = rules.filter_map(KeySource::of);
    sources.map(|source| (source.clone(), reader.key_set(&source).cloned())).collect()
}

/// What a proxy has clusters for.
struct Known<'a> {
    client: &'a Client,
    reader: &'a Reader<'a>,
    /// Only where a Sidecar limits it.
    scope: Option<Scope>,
}

impl Known<'_> {
    fn authorizer(&mut self, name: &str, config: &MeshConfig) -> Result<Authorizer, String> {
        let mut providers = config.extension_providers.iter().filter(|it| it.name == name);
        let provider = providers.next().ok_or("the mesh configuration does not define it")?;
        if providers.next().is_some() {
            return Err("the mesh configuration defines it twice".to_owned());
        }
        authorizer::resolve(provider, |service, port| self.find(service, port))
    }

    /// A listener that names a cluster which never comes would be held back, and with it the
    /// policy: so an authorizer is only asked where the proxy surely has the cluster.
    fn find(&mut self, service: &str, port: u16) -> Result<Hostname, String> {
        let (namespace, host) = match service.split_once('/') {
            Some((namespace, host)) => (Some(namespace), host),
            None => (None, service),
        };
        let hostname = Hostname::new(host);
        let named = self.reader.services_named(&hostname).into_iter();
        let in_namespace = |it: &&Shared<Service>| {
            namespace.is_none_or(|namespace| it.namespace().as_str() == namespace)
        };
        match named.filter(in_namespace).count() {
            0 => return Err(format!("there is no service `{service}`")),
            1 => {}
            _ => return Err(format!("several namespaces have a service `{service}`")),
        }
        let ports = self.visible_ports(&hostname);
        let Some(ports) = ports else {
            return Err(format!("the proxy does not see the service `{service}`"));
        };
        match ports.contains(&port) {
            true => Ok(hostname),
            false => Err(format!("the service `{service}` has no port {port}")),
        }
    }

    /// The ports of the service that the proxy has under a name.
    fn visible_ports(&mut self, hostname: &Hostname) -> Option<Vec<u16>> {
        let ports = |service: &Shared<Service>| service.ports.iter().map(|it| it.number).collect();
        let Self { client, reader, scope } = self;
        if client.kind == ProxyKind::Router || client.sidecar.is_none() {
            let own = Some(&client.namespace);
            return find_service(hostname, own, client, reader).map(ports);
        }
        let scope = scope.get_or_insert_with(|| Scope::select(client, reader));
        scope.service(hostname).map(ports)
    }
}
