//! Changes of good files.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::symlink,
    time::Duration,
};

use crate::rig::{Rig, directory, namespace, settings};

#[tokio::test]
async fn everything_is_said_once_and_then_synced() {
    let [a, b] = [namespace("a", "1"), namespace("b", "1")];
    let files = [("a.yaml", a.as_str()), ("deep/er/b.yml", &b), ("notes.txt", "x")];
    let rig = Rig::new(&files).await;
    assert_eq!((rig.state().as_str(), rig.batches, rig.synced), ("a=1 b=1", 1, 1));
    assert_eq!(rig.codes(), "");
}

#[tokio::test]
async fn a_write_takes_effect_at_once() {
    let mut rig = Rig::new(&[("a.yaml", &namespace("a", "0"))]).await;
    let mut times = Vec::new();
    for version in 1..=20 {
        rig.write("a.yaml", &namespace("a", &version.to_string()));
        times.push(rig.reaches(&format!("a={version}")).await);
    }
    times.sort();
    println!("write to change: median {:?}, longest {:?}", times[10], times[19]);
}

#[tokio::test]
async fn only_the_objects_that_changed_are_put() {
    let text = |version: &str| namespace("a", "1") + &namespace("b", version);
    let mut rig = Rig::new(&[("a.yaml", &text("1"))]).await;
    rig.write("a.yaml", &(text("2") + "# and a comment\n"));
    rig.reaches("a=1 b=2").await;
    rig.write("a.yaml", &(text("2") + "# another comment\n"));
    rig.idle(Duration::from_millis(200)).await;
    assert_eq!((rig.batches, rig.deletes), (2, 0));
}

#[tokio::test]
async fn new_files_and_directories_are_found_and_deleted_files_forgotten() {
    let mut rig = Rig::new(&[("a.yaml", &namespace("a", "1"))]).await;
    rig.write("new/and/deep/b.yaml", &namespace("b", "1"));
    rig.write("c.json", r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"c"}}"#);
    rig.reaches("a=1 b=1 c=").await;
    rig.write("new/and/deep/b.yaml", &namespace("b", "2"));
    rig.reaches("a=1 b=2 c=").await;
    fs::remove_file(rig.path("c.json")).unwrap();
    println!("delete to change: {:?}", rig.reaches("a=1 b=2").await);
    fs::remove_dir_all(rig.path("new")).unwrap();
    rig.reaches("a=1").await;
    fs::create_dir(rig.path("new")).unwrap();
    rig.write("new/d.yaml", &namespace("d", "1"));
    rig.reaches("a=1 d=1").await;
}

#[tokio::test]
async fn a_rename_over_a_file_is_one_change() {
    let mut rig = Rig::new(&[("a.yaml", &namespace("a", "1"))]).await;
    rig.write(".a.yaml.partial", &namespace("a", "2"));
    fs::rename(rig.path(".a.yaml.partial"), rig.path("a.yaml")).unwrap();
    rig.reaches("a=2").await;
    assert_eq!((rig.batches, rig.deletes), (2, 0));
}

#[tokio::test]
async fn a_file_that_moves_never_loses_its_objects() {
    let mut rig = Rig::new(&[("a.yaml", &namespace("a", "1"))]).await;
    for (from, to) in [("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")] {
        fs::rename(rig.path(from), rig.path(to)).unwrap();
        let is_there =
            |rig: &Rig| rig.objects().values().all(|object| object.location.file.ends_with(to));
        rig.until("the object is of the other file", is_there).await;
        rig.idle(Duration::from_millis(150)).await;
        assert_eq!((rig.state().as_str(), rig.deletes), ("a=1", 0));
    }
    assert_eq!(rig.codes(), "");
}

#[tokio::test]
async fn an_editor_that_moves_the_old_version_away_loses_nothing() {
    let mut rig = Rig::new(&[("a.yaml", &namespace("a", "1"))]).await;
    fs::rename(rig.path("a.yaml"), rig.path("a.yaml~")).unwrap();
    let mut file = fs::File::create(rig.path("a.yaml")).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    file.write_all(namespace("a", "2").as_bytes()).unwrap();
    drop(file);
    fs::remove_file(rig.path("a.yaml~")).unwrap();
    rig.reaches("a=2").await;
    assert_eq!(rig.deletes, 0);
}

#[tokio::test]
async fn leftovers_of_editors_and_hidden_files_are_not_read() {
    let mut rig = Rig::new(&[("a.yaml", &namespace("a", "1"))]).await;
    for name in [".b.yaml", "b.yaml~", "#b.yaml", ".b.yaml.swp", "b.yaml.swp", ".git/b.yaml"] {
        rig.write(name, &namespace("b", "1"));
    }
    rig.idle(Duration::from_millis(200)).await;
    assert_eq!((rig.state().as_str(), rig.batches), ("a=1", 1));
}

#[tokio::test]
async fn a_mounted_config_map_is_read_once_and_swapped_as_a_whole() {
    let root = directory(&[
        ("..2024_1/a.yaml", &namespace("a", "1")),
        ("..2024_1/b.yaml", &namespace("b", "1")),
    ]);
    symlink("..2024_1", root.path().join("..data")).unwrap();
    for name in ["a.yaml", "b.yaml"] {
        symlink(format!("..data/{name}"), root.path().join(name)).unwrap();
    }
    let settings = settings(root.path());
    let mut rig = Rig::with(root, settings).await;
    assert_eq!((rig.state().as_str(), rig.codes().as_str()), ("a=1 b=1", ""));
    for version in ["2", "3"] {
        let directory = format!("..2024_{version}");
        rig.write(&format!("{directory}/a.yaml"), &namespace("a", version));
        rig.write(&format!("{directory}/b.yaml"), &namespace("b", version));
        symlink(&directory, rig.path("..data_tmp")).unwrap();
        fs::rename(rig.path("..data_tmp"), rig.path("..data")).unwrap();
        fs::remove_dir_all(rig.path(&format!("..2024_{}", version.parse::<u32>().unwrap() - 1)))
            .unwrap();
        rig.reaches(&format!("a={version} b={version}")).await;
    }
    assert_eq!((rig.batches, rig.deletes), (3, 0));
}

#[tokio::test]
async fn a_deployment_that_swaps_the_directory_itself_is_followed() {
    let root = directory(&[
        ("releases/1/a.yaml", &namespace("a", "1")),
        ("releases/1/old.yaml", &namespace("old", "1")),
        ("releases/2/a.yaml", &namespace("a", "2")),
    ]);
    symlink("releases/1", root.path().join("current")).unwrap();
    let settings = settings(&root.path().join("current"));
    let mut rig = Rig::with(root, settings).await;
    assert_eq!(rig.state(), "a=1 old=1");
    symlink("releases/2", rig.path("next")).unwrap();
    fs::rename(rig.path("next"), rig.path("current")).unwrap();
    rig.reaches("a=2").await;
    rig.write("releases/2/a.yaml", &namespace("a", "3"));
    rig.reaches("a=3").await;
}

#[tokio::test]
async fn a_link_to_a_file_elsewhere_is_followed() {
    let elsewhere = directory(&[("real.yaml", &namespace("a", "1"))]);
    let mut rig = Rig::new(&[("z.yaml", &namespace("z", "1"))]).await;
    symlink(elsewhere.path().join("real.yaml"), rig.path("a.yaml")).unwrap();
    rig.reaches("a=1 z=1").await;
    fs::write(elsewhere.path().join("real.yaml"), namespace("a", "2")).unwrap();
    rig.reaches("a=2 z=1").await;
}

#[tokio::test]
async fn loops_of_links_end() {
    let root = directory(&[("sub/a.yaml", &namespace("a", "1"))]);
    symlink("..", root.path().join("sub/up")).unwrap();
    symlink(".", root.path().join("self")).unwrap();
    let settings = settings(root.path());
    let rig = Rig::with(root, settings).await;
    assert_eq!((rig.state().as_str(), rig.codes().as_str()), ("a=1", ""));
}

#[tokio::test]
async fn a_thousand_files_are_one_batch_and_one_edit_among_them_is_quick() {
    let texts: Vec<_> = (0..1000)
        .map(|n| (format!("d{}/{n}.yaml", n % 10), namespace(&format!("n{n:04}"), "1")))
        .collect();
    let files: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let mut rig = Rig::new(&files).await;
    assert_eq!((rig.objects().len(), rig.batches), (1000, 1));
    rig.write("d7/777.yaml", &namespace("n0777", "2"));
    let time = rig.until("the edit", |rig| rig.state().contains("n0777=2")).await;
    println!("write to change among 1000 files: {time:?}");
    for n in 0..1000 {
        rig.write(&format!("d{}/{n}.yaml", n % 10), &namespace(&format!("n{n:04}"), "3"));
    }
    let is_done = |rig: &Rig| rig.state().split(' ').all(|object| object.ends_with("=3"));
    let time = rig.until("all edits", is_done).await;
    println!("1000 writes to changes: {time:?} in {} batches", rig.batches - 2);
    fs::remove_dir_all(rig.path("d3")).unwrap();
    rig.until("the directory is gone", |rig| rig.objects().len() == 900).await;
}

#[tokio::test]
async fn what_the_watch_cannot_see_is_found_by_looking_again() {
    let elsewhere =
        directory(&[("one/a.yaml", &namespace("a", "1")), ("two/a.yaml", &namespace("a", "2"))]);
    let middle = elsewhere.path().join("middle");
    symlink("one", &middle).unwrap();
    let root = directory(&[]);
    symlink(middle.join("a.yaml"), root.path().join("a.yaml")).unwrap();
    let mut settings = settings(root.path());
    settings.rescan = Duration::from_millis(100);
    let mut rig = Rig::with(root, settings).await;
    // The link that changes is neither in the directory nor beside the file.
    symlink("two", elsewhere.path().join("next")).unwrap();
    fs::rename(elsewhere.path().join("next"), &middle).unwrap();
    rig.reaches("a=2").await;
}

#[tokio::test]
async fn an_append_is_taken_when_the_file_is_closed() {
    let mut rig = Rig::new(&[("a.yaml", &namespace("a", "1"))]).await;
    let mut file = OpenOptions::new().append(true).open(rig.path("a.yaml")).unwrap();
    file.write_all(namespace("b", "1").as_bytes()).unwrap();
    drop(file);
    rig.reaches("a=1 b=1").await;
}
