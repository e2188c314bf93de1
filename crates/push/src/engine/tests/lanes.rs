//! Whatever is compiled when, streams are told of all that differs, and end up with what a fresh
//! start gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use model::{Kind, ObjectKey};
use proptest::{collection::vec, prelude::*};
use snapshot::Change;

use super::{
    rounds::{SERVICES, mesh, route, service, slice},
    stage::{Contents, Stage, contents, differences, puts, sidecar},
};
use crate::engine::{Mailbox, Ticket};

const NAMESPACES: [&str; 3] = ["bank", "shop", "shop"];

#[derive(Clone, Debug)]
enum Move {
    /// A route is put, or deleted.
    Route(Option<usize>),
    Slice(usize, usize),
    /// A service is there or not.
    Service(usize, bool),
    /// So many milliseconds pass.
    Pass(u64),
    /// A stream reads its letter.
    Read(usize),
    /// All streams that have read are done with it.
    Answer,
    /// Compiling has taken so many milliseconds.
    Took(u64),
}

fn one_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        proptest::option::of(0..5_usize).prop_map(Move::Route),
        (0..SERVICES, 1..9_usize).prop_map(|(number, address)| Move::Slice(number, address)),
        (0..SERVICES, any::<bool>()).prop_map(|(number, there)| Move::Service(number, there)),
        (0..40_u64).prop_map(Move::Pass),
        (0..NAMESPACES.len()).prop_map(Move::Read),
        Just(Move::Answer),
        (0..60_u64).prop_map(Move::Took),
    ]
}

struct Line {
    mailbox: Arc<Mailbox>,
    seen: Contents,
    tickets: Vec<Ticket>,
}

struct Rig {
    stage: Stage,
    lines: Vec<Line>,
    now: Instant,
    /// By kind and name.
    objects: BTreeMap<(Kind, String), String>,
}

impl Rig {
    fn new(slice: Duration) -> Self {
        let mut stage = Stage::new(puts(&mesh()));
        stage.engine.pace.slice = slice;
        let lines = lines(&mut stage);
        let mut objects = BTreeMap::new();
        for number in 0..SERVICES {
            objects.insert((Kind::Service, format!("s{number}")), service(number));
            objects.insert(
                (Kind::EndpointSlice, format!("s{number}-1")),
                super::rounds::slice(number, 1),
            );
        }
        Self { stage, lines, now: Instant::now(), objects }
    }

    fn set(&mut self, kind: Kind, name: String, yaml: Option<String>) {
        let changes = match &yaml {
            Some(yaml) => puts(yaml),
            None => vec![Change::Delete(ObjectKey::new(kind, "shop", &name))],
        };
        match yaml {
            Some(yaml) => self.objects.insert((kind, name), yaml),
            None => self.objects.remove(&(kind, name)),
        };
        let changes = self.stage.index.apply(changes);
        self.stage.engine.on_snapshot(self.stage.index.snapshot(), &changes, self.now);
        self.advance();
    }

    fn advance(&mut self) {
        self.stage.engine.advance(self.now);
    }

    fn step(&mut self, step: &Move) -> Result<(), TestCaseError> {
        match step {
            Move::Route(number) => {
                self.set(Kind::VirtualService, "s0".to_owned(), number.map(route));
            }
            Move::Slice(number, address) => {
                let yaml = slice(*number, *address);
                self.set(Kind::EndpointSlice, format!("s{number}-1"), Some(yaml));
            }
            Move::Service(number, there) => {
                let yaml = there.then(|| service(*number));
                self.set(Kind::Service, format!("s{number}"), yaml);
            }
            Move::Pass(milliseconds) => {
                self.now += Duration::from_millis(*milliseconds);
                self.advance();
            }
            Move::Read(number) => self.lines[*number].read()?,
            Move::Answer => {
                self.lines.iter_mut().for_each(|line| line.tickets.clear());
                self.advance();
            }
            Move::Took(milliseconds) => {
                let taken = Duration::from_millis(*milliseconds);
                self.stage.engine.pace.ended(self.now, taken);
            }
        }
        Ok(())
    }
}

impl Line {
    fn read(&mut self) -> Result<(), TestCaseError> {
        let Some(letter) = self.mailbox.try_take() else { return Ok(()) };
        self.tickets.extend(letter.tickets);
        let seen = contents(&letter.views);
        if let Some(changed) = letter.changed {
            let told: BTreeSet<_> = changed.iter().flat_map(|it| it.iter().cloned()).collect();
            let differing = differences(&self.seen, &seen);
            prop_assert!(differing.is_subset(&told), "not told: {:?}", &differing - &told);
        }
        self.seen = seen;
        Ok(())
    }
}

fn lines(stage: &mut Stage) -> Vec<Line> {
    let mut connect = |(id, namespace): (u8, &str)| {
        let proxy = sidecar(&format!("10.9.0.{id}"), namespace, &[], "");
        let mailbox = stage.engine.on_connect(id.into(), Arc::new(proxy));
        let letter = mailbox.try_take().expect("the first letter");
        Line { mailbox, seen: contents(&letter.views), tickets: Vec::new() }
    };
    (1..).zip(NAMESPACES).map(&mut connect).collect()
}

fn check(slice: Duration, moves: &[Move]) -> Result<(), TestCaseError> {
    let mut rig = Rig::new(slice);
    for step in moves {
        rig.step(step)?;
    }
    // Whatever was measured, nothing waits for longer than this.
    for _ in 0..20 {
        rig.step(&Move::Pass(10_000))?;
        (0..NAMESPACES.len()).try_for_each(|number| rig.step(&Move::Read(number)))?;
        rig.step(&Move::Answer)?;
    }
    prop_assert!(rig.stage.engine.gathered.is_empty() && rig.stage.engine.due.is_empty());
    let newest = rig.stage.index.snapshot().revision;
    prop_assert_eq!(rig.stage.engine.told, newest);
    let objects: String = rig.objects.values().map(String::as_str).collect();
    let mut fresh = Stage::new(puts(&objects));
    for (line, expected) in rig.lines.iter().zip(lines(&mut fresh)) {
        prop_assert_eq!(differences(&line.seen, &expected.seen), BTreeSet::new());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn facet_by_facet_or_all_at_once_streams_see_the_same(
        moves in vec(one_move(), 1..40),
        whole in any::<bool>(),
    ) {
        check(if whole { Duration::MAX } else { Duration::ZERO }, &moves)?;
    }
}
