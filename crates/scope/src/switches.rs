//! Fences that people have switched off: since when, for how long, and whether every proxy knows.
//!
//! - Pure: time is an argument, in seconds since 1970.
//! - Not here: what a fence is that is switched off (`snapshot`), who waits for proxies (`admin`).

use std::collections::{BTreeMap, BTreeSet};

use model::{FenceSwitch, FenceTarget};

/// A decision to send some workloads everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceOff {
    /// When it was made.
    pub since: u64,
    /// The second after which it ends by itself.
    pub until: Option<u64>,
    /// When every proxy that it concerns had acknowledged what it was sent for it; until then
    /// somebody may still lack something.
    pub confirmed: Option<u64>,
}

/// All such decisions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Switches {
    off: BTreeMap<FenceTarget, FenceOff>,
    /// Not said to the mesh yet.
    switched: BTreeSet<FenceTarget>,
    /// Not written down yet.
    changed: BTreeSet<FenceTarget>,
}

impl Switches {
    /// All of them, by target.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&FenceTarget, &FenceOff)> {
        self.off.iter()
    }

    /// Switches off. Said again, only its end is another one.
    pub(crate) fn switch_off(&mut self, target: FenceTarget, until: Option<u64>, now: u64) {
        self.changed.insert(target.clone());
        match self.off.get_mut(&target) {
            Some(known) => known.until = until,
            None => {
                self.off.insert(target.clone(), FenceOff { since: now, until, confirmed: None });
                self.switched.insert(target);
            }
        }
    }

    /// Every proxy knows. Whether it is switched off.
    pub(crate) fn confirm(&mut self, target: &FenceTarget, now: u64) -> bool {
        let Some(known) = self.off.get_mut(target) else { return false };
        known.confirmed.get_or_insert(now);
        self.changed.insert(target.clone());
        true
    }

    /// Fences and labels count again. Whether they did not.
    pub(crate) fn switch_back(&mut self, target: &FenceTarget) -> bool {
        let was_off = self.off.remove(target).is_some();
        if was_off {
            self.switched.insert(target.clone());
            self.changed.insert(target.clone());
        }
        was_off
    }

    /// Switches back what is over; those that were.
    pub(crate) fn end(&mut self, now: u64) -> Vec<FenceTarget> {
        let over = self.off.iter().filter(|(_, it)| it.until.is_some_and(|until| until < now));
        let over: Vec<FenceTarget> = over.map(|(target, _)| target.clone()).collect();
        for target in &over {
            self.switch_back(target);
        }
        over
    }

    /// Takes in what was written down, at the start. It is to be said to the mesh.
    pub(crate) fn restore(&mut self, target: FenceTarget, off: FenceOff) {
        self.switched.insert(target.clone());
        self.off.insert(target, off);
    }

    /// Takes what the mesh is to be told.
    pub(crate) fn take_switched(&mut self) -> Vec<(FenceTarget, FenceSwitch)> {
        let switched = std::mem::take(&mut self.switched).into_iter();
        let state = |target: &FenceTarget| match self.off.contains_key(target) {
            true => FenceSwitch::Off,
            false => FenceSwitch::AsWritten,
        };
        let said = switched.map(|target| {
            let switch = state(&target);
            (target, switch)
        });
        said.collect()
    }

    /// Takes what is to be written down (`None`: it is gone).
    pub(crate) fn take_changes(&mut self) -> Vec<(FenceTarget, Option<FenceOff>)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let written = changed.map(|target| {
            let off = self.off.get(&target).copied();
            (target, off)
        });
        written.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> FenceTarget {
        text.parse().unwrap()
    }

    #[test]
    fn a_decision_is_said_once_and_ends_after_its_last_second() {
        let (mut switches, web) = (Switches::default(), target("shop/web"));
        switches.switch_off(web.clone(), Some(100), 10);
        assert_eq!(switches.take_switched(), [(web.clone(), FenceSwitch::Off)]);
        let off = FenceOff { since: 10, until: Some(100), confirmed: None };
        assert_eq!(switches.take_changes(), [(web.clone(), Some(off))]);
        assert!(switches.confirm(&web, 12));
        switches.switch_off(web.clone(), Some(200), 50);
        assert!(switches.take_switched().is_empty(), "it is off already");
        let off = FenceOff { since: 10, until: Some(200), confirmed: Some(12) };
        assert_eq!(switches.take_changes(), [(web.clone(), Some(off))]);
        assert!(switches.end(200).is_empty());
        assert_eq!(switches.end(201), std::slice::from_ref(&web));
        assert_eq!(switches.take_switched(), [(web.clone(), FenceSwitch::AsWritten)]);
        assert_eq!(switches.take_changes(), [(web.clone(), None)]);
        assert!(!switches.confirm(&web, 300) && !switches.switch_back(&web));
    }

    #[test]
    fn what_was_written_down_is_said_again_and_not_written_again() {
        let (mut switches, shop) = (Switches::default(), target("shop"));
        switches.restore(shop.clone(), FenceOff { since: 1, until: None, confirmed: Some(2) });
        assert_eq!(switches.take_switched(), [(shop.clone(), FenceSwitch::Off)]);
        assert!(switches.take_changes().is_empty());
        assert!(switches.end(u64::MAX).is_empty(), "it has no end");
        assert!(switches.switch_back(&shop));
    }
}
