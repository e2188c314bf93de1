//! The state of an authority as it is kept on disk: which files count, and how far a rotation is.
//!
//! - One small JSON file. Whatever it does not name is not part of the state.
//! - Pure: the steps of a rotation are functions from a state to the next one.
//!
//! A root is replaced in steps, each of which is safe for every certificate that is in use:
//!
//! | phase | trusted | issues | `next` after the longest life of a leaf |
//! |---|---|---|---|
//! | steady | A | A | (`start`) |
//! | trusting | A, B | A | → issuing |
//! | issuing | A, B | B | → steady, with B |
//! | reverting | A, B | A | → steady, with A |
//!
//! `abort` goes from trusting back to steady at once, because B has issued nothing yet; and from
//! issuing to reverting, because what B has issued must stay trusted while it is in use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The form that this version writes and reads.
const VERSION: u32 = 1;

/// What the files of a directory mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) version: u32,
    pub(crate) trust_domain: String,
    pub(crate) cluster: String,
    /// The intermediate that signs, and its root.
    pub(crate) issuer: Pair,
    /// The one that comes or goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) other: Option<Pair>,
    pub(crate) phase: Phase,
    /// When the phase began, in seconds since 1970.
    pub(crate) since: u64,
    /// The longest life, in seconds, that a leaf was ever given.
    pub(crate) longest_leaf: u64,
    /// What was done before its time, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) forced: Vec<Forced>,
}

/// An intermediate and the root that has signed it, by the names of their files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Pair {
    pub(crate) intermediate: String,
    pub(crate) root: String,
}

/// How far a rotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// One root, no rotation.
    Steady,
    /// Both roots are trusted; the old one issues.
    Trusting,
    /// Both roots are trusted; the new one issues.
    Issuing,
    /// The rotation was aborted: both roots are trusted; the old one issues again.
    Reverting,
}

/// A step that was taken before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Forced {
    at: u64,
    from: Phase,
    reason: String,
}

/// Why a step of a rotation is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// There is a rotation already.
    #[error("a rotation is under way: `rotate status` shows it, `next` or `abort` goes on with it")]
    UnderWay,
    /// There is no rotation.
    #[error("no rotation is under way: `rotate start` begins one")]
    NotUnderWay,
    /// The rotation is being undone.
    #[error("the rotation is being undone already: `next` ends that when its time has come")]
    Undone,
    /// Certificates that the step would break may still be in use.
    #[error(
        "{} too early: a certificate that was issued before this phase may be in use for that \
         long. Wait, or use `--force` with a reason", whole_seconds(*.0)
    )]
    TooEarly(Duration),
    /// The reason is missing.
    #[error("a step before its time needs a reason that can be read later")]
    NoReason,
}

/// A state that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Not the JSON that was written.
    #[error("it is damaged: restore it from a backup")]
    Damaged(#[source] serde_json::Error),
    /// Written by a later version of this program.
    #[error("it was written by a later version of this program (form {0}): use that version")]
    Later(u32),
}

/// Whether a step may be taken before its time, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Haste {
    /// Only when it breaks nothing.
    InTime,
    /// At once; the reason is kept.
    Forced(String),
}

impl State {
    /// The state of a new authority.
    pub(crate) fn new(
        (trust_domain, cluster): (&str, &str),
        issuer: Pair,
        leaf: Duration,
        now: SystemTime,
    ) -> Self {
        Self {
            version: VERSION,
            trust_domain: trust_domain.to_owned(),
            cluster: cluster.to_owned(),
            issuer,
            other: None,
            phase: Phase::Steady,
            since: seconds(now),
            longest_leaf: bound(leaf),
            forced: Vec::new(),
        }
    }

    /// Reads what [`State::render`] wrote.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, StateError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(bytes).map_err(StateError::Damaged)?;
        match version {
            VERSION => serde_json::from_slice(bytes).map_err(StateError::Damaged),
            later => Err(StateError::Later(later)),
        }
    }

    pub(crate) fn render(&self) -> String {
        // A state has only texts, numbers and enums: it can always be written.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The trusted roots, that of the issuer first.
    pub(crate) fn roots(&self) -> Vec<&str> {
        let mut roots = vec![self.issuer.root.as_str()];
        roots.extend(self.other.as_ref().map(|other| other.root.as_str()));
        roots
    }

    /// Whether a file's name is named by this state.
    pub(crate) fn names(&self, id: &str) -> bool {
        let pairs = std::iter::once(&self.issuer).chain(&self.other);
        pairs.into_iter().any(|pair| pair.intermediate == id || pair.root == id)
    }

    /// When the next step breaks nothing any more; `None` without a rotation.
    pub(crate) fn ready_at(&self) -> Option<SystemTime> {
        let wait = self.since.saturating_add(self.longest_leaf);
        (self.phase != Phase::Steady).then(|| UNIX_EPOCH + Duration::from_secs(wait))
    }

    /// Begins a rotation to a new pair.
    pub(crate) fn start(&self, new: Pair, now: SystemTime) -> Result<Self, StepError> {
        match self.phase {
            Phase::Steady => Ok(self.with(Phase::Trusting, self.issuer.clone(), Some(new), now)),
            Phase::Trusting | Phase::Issuing | Phase::Reverting => Err(StepError::UnderWay),
        }
    }

    /// Takes the next step.
    pub(crate) fn next(&self, now: SystemTime, haste: Haste) -> Result<Self, StepError> {
        let (Some(other), Some(ready_at)) = (&self.other, self.ready_at()) else {
            return Err(StepError::NotUnderWay);
        };
        let early = ready_at.duration_since(now).unwrap_or_default();
        let reason = match haste {
            Haste::InTime if early.is_zero() => None,
            Haste::InTime => return Err(StepError::TooEarly(early)),
            Haste::Forced(reason) if reason.trim().is_empty() => return Err(StepError::NoReason),
            Haste::Forced(reason) => (!early.is_zero()).then_some(reason),
        };
        let mut next = match self.phase {
            Phase::Trusting => {
                self.with(Phase::Issuing, other.clone(), Some(self.issuer.clone()), now)
            }
            Phase::Issuing | Phase::Reverting | Phase::Steady => {
                self.with(Phase::Steady, self.issuer.clone(), None, now)
            }
        };
        let forced = reason.map(|reason| Forced { at: seconds(now), from: self.phase, reason });
        next.forced.extend(forced);
        Ok(next)
    }

    /// Goes back to the old root.
    pub(crate) fn abort(&self, now: SystemTime) -> Result<Self, StepError> {
        match (self.phase, &self.other) {
            (Phase::Trusting, _) => Ok(self.with(Phase::Steady, self.issuer.clone(), None, now)),
            (Phase::Issuing, Some(old)) => {
                Ok(self.with(Phase::Reverting, old.clone(), Some(self.issuer.clone()), now))
            }
            (Phase::Reverting, _) => Err(StepError::Undone),
            (Phase::Steady, _) | (Phase::Issuing, None) => Err(StepError::NotUnderWay),
        }
    }

    fn with(&self, phase: Phase, issuer: Pair, other: Option<Pair>, now: SystemTime) -> Self {
        Self { phase, issuer, other, since: seconds(now), ..self.clone() }
    }
}

/// A life in whole seconds, not shorter than it is.
pub(crate) fn bound(lifetime: Duration) -> u64 {
    lifetime.as_secs().saturating_add(1)
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// As people write durations: the two largest units.
fn whole_seconds(duration: Duration) -> String {
    let total = duration.as_secs();
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m"),
    }
}
