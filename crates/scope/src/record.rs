//! Edges as bytes, and back.
//!
//! - One record for each workload; it is short: numbers take as many bytes as they need.
//! - What cannot be read is left out and counted: it was written by a later version, or by nobody.

use model::{FenceTarget, Hostname, Name, Namespace, WorkloadKey};
use storage::{Batch, Table};

use crate::{
    FenceOff, Record, Sensors,
    edge::Edge,
    sensor::{SensorClocks, Stretch},
    settings::Window,
};

pub(crate) const WORKLOADS: Table = "scope-workloads";
/// By workload; the one of all has no key.
pub(crate) const WINDOWS: Table = "scope-windows";
pub(crate) const FENCES_OFF: Table = "scope-fences-off";
pub(crate) const CLOCKS: Table = "scope-clocks";
pub(crate) const CLOCKS_KEY: &[u8] = b"clocks";

/// The first byte of every value.
pub(crate) const VERSION: u8 = 1;
const PINNED: u8 = 1;
const SEEDED: u8 = 2;

/// Adds what is to be written down.
pub(crate) fn write(workload: &WorkloadKey, record: Option<&Record>, batch: &mut Batch) {
    let key = workload_key(workload);
    match record {
        Some(record) => batch.put(WORKLOADS, key, value(record)),
        None => {
            batch.delete(WINDOWS, key.clone());
            batch.delete(WORKLOADS, key);
        }
    }
}

/// Adds what a window has taken of a workload, or of all. One that is over may stay: it counts no more.
pub(crate) fn write_window(workload: Option<&WorkloadKey>, window: &Window, batch: &mut Batch) {
    let mut value = vec![VERSION];
    for number in [window.began, window.base.into(), window.removed.into()] {
        push_number(&mut value, number);
    }
    batch.put(WINDOWS, workload.map(workload_key).unwrap_or_default(), value);
}

/// An entry of [`WINDOWS`].
pub(crate) fn read_window(key: &[u8], value: &[u8]) -> Option<(Option<WorkloadKey>, Window)> {
    let mut key = Bytes(key);
    let workload = match key.0 {
        [] => None,
        _ => Some(key.workload().filter(|_| key.0.is_empty())?),
    };
    let mut value = Bytes(value.strip_prefix(&[VERSION])?);
    let began = value.number()?;
    let mut count = || u32::try_from(value.number()?).ok();
    Some((workload, Window { began, base: count()?, removed: count()? }))
}

/// An entry of [`WORKLOADS`].
pub(crate) fn read(key: &[u8], value: &[u8]) -> Option<(WorkloadKey, Record)> {
    let mut key = Bytes(key);
    let workload = key.workload().filter(|_| key.0.is_empty())?;
    let mut value = Bytes(value.strip_prefix(&[VERSION])?);
    let application = Some(value.text()?).filter(|it| !it.is_empty()).map(Name::from);
    let mut edges = Vec::new();
    while !value.0.is_empty() {
        edges.push(value.edge()?);
    }
    Some((workload, Record { application, edges }))
}

/// Adds a decision about fences that is to be written down.
pub(crate) fn write_switch(target: &FenceTarget, off: Option<&FenceOff>, batch: &mut Batch) {
    let key = match target {
        FenceTarget::Workload(workload) => workload_key(workload),
        // No workload is called nothing.
        FenceTarget::Namespace(namespace) => {
            workload_key(&WorkloadKey { namespace: namespace.clone(), name: Name::from("") })
        }
    };
    let Some(FenceOff { since, until, confirmed }) = off else {
        return batch.delete(FENCES_OFF, key);
    };
    let mut value = vec![VERSION];
    push_number(&mut value, *since);
    for time in [until, confirmed] {
        push_number(&mut value, time.map_or(0, |time| time.saturating_add(1)));
    }
    batch.put(FENCES_OFF, key, value);
}

/// An entry of [`FENCES_OFF`].
pub(crate) fn read_switch(key: &[u8], value: &[u8]) -> Option<(FenceTarget, FenceOff)> {
    let mut key = Bytes(key);
    let workload = key.workload().filter(|_| key.0.is_empty())?;
    let mut value = Bytes(value.strip_prefix(&[VERSION])?);
    let since = value.number()?;
    let [until, confirmed] = [value.number()?, value.number()?].map(|it| it.checked_sub(1));
    let target = match workload.name.as_str().is_empty() {
        true => FenceTarget::Namespace(workload.namespace),
        false => FenceTarget::Workload(workload),
    };
    Some((target, FenceOff { since, until, confirmed }))
}

pub(crate) fn clocks_value(clocks: &SensorClocks) -> Vec<u8> {
    let mut value = vec![VERSION];
    for stretch in clocks.0 {
        let Stretch { since, last } = stretch.unwrap_or(Stretch { since: 0, last: 0 });
        push_number(&mut value, since);
        push_number(&mut value, last);
    }
    value
}

pub(crate) fn read_clocks(value: &[u8]) -> Option<SensorClocks> {
    let mut value = Bytes(value.strip_prefix(&[VERSION])?);
    let mut clocks = SensorClocks::default();
    for slot in &mut clocks.0 {
        let stretch = Stretch { since: value.number()?, last: value.number()? };
        *slot = (stretch.last > 0 && stretch.since <= stretch.last).then_some(stretch);
    }
    Some(clocks)
}

fn workload_key(workload: &WorkloadKey) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    push_text(&mut key, workload.namespace.as_str());
    push_text(&mut key, workload.name.as_str());
    key
}

fn value(record: &Record) -> Vec<u8> {
    let mut value = vec![VERSION];
    push_text(&mut value, record.application.as_ref().map_or("", Name::as_str));
    for edge in &record.edges {
        push_text(&mut value, edge.host.as_str());
        let pinned = if edge.is_pinned { PINNED } else { 0 };
        let seeded = if edge.is_seeded { SEEDED } else { 0 };
        value.extend([pinned | seeded, edge.sensors.bits()]);
        push_number(&mut value, edge.first_seen);
        push_number(&mut value, edge.last_seen.saturating_sub(edge.first_seen));
        push_number(&mut value, edge.count);
        value.extend_from_slice(&edge.score.to_be_bytes());
    }
    value
}

/// Its length in one byte, then the text: the book takes no name that is longer than 253 bytes.
pub(crate) fn push_text(value: &mut Vec<u8>, text: &str) {
    value.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    value.extend_from_slice(text.as_bytes());
}

/// Seven bits in each byte, the lowest first.
pub(crate) fn push_number(value: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        value.push(number as u8 | 0x80);
        number >>= 7;
    }
    value.push(number as u8);
}

/// What is still to be read.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            number |= bits.checked_shl(shift).filter(|it| it >> shift == bits)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    pub(crate) fn workload(&mut self) -> Option<WorkloadKey> {
        let (namespace, name) = (self.text()?, self.text()?);
        Some(WorkloadKey { namespace: Namespace::from(namespace), name: Name::from(name) })
    }

    fn edge(&mut self) -> Option<Edge> {
        let host = Hostname::new(self.text()?);
        let [flags, sensors] = [self.byte()?, self.byte()?];
        let first_seen = self.number()?;
        let last_seen = first_seen.checked_add(self.number()?)?;
        let count = self.number()?;
        let (score, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        let score = f32::from_be_bytes(*score);
        Some(Edge {
            host,
            first_seen,
            last_seen,
            count,
            // A number that is none would never be forgotten.
            score: if score.is_finite() { score.max(0.0) } else { 0.0 },
            sensors: Sensors::from_bits(sensors),
            is_pinned: flags & PINNED != 0,
            is_seeded: flags & SEEDED != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn edge() -> impl Strategy<Value = Edge> {
        let times = (0..u64::MAX / 2, 0..u64::MAX / 2, any::<u64>());
        ("[a-z.*]{1,40}", times, 0_f32..1e9, any::<(u8, bool, bool)>()).prop_map(
            |(host, (first_seen, life, count), score, (sensors, is_pinned, is_seeded))| Edge {
                host: Hostname::new(&host),
                first_seen,
                last_seen: first_seen + life,
                count,
                score,
                sensors: Sensors::from_bits(sensors),
                is_pinned,
                is_seeded,
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            edges in vec(edge(), 0..9),
            application in prop::option::of("[a-z]{1,40}"),
            namespace in "[a-z-]{0,253}",
            name in "\\PC{0,60}",
        ) {
            let workload =
                WorkloadKey { namespace: namespace.as_str().into(), name: name.as_str().into() };
            let application = application.map(|it| Name::from(it.as_str()));
            let record = Record { application, edges };
            let read = read(&workload_key(&workload), &value(&record));
            prop_assert_eq!(read, Some((workload, record)));
        }

        #[test]
        fn any_bytes_are_read_or_left_out(
            key in vec(any::<u8>(), 0..40), value in vec(any::<u8>(), 0..40),
        ) {
            let _ = read(&key, &value);
            let _ = read_switch(&key, &value);
            let _ = read_window(&key, &value);
            let _ = read_clocks(&value);
        }
    }

    #[test]
    fn windows_are_read_as_they_were_written() {
        let window = Window { began: 1_700_000_000, base: 100_000, removed: 300 };
        let web = WorkloadKey { namespace: "shop".into(), name: "web".into() };
        for workload in [None, Some(web)] {
            let mut batch = Batch::default();
            write_window(workload.as_ref(), &window, &mut batch);
            let (key, value) = written(WINDOWS, &batch);
            assert!(value.len() < 12, "{value:?}");
            assert_eq!(read_window(&key, &value), Some((workload, window)));
        }
    }

    /// The one entry of `table` that `batch` makes.
    fn written(table: Table, batch: &Batch) -> storage::Entry {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage::Embedded::open(folder.path()).unwrap().storage;
        storage::Storage::write(&storage, batch).unwrap();
        let all = storage::Storage::scan(&storage, table, vec![]..vec![u8::MAX], 9).unwrap();
        let [entry] = all.try_into().expect("there is one");
        entry
    }

    #[test]
    fn decisions_are_read_as_they_were_written() {
        let off = FenceOff { since: 1_700_000_000, until: Some(1_700_000_900), confirmed: None };
        for (target, off) in
            [("shop", off), ("shop/web", FenceOff { until: None, confirmed: Some(0), ..off })]
        {
            let target: FenceTarget = target.parse().unwrap();
            let mut batch = Batch::default();
            write_switch(&target, Some(&off), &mut batch);
            let mut other = Batch::default();
            write_switch(&target, None, &mut other);
            assert_ne!(batch, other);
            let (key, value) = written(FENCES_OFF, &batch);
            assert_eq!(read_switch(&key, &value), Some((target, off)));
        }
    }

    #[test]
    fn clocks_are_read_as_they_were_written() {
        let mut clocks = SensorClocks::default();
        clocks.0[1] = Some(Stretch { since: 1_700_000_000, last: 1_700_000_900 });
        assert_eq!(read_clocks(&clocks_value(&clocks)), Some(clocks));
        assert_eq!(read_clocks(&[VERSION, 0x80]), None);
    }
}
