//! Questions of proxies for virtual hosts and clusters.

use std::sync::Arc;

use model::{Hostname, WorkloadKey};

use super::{Engine, FacetId, Letter, StreamId, gathered::News};
use crate::{
    Counters,
    facet::{Answer, Facet},
    kind::asks_for_cluster,
    state::OpenQuestions,
};

impl Engine {
    /// Answers what a proxy asks, and widens the scope of its class for that if need be. Every
    /// question has an answer in the end, or the request that it comes from would wait in vain. Gives
    /// what the class has called.
    pub(super) fn on_questions(
        &mut self,
        id: StreamId,
        questions: OpenQuestions,
    ) -> Vec<(WorkloadKey, Hostname)> {
        let facet = self.streams.get(&id).and_then(|stream| stream.facets.first()).copied();
        let Some(facet) = facet else { return Vec::new() };
        let OpenQuestions { new, again } = questions;
        let questions: Vec<Arc<str>> = new.iter().chain(&again).cloned().collect();
        let open = self.unanswered(facet, &questions);
        let jobs = self.change(facet, |it| it.ask(&open));
        self.compile_now(facet, jobs);
        let open = self.unanswered(facet, &open);
        let jobs = self.change(facet, |it| it.refuse(&open));
        self.compile_now(facet, jobs);
        let Some(entry) = self.facets.get(&facet) else { return Vec::new() };
        let mut found = Vec::with_capacity(questions.len());
        for (at, question) in questions.into_iter().enumerate() {
            let answer = entry.facet.answer(&question);
            // Each question counts once, as what came of it at first.
            if at < new.len() {
                self.count(&entry.facet, &question, answer.as_deref());
            }
            found.extend(answer.map(|answer| (question, answer)));
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

    fn count(&self, facet: &Facet, question: &str, answer: Option<&str>) {
        let Counters { questions, known, unknown, closed, dropped, .. } = &*self.counters;
        questions.inc();
        match answer.map(|answer| facet.judge(answer)) {
            Some(Answer::Known) => known.inc(),
            Some(Answer::Unknown) => unknown.inc(),
            Some(Answer::Closed) => closed.inc(),
            // A connection is refused.
            None if asks_for_cluster(question) => unknown.inc(),
            None => dropped.inc(),
        }
    }

    /// Streams are about to be told of these facets. What their classes were found to have called, as
    /// a host has come to exist, is for whoever of them looks first.
    pub(super) fn note_late_calls(&mut self, told: &[FacetId]) {
        for id in told {
            let has_called = self.facets.get(id).is_some_and(|entry| entry.facet.has_called());
            if has_called {
                let called = self.change(*id, Facet::take_called);
                self.late.add(called);
            }
        }
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
