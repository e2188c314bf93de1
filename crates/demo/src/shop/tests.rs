//! The files of the shop say what the demo believes.

use std::collections::BTreeMap;

use model::Kind;
use source_directory::load_once;

use super::*;

fn example() -> PathBuf {
    tools::workspace_root().join("examples").join("shop")
}

#[test]
fn the_files_are_without_findings() {
    let mesh_config = example().join("mesh-config.yaml");
    for folder in ["config", "later"] {
        let (objects, findings) = load_once(&[example().join(folder)], Some(&mesh_config));
        assert!(!objects.is_empty(), "{folder} holds nothing");
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{findings:?}");
    }
}

#[test]
fn every_instance_has_its_address_in_a_file() {
    let (objects, _) = load_once(&[example().join("config")], None);
    let entries = objects.iter().filter(|object| object.key.kind == Kind::WorkloadEntry);
    let written: BTreeMap<String, String> = entries
        .map(|object| {
            let api::Spec::WorkloadEntry(entry) = &object.spec else {
                panic!("{} is no WorkloadEntry", object.key);
            };
            (object.key.name.to_string(), entry.address.clone())
        })
        .collect();
    let believed: BTreeMap<String, String> = INSTANCES
        .iter()
        .map(|it| (it.name.to_owned(), format!("127.{}.{}.{}", BLOCK.0, BLOCK.1, it.last)))
        .collect();
    assert_eq!(written, believed);
}

#[test]
fn a_number_is_replaced_only_where_it_stands_alone() {
    let text = "port: 8080, 18080, 80801; :8080/ 8080";
    assert_eq!(replace_number(text, 8080, 9), "port: 9, 18080, 80801; :9/ 9");
}
