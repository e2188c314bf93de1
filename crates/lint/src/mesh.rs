//! Settings of the whole mesh.

use model::Kind;

use crate::{codes, facts::Facts, found::Found, providers::mesh_config};

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    let Some((first, mesh)) = mesh_config(facts) else { return };
    for other in facts.objects(Kind::MeshConfig).filter(|it| it.key != first.key) {
        let message = format!("the mesh has the configuration of {} already", first.key);
        let hint = "remove one of the two";
        found.add(&codes::MESH_CONFLICT, &other.key, "", message, hint);
    }
    let root = facts.root.as_str();
    if !mesh.root_namespace.is_empty()
        && !facts.namespaces.is_empty()
        && !facts.namespaces.contains(root)
    {
        let message = format!("there is no namespace `{root}`");
        let hint = "create it, or name the one in which mesh-wide policies are kept";
        found.add(&codes::NO_ROOT_NAMESPACE, &first.key, "rootNamespace", message, hint);
    }
}
