//! A root is replaced, and at every step any two certificates in use work together.

use std::time::{Duration, SystemTime};

use identity::{
    Ambient, Authority, AuthorityDirectory, AuthorityError, DirectoryStatus, Haste, Phase,
    StepError,
};

use crate::{
    ambient::{DAY, Fixture},
    handshake::{Side, handshake},
    issuing::{cart, side},
};

/// A mesh of a few workloads, each of which renews its certificate at another time.
struct Mesh {
    fixture: Fixture,
    authority: Authority,
    directory: AuthorityDirectory,
    sides: Vec<Side>,
}

impl Mesh {
    fn new() -> Self {
        let fixture = Fixture::new();
        let authority = fixture.open();
        let ambient = fixture.ambient.clone();
        let directory = AuthorityDirectory::new(&fixture.settings().directory, ambient);
        let sides = (0..3).map(|_| side(&authority)).collect();
        Self { fixture, authority, directory, sides }
    }

    fn now(&self) -> SystemTime {
        self.fixture.ambient.now()
    }

    /// Lets time go by in small pieces. Roots are sent when they change, certificates are issued
    /// anew when their time has come, and all the while everybody can call everybody.
    fn live(&mut self, time: Duration) {
        let pieces = 12;
        for _ in 0..pieces {
            self.authority.refresh().unwrap();
            for side in &mut self.sides {
                side.roots = self.authority.roots();
            }
            self.fixture.ambient.pass(time / pieces);
            let now = self.now();
            for side in &mut self.sides {
                if side.certificate.renew_at <= now {
                    side.certificate = self.authority.issue(&cart()).unwrap();
                    break;
                }
            }
            self.check();
        }
    }

    #[track_caller]
    fn check(&self) {
        for (from, client) in self.sides.iter().enumerate() {
            for (to, server) in self.sides.iter().enumerate() {
                let result = handshake(client, server, self.now());
                assert!(result.is_ok(), "{from} calls {to}: {result:?}");
            }
        }
    }

    fn too_early(&self) -> Duration {
        match self.directory.continue_rotation(Haste::InTime) {
            Err(AuthorityError::Step(StepError::TooEarly(wait))) => wait,
            other => panic!("{other:?}"),
        }
    }
}

fn fingerprints(status: &DirectoryStatus) -> Vec<String> {
    status.roots.iter().map(|root| root.certificate.fingerprint.clone()).collect()
}

#[test]
fn a_root_is_replaced_without_a_failed_call() {
    let mut mesh = Mesh::new();
    let before = mesh.directory.status().unwrap();
    assert_eq!(before.phase, Phase::Steady);
    let old = fingerprints(&before)[0].clone();
    let mut changed = mesh.authority.changed();
    changed.mark_unchanged();

    let trusting = mesh.directory.start_rotation().unwrap();
    assert_eq!((trusting.phase, trusting.roots.len()), (Phase::Trusting, 2));
    assert_eq!(trusting.intermediate, before.intermediate, "the old one still issues");
    assert!(mesh.authority.refresh().unwrap() && changed.has_changed().unwrap());
    changed.mark_unchanged();
    assert!(mesh.too_early() > DAY - Duration::from_secs(60));
    mesh.live(DAY + DAY / 12);

    let issuing = mesh.directory.continue_rotation(Haste::InTime).unwrap();
    assert_eq!((issuing.phase, issuing.roots.len()), (Phase::Issuing, 2));
    assert_ne!(issuing.intermediate, before.intermediate);
    assert!(mesh.authority.refresh().unwrap() && changed.has_changed().unwrap());
    changed.mark_unchanged();
    mesh.live(DAY / 2);
    assert!(mesh.too_early() > DAY / 3);
    mesh.live(DAY / 2 + DAY / 12);

    let steady = mesh.directory.continue_rotation(Haste::InTime).unwrap();
    assert_eq!(steady.phase, Phase::Steady);
    let left = fingerprints(&steady);
    assert!(left.len() == 1 && left[0] != old, "{left:?}");
    assert!(mesh.authority.refresh().unwrap() && changed.has_changed().unwrap());
    mesh.live(DAY);
    let key_files = std::fs::read_dir(&mesh.fixture.settings().directory).unwrap();
    let keys =
        key_files.filter(|it| it.as_ref().unwrap().path().extension() == Some("key".as_ref()));
    assert_eq!(keys.count(), 2, "the old root's key is gone");
}

#[test]
fn a_rotation_is_aborted_at_each_step_without_a_failed_call() {
    let mut mesh = Mesh::new();
    let before = fingerprints(&mesh.directory.status().unwrap());
    mesh.directory.start_rotation().unwrap();
    mesh.live(DAY / 4);
    let aborted = mesh.directory.abort_rotation().unwrap();
    assert_eq!((aborted.phase, fingerprints(&aborted)), (Phase::Steady, before.clone()));
    mesh.live(DAY / 4);

    mesh.directory.start_rotation().unwrap();
    mesh.live(DAY + DAY / 12);
    mesh.directory.continue_rotation(Haste::InTime).unwrap();
    mesh.live(DAY / 2);
    let reverting = mesh.directory.abort_rotation().unwrap();
    assert_eq!((reverting.phase, reverting.roots.len()), (Phase::Reverting, 2));
    mesh.live(DAY / 2);
    mesh.too_early();
    let again = mesh.directory.abort_rotation().unwrap_err();
    assert!(matches!(again, AuthorityError::Step(StepError::Undone)), "{again}");
    mesh.live(DAY / 2 + DAY / 12);
    let steady = mesh.directory.continue_rotation(Haste::InTime).unwrap();
    assert_eq!((steady.phase, fingerprints(&steady)), (Phase::Steady, before));
    mesh.live(DAY);
}

#[test]
fn a_step_before_its_time_needs_a_reason() {
    let mesh = Mesh::new();
    mesh.directory.start_rotation().unwrap();
    let error = mesh.directory.continue_rotation(Haste::InTime).unwrap_err();
    assert_eq!(
        error.to_string(),
        "24h0m too early: a certificate that was issued before this phase may be in use for that \
         long. Wait, or use `--force` with a reason"
    );
    let forced = |reason: &str| mesh.directory.continue_rotation(Haste::Forced(reason.to_owned()));
    let error = forced(" ").unwrap_err();
    assert!(matches!(error, AuthorityError::Step(StepError::NoReason)), "{error}");
    assert_eq!(forced("the key was stolen").unwrap().phase, Phase::Issuing);
    let state = std::fs::read_to_string(mesh.fixture.settings().directory.join("state.json"));
    assert!(state.unwrap().contains("the key was stolen"));
}

#[test]
fn steps_that_do_not_follow_each_other_are_refused() {
    let mesh = Mesh::new();
    let name = |result: Result<DirectoryStatus, AuthorityError>| match result {
        Err(AuthorityError::Step(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(mesh.directory.continue_rotation(Haste::InTime)), StepError::NotUnderWay);
    assert_eq!(name(mesh.directory.abort_rotation()), StepError::NotUnderWay);
    mesh.directory.start_rotation().unwrap();
    assert_eq!(name(mesh.directory.start_rotation()), StepError::UnderWay);
}

#[test]
fn a_longer_life_is_waited_for_in_a_rotation() {
    let mesh = Mesh::new();
    let request = include_bytes!("../../testdata/ec.csr");
    mesh.authority.sign(request, &cart(), Some(3 * DAY)).unwrap();
    let status = mesh.directory.start_rotation().unwrap();
    assert!(status.ready_at.unwrap() >= mesh.now() + 3 * DAY);
}

#[test]
fn an_intermediate_is_renewed_at_half_of_its_life() {
    let mut mesh = Mesh::new();
    let before = mesh.authority.status();
    let half = before.chain_not_after.duration_since(mesh.now()).unwrap() / 2;
    mesh.fixture.ambient.pass(half - DAY);
    assert!(!mesh.authority.refresh().unwrap());
    mesh.sides = (0..3).map(|_| side(&mesh.authority)).collect();
    mesh.live(3 * DAY);
    let after = mesh.authority.status();
    assert_ne!(after.issuer, before.issuer);
    assert_eq!(after.roots, before.roots);
}

#[test]
fn without_the_key_of_the_root_there_is_no_renewal_and_no_harm() {
    let mesh = Mesh::new();
    let state = mesh.fixture.settings().directory;
    let key = std::fs::read_dir(&state).unwrap().map(|it| it.unwrap().path()).find(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("root-") && name.ends_with(".key")
    });
    let elsewhere = mesh.fixture.folder.path().join("offline.key");
    std::fs::rename(key.unwrap(), &elsewhere).unwrap();
    let half = mesh.authority.status().chain_not_after.duration_since(mesh.now()).unwrap() / 2;
    mesh.fixture.ambient.pass(half + DAY);
    assert!(!mesh.authority.refresh().unwrap());
    side(&mesh.authority);
    assert!(!mesh.directory.status().unwrap().roots[0].has_key);
    let error = mesh.directory.make_intermediate("two", None).unwrap_err();
    assert!(matches!(error, AuthorityError::NoRootKey { .. }), "{error}");
    mesh.directory.make_intermediate("two", Some(&elsewhere)).unwrap();
}
