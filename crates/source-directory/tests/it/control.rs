//! Asking a running source: to look now, and to write.

use std::fs;

use model::{Kind, ObjectKey};
use source_directory::{WriteError, WriteMode, WriteVerb, parse_drafts};

use crate::rig::{Rig, namespace};

fn drafts(text: &str) -> Vec<source_directory::Draft> {
    let (drafts, diagnostics) = parse_drafts("given.yaml", text.as_bytes());
    assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    drafts
}

#[tokio::test]
async fn what_is_on_disk_when_asked_is_taken_in_before_the_answer() {
    let mut rig = Rig::new(&[("a.yaml", &(namespace("a", "1") + &namespace("b", "1")))]).await;
    for round in 0..20 {
        let text = namespace("a", &format!("r{round}"));
        // In place, sometimes with fewer documents than before, and without a pause.
        let more = if round % 2 == 0 { namespace("b", "1") } else { String::new() };
        fs::write(rig.path("a.yaml"), text + &more).unwrap();
        rig.rescan().await;
        let more = if round % 2 == 0 { " b=1" } else { "" };
        assert_eq!(rig.state(), format!("a=r{round}{more}"));
    }
    fs::remove_file(rig.path("a.yaml")).unwrap();
    rig.rescan().await;
    assert_eq!(rig.state(), "");
}

#[tokio::test]
async fn drafts_are_planned_without_a_trace_and_written_in_one_batch() {
    let mut rig = Rig::new(&[("a.yaml", &namespace("a", "1"))]).await;
    let text = namespace("a", "2") + &namespace("b", "1");
    let planned = rig.handle.write(drafts(&text), WriteMode::Plan).await.unwrap();
    assert_eq!(planned[0].verb, WriteVerb::Configured);
    assert_eq!(planned[1].verb, WriteVerb::Created);
    assert_eq!(fs::read_to_string(rig.path("a.yaml")).unwrap(), namespace("a", "1"));
    assert_eq!(fs::read_dir(rig.root.path()).unwrap().count(), 1);

    let batches = rig.batches;
    let written = rig.handle.write(drafts(&text), WriteMode::Write).await.unwrap();
    assert_eq!(written, planned);
    rig.rescan().await;
    assert_eq!(rig.batches, batches + 1);
    assert_eq!(rig.state(), "a=2 b=1");
    assert!(rig.path("namespace-b.yaml").is_file());
    let again = rig.handle.write(drafts(&text), WriteMode::Write).await.unwrap();
    assert!(again.iter().all(|it| it.verb == WriteVerb::Unchanged));
}

#[tokio::test]
async fn what_cannot_be_written_changes_nothing() {
    let rig = Rig::new(&[("a.yaml", &namespace("a", "1"))]).await;
    // Where the directory of the new file should be, there is a file.
    fs::write(rig.path("shop"), "in the way").unwrap();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\nspec: {ports: [{port: 80}]}\n";
    let text = namespace("a", "2") + service;
    let error = rig.handle.write(drafts(&text), WriteMode::Write).await.unwrap_err();
    assert!(matches!(error, WriteError::Write { .. } | WriteError::Refused { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(rig.path("a.yaml")).unwrap(), namespace("a", "1"));
    assert_eq!(fs::read_dir(rig.root.path()).unwrap().count(), 2, "no draft is left");
}

#[tokio::test]
async fn objects_are_removed_all_or_none_and_an_empty_file_goes() {
    let both = namespace("a", "1") + &namespace("b", "1");
    let mut rig = Rig::new(&[("a.yaml", &both), ("c.yaml", &namespace("c", "1"))]).await;
    let key = |name: &str| ObjectKey::new(Kind::Namespace, "", name);
    let missing = rig.handle.remove(vec![key("a"), key("x")], WriteMode::Write).await;
    assert!(matches!(missing, Err(WriteError::NotThere { .. })), "{missing:?}");
    assert_eq!(fs::read_to_string(rig.path("a.yaml")).unwrap(), both);

    let removed = rig.handle.remove(vec![key("a"), key("c")], WriteMode::Write).await.unwrap();
    assert!(removed.iter().all(|it| it.verb == WriteVerb::Deleted));
    rig.rescan().await;
    assert_eq!(rig.state(), "b=1");
    assert!(!rig.path("c.yaml").exists());
}
