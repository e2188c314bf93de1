//! Annotations and labels that have another place, a successor, or no effect here.

use api::Object;
use model::Kind;

use crate::{codes, facts::Facts, found::Found};

/// Annotations that have a successor.
const DEPRECATED: [(&str, &str); 2] = [
    ("sidecar.istio.io/inject", "use the label of the same name"),
    ("policy.istio.io/check", "use an AuthorizationPolicy"),
];

/// Annotations that count on one kind only.
const PLACES: [(&str, &[Kind]); 5] = [
    ("networking.istio.io/exportTo", &[Kind::Service]),
    ("networking.istio.io/traffic-distribution", &[Kind::Service, Kind::Namespace]),
    ("sidecar.istio.io/inject", &[Kind::Pod]),
    ("proxy.istio.io/config", &[Kind::Pod]),
    ("istio.io/dry-run", &[Kind::AuthorizationPolicy]),
];

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    for object in facts.snapshot.objects().values() {
        if object.meta.annotations.is_empty() && object.meta.labels.is_empty() {
            continue;
        }
        check_annotations(object, found);
        let is_configuration =
            !matches!(object.key.kind, Kind::Namespace | Kind::Pod) && !is_core(object.key.kind);
        if is_configuration && let Some(revision) = object.meta.labels.get("istio.io/rev") {
            let message = format!("the object is in effect, whatever the revision `{revision}`");
            let hint = "remove the label";
            let field = "metadata.labels[\"istio.io/rev\"]";
            found.add(&codes::REVISION_LABEL, &object.key, field, message, hint);
        }
    }
}

fn check_annotations(object: &Object, found: &mut Found) {
    for name in object.meta.annotations.keys() {
        let field = format!("metadata.annotations[\"{name}\"]");
        let place = PLACES.iter().find(|(known, _)| known == name);
        // What validation says of one object is not said again.
        let is_validated = name == "istio.io/dry-run" && !is_core(object.key.kind);
        if let Some((_, kinds)) = place
            && !kinds.contains(&object.key.kind)
            && !is_validated
        {
            let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
            let message = format!("the annotation counts on {} only", kinds.join(" and "));
            found.add(
                &codes::MISPLACED_ANNOTATION,
                &object.key,
                field,
                message,
                "move or remove it",
            );
            continue;
        }
        if let Some((_, hint)) = DEPRECATED.iter().find(|(known, _)| known == name) {
            let message = "the annotation is deprecated";
            found.add(&codes::DEPRECATED_ANNOTATION, &object.key, field, message, hint);
        }
    }
}

fn is_core(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Service
            | Kind::EndpointSlice
            | Kind::Endpoints
            | Kind::Pod
            | Kind::Node
            | Kind::Namespace
            | Kind::Secret
            | Kind::ConfigMap
    )
}
