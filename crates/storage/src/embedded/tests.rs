//! The behaviour of one file: what is written is read, and nothing is thrown away.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

fn open_in(folder: &Path) -> Embedded {
    let Opened { storage, set_aside } = Embedded::open(folder).unwrap();
    assert_eq!(set_aside, None);
    storage
}

fn put(entries: &[(&str, &str)]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in entries {
        batch.put("edges", key.as_bytes().to_vec(), value.as_bytes().to_vec());
    }
    batch
}

fn scan(storage: &Embedded, from: &str, to: &str, limit: usize) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let entries = storage.scan("edges", from.into()..to.into(), limit).unwrap();
    entries.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn what_is_written_is_read_by_key_and_in_order_also_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open_in(folder.path());
        assert_eq!(storage.get("edges", b"a").unwrap(), None);
        assert_eq!(scan(&storage, "", "z", 9), []);
        storage.write(&put(&[("b", "2"), ("a", "1"), ("c", "3")])).unwrap();
        let mut batch = put(&[("b", "4")]);
        batch.delete("edges", b"c".to_vec());
        batch.delete("edges", b"never there".to_vec());
        storage.write(&batch).unwrap();
    }
    let storage = open_in(folder.path());
    assert_eq!(storage.get("edges", b"b").unwrap(), Some(b"4".to_vec()));
    assert_eq!(storage.get("other", b"b").unwrap(), None);
    assert_eq!(scan(&storage, "", "z", 9), [pair("a", "1"), pair("b", "4")]);
    assert_eq!(scan(&storage, "", "z", 1), [pair("a", "1")]);
    assert_eq!(scan(&storage, "a\0", "b\0", 9), [pair("b", "4")]);
}

#[test]
fn one_process_has_the_file_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _storage = open_in(folder.path());
    let Err(error) = Embedded::open(folder.path()) else { panic!("it was opened twice") };
    assert!(matches!(error, StorageError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
}

#[test]
fn only_the_owner_can_read_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open_in(folder.path());
    let mode = fs::metadata(storage.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let Err(error) = Embedded::open(&file.join("below")) else { panic!("it was opened") };
    assert!(error.to_string().contains("file/below"), "{error}");
}

/// The file with `damage` done to it is kept beside a new one.
#[track_caller]
fn check_set_aside(damage: impl Fn(&mut Vec<u8>)) {
    let folder = tempfile::tempdir().unwrap();
    let path = {
        let storage = open_in(folder.path());
        for round in 0..20 {
            let key = format!("key {round:03}");
            storage.write(&put(&[(&key, &"value ".repeat(100))])).unwrap();
        }
        storage.path().to_owned()
    };
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let Opened { storage, set_aside } = Embedded::open(folder.path()).unwrap();
    let SetAside { path: aside, reason } = set_aside.expect("it is broken");
    assert!(!reason.is_empty());
    // Looking for what can be saved may change a few bytes of the head.
    assert_eq!(fs::read(&aside).unwrap().len(), bytes.len());
    assert_eq!(scan(&storage, "", "z", 9), []);
    storage.write(&put(&[("a", "1")])).unwrap();
    assert_eq!(scan(&storage, "", "z", 9), [pair("a", "1")]);
}

#[test]
fn a_file_of_something_else_is_set_aside() {
    check_set_aside(|bytes| *bytes = b"this is no database, but somebody's letter\n".repeat(100));
}

#[test]
fn a_file_whose_content_was_altered_is_set_aside() {
    check_set_aside(|bytes| {
        bytes.iter_mut().skip(4096).for_each(|byte| *byte ^= 0x55);
    });
}

#[test]
fn a_file_that_was_cut_off_is_set_aside() {
    check_set_aside(|bytes| bytes.truncate(5000));
}
