//! Pods, WorkloadEntries and WorkloadGroups as one.

use std::collections::BTreeMap;

use api::{
    Object, Spec,
    k8s::pod::{Container, Pod},
};
use model::{Labels, Namespace, ObjectKey};

use super::labels;

const TLS_MODE: &str = "security.istio.io/tlsMode";
const PROXY: &str = "istio-proxy";

/// Something that runs, or is registered to run: a Pod, a WorkloadEntry or a WorkloadGroup.
pub(crate) struct Instance<'a> {
    pub(crate) key: &'a ObjectKey,
    pub(crate) object: &'a Object,
    pub(crate) labels: Labels,
    /// Name of its service account.
    pub(crate) account: &'a str,
    pub(crate) has_proxy: bool,
    /// The ports that its containers declare, by name; unnamed ones have an empty name.
    pub(crate) declared: Vec<(&'a str, u16)>,
}

impl Instance<'_> {
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.key.namespace
    }

    /// A Pod that is known to have no proxy beside it.
    pub(crate) fn is_bare(&self) -> bool {
        !self.has_proxy && self.pod().is_some()
    }

    pub(crate) fn pod(&self) -> Option<&Pod> {
        match &self.object.spec {
            Spec::Pod(pod) => Some(pod),
            _ => None,
        }
    }
}

/// What an object stands for, if it runs anything.
pub(super) fn instance(object: &Object) -> Option<Instance<'_>> {
    let own = &object.meta.labels;
    let mut instance = Instance {
        key: &object.key,
        object,
        labels: Labels::default(),
        account: "default",
        has_proxy: false,
        declared: Vec::new(),
    };
    match &object.spec {
        Spec::Pod(pod) => {
            if matches!(pod.status.phase.as_str(), "Succeeded" | "Failed") {
                return None;
            }
            instance.labels = labels(own);
            let named = |containers: &[Container]| containers.iter().any(|it| it.name == PROXY);
            instance.has_proxy = named(&pod.spec.containers) || named(&pod.spec.init_containers);
            set_account(&mut instance, &pod.spec.service_account_name);
            let ports = pod.spec.containers.iter().filter(|it| it.name != PROXY);
            instance.declared = ports
                .flat_map(|container| &container.ports)
                .filter_map(|port| {
                    Some((port.name.as_str(), u16::try_from(port.container_port).ok()?))
                })
                .collect();
        }
        Spec::WorkloadEntry(entry) => {
            instance.labels = merged(own, &entry.labels);
            set_account(&mut instance, &entry.service_account);
            instance.declared = entry
                .ports
                .iter()
                .filter_map(|(name, port)| Some((name.as_str(), u16::try_from(*port).ok()?)))
                .collect();
        }
        Spec::WorkloadGroup(group) => {
            let template = group.template.as_ref();
            let none = BTreeMap::new();
            let outer = group.metadata.as_ref().map_or(&none, |it| &it.labels);
            instance.labels = match template {
                Some(template) => merged(outer, &template.labels),
                None => labels(outer),
            };
            instance.has_proxy = true;
            if let Some(template) = template {
                set_account(&mut instance, &template.service_account);
            }
        }
        _ => return None,
    }
    instance.has_proxy |= instance.labels.get(TLS_MODE) == Some("istio");
    Some(instance)
}

fn set_account<'a>(instance: &mut Instance<'a>, account: &'a str) {
    if !account.is_empty() {
        instance.account = account;
    }
}

fn merged(outer: &BTreeMap<String, String>, inner: &Labels) -> Labels {
    let outer = outer.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let all: BTreeMap<&str, &str> = outer.chain(inner.iter()).collect();
    all.into_iter().collect()
}
