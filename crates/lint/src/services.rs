//! Kubernetes Services: their ports say what they speak, and lead to Pods.

use api::{
    IntOrString, Spec,
    k8s::service::{Service, ServicePort},
};
use model::{Hostname, Kind, ObjectKey, Protocol, Registry, TargetPort};

use crate::{codes, facts::Facts, found::Found};

/// Namespaces of Kubernetes itself, whose services are not for the mesh.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    for object in facts.objects(Kind::Service) {
        let Spec::Service(service) = &object.spec else { continue };
        if SYSTEM.contains(&object.key.namespace.as_str()) || service.spec.type_ == "ExternalName" {
            continue;
        }
        check_protocols(&object.key, service, facts, found);
        check_selector(&object.key, service, facts, found);
    }
}

fn check_protocols(key: &ObjectKey, service: &Service, facts: &Facts<'_>, found: &mut Found) {
    let host = facts.resolve(key.name.as_str(), &key.namespace);
    let known = facts.reader.services_named(&host);
    for (index, port) in service.spec.ports.iter().enumerate() {
        let resolved = known
            .iter()
            .filter(|it| it.registry == Registry::Kubernetes && it.namespace() == &key.namespace)
            .find_map(|it| it.ports.iter().find(|it| i32::from(it.number) == port.port));
        if resolved.is_none_or(|it| it.protocol != Protocol::Unsupported) {
            continue;
        }
        let (field, name) = named(index, port);
        let message = format!("{name} of port {} names no protocol", port.port);
        let hint = "call it `http-…`, `grpc-…`, `tcp-…` …, or set `appProtocol`";
        found.add(&codes::PORT_PROTOCOL, key, field, message, hint);
    }
}

fn named(index: usize, port: &ServicePort) -> (String, String) {
    match port.app_protocol.is_empty() {
        true => {
            let text = match port.name.as_str() {
                "" => "the missing name".to_owned(),
                name => format!("the name `{name}`"),
            };
            (format!("spec.ports[{index}].name"), text)
        }
        false => {
            let text = format!("`appProtocol: {}`", port.app_protocol);
            (format!("spec.ports[{index}].appProtocol"), text)
        }
    }
}

fn check_selector(key: &ObjectKey, service: &Service, facts: &Facts<'_>, found: &mut Found) {
    let selector = crate::facts::labels(&service.spec.selector);
    let is_pod = |at: &usize| facts.instances[*at].pod().is_some();
    if selector.is_empty() || !facts.lists_pods(&key.namespace) {
        return;
    }
    let mut selected = facts.select(Some(&key.namespace), &selector);
    if selected.is_empty() {
        let message = format!("no Pod of `{}` has the labels `{selector}`", key.namespace);
        let hint = "compare with the labels of the Pods";
        found.add(&codes::SERVICE_WITHOUT_PODS, key, "spec.selector", message, hint);
    }
    selected.retain(is_pod);
    for (index, port) in service.spec.ports.iter().enumerate() {
        let Some(IntOrString::String(name)) = &port.target_port else { continue };
        let target = TargetPort::Named(name.as_str().into());
        let has = |at: &usize| facts.target(*at, &target).is_some();
        if selected.is_empty() || name.parse::<u16>().is_ok() || selected.iter().any(has) {
            continue;
        }
        let message = format!("no Pod of the service has a port called `{name}`");
        let field = format!("spec.ports[{index}].targetPort");
        let hint = "name a container's port so, or use its number";
        found.add(&codes::NO_SUCH_TARGET_PORT, key, field, message, hint);
    }
}

/// The service of a provider or another setting, written `namespace/host` or `host`.
pub(crate) fn exists(written: &str, facts: &Facts<'_>) -> bool {
    let (namespace, host) = match written.split_once('/') {
        Some((namespace, host)) => (Some(namespace), host),
        None => (None, written),
    };
    let host = Hostname::new(host);
    let named = facts.reader.services_named(&host);
    let is_there = |it: &&model::Shared<model::Service>| {
        namespace.is_none_or(|wanted| it.namespace().as_str() == wanted)
    };
    named.iter().any(is_there) || facts.has_wildcard_over(&host)
}
