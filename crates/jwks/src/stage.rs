//! The stage between sources and store: what they say, with the keys that it asks for.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant as StdInstant},
};

use model::{Diagnostic, Diagnostics, ObjectKey, Severity};
use snapshot::{Change, KeySource};
use source::{Findings, SourceEvent, SourceReceiver, SourceSender, SourceStatuses};
use tokio::{
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::{
    FetchError, Fetcher, KeyMetrics, codes,
    fetch::fetch_keys,
    wanted::{Want, Wanted},
};

/// What the stage is called where sources have a name.
const NAME: &str = "jwks";

/// How keys are kept up to date.
#[derive(Clone, Copy, Debug)]
pub struct KeySettings {
    /// How old a set gets.
    pub refresh: Duration,
    /// When a failed fetch is tried again first; each further time is twice as long.
    pub first_retry: Duration,
    pub last_retry: Duration,
    /// How long the start waits for keys.
    pub patience: Duration,
}

impl KeySettings {
    /// istiod's switch for [`Self::refresh`].
    pub const REFRESH_SWITCH: &str = "PILOT_JWT_PUB_KEY_REFRESH_INTERVAL";
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(20 * 60),
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_secs(5 * 60),
            patience: Duration::from_secs(6),
        }
    }
}

/// Fetches keys for what passes through it.
pub struct KeyStage<F> {
    settings: KeySettings,
    fetcher: F,
    metrics: KeyMetrics,
    statuses: SourceStatuses,
    wanted: Wanted,
    sets: BTreeMap<KeySource, KeySet>,
    running: JoinSet<(KeySource, Result<String, FetchError>)>,
    /// What sources have said at their start, until the first keys are there.
    held: Vec<SourceEvent>,
    patient_until: Option<Instant>,
}

/// What is known of one source.
struct KeySet {
    want: Want,
    keys: Option<String>,
    failures: u32,
    /// Why the newest fetch failed.
    error: Option<String>,
    /// `None` while it is fetched.
    next: Option<Instant>,
    tried: bool,
}

impl<F: Fetcher> KeyStage<F> {
    pub fn new(
        settings: KeySettings,
        fetcher: F,
        metrics: KeyMetrics,
        statuses: SourceStatuses,
    ) -> Self {
        Self {
            settings,
            fetcher,
            metrics,
            statuses,
            wanted: Wanted::default(),
            sets: BTreeMap::new(),
            running: JoinSet::new(),
            held: Vec::new(),
            patient_until: None,
        }
    }

    /// Passes on what sources say until they are gone, nobody listens, or `shutdown`.
    pub async fn run(
        mut self,
        mut incoming: SourceReceiver,
        outgoing: SourceSender,
        shutdown: CancellationToken,
    ) {
        loop {
            self.start_due();
            let next = self.sets.values().filter_map(|set| set.next).min();
            let waiting = [next, self.patient_until].into_iter().flatten().min();
            let alarm = async {
                match waiting {
                    Some(at) => time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let said = tokio::select! {
                () = shutdown.cancelled() => return,
                event = incoming.recv() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                Some(done) = self.running.join_next() => match done {
                    Ok((source, result)) => self.finish(source, result),
                    Err(_) => Vec::new(),
                },
                () = alarm => Vec::new(),
            };
            let released = self.release();
            for event in said.into_iter().chain(released) {
                if outgoing.send(event).await.is_err() {
                    return;
                }
            }
        }
    }

    /// What an event comes to: itself, and keys that nobody wants any more.
    fn take(&mut self, event: SourceEvent) -> Vec<SourceEvent> {
        let mut said = Vec::new();
        if let SourceEvent::Changes { changes, .. } = &event {
            // All of them are noted, not only the first that changes something.
            let changed = changes.iter().filter(|change| self.wanted.note(change)).count();
            if changed > 0 {
                said.extend(self.reconcile());
            }
        }
        match &event {
            SourceEvent::Synced { .. } if self.is_waiting() => {
                self.patient_until = Some(Instant::now() + self.settings.patience);
                self.held.push(event);
            }
            // The order is kept.
            _ if !self.held.is_empty() => self.held.push(event),
            _ => said.insert(0, event),
        }
        said
    }

    /// Whether a set was never tried for.
    fn is_waiting(&self) -> bool {
        self.sets.values().any(|set| !set.tried)
    }

    /// What was held, once there is nothing more to wait for.
    fn release(&mut self) -> Vec<SourceEvent> {
        let Some(until) = self.patient_until else { return Vec::new() };
        if self.is_waiting() && Instant::now() < until {
            return Vec::new();
        }
        self.patient_until = None;
        std::mem::take(&mut self.held)
    }

    /// Begins and ends what the objects want and no longer want.
    fn reconcile(&mut self) -> Option<SourceEvent> {
        let wants = self.wanted.sources();
        let gone: Vec<KeySource> =
            self.sets.keys().filter(|source| !wants.contains_key(*source)).cloned().collect();
        let forgotten = gone
            .iter()
            .filter(|source| self.sets.remove(*source).is_some_and(|set| set.keys.is_some()));
        let changes: Vec<Change> =
            forgotten.map(|source| Change::KeySet((*source).clone(), None)).collect();
        for (source, want) in wants {
            match self.sets.get_mut(&source) {
                Some(set) => set.want = want,
                None => {
                    self.sets.insert(source, KeySet::new(want));
                }
            }
        }
        self.report();
        (!changes.is_empty()).then(|| said(changes))
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for (source, set) in &mut self.sets {
            if set.next.is_some_and(|at| at <= now) {
                set.next = None;
                let (source, limit) = (source.clone(), set.want.limit);
                let fetcher = self.fetcher.clone();
                self.running.spawn(async move {
                    let result = fetch_keys(&source, limit, &fetcher).await;
                    (source, result)
                });
            }
        }
    }

    fn finish(
        &mut self,
        source: KeySource,
        result: Result<String, FetchError>,
    ) -> Vec<SourceEvent> {
        // Nobody wants it any more.
        let Some(set) = self.sets.get_mut(&source) else { return Vec::new() };
        set.tried = true;
        let changed = match result {
            Ok(keys) => {
                self.metrics.success.inc();
                (set.failures, set.error) = (0, None);
                set.next = Some(Instant::now() + jitter(self.settings.refresh));
                let changed = set.keys.as_ref() != Some(&keys);
                set.keys = Some(keys.clone());
                changed.then_some(Change::KeySet(source, Some(keys)))
            }
            Err(error) => {
                self.metrics.fail.inc();
                let error = chain(&error);
                tracing::warn!(%source, error, "Keys could not be fetched");
                set.error = Some(error);
                let longer = self.settings.first_retry.saturating_mul(1 << set.failures.min(16));
                set.next = Some(Instant::now() + jitter(longer.min(self.settings.last_retry)));
                set.failures += 1;
                None
            }
        };
        self.report();
        changed.into_iter().map(|change| said(vec![change])).collect()
    }

    /// The findings of now, where those of sources are.
    fn report(&self) {
        let mut findings = Findings::new();
        for (source, set) in &self.sets {
            let Some(error) = &set.error else { continue };
            let mut diagnostics = Diagnostics::default();
            for object in &set.want.objects {
                diagnostics.push(finding(source, set, error, object));
            }
            findings.insert(source.to_string().into(), diagnostics);
        }
        let (findings, fetched) = (Arc::new(findings), self.sets.values());
        let fetched = fetched.filter(|set| set.keys.is_some()).count();
        let name: Arc<str> = NAME.into();
        let known = self.statuses.get(NAME);
        if known.is_none() && self.sets.is_empty() {
            return;
        }
        self.statuses.update(&name, |status| {
            status.synced = true;
            status.objects = fetched;
            status.findings = findings.clone();
        });
    }
}

impl KeySet {
    fn new(want: Want) -> Self {
        let (keys, error, next) = (None, None, Some(Instant::now()));
        Self { want, keys, failures: 0, error, next, tried: false }
    }
}

fn finding(source: &KeySource, set: &KeySet, error: &str, object: &ObjectKey) -> Diagnostic {
    let (severity, meaning) = match set.keys {
        Some(_) => (Severity::Warning, "the last good keys are used meanwhile"),
        None => (Severity::Error, "tokens of this issuer are refused until there are keys"),
    };
    let message = format!("the keys of {source} could not be fetched: {error}");
    let finding = Diagnostic::new(severity, codes::NOT_FETCHED.code, message);
    finding.object(object.clone()).hint(meaning)
}

fn said(changes: Vec<Change>) -> SourceEvent {
    SourceEvent::Changes {
        source: NAME.into(),
        changes,
        diagnostics: Findings::new(),
        received: StdInstant::now(),
    }
}

/// Ten percent more or less, so that sets do not expire together.
fn jitter(length: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0) % 2_001;
    length.mul_f64(0.9 + random as f64 / 10_000.0)
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
