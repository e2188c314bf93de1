//! What a workload begins with: what its siblings called.

use std::collections::BTreeMap;

use model::{Hostname, Name, WorkloadKey};

use super::Book;
use crate::{Sensors, edge::Edge};

impl Book {
    /// A workload of `application` is there. If nothing was ever known of it, it begins with what
    /// the other workloads of this application in its namespace call; one of them is its revision
    /// before. Whether its set has changed.
    pub fn meet(&mut self, workload: &WorkloadKey, application: &Name, now: u64) -> bool {
        if super::is_nonsense(workload, &Hostname::new(application.as_str())) {
            return false;
        }
        let entry = self.workload(workload, now);
        entry.heard = entry.heard.max(now);
        let is_news = entry.application.as_ref() != Some(application);
        if is_news {
            entry.application = Some(application.clone());
        }
        if !entry.is_blank() {
            if is_news {
                self.changed.insert(workload.clone());
            }
            return false;
        }
        let room =
            self.settings.max_targets.min(self.settings.max_edges.saturating_sub(self.edges));
        let seeds = self.seeds(workload, application, room);
        let has_changed = !seeds.is_empty();
        for (host, sensors) in seeds {
            self.insert(workload, Edge { sensors, is_seeded: true, ..Edge::new(host, now) }, now);
        }
        has_changed
    }

    /// At most `room` hosts that siblings call, those that they call most, and by which sensors
    /// that is known: who would see the sibling's calls would see this one's.
    fn seeds(
        &self,
        workload: &WorkloadKey,
        application: &Name,
        room: usize,
    ) -> Vec<(Hostname, Sensors)> {
        let from = WorkloadKey { namespace: workload.namespace.clone(), name: Name::from("") };
        let siblings = self
            .workloads
            .range(from..)
            .take_while(|(key, _)| key.namespace == workload.namespace)
            .filter(|(key, it)| *key != workload && it.application.as_ref() == Some(application));
        let mut found: BTreeMap<&Hostname, (Sensors, f32)> = BTreeMap::new();
        // What nobody has called is not passed on again and again.
        let edges = siblings.flat_map(|(_, it)| &it.edges).filter(|edge| !edge.is_seeded);
        for edge in edges {
            let (sensors, score) = found.entry(&edge.host).or_default();
            *sensors = sensors.union(edge.sensors);
            *score = score.max(edge.score);
        }
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_by(|(_, (_, one)), (_, (_, other))| other.total_cmp(one));
        found.truncate(room);
        found.into_iter().map(|(host, (sensors, _))| (host.clone(), sensors)).collect()
    }
}
