//! Policies that hold for a while: the stage that knows the time.
//!
//! - An AuthorizationPolicy may say when it ends (`meltemi.io/expires-at`, RFC 3339). Whatever reads
//!   the mesh knows no clock: for it the policy goes away, as if somebody had deleted it.
//! - Nothing opens by itself but what was closed for a while: an allowance that ends allows nothing
//!   any more. If it went away, and were the last one, everything would be allowed.
//! - A time that cannot be read is no end: the policy stays, and is reported.
//! - Hosts of ServiceFences end too: what reads the mesh is told the time when it may matter.
//! - Not here: deleting files of policies that have ended (`serve` does, by what this says).

mod fences;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use api::{
    Object, Spec, Timestamp,
    istio::authorization_policy::{Action, AuthorizationPolicy},
};
use model::ObjectKey;
use snapshot::{Change, FencingSettings};
use tokio::{sync::mpsc, time};
use tokio_util::sync::CancellationToken;

use self::fences::FenceTimes;
use crate::{Findings, SourceEvent, SourceReceiver, SourceSender, SourceStatuses, codes};

/// The annotation with the time.
pub const EXPIRES_AT: &str = "meltemi.io/expires-at";
/// The annotation of policies that a command made, and [`MADE_BY_ACCESS`] its value: they are
/// deleted where they were written when they have ended.
pub const MADE_BY: &str = "meltemi.io/made-by";
/// The value of `meltemi access`.
pub const MADE_BY_ACCESS: &str = "access";
/// What the stage is called where sources have a name.
const NAME: &str = "expiry";
/// Clocks are set now and then: nothing is slept on for longer.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Ends policies that pass through it.
#[derive(Debug)]
pub struct ExpiryStage {
    statuses: SourceStatuses,
    /// Who is told of policies that have ended and were made by a command.
    ended: mpsc::UnboundedSender<ObjectKey>,
    timed: BTreeMap<ObjectKey, Timed>,
    fences: FenceTimes,
}

/// A policy with an end.
#[derive(Debug)]
struct Timed {
    object: Object,
    end: End,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum End {
    /// In seconds since the epoch.
    At(i64),
    Unreadable,
}

impl ExpiryStage {
    /// A stage, and the keys of policies that have ended and are to be deleted.
    #[must_use]
    pub fn new(statuses: SourceStatuses) -> (Self, mpsc::UnboundedReceiver<ObjectKey>) {
        let (ended, receiver) = mpsc::unbounded_channel();
        let fences = FenceTimes::new(FencingSettings::EXPIRE_WAIT);
        (Self { statuses, ended, timed: BTreeMap::new(), fences }, receiver)
    }

    /// The same with another wait (in seconds) of dependencies that nothing asks for any more.
    #[must_use]
    pub fn with_expire_wait(mut self, wait: i64) -> Self {
        self.fences = FenceTimes::new(wait);
        self
    }

    /// The same with dependencies that have waited since before the process began, each until the end
    /// of one of these seconds.
    #[must_use]
    pub fn with_waits(mut self, ends: impl IntoIterator<Item = i64>) -> Self {
        self.fences.wait_until(ends);
        self
    }

    /// Passes on what sources say until they are gone, nobody listens, or `shutdown`.
    pub async fn run(
        mut self,
        mut incoming: SourceReceiver,
        outgoing: SourceSender,
        shutdown: CancellationToken,
    ) {
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => return,
                event = incoming.recv() => match event {
                    Some(event) => Some(self.take(event, now())),
                    None => return,
                },
                () = time::sleep(self.sleep(now())) => self.end(now()),
            };
            if let Some(event) = event
                && outgoing.send(event).await.is_err()
            {
                return;
            }
        }
    }

    fn take(&mut self, event: SourceEvent, now: i64) -> SourceEvent {
        let SourceEvent::Changes { source, changes, diagnostics, received } = event else {
            return event;
        };
        let before = self.timed.len();
        let timed = changes.iter().filter(|change| is_timed(change)).count();
        let mut changes = changes.into_iter().map(|change| self.change(change, now)).collect();
        self.fences.take(&mut changes, now);
        if timed > 0 || self.timed.len() != before {
            self.report();
        }
        SourceEvent::Changes { source, changes, diagnostics, received }
    }

    fn change(&mut self, change: Change, now: i64) -> Change {
        if let Some(key) = change.key() {
            self.timed.remove(key);
        }
        let Change::Put(object) = change else { return change };
        let Some(end) = end_of(&object) else { return Change::Put(object) };
        let has_ended = end.is_over(now);
        let said = match has_ended {
            true => self.ended(&object),
            false => Change::Put(object.clone()),
        };
        self.timed.insert(object.key.clone(), Timed { object, end, has_ended });
        said
    }

    /// The policies whose time has come, and the time if it matters to fences.
    fn end(&mut self, now: i64) -> Option<SourceEvent> {
        let due = self.timed.values_mut().filter(|it| !it.has_ended && it.end.is_over(now));
        let due: Vec<Object> = due
            .map(|it| {
                it.has_ended = true;
                it.object.clone()
            })
            .collect();
        let time = self.fences.end(now);
        if due.is_empty() && time.is_none() {
            return None;
        }
        let ended = due.iter().map(|object| self.ended(object));
        let changes = time.into_iter().chain(ended).collect();
        if !due.is_empty() {
            self.report();
        }
        Some(SourceEvent::Changes {
            source: NAME.into(),
            changes,
            diagnostics: Findings::new(),
            received: Instant::now(),
        })
    }

    /// What a policy is after its end.
    fn ended(&self, object: &Object) -> Change {
        match &object.spec {
            Spec::AuthorizationPolicy(policy) if policy.action == Action::Allow => {
                let nothing = AuthorizationPolicy { rules: Vec::new(), ..(**policy).clone() };
                let meta = (*object.meta).clone();
                Change::Put(Object::new(meta, nothing.into(), object.location.clone()))
            }
            _ => {
                let made_by = object.meta.annotations.get(MADE_BY).map(String::as_str);
                if made_by == Some(MADE_BY_ACCESS) {
                    // Whoever listened may have gone; the policy has no effect all the same.
                    let _ = self.ended.send(object.key.clone());
                }
                Change::Delete(object.key.clone())
            }
        }
    }

    /// How long until the next end.
    fn sleep(&self, now: i64) -> Duration {
        let open = self.timed.values().filter(|it| !it.has_ended);
        let ends = open.filter_map(|it| match it.end {
            End::At(end) => Some(end),
            End::Unreadable => None,
        });
        let next = ends
            .chain(self.fences.next())
            .min()
            .map(|end| u64::try_from(end - now).unwrap_or_default());
        next.map_or(LONGEST_SLEEP, Duration::from_secs).min(LONGEST_SLEEP)
    }

    fn report(&self) {
        let mut findings = Findings::new();
        for timed in self.timed.values() {
            let finding = match (timed.end, timed.has_ended) {
                (End::Unreadable, _) => codes::EXPIRY_UNREADABLE
                    .diagnostic("the time at which the policy expires cannot be read")
                    .hint("write it as 2026-01-31T12:00:00Z"),
                (End::At(_), true) => expired(&timed.object),
                (End::At(_), false) => continue,
            };
            let field = format!("metadata.annotations[\"{EXPIRES_AT}\"]");
            let finding = finding.object(timed.object.key.clone()).field(field);
            let finding = finding.at(timed.object.location.clone());
            let file = timed.object.location.file.clone();
            findings.entry(file).or_default().push(finding);
        }
        let (name, findings): (Arc<str>, _) = (NAME.into(), Arc::new(findings));
        self.statuses.update(&name, |status| {
            status.synced = true;
            status.objects = self.timed.len();
            status.findings = findings.clone();
        });
    }
}

fn expired(object: &Object) -> model::Diagnostic {
    let (message, hint) = match &object.spec {
        Spec::AuthorizationPolicy(policy) if policy.action == Action::Allow => {
            ("the policy has expired, and allows nothing any more", "delete or renew it")
        }
        _ => ("the policy has expired, and has no effect", "delete it"),
    };
    codes::EXPIRED.diagnostic(message).hint(hint)
}

impl End {
    fn is_over(self, now: i64) -> bool {
        match self {
            Self::At(end) => end <= now,
            Self::Unreadable => false,
        }
    }
}

fn is_timed(change: &Change) -> bool {
    matches!(change, Change::Put(object) if end_of(object).is_some())
}

/// When a policy ends, if it says so.
fn end_of(object: &Object) -> Option<End> {
    if !matches!(object.spec, Spec::AuthorizationPolicy(_)) {
        return None;
    }
    let text = object.meta.annotations.get(EXPIRES_AT)?;
    Some(text.parse().map_or(End::Unreadable, |time: Timestamp| End::At(time.0)))
}

/// In seconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
