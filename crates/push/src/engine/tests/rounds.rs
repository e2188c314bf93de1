//! When streams are told, and of how much at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use snapshot::Change;

use super::stage::{Stage, puts, sidecar};
use crate::{
    ResourceKind,
    engine::{Command, Letter, Mailbox},
};

pub(super) const SERVICES: usize = 3;

pub(super) fn mesh() -> String {
    (0..SERVICES).map(|number| service(number) + &slice(number, 1)).collect()
}

pub(super) fn service(number: usize) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: s{number}, namespace: shop}}
spec: {{clusterIP: 10.96.1.{number}, ports: [{{name: http, port: 80}}]}}
---"
    )
}

pub(super) fn slice(number: usize, address: usize) -> String {
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s{number}-1, namespace: shop, labels: {{kubernetes.io/service-name: s{number}}}}}
addressType: IPv4
ports: [{{name: http, port: 80}}]
endpoints: [{{addresses: [10.0.{number}.{address}]}}]
---"
    )
}

/// A route by which some calls to the first service go to another one.
pub(super) fn route(number: usize) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: s0, namespace: shop}}
spec:
  hosts: [s0.shop.svc.cluster.local]
  http:
  - match: [{{uri: {{prefix: /{number}}}}}]
    route: [{{destination: {{host: s1.shop.svc.cluster.local}}}}]
  - route: [{{destination: {{host: s0.shop.svc.cluster.local}}}}]
---"
    )
}

/// An engine, and streams that read their letters when they are told to.
struct Hall {
    stage: Stage,
    mailboxes: Vec<Arc<Mailbox>>,
    now: Instant,
}

impl Hall {
    fn new(streams: u8) -> Self {
        Self::of(&vec!["shop"; usize::from(streams)])
    }

    /// With a stream in each of these namespaces.
    fn of(namespaces: &[&str]) -> Self {
        let mut stage = Stage::new(puts(&mesh()));
        let connect = |(number, namespace): (u8, &&str)| {
            let proxy = sidecar(&format!("10.9.0.{number}"), namespace, &[], "");
            let mailbox = stage.engine.on_connect(number.into(), Arc::new(proxy));
            mailbox.try_take().expect("the first letter");
            mailbox
        };
        let mailboxes = (1..).zip(namespaces).map(connect).collect();
        Self { stage, mailboxes, now: Instant::now() }
    }

    fn publish(&mut self, changes: Vec<Change>) {
        let changes = self.stage.index.apply(changes);
        self.stage.engine.on_snapshot(self.stage.index.snapshot(), &changes, Instant::now());
        self.advance();
    }

    /// It is always the same moment: a round ends when all have done their part.
    fn advance(&mut self) {
        self.stage.engine.advance(self.now);
    }

    fn put(&mut self, yaml: &str) {
        self.publish(puts(yaml));
    }

    /// What was compiled until now took so long.
    fn took(&mut self, milliseconds: u64) {
        self.stage.engine.pace.ended(self.now, Duration::from_millis(milliseconds));
    }

    /// So much time has passed.
    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        self.advance();
    }

    /// Jobs that have run.
    fn jobs(&self) -> u64 {
        self.stage.engine.counters.jobs.get()
    }

    /// The letters that lie there. A stream has done its part when its letter is dropped.
    fn letters(&self) -> Vec<Letter> {
        self.mailboxes.iter().filter_map(|mailbox| mailbox.try_take()).collect()
    }

    /// Rounds, streams that were told in them, and snapshots.
    fn counts(&self) -> [u64; 3] {
        let counters = &self.stage.engine.counters;
        [counters.rounds.get(), counters.notified.get(), counters.snapshots.get()]
    }
}

/// What a letter says of assignments.
fn names(letter: &Letter) -> Vec<String> {
    names_of(ResourceKind::Endpoint, letter)
}

fn names_of(kind: ResourceKind, letter: &Letter) -> Vec<String> {
    let lists = letter.changed.iter().flatten().flat_map(|list| list.iter());
    lists.filter(|(it, _)| *it == kind).map(|(_, name)| name.to_string()).collect()
}

#[test]
fn who_has_nothing_to_do_tells_at_once() {
    let mut hall = Hall::new(3);
    for address in 2..5 {
        hall.put(&slice(0, address));
        assert_eq!(hall.letters().len(), 3);
    }
    assert_eq!(hall.counts(), [3, 9, 3]);
}

#[test]
fn what_changes_during_a_round_is_told_in_the_next_at_once() {
    let mut hall = Hall::new(3);
    hall.put(&slice(0, 2));
    let first = hall.letters();
    // One object makes a noise, another one changes once.
    for address in 3..103 {
        hall.put(&slice(0, address));
        if address == 50 {
            hall.put(&slice(1, 2));
        }
    }
    assert_eq!((hall.letters().len(), hall.counts()), (0, [1, 3, 102]));
    drop(first);
    hall.advance();
    let second = hall.letters();
    assert_eq!((second.len(), hall.counts()), (3, [2, 6, 102]));
    for letter in &second {
        let expected = ["s0", "s1"].map(|it| format!("outbound|80||{it}.shop.svc.cluster.local"));
        assert_eq!(names(letter), expected);
        assert_eq!(letter.revisions.len(), 101);
        assert_eq!(letter.views[0].revision, hall.stage.index.snapshot().revision);
    }
}

#[test]
fn a_stream_that_is_gone_has_done_its_part() {
    let mut hall = Hall::new(2);
    hall.put(&slice(0, 2));
    hall.put(&slice(0, 3));
    hall.stage.engine.on_disconnect(1);
    hall.mailboxes.remove(0);
    drop(hall.letters());
    hall.advance();
    assert_eq!((hall.letters().len(), hall.counts()), (1, [2, 3, 2]));
}

#[test]
fn who_waits_for_a_revision_waits_for_its_round() {
    let mut hall = Hall::new(1);
    hall.put(&slice(0, 2));
    let first = hall.letters();
    hall.put(&slice(0, 3));
    let revision = hall.stage.index.snapshot().revision;
    let (sender, mut told) = tokio::sync::oneshot::channel();
    hall.stage.engine.handle(Command::Settled(revision, sender));
    hall.advance();
    assert!(told.try_recv().is_err());
    drop(first);
    hall.advance();
    assert!(told.try_recv().is_ok());
}

#[test]
fn secrets_that_are_asked_for_during_a_round_come_with_all_that_the_views_say() {
    let mut hall = Hall::new(1);
    hall.put(&slice(0, 2));
    let _first = hall.letters();
    hall.put(&slice(1, 2));
    let names_asked = Arc::new([Arc::from("kubernetes://any")].into());
    hall.stage.engine.on_secrets(1, names_asked);
    let letters = hall.letters();
    assert_eq!(names(&letters[0]), ["outbound|80||s1.shop.svc.cluster.local"]);
}

#[test]
fn routes_that_change_all_the_time_do_not_delay_assignments() {
    let mut hall = Hall::new(3);
    hall.put(&route(0));
    let first = hall.letters();
    assert_eq!((first.len(), names_of(ResourceKind::Route, &first[0]).len()), (3, 1));
    hall.took(0);
    // The round of the first is under way.
    let jobs = hall.jobs();
    for number in 1..100 {
        hall.put(&route(number));
    }
    assert_eq!((hall.letters().len(), hall.jobs()), (0, jobs));
    for address in 2..5 {
        hall.put(&slice(1, address));
        let letters = hall.letters();
        assert_eq!(letters.len(), 3);
        assert_eq!(names(&letters[0]), ["outbound|80||s1.shop.svc.cluster.local"]);
        assert!(names_of(ResourceKind::Route, &letters[0]).is_empty());
    }
    let jobs = hall.jobs();
    drop(first);
    hall.advance();
    let second = hall.letters();
    assert_eq!(second.len(), 3);
    assert_eq!(second[0].revisions.len(), 99);
    assert_eq!(hall.jobs() - jobs, 1, "one route configuration, once");
}

#[test]
fn what_took_long_to_compile_gathers_as_long() {
    let mut hall = Hall::new(1);
    hall.put(&route(0));
    assert_eq!(hall.letters().len(), 1);
    hall.took(50);
    hall.put(&route(1));
    hall.put(&slice(0, 2));
    assert_eq!(names_of(ResourceKind::Route, &hall.letters()[0]), [""; 0]);
    hall.pass(30);
    hall.put(&route(2));
    hall.pass(19);
    assert!(hall.letters().is_empty());
    hall.pass(1);
    let letters = hall.letters();
    assert_eq!(names_of(ResourceKind::Route, &letters[0]).len(), 1);
    assert_eq!(letters[0].revisions.len(), 2);
}

#[test]
fn assignments_go_between_the_facets_of_what_is_compiled() {
    let mut hall = Hall::of(&["bank", "park", "shop"]);
    hall.stage.engine.pace.slice = Duration::ZERO;
    // One outbound facet, then another one.
    hall.put(&route(0));
    assert!(hall.letters().is_empty());
    hall.put(&slice(1, 2));
    let count = |letters: &[Letter], kind| -> Vec<usize> {
        letters.iter().map(|letter| names_of(kind, letter).len()).collect()
    };
    let letters = hall.letters();
    assert_eq!(count(&letters, ResourceKind::Route), [1, 1, 0]);
    assert_eq!(count(&letters, ResourceKind::Endpoint), [1, 1, 1]);
    drop(letters);
    hall.advance();
    let letters = hall.letters();
    assert_eq!(count(&letters, ResourceKind::Route), [1]);
    assert_eq!(count(&letters, ResourceKind::Endpoint), [0]);
}

#[test]
fn who_waits_for_a_revision_waits_until_it_is_compiled() {
    let mut hall = Hall::new(1);
    hall.took(50);
    hall.put(&route(0));
    let revision = hall.stage.index.snapshot().revision;
    hall.put(&slice(0, 2));
    let (sender, mut told) = tokio::sync::oneshot::channel();
    hall.stage.engine.handle(Command::Settled(revision, sender));
    hall.advance();
    assert!(told.try_recv().is_err());
    hall.letters();
    hall.pass(50);
    assert!(told.try_recv().is_ok());
}

#[test]
fn a_preview_is_compared_with_all_that_is_known() {
    let mut hall = Hall::new(1);
    hall.took(50);
    hall.put(&route(0));
    let preview = hall.stage.preview(puts(&route(0)));
    assert!(preview.is_empty(), "{preview:?}");
    assert_eq!(hall.stage.preview(puts(&route(1)))[&1].len(), 1);
}
