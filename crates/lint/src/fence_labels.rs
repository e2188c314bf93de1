//! Labels that ask for a fence, or for a mode of one, with a value that means nothing: they are passed
//! over in silence where proxies are told what they get.

use api::{Object, Spec};
use model::{Kind, ScopeMode};
use snapshot::{FENCED_LABEL, SCOPE_LABEL};

use crate::{codes, facts::Facts, found::Found};

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    let mut modes: Vec<&str> = ScopeMode::NAMES.iter().map(|(name, _)| *name).collect();
    let last = modes.pop().unwrap_or_default();
    let modes = format!("write {} or {last}; as it is, the label does nothing", modes.join(", "));
    for object in facts.snapshot.objects().values() {
        if let Some((place, value)) = mode_label(object)
            && value.parse::<ScopeMode>().is_err()
        {
            let field = format!("{place}.labels[\"{SCOPE_LABEL}\"]");
            let message = format!("`{value}` is no mode");
            found.add(&codes::BAD_FENCE_LABEL, &object.key, field, message, &modes);
        }
        let fenced = object.meta.labels.get(FENCED_LABEL);
        if let Some(value) = fenced.filter(|value| !matches!(value.as_str(), "true" | "false"))
            && matches!(object.key.kind, Kind::Service | Kind::Namespace)
        {
            let field = format!("metadata.labels[\"{FENCED_LABEL}\"]");
            let message = format!("`{value}` is neither `true` nor `false`");
            let hint = "write one of both; as it is, the label does nothing";
            found.add(&codes::BAD_FENCE_LABEL, &object.key, field, message, hint);
        }
    }
}

/// The mode that an object asks for itself or for its workloads, and where it says so.
fn mode_label(object: &Object) -> Option<(&'static str, &str)> {
    let own = || Some(("metadata", object.meta.labels.get(SCOPE_LABEL)?.as_str()));
    match &object.spec {
        Spec::WorkloadEntry(entry) => {
            entry.labels.get(SCOPE_LABEL).map(|value| ("spec", value)).or_else(own)
        }
        Spec::WorkloadGroup(group) => {
            let template = group.template.as_ref().and_then(|it| it.labels.get(SCOPE_LABEL));
            let outer = || group.metadata.as_ref()?.labels.get(SCOPE_LABEL);
            let template = template.map(|value| ("spec.template", value));
            template.or_else(|| outer().map(|value| ("spec.metadata", value.as_str())))
        }
        _ => own().filter(|_| matches!(object.key.kind, Kind::Namespace | Kind::Pod)),
    }
}
