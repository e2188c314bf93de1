//! Tells streams what has changed, when it is time for that.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{Engine, FacetId, Lane, Letter, StreamId, gathered::News};

impl Engine {
    /// Does what is due by now: compiles, tells streams, and ends what nobody sees. Says when to look again. To be called
    /// after each command.
    pub(super) fn advance(&mut self, now: Instant) -> Option<Instant> {
        let due = self.advance_due(now);
        let round = self.rounds.until(Lane::Assignments, now);
        // What is half compiled is told with what cannot wait.
        let is_ready = self.batch.is_empty() || self.gathered.has_assignments();
        if round.is_none() && is_ready && !self.gathered.is_empty() {
            self.tell_gathered(now);
        }
        if self.gathered.is_empty() {
            let (due, batch) = (self.due.revisions(), self.batch.revisions());
            let oldest = due.first().into_iter().chain(batch.first()).min();
            self.told = oldest.map_or(self.snapshot.revision, |oldest| oldest.saturating_sub(1));
            self.tell_waiting();
        }
        let rest = self.end_unseen(now);
        let lanes = [Lane::Assignments, Lane::Structure];
        let rounds = lanes.into_iter().filter_map(|lane| self.rounds.until(lane, now));
        rounds.chain(due).chain(rest).min()
    }

    fn tell_gathered(&mut self, now: Instant) {
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.merge();
        let changed: Vec<FacetId> = gathered.facets().map(|(facet, _)| facet).collect();
        self.note_late_calls(&changed);
        let seen = gathered.facets().filter_map(|(facet, _)| self.facets.get(&facet));
        let mut told: BTreeSet<StreamId> = seen.flat_map(|it| &it.streams).copied().collect();
        told.extend(gathered.moved());
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        let mut news: Vec<(StreamId, News)> = Vec::with_capacity(told.len());
        for id in told {
            let Some(stream) = self.streams.get(&id) else { continue };
            let one = gathered.news(id, &stream.facets);
            for revision in &one.revisions {
                *counts.entry(*revision).or_default() += 1;
            }
            news.push((id, one));
        }
        // Streams look for it as soon as they are told.
        self.log.told(&counts, Instant::now());
        if news.is_empty() {
            return;
        }
        self.counters.rounds.inc();
        self.parcels.open();
        let tickets = self.rounds.begin(gathered.lane(), now, news.len());
        for ((id, News { changed, revisions }), ticket) in news.into_iter().zip(tickets) {
            let Some(stream) = self.streams.get(&id) else { continue };
            self.counters.notified.inc();
            let views = self.views(&stream.facets);
            let (tickets, found) = (vec![ticket], Vec::new());
            stream.mailbox.put(Letter { views, changed, revisions, tickets, found });
        }
    }

    fn tell_waiting(&mut self) {
        let now = self.told;
        let due = self.waiting.extract_if(.., |(revision, _)| *revision <= now);
        for (_, reply) in due {
            // Who has asked may have gone.
            let _ = reply.send(());
        }
    }
}
