//! What a crash leaves behind, and what people do to files.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use identity::{Authority, AuthorityDirectory, AuthorityError, FileError};
use tempfile::TempDir;

use crate::ambient::Fixture;

fn files(directory: &Path) -> Vec<String> {
    let all = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path, leave_out: &[&str]) {
    fs::create_dir_all(to).unwrap();
    for name in files(from).iter().filter(|name| !leave_out.contains(&name.as_str())) {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn a_restart_goes_on_with_the_same_root() {
    let fixture = Fixture::new();
    let (roots, issuer) = (fixture.open().roots(), fixture.open().status().issuer);
    let again = fixture.open();
    assert_eq!((again.roots(), again.status().issuer), (roots, issuer));
}

#[test]
fn only_the_owner_can_read_keys() {
    let fixture = Fixture::new();
    fixture.open();
    let directory = fixture.settings().directory;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let names = files(&directory);
    let keys: Vec<_> = names.iter().filter(|name| name.ends_with(".key")).collect();
    assert_eq!(keys.len(), 2);
    for name in keys {
        assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o640)).unwrap();
    }
    let error = Authority::open(fixture.settings()).unwrap_err();
    assert!(matches!(error, AuthorityError::File(FileError::Exposed { mode: 0o640, .. })));
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

/// Every file of a first start may be missing or half written when it is killed, as long as
/// `state.json`, which is written last, is not there.
#[test]
fn a_first_start_that_was_killed_is_begun_again() {
    let whole = Fixture::new();
    whole.open();
    let made = whole.settings().directory;
    let mut order: Vec<String> = files(&made);
    order.retain(|name| name != "state.json" && name != "lock");
    for written in 0..=order.len() {
        let fixture = Fixture::new();
        let directory = fixture.settings().directory;
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("unfinished"), "").unwrap();
        for name in &order[..written] {
            fs::copy(made.join(name), directory.join(name)).unwrap();
        }
        if let Some(name) = order.get(written) {
            fs::write(directory.join(format!(".draft-{name}")), "-----BEGIN").unwrap();
        }
        fixture.open();
        let left = files(&directory);
        let kept = left.iter().filter(|name| name.contains("root-") || name.contains("draft"));
        assert_eq!(kept.count(), 2, "{left:?}");
        assert!(!left.contains(&"unfinished".to_owned()), "{left:?}");
    }
}

/// A rotation writes its files first and `state.json` last: whatever a crash leaves of them, the
/// state is the one before or the one after.
#[test]
fn a_step_that_was_killed_has_been_taken_or_not() {
    let fixture = Fixture::new();
    let roots = fixture.open().roots();
    let before = TempDir::new().unwrap();
    let directory = fixture.settings().directory;
    copy(&directory, before.path(), &[]);
    let old = files(&directory);
    AuthorityDirectory::new(&directory, fixture.ambient.clone()).start_rotation().unwrap();
    let new: Vec<String> = files(&directory).into_iter().filter(|it| !old.contains(it)).collect();
    assert_eq!(new.len(), 4, "a root and an intermediate: {new:?}");
    for written in 0..=new.len() {
        let killed = Fixture::new();
        let state = killed.settings().directory;
        copy(before.path(), &state, &[]);
        for name in &new[..written] {
            fs::copy(directory.join(name), state.join(name)).unwrap();
        }
        fs::write(state.join(".draft-state.json"), "{\"version\":").unwrap();
        assert_eq!(killed.open().roots(), roots);
        // What was left behind is removed by the next step.
        let step = AuthorityDirectory::new(&state, killed.ambient.clone());
        assert_eq!(step.start_rotation().unwrap().roots.len(), 2);
        let left = files(&state);
        let kept = left.iter().filter(|it| it.contains("root-") || it.contains("draft"));
        assert_eq!(kept.count(), 4, "{left:?}");
    }
}

#[test]
fn a_lost_state_is_no_reason_for_another_root() {
    let fixture = Fixture::new();
    fixture.open();
    fs::remove_file(fixture.settings().directory.join("state.json")).unwrap();
    let error = Authority::open(fixture.settings()).unwrap_err();
    assert!(matches!(error, AuthorityError::StateMissing { .. }), "{error}");
}

#[test]
fn a_running_authority_keeps_its_last_good_state() {
    let fixture = Fixture::new();
    let authority = fixture.open();
    let roots = authority.roots();
    let state = fixture.settings().directory.join("state.json");
    let good = fs::read(&state).unwrap();
    for broken in ["", "{", "{\"version\":1}", "{\"version\":2}"] {
        fs::write(&state, broken).unwrap();
        let error = authority.refresh().unwrap_err();
        assert!(matches!(error, AuthorityError::State { .. }), "{error}");
        assert!(authority.status().problem.is_some());
        assert_eq!(authority.roots(), roots);
        authority.issue(&crate::issuing::cart()).unwrap();
        Authority::open(fixture.settings()).unwrap_err();
    }
    fs::write(&state, good).unwrap();
    assert!(!authority.refresh().unwrap(), "it is what it was");
    assert_eq!(authority.status().problem, None);
}

#[test]
fn two_processes_that_start_together_make_one_root() {
    let fixture = Fixture::new();
    let roots: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| fixture.open().roots())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(roots.windows(2).all(|pair| pair[0] == pair[1]));
}
