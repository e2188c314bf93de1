//! Places that go away as a whole.

use std::{fs, time::Duration};

use source_directory::DirectorySettings;

use crate::rig::{Rig, directory, namespace, settings};

#[tokio::test]
async fn a_directory_that_vanishes_keeps_its_last_state_until_it_is_back() {
    let root = directory(&[
        ("mesh/a.yaml", &namespace("a", "1")),
        ("mesh/b/b.yaml", &namespace("b", "1")),
    ]);
    let settings = settings(&root.path().join("mesh"));
    let mut rig = Rig::with(root, settings).await;
    for version in ["2", "3"] {
        fs::rename(rig.path("mesh"), rig.path("away")).unwrap();
        rig.until("reported", |rig| rig.codes() == "mesh:MEL0012").await;
        rig.idle(Duration::from_millis(200)).await;
        assert_eq!(rig.deletes, 0);
        rig.write("away/a.yaml", &namespace("a", version));
        rig.idle(Duration::from_millis(50)).await;
        fs::rename(rig.path("away"), rig.path("mesh")).unwrap();
        rig.reaches(&format!("a={version} b=1")).await;
        rig.until("well", |rig| rig.codes().is_empty()).await;
    }
    rig.write("mesh/a.yaml", &namespace("a", "4"));
    rig.reaches("a=4 b=1").await;
    fs::remove_file(rig.path("mesh/b/b.yaml")).unwrap();
    rig.reaches("a=4").await;
}

#[tokio::test]
async fn a_directory_that_is_made_anew_is_compared_with_the_old_one() {
    let root =
        directory(&[("mesh/a.yaml", &namespace("a", "1")), ("mesh/b.yaml", &namespace("b", "1"))]);
    let settings = settings(&root.path().join("mesh"));
    let mut rig = Rig::with(root, settings).await;
    fs::remove_dir_all(rig.path("mesh")).unwrap();
    rig.until("reported", |rig| rig.codes() == "mesh:MEL0012").await;
    rig.idle(Duration::from_millis(200)).await;
    fs::create_dir(rig.path("mesh")).unwrap();
    rig.idle(Duration::from_millis(200)).await;
    assert_eq!((rig.state().as_str(), rig.codes().as_str()), ("a=1 b=1", "mesh:MEL0012"));
    rig.write("mesh/a.yaml", &namespace("a", "2"));
    rig.reaches("a=2").await;
    rig.write("mesh/a.yaml", &namespace("a", "3"));
    rig.reaches("a=3").await;
}

#[tokio::test]
async fn a_named_file_may_be_deleted_and_come_back() {
    let root = directory(&[("a.yaml", &namespace("a", "1")), ("b.conf", &namespace("b", "1"))]);
    let paths = vec![root.path().join("a.yaml"), root.path().join("b.conf")];
    let settings = DirectorySettings { paths, ..DirectorySettings::default() };
    let mut rig = Rig::with(root, settings).await;
    assert_eq!(rig.state(), "a=1 b=1");
    fs::remove_file(rig.path("b.conf")).unwrap();
    rig.reaches("a=1").await;
    rig.write("other.yaml", &namespace("other", "1"));
    rig.write("b.conf", &namespace("b", "2"));
    rig.reaches("a=1 b=2").await;
}

#[tokio::test]
async fn the_last_file_may_be_deleted() {
    let mut rig = Rig::new(&[("a.yaml", &namespace("a", "1"))]).await;
    fs::remove_file(rig.path("a.yaml")).unwrap();
    rig.reaches("").await;
    assert_eq!(rig.codes(), "");
    rig.write("a.yaml", &namespace("a", "2"));
    rig.reaches("a=2").await;
}
