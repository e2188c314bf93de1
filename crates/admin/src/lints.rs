//! What is wrong between the objects in effect, worked out when somebody asks.
//!
//! - Beside the way of the data: on a thread for slow work, from a revision that nobody waits for.
//! - Once for each state of the objects, however many ask.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use lint::{LintInput, lint, lint_order};
use model::Diagnostic;
use snapshot::Snapshot;
use store::{DryRun, WriterHandle};
use tokio::sync::Mutex;

/// How long a finding about the age of a certificate may be late.
const AGE: Duration = Duration::from_secs(3600);

/// The findings of the objects that were judged last.
#[derive(Debug, Default)]
pub(crate) struct Lints(Mutex<Option<Known>>);

#[derive(Debug)]
struct Known {
    /// The number of edits, and the hour.
    of: (u64, u64),
    findings: Arc<Vec<Diagnostic>>,
}

impl Lints {
    /// The findings about the objects as they are now. Empty when the writer has ended.
    pub(crate) async fn current(&self, writer: &WriterHandle) -> Arc<Vec<Diagnostic>> {
        // Held while it is worked out: who asks meanwhile is given the same.
        let mut known = self.0.lock().await;
        let Some(snapshot) = writer.read(|index| index.snapshot()).await else {
            return Arc::default();
        };
        let of = (snapshot.objects().edits(), seconds() / AGE.as_secs());
        if let Some(known) = known.as_ref().filter(|known| known.of == of) {
            return known.findings.clone();
        }
        let findings = Arc::new(judge(snapshot).await);
        *known = Some(Known { of, findings: findings.clone() });
        findings
    }

    /// What a change would bring: findings that there are not now, and parts that have an order.
    pub(crate) async fn brought_by(&self, run: &DryRun, writer: &WriterHandle) -> Vec<Diagnostic> {
        let Some(before) = writer.read(|index| index.snapshot()).await else { return Vec::new() };
        let known = self.current(writer).await;
        let after = run.snapshot.clone();
        let mut brought = judge(after.clone()).await;
        brought.retain(|finding| !known.contains(finding));
        brought.extend(blocking(move || lint_order(&before, &after)).await);
        brought
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

async fn judge(snapshot: Arc<Snapshot>) -> Vec<Diagnostic> {
    let now = i64::try_from(seconds()).ok();
    blocking(move || lint(&LintInput { snapshot: &snapshot, now })).await
}

/// A check that fails must not take the answer with it.
async fn blocking(work: impl FnOnce() -> Vec<Diagnostic> + Send + 'static) -> Vec<Diagnostic> {
    let result = tokio::task::spawn_blocking(work).await;
    result.unwrap_or_else(|error| {
        tracing::error!(%error, "Checking the objects failed");
        Vec::new()
    })
}
