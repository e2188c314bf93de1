//! Pods and WorkloadEntries: with a proxy where one is asked for, and behind a service.

use api::{Spec, k8s::pod::Pod};
use model::Kind;

use crate::{
    codes,
    facts::{Facts, Instance},
    found::Found,
};

const INJECT: &str = "sidecar.istio.io/inject";

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    let has_services = facts.objects(Kind::Service).next().is_some();
    for (at, instance) in facts.instances.iter().enumerate() {
        let is_selected = !facts.services_of(at).is_empty();
        match &instance.object.spec {
            Spec::Pod(pod) => {
                check_proxy(instance, pod, facts, found);
                let serves = instance.has_proxy && !instance.declared.is_empty();
                let is_job =
                    instance.object.meta.owner_references.iter().any(|it| it.kind == "Job");
                if serves && has_services && !is_selected && !is_job && !facts.is_gateway(at) {
                    let message = "no Service selects the Pod, so nobody can call it by name";
                    let hint = "compare its labels with the selectors of the Services";
                    let code = &codes::POD_WITHOUT_SERVICE;
                    found.add(code, instance.key, "metadata.labels", message, hint);
                }
            }
            Spec::WorkloadEntry(_) if !is_selected => {
                let message = "no ServiceEntry or Service selects the workload";
                let hint = "compare its labels with the `workloadSelector` of the ServiceEntry";
                found.add(&codes::WORKLOAD_UNUSED, instance.key, "spec.labels", message, hint);
            }
            _ => (),
        }
    }
}

fn check_proxy(instance: &Instance<'_>, pod: &Pod, facts: &Facts<'_>, found: &mut Found) {
    // Without containers, nobody can say what runs in it.
    if instance.has_proxy || pod.spec.containers.is_empty() || pod.spec.host_network {
        return;
    }
    let key = model::ObjectKey::new(Kind::Namespace, "", instance.namespace().as_str());
    let Some(namespace) = facts.snapshot.objects().get(&key) else { return };
    let asked = namespace.meta.labels.get("istio-injection").is_some_and(|it| it == "enabled")
        || namespace.meta.labels.contains_key("istio.io/rev");
    let own = instance.object.meta.labels.get(INJECT);
    let own = own.or_else(|| instance.object.meta.annotations.get(INJECT));
    if asked && own.is_none_or(|it| it != "false") {
        let message = "its namespace asks for a proxy, and the Pod has none";
        let hint = "restart the Pod, so that the proxy is injected";
        found.add(&codes::NO_PROXY, instance.key, "spec.containers", message, hint);
    }
}
