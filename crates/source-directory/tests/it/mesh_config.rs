//! The mesh configuration in a file of its own.

use std::fs;

use api::Spec;
use model::Kind;

use crate::rig::{Rig, directory, namespace, settings};

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    trustDomain: from.map\n";

fn trust_domain(rig: &Rig) -> String {
    let mut meshes = rig.objects().values().filter_map(|object| match &object.spec {
        Spec::MeshConfig(mesh) => Some((object, mesh)),
        _ => None,
    });
    let (object, mesh) = meshes.next().expect("a mesh configuration");
    assert_eq!(object.key.kind, Kind::MeshConfig);
    assert_eq!(object.key.namespace.as_str(), "istio-system");
    serde_json::to_value(&**mesh).unwrap()["trustDomain"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_named_file_wins_over_a_config_map_and_is_followed() {
    let root = directory(&[
        ("a/map.yaml", CONFIG_MAP),
        ("a/ns.yaml", &namespace("a", "1")),
        ("a/mesh.yaml", "trustDomain: from.file\n"),
    ]);
    let mut settings = settings(&root.path().join("a"));
    settings.mesh_config = Some(root.path().join("a/mesh.yaml"));
    let mut rig = Rig::with(root, settings).await;
    assert_eq!(
        (trust_domain(&rig).as_str(), rig.codes().as_str()),
        ("from.file", "map.yaml:MEL0016")
    );
    rig.write("a/mesh.yaml", "trustDomain: other.file\n");
    rig.until("the edit", |rig| trust_domain(rig) == "other.file").await;
    rig.write("a/mesh.yaml", "trustDomain: [\n");
    rig.until("reported", |rig| rig.codes().contains("mesh.yaml:MEL0001")).await;
    fs::remove_file(rig.path("a/mesh.yaml")).unwrap();
    rig.until("reported", |rig| rig.codes().contains("mesh.yaml:MEL0012")).await;
    assert_eq!(trust_domain(&rig), "other.file");
    rig.write("a/mesh.yaml", "trustDomain: third.file\n");
    rig.until("the file is back", |rig| trust_domain(rig) == "third.file").await;
    assert_eq!(rig.codes(), "map.yaml:MEL0016");
}
