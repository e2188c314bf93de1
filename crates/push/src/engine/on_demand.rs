//! Questions of proxies for virtual hosts.

use std::sync::Arc;

use model::{Hostname, WorkloadKey};

use super::{Engine, FacetId, Letter, StreamId, gathered::News};
use crate::facet::{Answer, Facet};

impl Engine {
    /// Answers what a proxy asks, and widens the scope of its class for that if need be. Every
    /// question has an answer in the end, or the request that it comes from would wait in vain. Gives
    /// what the class has called.
    pub(super) fn on_questions(
        &mut self,
        id: StreamId,
        questions: &[Arc<str>],
    ) -> Vec<(WorkloadKey, Hostname)> {
        let facet = self.streams.get(&id).and_then(|stream| stream.facets.first()).copied();
        let Some(facet) = facet else { return Vec::new() };
        self.counters.questions.add(questions.len());
        let open = self.unanswered(facet, questions);
        let jobs = self.change(facet, |it| it.ask(&open));
        self.compile_now(facet, jobs);
        let open = self.unanswered(facet, &open);
        let jobs = self.change(facet, |it| it.refuse(&open));
        self.compile_now(facet, jobs);
        let Some(entry) = self.facets.get(&facet) else { return Vec::new() };
        let found = questions.iter();
        let found: Vec<_> =
            found.filter_map(|it| Some((it.clone(), entry.facet.answer(it)?))).collect();
        self.counters.dropped.add(questions.len() - found.len());
        for (_, answer) in &found {
            match entry.facet.judge(answer) {
                Answer::Known => self.counters.known.inc(),
                Answer::Unknown => self.counters.unknown.inc(),
                Answer::Closed => self.counters.closed.inc(),
            }
        }
        if let Some(stream) = self.streams.get(&id) {
            let views = self.views(&stream.facets);
            // The others of the class are told in the next round, and this one once more.
            let News { changed, .. } = self.gathered.news(id, &stream.facets);
            let (revisions, tickets) = Default::default();
            stream.mailbox.put(Letter { views, changed, revisions, tickets, found });
        }
        self.change(facet, Facet::take_called)
    }

    fn unanswered(&self, facet: FacetId, questions: &[Arc<str>]) -> Vec<Arc<str>> {
        let Some(entry) = self.facets.get(&facet) else { return Vec::new() };
        let open = questions.iter().filter(|it| entry.facet.answer(it).is_none());
        open.cloned().collect()
    }

    pub(super) fn change<T: Default>(
        &mut self,
        facet: FacetId,
        change: impl FnOnce(&mut Facet) -> T,
    ) -> T {
        let entry = self.facets.get_mut(&facet);
        entry.map(|entry| change(Arc::make_mut(&mut entry.facet))).unwrap_or_default()
    }
}
