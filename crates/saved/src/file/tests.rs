use std::os::unix::fs::PermissionsExt;

use api::parse_documents;
use testkit::corpus;

use super::*;

const MESH: &str = "apiVersion: v1
kind: Service
metadata: {name: a, namespace: b, labels: {app: a}}
spec: {ports: [{name: http, port: 80, targetPort: web}]}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: b}
data: {tls.key: c2VjcmV0}
";

fn objects(text: &str) -> Vec<Object> {
    parse_documents("mesh.yaml", text.as_bytes()).0
}

fn same(one: &[Object], other: &[Object]) {
    let facts = |objects: &[Object]| {
        let facts = objects.iter().map(|it| (it.key.clone(), it.hash, it.location.clone()));
        facts.collect::<Vec<_>>()
    };
    assert_eq!(facts(one), facts(other));
}

fn refusal(file: &StateFile) -> String {
    file.read().unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = StateFile::new(&folder.path().join("new"), "mesh");
    assert!(file.read().unwrap().is_none());
    let written = objects(MESH);
    file.write(written.iter()).unwrap();
    same(&file.read().unwrap().unwrap().objects, &written);
    file.write(written[..1].iter()).unwrap();
    same(&file.read().unwrap().unwrap().objects, &written[..1]);
    file.write([].iter()).unwrap();
    same(&file.read().unwrap().unwrap().objects, &[]);
}

#[test]
fn nobody_else_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = StateFile::new(folder.path(), "mesh");
    file.write(objects(MESH).iter()).unwrap();
    let mode = fs::metadata(file.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[test]
fn a_part_of_a_state_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = StateFile::new(folder.path(), "mesh");
    file.write(objects(MESH).iter()).unwrap();
    let whole = fs::read(file.path()).unwrap();
    for length in 0..whole.len() {
        fs::write(file.path(), &whole[..length]).unwrap();
        assert!(file.read().is_err(), "{length} of {} bytes are taken", whole.len());
    }
}

#[test]
fn the_state_of_another_mesh_or_a_changed_object_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = StateFile::new(folder.path(), "mesh");
    file.write(objects(MESH).iter()).unwrap();
    let other = StateFile::new(folder.path(), "other mesh");
    assert!(refusal(&other).contains("other sources"), "{}", refusal(&other));
    let text = fs::read_to_string(file.path()).unwrap();
    fs::write(file.path(), text.replace("\"port\":80", "\"port\":81")).unwrap();
    assert!(refusal(&file).contains("an object in it"), "{}", refusal(&file));
}

/// Every object that Istio's own samples and tests hold survives.
#[test]
fn real_objects_are_read_as_they_were() {
    let name = "saved::real_objects_are_read_as_they_were";
    let Some(corpus) = corpus::require_corpus(name) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = StateFile::new(folder.path(), "corpus");
    let mut written = Vec::new();
    let mut folders = vec![corpus];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "yaml" || it == "yml") {
                let text = fs::read(&path).unwrap();
                written.extend(parse_documents(&path.to_string_lossy(), &text).0);
            }
        }
    }
    assert!(written.len() > 150, "{} objects", written.len());
    file.write(written.iter()).unwrap();
    same(&file.read().unwrap().unwrap().objects, &written);
}
