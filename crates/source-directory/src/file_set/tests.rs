use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use model::Kind;
use proptest::prelude::*;

use super::*;

const BROKEN: &str = "a: [\n";

/// Namespaces `name=version`, separated by blanks; `!` is a document that cannot be read.
fn text(objects: &str) -> String {
    let each = objects.split_whitespace().map(|object| match object.split_once('=') {
        Some((name, version)) => format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{v: \"{version}\"}}}}\n---\n"
        ),
        None => BROKEN.to_owned(),
    });
    // A broken document ends where the text ends.
    let (broken, good): (Vec<_>, Vec<_>) = each.partition(|text| text == BROKEN);
    good.concat() + &broken.concat()
}

fn parse(file: &str, objects: &str) -> ParsedFile {
    ParsedFile::parse(file, text(objects).as_bytes(), Rank::Found)
}

fn show(object: &Object) -> String {
    let version = object.meta.labels.get("v").cloned().unwrap_or_default();
    format!("{}={version} of {}", object.key.name, object.location.file)
}

/// Each step is `file: objects`, or `-file`. Shows what each step changes and finds.
#[track_caller]
fn check(steps: &[&str], expected: Expect) {
    let mut set = FileSet::default();
    let mut shown = String::new();
    for step in steps {
        let changes = match step.strip_prefix('-') {
            Some(file) => set.remove(file),
            None => {
                let (file, objects) = step.split_once(':').unwrap();
                set.update(&file.into(), parse(file, objects))
            }
        };
        shown += &format!("{step}\n");
        for change in changes {
            shown += &match change {
                Change::Put(object) => format!("  put {}\n", show(&object)),
                Change::Delete(key) => format!("  delete {}\n", key.name),
                Change::KeySet(source, _) => unreachable!("keys of {source}"),
                Change::Learned(workload, _) => unreachable!("calls of {workload}"),
                Change::FenceSwitched(target, _) => unreachable!("fence of {target:?}"),
                Change::Time(now) => unreachable!("it is {now}"),
            };
        }
        for (file, findings) in set.take_findings() {
            let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
            shown += &format!("  findings of {file}: {}\n", codes.join(" "));
        }
    }
    expected.assert_eq(&shown);
}

#[test]
fn only_what_changed_is_said() {
    let expected = expect![[r#"
        f: a=1 b=1 c=1
          put a=1 of f
          put b=1 of f
          put c=1 of f
        f: b=1 a=2 d=1
          put a=2 of f
          delete c
          put d=1 of f
        f: b=1 a=2 d=1
        -f
          delete a
          delete b
          delete d
        -f
    "#]];
    check(&["f: a=1 b=1 c=1", "f: b=1 a=2 d=1", "f: b=1 a=2 d=1", "-f", "-f"], expected);
}

#[test]
fn a_broken_file_keeps_what_it_does_not_show() {
    let expected = expect![[r#"
        f: a=1 b=1
          put a=1 of f
          put b=1 of f
        f: a=2 !
          put a=2 of f
          findings of f: MEL0001
        f: !
          findings of f: MEL0001
        f: a=2
          delete b
          findings of f: 
    "#]];
    check(&["f: a=1 b=1", "f: a=2 !", "f: !", "f: a=2"], expected);
}

#[test]
fn the_first_path_wins_and_the_next_one_inherits() {
    let expected = expect![[r#"
        g: a=g
          put a=g of g
        f: a=f
          put a=f of f
          findings of g: MEL0010
        h: a=h
          findings of h: MEL0010
        f: b=f
          put a=g of g
          put b=f of f
          findings of g: 
          findings of h: MEL0010
        -g
          put a=h of h
          findings of h: 
        -h
          delete a
    "#]];
    check(&["g: a=g", "f: a=f", "h: a=h", "f: b=f", "-g", "-h"], expected);
}

#[test]
fn an_object_written_twice_in_a_file_counts_once() {
    let expected = expect![[r#"
        f: a=1 a=2
          put a=1 of f
          findings of f: MEL0010
        f: a=2
          put a=2 of f
          findings of f: 
    "#]];
    check(&["f: a=1 a=2", "f: a=2"], expected);
}

#[test]
fn a_duplicate_names_both_places() {
    let mut set = FileSet::default();
    set.update(&"f.yaml".into(), parse("f.yaml", "x=1 a=1"));
    set.update(&"g.yaml".into(), parse("g.yaml", "a=1"));
    let findings = set.take_findings();
    expect!["g.yaml:1: warning[MEL0010] Namespace a: the object at g.yaml:1 has no effect: it is also at f.yaml:5, which comes first (remove one of the two)"].assert_eq(&findings["g.yaml"].iter().next().unwrap().to_string());
    // The place moves with an edit of the other file.
    set.update(&"f.yaml".into(), parse("f.yaml", "a=1"));
    let findings = set.take_findings();
    expect!["g.yaml:1: warning[MEL0010] Namespace a: the object at g.yaml:1 has no effect: it is also at f.yaml:1, which comes first (remove one of the two)"].assert_eq(&findings["g.yaml"].iter().next().unwrap().to_string());
}

#[test]
fn a_policy_with_a_mistake_is_in_effect_unless_there_is_a_good_one() {
    let file: Arc<str> = "a.yaml".into();
    let text = |ports: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{name: it, namespace: shop}}\n\
             spec: {{rules: [{{to: [{{operation: {{ports: ['{ports}']}}}}]}}]}}\n"
        )
    };
    let parse = |ports: &str| ParsedFile::parse("a.yaml", text(ports).as_bytes(), Rank::Found);
    let mut set = FileSet::default();
    let [Change::Put(first)] = &set.update(&file, parse("none"))[..] else { panic!("no policy") };
    assert_eq!(set.take_findings().len(), 1);
    let [Change::Put(good)] = &set.update(&file, parse("80"))[..] else { panic!("no policy") };
    assert_ne!(good.hash, first.hash);
    assert!(set.update(&file, parse("none")).is_empty(), "the last good one stays");
}

#[test]
fn a_refused_object_keeps_its_last_good_version_or_gives_way() {
    let mut set = FileSet::default();
    let key = ObjectKey::new(Kind::Namespace, "", "a");
    let refuse = |file: &str| {
        let mut parsed = parse(file, "a=bad");
        parsed.refused = parsed.objects.drain(..).map(|object| object.key).collect();
        parsed
    };
    set.update(&"f".into(), refuse("f"));
    set.update(&"g".into(), parse("g", "a=1"));
    assert_eq!(set.object(&key).map(show).as_deref(), Some("a=1 of g"));
    set.update(&"f".into(), parse("f", "a=2"));
    assert!(set.update(&"f".into(), refuse("f")).is_empty());
    assert_eq!(set.object(&key).map(show).as_deref(), Some("a=2 of f"));
}

#[test]
fn a_move_between_files_in_one_batch_is_one_change() {
    let mut set = FileSet::default();
    set.update(&"f".into(), parse("f", "a=1"));
    for order in [[("f", None), ("g", Some("a=1"))], [("f", Some("a=1")), ("g", None)]] {
        let updates = order.map(|(file, text)| (file.into(), text.map(|text| parse(file, text))));
        let changes = set.apply(updates);
        assert!(matches!(&changes[..], [Change::Put(_)]), "{changes:?}");
    }
}

const FILES: [&str; 4] = ["f", "g", "h", "i"];

#[derive(Clone, Debug)]
enum Step {
    Update { file: usize, objects: Vec<(u8, u8)>, is_broken: bool },
    Remove { file: usize },
}

fn content(objects: &[(u8, u8)], is_broken: bool) -> String {
    let each = objects.iter().map(|(name, version)| format!("n{name}={version} "));
    each.collect::<String>() + if is_broken { "!" } else { "" }
}

fn objects() -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec((0..4u8, 0..2u8), 0..5)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..FILES.len(), objects(), prop::bool::weighted(0.3))
            .prop_map(|(file, objects, is_broken)| Step::Update { file, objects, is_broken }),
        1 => (0..FILES.len()).prop_map(|file| Step::Remove { file }),
    ]
}

/// What a reader of the changes knows.
#[derive(Default)]
struct Replica {
    objects: BTreeMap<ObjectKey, Object>,
    findings: Findings,
}

impl Replica {
    fn take(&mut self, set: &mut FileSet, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(object) => {
                    let before = self.objects.insert(object.key.clone(), object.clone());
                    assert!(!before.is_some_and(|before| is_same(&before, &object)), "no change");
                }
                Change::Delete(key) => assert!(self.objects.remove(&key).is_some(), "not there"),
                Change::KeySet(source, _) => unreachable!("keys of {source}"),
                Change::Learned(workload, _) => unreachable!("calls of {workload}"),
                Change::FenceSwitched(target, _) => unreachable!("fence of {target:?}"),
                Change::Time(now) => unreachable!("it is {now}"),
            }
        }
        self.findings.extend(set.take_findings());
        self.findings.retain(|_, findings| !findings.is_empty());
        assert_eq!(show_all(self.objects.values()), show_all(set.objects()));
    }
}

fn show_all<'a>(objects: impl Iterator<Item = &'a Object>) -> Vec<String> {
    objects.map(show).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_way_to_the_same_files_ends_in_the_same_objects(
        steps in prop::collection::vec(step(), 0..12),
        last in prop::collection::vec(prop::option::of(objects()), FILES.len()),
        order in Just((0..FILES.len()).collect::<Vec<_>>()).prop_shuffle(),
        is_one_batch in any::<bool>(),
    ) {
        let (mut set, mut replica) = (FileSet::default(), Replica::default());
        for step in steps {
            let changes = match step {
                Step::Update { file, objects, is_broken } => {
                    let parsed = parse(FILES[file], &content(&objects, is_broken));
                    set.update(&FILES[file].into(), parsed)
                }
                Step::Remove { file } => set.remove(FILES[file]),
            };
            replica.take(&mut set, changes);
        }
        let parsed = |file: usize| {
            last[file].as_ref().map(|objects| parse(FILES[file], &content(objects, false)))
        };
        let mut updates = order.into_iter().map(|file| (FILES[file].into(), parsed(file)));
        if is_one_batch {
            let changes = set.apply(updates);
            replica.take(&mut set, changes);
        } else {
            updates.by_ref().for_each(|update| {
                let changes = set.apply([update]);
                replica.take(&mut set, changes);
            });
        }
        let (mut fresh, mut expected) = (FileSet::default(), Replica::default());
        let changes = fresh.apply((0..FILES.len()).map(|file| (FILES[file].into(), parsed(file))));
        expected.take(&mut fresh, changes);
        prop_assert_eq!(show_all(replica.objects.values()), show_all(expected.objects.values()));
        prop_assert_eq!(replica.findings, expected.findings);
    }
}
