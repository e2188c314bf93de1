use model::{Diagnostic, Kind, Location};
use proptest::prelude::*;

use super::*;

fn object(name: &str, version: u8) -> Object {
    let meta = api::meta::ObjectMeta {
        name: name.to_owned(),
        labels: [("v".to_owned(), version.to_string())].into_iter().collect(),
        ..Default::default()
    };
    let spec = api::Spec::from(api::k8s::namespace::Namespace::default());
    Object::new(meta, spec, Location { file: format!("{name}.yaml").into(), line: 1 })
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::Namespace, "", name)
}

fn put(name: &str, version: u8) -> Change {
    Change::Put(object(name, version))
}

fn finding(place: &str) -> Findings {
    let finding = Diagnostic::warning("MEL0010", "x");
    Findings::from([(place.into(), Diagnostics::from_iter([finding]))])
}

#[test]
fn a_new_run_deletes_what_it_does_not_name_and_only_once_it_is_synced() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.changes(vec![put("a", 1), put("b", 1), put("c", 1)]).len(), 3);
    ledger.synced();
    ledger.restart();
    let said = ledger.changes(vec![put("a", 1), put("b", 2)]);
    assert!(matches!(&said[..], [Change::Put(object)] if object.key == key("b")));
    assert_eq!((ledger.objects(), ledger.files()), (3, 3));
    let (said, _) = ledger.synced();
    assert!(matches!(&said[..], [Change::Delete(gone)] if *gone == key("c")));
    assert_eq!((ledger.objects(), ledger.files()), (2, 2));
    assert!(ledger.synced().0.is_empty());
}

#[test]
fn findings_of_the_last_run_end_when_the_new_one_does_not_repeat_them() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.diagnostics(finding("a")), finding("a"));
    assert_eq!(ledger.diagnostics(finding("b")), finding("b"));
    assert!(ledger.diagnostics(finding("b")).is_empty());
    ledger.restart();
    assert!(ledger.diagnostics(finding("a")).is_empty());
    let (_, well) = ledger.synced();
    assert_eq!(well, Findings::from([("b".into(), Diagnostics::default())]));
    assert_eq!(**ledger.findings(), finding("a"));
}

fn run() -> impl Strategy<Value = Vec<(u8, Option<u8>)>> {
    prop::collection::vec((0..5u8, prop::option::weighted(0.7, 0..2u8)), 0..10)
}

proptest! {
    #[test]
    fn after_each_run_the_reader_knows_what_that_run_said(
        runs in prop::collection::vec((run(), any::<bool>()), 1..5),
        last in run(),
    ) {
        let mut ledger = Ledger::default();
        let mut reader = BTreeMap::new();
        let mut truth = BTreeMap::new();
        for (run, is_synced) in runs.into_iter().chain([(last, true)]) {
            ledger.restart();
            truth.clear();
            let mut changes = Vec::new();
            for (name, version) in run {
                let name = format!("n{name}");
                match version {
                    Some(version) => {
                        let object = object(&name, version);
                        truth.insert(object.key.clone(), object.hash);
                        changes.push(Change::Put(object));
                    }
                    None => {
                        truth.remove(&key(&name));
                        changes.push(Change::Delete(key(&name)));
                    }
                }
            }
            let mut said = ledger.changes(changes);
            if is_synced {
                said.extend(ledger.synced().0);
            }
            for change in said {
                match change {
                    Change::Put(object) => {
                        let before = reader.insert(object.key.clone(), object.hash);
                        prop_assert_ne!(before, Some(object.hash));
                    }
                    Change::Delete(key) => prop_assert!(reader.remove(&key).is_some()),
                    Change::KeySet(source, _) => unreachable!("keys of {source}"),
                    Change::Learned(workload, _) => unreachable!("calls of {workload}"),
                    Change::FenceSwitched(target, _) => unreachable!("the fences of {target}"),
                    Change::Time(now) => unreachable!("it is {now}"),
                }
            }
        }
        prop_assert_eq!(reader, truth);
    }
}
