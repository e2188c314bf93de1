//! Objects in namespaces that do not exist.

use crate::{codes, facts::Facts, found::Found};

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    // Where none is listed, all may exist.
    if facts.namespaces.is_empty() {
        return;
    }
    for object in facts.snapshot.objects().values() {
        let namespace = object.key.namespace.as_str();
        // Who lists a Pod there says that the namespace exists.
        let is_there = namespace.is_empty()
            || facts.namespaces.contains(namespace)
            || !facts.in_namespace(&object.key.namespace).is_empty()
            || object.key.kind == model::Kind::MeshConfig;
        if is_there {
            continue;
        }
        let message = format!("there is no namespace `{namespace}`");
        let hint = "check the name; an object there is for nobody";
        let code = &codes::OBJECT_WITHOUT_NAMESPACE;
        found.add(code, &object.key, "metadata.namespace", message, hint);
    }
}
