//! When ServiceFences are to be looked at again because of the time.
//!
//! - The index decides what is over; it is told the time when something may be, and with every
//!   change after which something may have to wait.
//! - A mesh without fences is told no time at all.

use std::collections::{BTreeMap, BTreeSet};

use api::{Spec, slime::service_fence::ServiceFence};
use model::{Kind, ObjectKey};
use snapshot::Change;

/// What waits is looked at in steps of this part of its wait, so that no more of them are kept.
const STEPS: i64 = 60;

/// The times at which something about fences may be over.
#[derive(Debug)]
pub(super) struct FenceTimes {
    /// How long a dependency stays that nothing asks for any more, in seconds.
    wait: i64,
    /// The ends of the hosts of each fence.
    ends: BTreeMap<ObjectKey, BTreeSet<i64>>,
    waits: BTreeSet<i64>,
    told: i64,
}

impl FenceTimes {
    pub(super) fn new(wait: i64) -> Self {
        Self { wait, ends: BTreeMap::new(), waits: BTreeSet::new(), told: i64::MIN }
    }

    /// Something else waits until the end of each of these seconds.
    pub(super) fn wait_until(&mut self, ends: impl IntoIterator<Item = i64>) {
        self.waits.extend(ends.into_iter().map(|end| end.saturating_add(1)));
    }

    /// Takes note of what a batch says. If its reader needs to know the time, the batch begins with
    /// it.
    pub(super) fn take(&mut self, changes: &mut Vec<Change>, now: i64) {
        let mut is_concerned = false;
        for change in &*changes {
            let Some(key) = change.key() else { continue };
            match key.kind {
                Kind::ServiceFence => {
                    is_concerned = true;
                    match change {
                        Change::Put(object) => self.put(key, &object.spec),
                        _ => drop(self.ends.remove(key)),
                    }
                }
                Kind::Service | Kind::ServiceEntry | Kind::VirtualService => {
                    is_concerned |= !self.ends.is_empty();
                }
                _ => (),
            }
        }
        if is_concerned {
            changes.insert(0, Change::Time(now));
            self.told = now;
            if self.wait > 0 {
                let step = (self.wait / STEPS).max(1);
                let end = now.saturating_add(self.wait).saturating_add(1);
                self.waits.insert(end.div_euclid(step).saturating_add(1).saturating_mul(step));
            }
        }
    }

    fn put(&mut self, key: &ObjectKey, spec: &Spec) {
        let Spec::ServiceFence(fence) = spec else { return };
        self.ends.insert(key.clone(), ends(fence));
    }

    /// The next time at which something may be over.
    pub(super) fn next(&self) -> Option<i64> {
        let ends = self.ends.values();
        let ends = ends.filter_map(|ends| ends.range(self.told.saturating_add(1)..).next());
        ends.chain(self.waits.first()).min().copied()
    }

    /// The time, if it is to be told.
    pub(super) fn end(&mut self, now: i64) -> Option<Change> {
        if self.next().is_none_or(|next| next > now) {
            return None;
        }
        self.told = now;
        self.waits = self.waits.split_off(&now.saturating_add(1));
        Some(Change::Time(now))
    }
}

/// The seconds after which a host of a fence is over.
fn ends(fence: &ServiceFence) -> BTreeSet<i64> {
    let strategies = fence.spec.host.values();
    let ends = strategies.flat_map(|it| {
        let deadline = it.deadline.as_ref().and_then(|it| it.expire).map(|it| it.seconds);
        let length = it.auto.as_ref().and_then(|it| it.duration).map(|it| it.seconds);
        let called = it.recently_called.map(|it| it.seconds);
        let unused = called.zip(length).map(|(called, length)| called.saturating_add(length));
        deadline.into_iter().chain(unused)
    });
    ends.map(|end| end.saturating_add(1)).collect()
}

#[cfg(test)]
mod tests {
    use snapshot::Change;

    use super::FenceTimes;

    fn put(text: &str) -> Vec<Change> {
        let (objects, findings) = api::parse_documents("test.yaml", text.as_bytes());
        assert!(findings.is_empty(), "{findings:?}");
        objects.into_iter().map(Change::Put).collect()
    }

    fn fence(hosts: &str) -> Vec<Change> {
        put(&format!(
            "apiVersion: microservice.slime.io/v1alpha1\nkind: ServiceFence\n\
             metadata: {{name: web, namespace: shop}}\nspec: {{host: {{{hosts}}}}}\n"
        ))
    }

    fn service() -> Vec<Change> {
        put("apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec: {ports: []}\n")
    }

    /// Takes a batch; the time that it then begins with.
    fn take(times: &mut FenceTimes, mut changes: Vec<Change>, now: i64) -> Option<i64> {
        times.take(&mut changes, now);
        told(changes.first())
    }

    fn told(change: Option<&Change>) -> Option<i64> {
        match change {
            Some(Change::Time(now)) => Some(*now),
            _ => None,
        }
    }

    fn end(times: &mut FenceTimes, now: i64) -> Option<i64> {
        let change = times.end(now);
        told(change.as_ref())
    }

    #[test]
    fn a_deadline_is_told_after_its_second_and_once() {
        let mut times = FenceTimes::new(0);
        let hosts = "a.x: {deadline: {expire: {seconds: 100}}},
            b.x: {auto: {duration: {seconds: 50}}, RecentlyCalled: {seconds: 100}}";
        assert_eq!(take(&mut times, fence(hosts), 10), Some(10));
        assert_eq!(times.next(), Some(101));
        assert_eq!(end(&mut times, 100), None);
        assert_eq!(end(&mut times, 103), Some(103));
        assert_eq!(times.next(), Some(151));
        assert_eq!(end(&mut times, 151), Some(151));
        assert_eq!((times.next(), end(&mut times, 999)), (None, None));
    }

    #[test]
    fn what_waits_is_told_when_its_wait_is_over() {
        let mut times = FenceTimes::new(60);
        assert_eq!(take(&mut times, service(), 5), None, "there is no fence");
        assert_eq!(take(&mut times, fence(""), 10), Some(10));
        assert_eq!(take(&mut times, service(), 20), Some(20));
        assert_eq!(times.next(), Some(72));
        assert_eq!(end(&mut times, 71), None);
        assert_eq!(end(&mut times, 72), Some(72));
        assert_eq!(times.next(), Some(82));
        assert_eq!(end(&mut times, 90), Some(90));
        assert_eq!(times.next(), None);
    }

    #[test]
    fn what_waited_before_is_told_when_its_own_wait_is_over() {
        let mut times = FenceTimes::new(300);
        times.wait_until([120, 40]);
        assert_eq!(take(&mut times, fence(""), 50), Some(50));
        assert_eq!(end(&mut times, 50), Some(50), "it was over before");
        assert_eq!(times.next(), Some(121));
        assert_eq!(end(&mut times, 121), Some(121));
        assert!(times.next().is_some_and(|next| next > 350));
    }

    #[test]
    fn steps_keep_few_times() {
        let mut times = FenceTimes::new(86_400);
        take(&mut times, fence(""), 0);
        let batch = service();
        for now in 1..86_400 {
            take(&mut times, batch.clone(), now);
        }
        assert!(times.waits.len() <= 62, "{}", times.waits.len());
        assert!(times.next().is_some_and(|next| (86_401..=86_401 + 1_440 * 2).contains(&next)));
    }

    #[test]
    fn a_fence_that_goes_away_is_forgotten() {
        let mut times = FenceTimes::new(0);
        let changes = fence("a.x: {deadline: {expire: {seconds: 100}}}");
        let key = changes[0].key().unwrap().clone();
        take(&mut times, changes, 10);
        assert_eq!(take(&mut times, vec![Change::Delete(key)], 20), Some(20));
        assert_eq!(times.next(), None);
    }
}
