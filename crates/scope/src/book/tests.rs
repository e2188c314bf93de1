//! What observations, time and people do to the book.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{EdgeState, Sensors};

const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;

fn key(text: &str) -> WorkloadKey {
    let (namespace, name) = text.split_once('/').unwrap();
    WorkloadKey { namespace: namespace.into(), name: name.into() }
}

fn hosts(book: &Book, workload: &str) -> Vec<String> {
    let hosts = book.hosts(&key(workload));
    hosts.iter().flat_map(|hosts| hosts.iter()).map(Hostname::to_string).collect()
}

fn see(book: &mut Book, workload: &str, host: &str, sensor: Sensor, now: u64) -> Observed {
    book.observe(&key(workload), &host.into(), sensor, 1, now)
}

/// A book whose access logs have worked all the time until `now`.
fn watched(book: &mut Book, from: u64, now: u64) {
    for time in (from..=now).step_by(300) {
        book.work(Sensor::AccessLog, time);
        book.work(Sensor::Request, time);
    }
}

#[test]
fn the_first_observation_is_a_change_and_the_next_is_none() {
    let mut book = Book::new(ScopeSettings::default());
    assert_eq!(see(&mut book, "shop/web", "cart", Sensor::Request, 100), Observed::Added);
    assert_eq!(see(&mut book, "shop/web", "cart", Sensor::AccessLog, 200), Observed::Seen);
    assert_eq!(see(&mut book, "shop/web", "a", Sensor::Dns, 150), Observed::Added);
    assert_eq!(hosts(&book, "shop/web"), ["a", "cart"]);
    assert_eq!(hosts(&book, "shop/other"), [""; 0]);
    let edges = book.edges(&key("shop/web"), 200);
    let EdgeView { sensors, first_seen, last_seen, count, state, .. } = edges[1].clone();
    assert_eq!(sensors.iter().collect::<Vec<_>>(), [Sensor::Request, Sensor::AccessLog]);
    assert_eq!((first_seen, last_seen, count, state), (100, 200, 2, EdgeState::Learned));
}

#[test]
fn a_scanner_is_stopped_by_its_rate_and_then_by_the_number_of_targets() {
    let settings =
        ScopeSettings { max_targets: 5, learn_burst: 3, learn_per_minute: 1, ..Default::default() };
    let mut book = Book::new(settings);
    let mut scan = |host: &str, now| see(&mut book, "shop/scanner", host, Sensor::Request, now);
    for host in ["a", "b", "c"] {
        assert_eq!(scan(host, 0), Observed::Added);
    }
    assert_eq!(scan("d", 0), Observed::Refused(Refusal::TooFast));
    assert_eq!(scan("a", 0), Observed::Seen);
    assert_eq!(scan("d", 60), Observed::Added);
    assert_eq!(scan("e", 120), Observed::Added);
    assert_eq!(scan("f", 600), Observed::Refused(Refusal::TooManyTargets));
    // What people and registries write down is another matter, and so is another workload.
    assert_eq!(see(&mut book, "shop/scanner", "g", Sensor::Import, 600), Observed::Added);
    assert_eq!(see(&mut book, "shop/web", "f", Sensor::Request, 600), Observed::Added);
    let [first, second] = book.list().try_into().unwrap();
    assert_eq!((first.workload, first.refused, first.is_full), (key("shop/scanner"), 2, true));
    assert_eq!((second.workload, second.refused, second.is_full), (key("shop/web"), 0, false));
    let notes = book.explain(&key("shop/scanner"), &"f".into(), 600).notes;
    assert_eq!(notes[0].kind, NoteKind::Refused(Refusal::TooManyTargets));
}

#[test]
fn names_that_no_host_has_are_not_learned() {
    let mut book = Book::new(ScopeSettings::default());
    let long = "a".repeat(254);
    for host in ["", &long] {
        let seen = see(&mut book, "shop/web", host, Sensor::Request, 0);
        assert_eq!(seen, Observed::Refused(Refusal::NoName));
        assert!(!book.pin(&key("shop/web"), &host.into(), 0));
    }
    assert_eq!(
        see(&mut book, &format!("shop/{long}"), "a", Sensor::Request, 0),
        Observed::Refused(Refusal::NoName)
    );
    assert_eq!(book.stats(0).edges, 0);
}

#[test]
fn the_book_has_an_end() {
    let mut book = Book::new(ScopeSettings { max_edges: 2, ..Default::default() });
    see(&mut book, "shop/a", "x", Sensor::Request, 0);
    see(&mut book, "shop/b", "x", Sensor::Request, 0);
    let seen = see(&mut book, "shop/c", "x", Sensor::Import, 0);
    assert_eq!(seen, Observed::Refused(Refusal::Full));
}

#[test]
fn an_edge_that_nobody_uses_is_forgotten_and_a_pinned_one_is_not() {
    let mut book = Book::new(ScopeSettings::default());
    see(&mut book, "shop/web", "old", Sensor::Request, 0);
    book.pin(&key("shop/web"), &"pinned".into(), 0);
    watched(&mut book, 0, 9 * DAY);
    see(&mut book, "shop/web", "new", Sensor::AccessLog, 9 * DAY);
    assert_eq!(book.edges(&key("shop/web"), 7 * DAY - 1)[1].state, EdgeState::Learned);
    assert!(book.has_due(9 * DAY));
    let pass = book.pass(9 * DAY);
    assert_eq!((pass.removed, pass.workloads), (1, vec![key("shop/web")]));
    assert_eq!(hosts(&book, "shop/web"), ["new", "pinned"]);
    let explained = book.explain(&key("shop/web"), &"old".into(), 9 * DAY);
    assert_eq!((explained.edge, explained.notes[0].kind), (None, NoteKind::Aged));
    // Unpinned, it ages from now on.
    assert!(book.unpin(&key("shop/web"), &"pinned".into(), 9 * DAY));
    assert!(!book.unpin(&key("shop/web"), &"pinned".into(), 9 * DAY));
    assert_eq!(book.pass(9 * DAY).removed, 0);
    watched(&mut book, 9 * DAY, 17 * DAY);
    assert_eq!(book.pass(17 * DAY).removed, 1);
    assert_eq!(book.pass(17 * DAY + HOUR).removed, 0, "the other is withheld: its budget is one");
}

/// Everything is old at `now`; why is `host` kept?
#[track_caller]
fn check_withheld(book: &mut Book, host: &str, now: u64, expected: Option<Withheld>) {
    let edges = book.edges(&key("shop/web"), now);
    let edge = edges.into_iter().find(|edge| edge.host.as_str() == host).unwrap();
    let state = expected.map_or(EdgeState::Due, EdgeState::Kept);
    assert_eq!(edge.state, state);
    assert_eq!(book.pass(now).removed, usize::from(expected.is_none()));
}

#[test]
fn nothing_is_forgotten_while_those_who_would_see_it_are_silent() {
    let mut book = Book::new(ScopeSettings::default());
    see(&mut book, "shop/web", "a", Sensor::Request, 0);
    // The process was down: nobody could ask.
    check_withheld(&mut book, "a", 30 * DAY, Some(Withheld::Silent(Sensor::Request)));
    // It is back, but a proxy that has the host does not ask again.
    book.work(Sensor::Request, 30 * DAY);
    check_withheld(&mut book, "a", 30 * DAY, Some(Withheld::Unwatched));
    // Access logs come, but not for long yet.
    watched(&mut book, 30 * DAY, 31 * DAY - 300);
    check_withheld(&mut book, "a", 31 * DAY - 300, Some(Withheld::JustWatched));
    // They have stopped.
    book.work(Sensor::Request, 31 * DAY + 1_000);
    check_withheld(&mut book, "a", 31 * DAY + 1_000, Some(Withheld::Unwatched));
    watched(&mut book, 31 * DAY + 1_000, 32 * DAY + 1_000);
    check_withheld(&mut book, "a", 32 * DAY + 1_000, None);
}

/// Who is told of some calls alone does not know that there are no others.
#[test]
fn a_glimpse_ages_nothing() {
    let mut book = Book::new(ScopeSettings::default());
    let (web, host) = (key("shop/web"), "a".into());
    for time in (0..=30 * DAY).step_by(300) {
        book.glimpse(&web, &"b".into(), Sensor::AccessLog, 1, time);
        if time == 0 {
            book.glimpse(&web, &host, Sensor::AccessLog, 1, time);
        }
    }
    check_withheld(&mut book, "a", 30 * DAY, Some(Withheld::Unwatched));
    // Somebody else sees all of them.
    for time in (30 * DAY..=31 * DAY).step_by(300) {
        book.work(Sensor::Metrics, time);
    }
    check_withheld(&mut book, "a", 31 * DAY, None);
}

#[test]
fn what_a_registry_lists_is_forgotten_when_the_registry_no_longer_does() {
    let mut book = Book::new(ScopeSettings::default());
    see(&mut book, "shop/web", "a", Sensor::Registry, 0);
    check_withheld(&mut book, "a", 30 * DAY, Some(Withheld::Silent(Sensor::Registry)));
    for time in (30 * DAY..=31 * DAY).step_by(600) {
        book.work(Sensor::Registry, time);
    }
    check_withheld(&mut book, "a", 31 * DAY, None);
}

#[test]
fn a_scope_shrinks_no_faster_than_its_budget() {
    let settings = ScopeSettings { shrink_total: 10, ..Default::default() };
    let mut book = Book::new(settings);
    for host in 0..20 {
        see(&mut book, "shop/web", &format!("h{host:02}"), Sensor::Request, host);
    }
    for host in 0..80 {
        see(&mut book, "shop/other", &format!("h{host:02}"), Sensor::Request, 100 + host);
    }
    let now = 30 * DAY;
    watched(&mut book, 0, now);
    let pass = book.pass(now);
    // A fifth of twenty, a tenth of hundred; the longest unseen first.
    assert_eq!(pass.removed, 10);
    assert_eq!(hosts(&book, "shop/web").len(), 16);
    assert_eq!(hosts(&book, "shop/web")[0], "h04");
    assert_eq!(hosts(&book, "shop/other").len(), 74);
    assert_eq!(pass.withheld, [(Withheld::WorkloadBudget, 16), (Withheld::TotalBudget, 74)]);
    assert_eq!(book.pass(now + 60).removed, 0);
    watched(&mut book, now, now + HOUR);
    assert_eq!(book.pass(now + HOUR).removed, 9);
}

#[test]
fn a_new_workload_begins_with_what_its_siblings_call() {
    let mut book = Book::new(ScopeSettings::default());
    for (workload, application) in
        [("shop/web-v1", "web"), ("shop/api", "api"), ("blog/web-v1", "web")]
    {
        assert!(!book.meet(&key(workload), &application.into(), 0));
        see(&mut book, workload, &format!("target-of-{application}"), Sensor::AccessLog, 0);
        see(&mut book, workload, workload.split_once('/').unwrap().0, Sensor::Request, 0);
    }
    assert!(book.meet(&key("shop/web-v2"), &"web".into(), DAY));
    assert_eq!(hosts(&book, "shop/web-v2"), ["shop", "target-of-web"]);
    let edges = book.edges(&key("shop/web-v2"), DAY);
    assert!(edges.iter().all(|edge| edge.state == EdgeState::Seeded && edge.count == 0));
    // Once it is there nothing more is taken over, also not of what nobody called.
    assert!(!book.meet(&key("shop/web-v2"), &"web".into(), DAY));
    assert!(book.meet(&key("shop/web-v3"), &"web".into(), DAY));
    assert_eq!(hosts(&book, "shop/web-v3").len(), 2);
    // Confirmed, it is an edge like others; the rest ages.
    see(&mut book, "shop/web-v2", "shop", Sensor::AccessLog, 2 * DAY);
    let states = |book: &Book, now| {
        let edges = book.edges(&key("shop/web-v2"), now);
        edges.into_iter().map(|edge| edge.state).collect::<Vec<_>>()
    };
    assert_eq!(states(&book, 2 * DAY), [EdgeState::Learned, EdgeState::Seeded]);
    watched(&mut book, 0, 8 * DAY);
    assert_eq!(states(&book, 8 * DAY), [EdgeState::Learned, EdgeState::Due]);
}

/// What the next process knows of `book`, from what was written down.
fn restarted(book: &mut Book, now: u64) -> Book {
    let mut next = Book::new(book.settings.clone());
    next.set_clocks(book.clocks());
    for (workload, record) in book.take_changes(usize::MAX) {
        let Some(record) = record else { continue };
        next.restore(workload.clone(), record, now);
        next.changed.insert(workload.clone());
        if let Some(window) = book.window(Some(&workload)) {
            next.restore_window(Some(&workload), window);
        }
    }
    if let Some(window) = book.window(None) {
        next.restore_window(None, window);
    }
    next
}

#[test]
fn restarts_begin_no_window() {
    let settings = ScopeSettings { shrink_total: 30, ..Default::default() };
    let mut book = Book::new(settings);
    for host in 0..20 {
        see(&mut book, "shop/web", &format!("h{host:02}"), Sensor::Request, 0);
        see(&mut book, "shop/api", &format!("h{host:02}"), Sensor::Request, 1);
    }
    watched(&mut book, 0, 30 * DAY + 2 * HOUR);
    let mut forget = |now| {
        book = restarted(&mut book, now);
        book.pass(now);
        ["shop/web", "shop/api"].map(|workload| hosts(&book, workload).len())
    };
    // A fifth of each.
    assert_eq!(forget(30 * DAY), [16, 16]);
    assert_eq!(forget(30 * DAY + 60), [16, 16]);
    assert_eq!(forget(30 * DAY + HOUR - 1), [16, 16]);
    assert_eq!(forget(30 * DAY + HOUR), [13, 13]);
    // Also of all together.
    book.settings.shrink_workload = 100;
    let mut forget = |now| {
        book = restarted(&mut book, now);
        book.pass(now).removed
    };
    assert_eq!([forget(30 * DAY + HOUR + 60), forget(30 * DAY + HOUR + 120)], [3, 0]);
}

#[test]
fn a_workload_that_was_met_before_its_siblings_called_anything_begins_with_it_later() {
    let mut book = Book::new(ScopeSettings::default());
    let meet = |book: &mut Book, workload: &str, now| book.meet(&key(workload), &"web".into(), now);
    for workload in ["shop/v1", "shop/v2", "shop/v3"] {
        assert!(!meet(&mut book, workload, 0));
    }
    see(&mut book, "shop/v1", "cart", Sensor::Request, 1);
    assert!(meet(&mut book, "shop/v2", 2));
    assert!(!meet(&mut book, "shop/v2", 3));
    assert_eq!(hosts(&book, "shop/v2"), ["cart"]);
    // Also when it was met by the process before.
    let mut book = restarted(&mut book, 4);
    assert!(meet(&mut book, "shop/v3", 4));
    assert_eq!(hosts(&book, "shop/v3"), ["cart"]);
}

#[test]
fn what_was_reset_or_has_aged_does_not_come_back_from_a_sibling() {
    let settings = ScopeSettings { shrink_total: 100, ..Default::default() };
    let mut book = Book::new(settings);
    let meet = |book: &mut Book, workload: &str, now| book.meet(&key(workload), &"web".into(), now);
    meet(&mut book, "shop/reset", 0);
    meet(&mut book, "shop/aged", 0);
    see(&mut book, "shop/reset", "cart", Sensor::AccessLog, 0);
    see(&mut book, "shop/aged", "cart", Sensor::AccessLog, 0);
    watched(&mut book, 0, 8 * DAY);
    see(&mut book, "shop/sibling", "cart", Sensor::AccessLog, 8 * DAY);
    meet(&mut book, "shop/sibling", 8 * DAY);
    assert_eq!(book.reset(&key("shop/reset"), None, 8 * DAY), 1);
    assert_eq!(book.pass(8 * DAY).workloads, [key("shop/aged")]);
    let check = |book: &mut Book| {
        for workload in ["shop/reset", "shop/aged"] {
            assert!(!meet(book, workload, 8 * DAY + HOUR));
            assert_eq!(hosts(book, workload), [""; 0]);
        }
    };
    check(&mut book);
    check(&mut restarted(&mut book, 8 * DAY + HOUR));
    assert!(meet(&mut book, "shop/new", 8 * DAY + HOUR));
}

#[test]
fn a_reset_forgets_all_but_pins() {
    let mut book = Book::new(ScopeSettings::default());
    for host in ["a", "b", "c"] {
        see(&mut book, "shop/web", host, Sensor::Request, 0);
    }
    assert!(!book.pin(&key("shop/web"), &"b".into(), 0));
    assert_eq!(book.reset(&key("shop/web"), Some(&"a".into()), 1), 1);
    assert_eq!(hosts(&book, "shop/web"), ["b", "c"]);
    assert_eq!(book.reset(&key("shop/web"), None, 2), 1);
    assert_eq!(book.reset(&key("shop/none"), None, 2), 0);
    assert_eq!(hosts(&book, "shop/web"), ["b"]);
    let explained = book.explain(&key("shop/web"), &"a".into(), 2);
    assert_eq!(explained.notes[0].kind, NoteKind::Reset);
    assert_eq!(book.stats(2).edges, 1);
}

#[test]
fn a_workload_of_which_nothing_is_heard_is_dropped() {
    let mut book = Book::new(ScopeSettings::default());
    book.meet(&key("shop/web"), &"web".into(), 0);
    book.take_changes(0);
    book.pass(DAY - 1);
    assert_eq!(book.workloads().count(), 1);
    book.pass(DAY);
    assert_eq!(book.workloads().count(), 0);
    assert_eq!(book.take_changes(0), [(key("shop/web"), None)]);
}

#[test]
fn what_is_taken_is_written_once() {
    let mut book = Book::new(ScopeSettings::default());
    let take = |book: &mut Book, touched| {
        let taken = book.take_changes(touched).into_iter();
        let sizes =
            taken.map(|(workload, record)| (workload.to_string(), record.unwrap().edges.len()));
        sizes.collect::<Vec<_>>()
    };
    let written = |workload: &str, edges| (format!("shop/{workload}"), edges);
    see(&mut book, "shop/web", "a", Sensor::Request, 0);
    see(&mut book, "shop/web", "b", Sensor::Request, 0);
    see(&mut book, "shop/api", "b", Sensor::Request, 0);
    assert_eq!(take(&mut book, 0), [written("api", 1), written("web", 2)]);
    // Seen again: it can wait.
    see(&mut book, "shop/web", "a", Sensor::Request, 1);
    see(&mut book, "shop/api", "b", Sensor::Request, 1);
    assert_eq!(take(&mut book, 0), []);
    assert_eq!(take(&mut book, 1), [written("api", 1)]);
    assert!(book.has_touched());
    // By another sensor, or by somebody's decision: it cannot.
    see(&mut book, "shop/web", "a", Sensor::Dns, 2);
    book.pin(&key("shop/api"), &"b".into(), 2);
    assert_eq!(take(&mut book, 0), [written("api", 1), written("web", 2)]);
    assert!(!book.has_touched());
    book.reset(&key("shop/web"), None, 3);
    assert_eq!(take(&mut book, 0), [written("web", 0)]);
    assert_eq!(take(&mut book, 9), []);
}

#[test]
fn a_hundred_thousand_edges_take_less_than_twenty_megabytes() {
    let mut book = Book::new(ScopeSettings::default());
    // 2,000 services as targets, and 20,000 of which only one workload knows.
    for workload in 0..5_000 {
        let own = format!("namespace-{:02}/deployment-with-a-name-{workload:05}", workload % 50);
        for target in 0..16 {
            let service = (workload * 7 + target * 131) % 2_000;
            let host = format!("service-number-{service:05}.namespace.svc.cluster.local");
            see(&mut book, &own, &host, Sensor::Request, workload);
        }
        for target in 0..4 {
            let host = format!("only-{target}-of-{workload:05}.namespace.svc.cluster.local");
            see(&mut book, &own, &host, Sensor::AccessLog, workload);
        }
    }
    let stats = book.stats(5_000);
    assert_eq!((stats.workloads, stats.edges), (5_000, 100_000));
    assert!(stats.bytes < 20_000_000, "{} bytes", stats.bytes);
    println!("{} bytes for {} edges", stats.bytes, stats.edges);
}

/// What may happen in a random life.
#[derive(Clone, Debug)]
enum Event {
    See { workload: u8, host: u8, sensor: Sensor, count: u32 },
    Pin(u8, u8),
    Unpin(u8, u8),
    Reset(u8, Option<u8>),
    Meet(u8, u8),
    Work(Sensor),
    Pass,
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let sensor = || prop::sample::select(Sensor::ALL.to_vec());
    let see = (0..4_u8, 0..30_u8, sensor(), 1..50_u32);
    prop_oneof![
        8 => see.prop_map(|(workload, host, sensor, count)| {
            Event::See { workload, host, sensor, count }
        }),
        1 => (0..4_u8, 0..30_u8).prop_map(|(workload, host)| Event::Pin(workload, host)),
        1 => (0..4_u8, 0..30_u8).prop_map(|(workload, host)| Event::Unpin(workload, host)),
        1 => (0..4_u8, prop::option::of(0..30_u8)).prop_map(|(key, host)| Event::Reset(key, host)),
        1 => (0..4_u8, 0..2_u8).prop_map(|(workload, name)| Event::Meet(workload, name)),
        3 => sensor().prop_map(Event::Work),
        4 => Just(Event::Pass),
        4 => (0..3 * HOUR).prop_map(Event::Wait),
    ]
}

fn numbered(workload: u8) -> WorkloadKey {
    key(&format!("shop/w{workload}"))
}

fn named(host: u8) -> Hostname {
    Hostname::new(&format!("h{host}"))
}

/// So short that things happen.
fn hasty() -> ScopeSettings {
    ScopeSettings {
        half_life: HOUR,
        minimum_life: HOUR / 2,
        silence: 2 * HOUR,
        shrink_window: HOUR,
        max_targets: 20,
        learn_burst: 15,
        ..Default::default()
    }
}

/// The removals in a window, as a budget counts them.
#[derive(Default)]
struct Removed(Vec<(u64, usize, usize)>);

impl Removed {
    fn note(&mut self, now: u64, before: usize, removed: usize) {
        self.0.push((now, before, removed));
    }

    /// In no stretch of a window's length more than the shares of two windows, which may touch it.
    fn check(&self, percent: usize, length: u64) -> Result<(), TestCaseError> {
        for (at, _, _) in &self.0 {
            let within = self.0.iter().filter(|(now, ..)| (*at..*at + length).contains(now));
            let removed: usize = within.clone().map(|(_, _, removed)| removed).sum();
            let most = within.map(|(_, before, removed)| before + removed).max().unwrap_or(0);
            prop_assert!(removed <= 2 * (most * percent / 100).max(1), "{removed} of {most}");
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_random_life_keeps_the_promises(events in vec(event(), 0..300)) {
        let settings = hasty();
        let mut book = Book::new(settings.clone());
        let mut written = Book::new(settings.clone());
        let mut pins: BTreeSet<(WorkloadKey, Hostname)> = BTreeSet::new();
        let mut now = 1_000_000;
        let mut removed = Removed::default();
        for event in events {
            match event {
                Event::See { workload, host, sensor, count } => {
                    book.observe(&numbered(workload), &named(host), sensor, count, now);
                }
                Event::Pin(workload, host) => {
                    book.pin(&numbered(workload), &named(host), now);
                    pins.insert((numbered(workload), named(host)));
                }
                Event::Unpin(workload, host) => {
                    let was = book.unpin(&numbered(workload), &named(host), now);
                    prop_assert_eq!(was, pins.remove(&(numbered(workload), named(host))));
                }
                Event::Reset(workload, host) => {
                    book.reset(&numbered(workload), host.map(named).as_ref(), now);
                }
                Event::Meet(workload, name) => {
                    book.meet(&numbered(workload), &format!("a{name}").into(), now);
                }
                Event::Work(sensor) => book.work(sensor, now),
                Event::Wait(time) => now += time,
                Event::Pass => {
                    let before = book.clone();
                    let pass = book.pass(now);
                    let total = before.stats(now).edges;
                    let most = |edges: usize, percent: u8| (edges * percent as usize / 100).max(1);
                    prop_assert!(pass.removed <= most(total, settings.shrink_total));
                    for workload in &pass.workloads {
                        let (old, new) = (before.edges(workload, now), book.edges(workload, now));
                        let gone = old.len() - new.len();
                        prop_assert!(gone <= most(old.len(), settings.shrink_workload));
                        // Only what was due has gone.
                        let kept: BTreeSet<_> = new.into_iter().map(|edge| edge.host).collect();
                        let lost = old.into_iter().filter(|edge| !kept.contains(&edge.host));
                        prop_assert!(lost.into_iter().all(|edge| edge.state == EdgeState::Due));
                    }
                    removed.note(now, total, pass.removed);
                }
            }
            for (workload, host) in &pins {
                let hosts = book.hosts(workload);
                prop_assert!(hosts.is_some_and(|hosts| hosts.contains(host)), "{host} is pinned");
            }
            // What is written down piece by piece is what there is.
            for (workload, record) in book.take_changes(2) {
                written.workloads.remove(&workload);
                if let Some(record) = record {
                    written.restore(workload, record, now);
                }
            }
        }
        removed.check(settings.shrink_total.into(), settings.shrink_window)?;
        for workload in 0..4 {
            let workload = numbered(workload);
            prop_assert_eq!(book.hosts(&workload), written.hosts(&workload));
            let edges = book.edges(&workload, now).len();
            prop_assert_eq!(edges, book.hosts(&workload).map_or(0, |hosts| hosts.len()));
        }
    }

    #[test]
    fn any_order_of_observations_gives_the_same_edges(
        (one, other) in vec((0..4_u8, 0..30_u8, prop::sample::select(Sensor::ALL.to_vec()), 1..9_u32, 0..DAY), 0..60)
            .prop_flat_map(|seen| (Just(seen.clone()), Just(seen).prop_shuffle()))
    ) {
        // Neither a limit nor the clock of a rate, which see the order.
        let settings = ScopeSettings { learn_burst: 1_000, ..Default::default() };
        let read = |seen: &[(u8, u8, Sensor, u32, u64)]| {
            let mut book = Book::new(settings.clone());
            for (workload, host, sensor, count, now) in seen {
                book.observe(&numbered(*workload), &named(*host), *sensor, *count, *now);
            }
            let edges = (0..4).map(|workload| {
                let mut edges = book.edges(&numbered(workload), DAY);
                // Sums of fractions may differ in their last digit.
                edges.iter_mut().for_each(|edge| {
                    edge.forget_at = edge.forget_at.map(|at| at / HOUR);
                    edge.state = EdgeState::Learned;
                });
                edges
            });
            edges.collect::<Vec<_>>()
        };
        let (one, other) = (read(&one), read(&other));
        for (one, other) in one.iter().flatten().zip(other.iter().flatten()) {
            let apart = one.forget_at.unwrap().abs_diff(other.forget_at.unwrap());
            prop_assert!(apart <= 1);
            let same = |edge: &EdgeView| EdgeView { forget_at: None, ..edge.clone() };
            prop_assert_eq!(same(one), same(other));
        }
        let count = |edges: &[Vec<EdgeView>]| edges.iter().map(Vec::len).collect::<Vec<_>>();
        prop_assert_eq!(count(&one), count(&other));
    }
}

#[test]
fn sensors_of_a_seed_are_those_of_its_sibling() {
    let mut book = Book::new(ScopeSettings::default());
    book.meet(&key("shop/v1"), &"web".into(), 0);
    see(&mut book, "shop/v1", "a", Sensor::Dns, 0);
    book.meet(&key("shop/v2"), &"web".into(), 0);
    assert_eq!(book.edges(&key("shop/v2"), 0)[0].sensors, Sensors::from(Sensor::Dns));
}
