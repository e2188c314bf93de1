//! What is asked for, sent and acknowledged as a whole, or as a step from views to views.

use std::sync::Arc;

use super::{Holdings, Stage, Step, parse_version};
use crate::{
    state::{types::Held, views::Views},
    whole::{self, Whole},
};

impl Holdings {
    /// Whether nothing is held and nothing was asked for.
    fn is_new(&self) -> bool {
        self.base.facets.is_empty() && self.differing.is_empty() && self.naming.is_empty()
    }

    /// The proxy asks for all that `views` have of the type, by `names` or by none. Whether it can
    /// be answered as a whole: it holds nothing, and asks for all of it and nothing else.
    pub(in crate::state) fn ask_for_all(
        &mut self,
        views: &Views,
        names: Option<&[String]>,
    ) -> bool {
        let size = views.size(self.kind);
        if !self.is_new()
            || size == 0
            || names.is_some_and(|names| !views.are_all(self.kind, names))
        {
            return false;
        }
        (self.base, self.named, self.stage) = (views.clone(), names.is_some(), Stage::Due);
        true
    }

    /// All of the type, if nothing was asked for before and it is asked for now, by `names` or by
    /// none.
    fn asked_wholes(&self, views: &Views, names: Option<&[String]>) -> Option<Vec<Arc<Whole>>> {
        let is_all = names.is_none_or(|names| views.are_all(self.kind, names));
        (self.is_new() && is_all).then(|| views.wholes(self.kind)).flatten()
    }

    /// A proxy that came back asks for all that `views` have of the type, by `names` or by none, and
    /// holds `known`, sorted by name. Gives the names that are not as the views say; `None` if these are many, or
    /// if it asks for something else.
    pub(in crate::state) fn resume(
        &mut self,
        views: &Views,
        names: Option<&[String]>,
        known: &[(&str, &str)],
    ) -> Option<Vec<Arc<str>>> {
        let wholes = self.asked_wholes(views, names)?;
        let mut differing: Vec<(&Arc<str>, Option<u64>)> = Vec::new();
        let mut found = 0;
        for whole in &wholes {
            // Both are sorted by name.
            let mut known = known.iter().peekable();
            for resource in &whole.resources {
                let (name, version) = (resource.resource.name(), resource.resource.version());
                while known.next_if(|(other, _)| *other < &**name).is_some() {}
                let held = known.next_if(|(other, _)| *other == &**name);
                let held = held.map(|(_, version)| parse_version(version));
                found += usize::from(held.is_some());
                if held != Some(version) {
                    differing.push((name, held));
                }
            }
        }
        if found < known.len() || differing.len() > known.len() / 4 {
            return None;
        }
        (self.base, self.named) = (views.clone(), names.is_some());
        self.sum = whole::sum(&wholes);
        let differing = differing.into_iter().map(|(name, held)| {
            match held {
                Some(version) => self.set(name, Held::known(version)),
                None => self.remove(name),
            }
            name.clone()
        });
        Some(differing.collect())
    }

    /// The same for a proxy that holds `said`, which is the sum of the shares of all that it holds:
    /// whether that is what `views` say. `false` says nothing.
    pub(in crate::state) fn resume_all(
        &mut self,
        views: &Views,
        names: Option<&[String]>,
        said: u64,
    ) -> bool {
        let Some(wholes) = self.asked_wholes(views, names) else { return false };
        let sum = whole::sum(&wholes);
        if sum == said {
            (self.base, self.named, self.sum) = (views.clone(), names.is_some(), sum);
        }
        sum == said
    }

    /// Whether all of the base is asked for and none of it was sent.
    pub(in crate::state) fn is_due(&self) -> bool {
        self.stage == Stage::Due
    }

    /// Views have changed before all of it was sent. Whether the new ones can be sent as a whole.
    pub(in crate::state) fn follow(&mut self, views: &Views) -> bool {
        let follows = self.base.same(views, self.kind) || !self.named && views.size(self.kind) > 0;
        if follows {
            self.base = views.clone();
        }
        follows
    }

    /// All of the base is on its way.
    pub(in crate::state) fn send_all(&mut self, sum: u64) {
        (self.stage, self.sum) = (Stage::Sent, sum);
    }

    /// All of the base has arrived, or all of a step.
    pub(in crate::state) fn settle_all(&mut self) {
        self.stage = Stage::Settled;
        if let Some(step) = self.step.take() {
            self.base = step.to;
        }
    }

    /// The views of which the proxy holds all and has asked for all, if it holds and has asked for
    /// nothing else.
    pub(in crate::state) fn all_of(&self, wildcard: bool) -> Option<&Views> {
        let listed = self.differing.len() + self.naming.len();
        let is_all = self.stage == Stage::Settled && self.step.is_none() && listed == 0;
        (is_all && (self.named || wildcard) && !self.base.facets.is_empty()).then_some(&self.base)
    }

    /// What differs from the base in `to` is on its way; `None` if nothing does.
    pub(in crate::state) fn step(&mut self, to: &Views, sent: Option<Arc<Whole>>) {
        let added = to.sum(self.kind).wrapping_sub(self.base.sum(self.kind));
        self.sum = self.sum.wrapping_add(added);
        match sent {
            Some(sent) => self.step = Some(Step { to: to.clone(), sent }),
            None => self.base = to.clone(),
        }
    }

    /// Whether the proxy holds exactly what `views` say, and nothing else.
    pub(in crate::state) fn is_all_of(&self, views: &Views) -> bool {
        self.stage == Stage::Settled
            && self.differing.is_empty()
            && self.naming.is_empty()
            && self.step.is_none()
            && self.base.same(views, self.kind)
    }

    /// Whether something that is on its way as a whole names this cluster.
    pub(in crate::state) fn sends_reference(&self, cluster: &str) -> bool {
        self.stage == Stage::Sent && self.base.reference(cluster)
    }

    /// How many names are asked for, or on their way, as a whole.
    pub(in crate::state) fn open(&self) -> usize {
        match self.stage {
            Stage::Due | Stage::Sent => self.base.size(self.kind),
            Stage::Settled => self.step.as_ref().map_or(0, |step| step.sent.resources.len()),
        }
    }

    /// Lists what was treated as a whole, name by name. Gives the names.
    pub(in crate::state) fn list(&mut self) -> Vec<Arc<str>> {
        if let Some(step) = &self.step {
            let names = step.sent.resources.iter().map(|it| it.resource.name().clone());
            let names: Vec<Arc<str>> = names.collect();
            for name in &names {
                let held = self.get(name);
                self.differing.insert(name.clone(), held);
            }
            self.step = None;
            return names;
        }
        let names: Vec<Arc<str>> = self.base.names(self.kind).cloned().collect();
        for name in &names {
            let held = self.base.get(self.kind, name).and_then(|it| self.base_held(it));
            if let Some(held) = held {
                self.differing.entry(name.clone()).or_insert(Some(held));
            }
            if self.named {
                self.naming.entry(name.clone()).or_insert(true);
            }
        }
        (self.base, self.named, self.stage) = (Views::default(), false, Stage::Settled);
        names
    }
}
