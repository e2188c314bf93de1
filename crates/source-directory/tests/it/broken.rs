//! Files that cannot be trusted.

use std::{fs, io::Write, os::unix::fs::symlink, time::Duration};

use crate::rig::{Rig, namespace};

const BROKEN: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: [\n";

#[tokio::test]
async fn a_broken_document_deletes_nothing_until_it_is_mended() {
    let both = namespace("a", "1") + &namespace("b", "1");
    let mut rig = Rig::new(&[("a.yaml", &both)]).await;
    rig.write("a.yaml", &(namespace("a", "2") + BROKEN));
    rig.reaches("a=2 b=1").await;
    assert_eq!(rig.codes(), "a.yaml:MEL0001");
    rig.write("a.yaml", &namespace("a", "3"));
    rig.reaches("a=3").await;
    assert_eq!(rig.codes(), "");
}

#[tokio::test]
async fn an_object_with_errors_keeps_its_last_good_version() {
    let entry = |hosts: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e, namespace: a}}\nspec:\n  hosts: {hosts}\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  resolution: DNS\n---\n"
        )
    };
    let mut rig = Rig::new(&[("a.yaml", &(namespace("a", "1") + &entry("[x.example]")))]).await;
    assert_eq!(rig.codes(), "");
    let hash = |rig: &Rig| rig.objects().values().map(|object| object.hash).min();
    assert_eq!(rig.objects().len(), 2);
    let before = hash(&rig);
    rig.write("a.yaml", &(namespace("a", "1") + &entry("[]")));
    rig.until("reported", |rig| !rig.codes().is_empty()).await;
    assert_eq!((rig.objects().len(), hash(&rig)), (2, before));
    rig.write("a.yaml", &namespace("a", "1"));
    rig.until("removed", |rig| rig.objects().len() == 1).await;
    assert_eq!(rig.codes(), "");
}

#[tokio::test]
async fn a_file_that_is_being_written_deletes_nothing() {
    let both = namespace("a", "1") + &namespace("b", "1");
    let mut rig = Rig::new(&[("a.yaml", &both)]).await;
    // As by a shell that redirects a slow command: the file is empty for a while.
    let mut file = fs::File::create(rig.path("a.yaml")).unwrap();
    rig.idle(Duration::from_millis(500)).await;
    file.write_all(namespace("a", "2").as_bytes()).unwrap();
    rig.reaches("a=2 b=1").await;
    drop(file);
    rig.reaches("a=2").await;
}

#[tokio::test]
async fn an_empty_file_that_is_closed_is_empty() {
    let files = [("a.yaml", namespace("a", "1")), ("b.yaml", namespace("b", "1"))];
    let mut rig = Rig::new(&[("a.yaml", &files[0].1), ("b.yaml", &files[1].1)]).await;
    rig.write("a.yaml", "");
    rig.reaches("b=1").await;
}

#[tokio::test]
async fn an_object_in_two_files_has_one_owner_and_an_heir() {
    let mut rig = Rig::new(&[("b.yaml", &namespace("x", "b"))]).await;
    rig.write("a.yaml", &namespace("x", "a"));
    rig.reaches("x=a").await;
    assert_eq!(rig.codes(), "b.yaml:MEL0010");
    rig.write("c.yaml", &namespace("x", "c"));
    rig.until("both reported", |rig| rig.codes() == "b.yaml:MEL0010 c.yaml:MEL0010").await;
    fs::remove_file(rig.path("a.yaml")).unwrap();
    rig.reaches("x=b").await;
    assert_eq!((rig.codes().as_str(), rig.deletes), ("c.yaml:MEL0010", 0));
}

#[tokio::test]
async fn a_link_to_nothing_keeps_what_it_held() {
    let mut rig = Rig::new(&[("real/x.yaml", &namespace("z", "1"))]).await;
    rig.write("store.txt", &namespace("a", "1"));
    symlink("store.txt", rig.path("a.yaml")).unwrap();
    rig.reaches("a=1 z=1").await;
    fs::rename(rig.path("store.txt"), rig.path("other.txt")).unwrap();
    rig.until("reported", |rig| rig.codes() == "a.yaml:MEL0011").await;
    assert_eq!(rig.state(), "a=1 z=1");
    fs::rename(rig.path("other.txt"), rig.path("store.txt")).unwrap();
    rig.until("mended", |rig| rig.codes().is_empty()).await;
    fs::remove_file(rig.path("a.yaml")).unwrap();
    rig.reaches("z=1").await;
}

#[tokio::test]
async fn a_pipe_is_reported_and_not_read() {
    let mut rig = Rig::new(&[("a.yaml", &namespace("a", "1"))]).await;
    let made = std::process::Command::new("mkfifo").arg(rig.path("p.yaml")).status().unwrap();
    assert!(made.success());
    rig.write("new/b.yaml", &namespace("b", "1"));
    rig.reaches("a=1 b=1").await;
    assert_eq!(rig.codes(), "p.yaml:MEL0011");
}
