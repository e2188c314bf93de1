//! What fences save: what the proxies of a class hold, against what they would hold without one.
//!
//! - What a class would hold is compiled when somebody asks, aside from the engine, and is kept for
//!   the next who asks: never with a change, and never for each proxy.
//! - Classes that differ in their fences alone would hold the same. It is compiled once for them.
//! - Who only scrapes gets what is known, and has it brought up to date in the background, with long
//!   pauses in between.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use compile::Client;
use model::{Proxy, WorkloadKey};
use push::{FencedClass, Reckoner, Sizes};
use snapshot::Snapshot;

use crate::Shared;

/// So long is compiled for one question at most; what is left is not known then.
const LIMIT: Duration = Duration::from_secs(5);
/// The shortest pause between two measurements in the background, and how many times as long as the
/// last one a pause is at least.
const PAUSE: Duration = Duration::from_secs(60);
const SHARE: u32 = 100;

/// What is known of sizes. Shared by all who ask.
#[derive(Debug, Default)]
pub(crate) struct Savings {
    known: Mutex<HashMap<Client, Measured>>,
    /// Held while somebody measures; when that may be done in the background again.
    measuring: Arc<tokio::sync::Mutex<Option<Instant>>>,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    revision: u64,
    sizes: Sizes,
}

/// A class, and what its fence saves each of its proxies.
#[derive(Clone, Debug)]
pub(crate) struct ClassSavings {
    pub(crate) class: FencedClass,
    pub(crate) held: Sizes,
    /// Without its fence; `None` where that is not known yet.
    pub(crate) full: Option<Sizes>,
}

impl ClassSavings {
    /// What one proxy is not sent.
    pub(crate) fn saved(&self) -> Option<Sizes> {
        let full = self.full?;
        Some(Sizes {
            resources: full.resources.saturating_sub(self.held.resources),
            bytes: full.bytes.saturating_sub(self.held.bytes),
        })
    }
}

/// A class without its fence, and one of its proxies.
type Unfenced = (Client, Arc<Proxy>);

impl Savings {
    /// The classes with a fence, of all workloads or of one, their sizes of the newest revision as far
    /// as time allows. `None`
    /// when the process is ending.
    pub(crate) async fn measure(
        &self,
        admin: &Shared,
        only: Option<&WorkloadKey>,
    ) -> Option<Vec<ClassSavings>> {
        let mut classes = admin.engine.fenced_classes().await?;
        let snapshot = admin.writer.read(|index| index.snapshot()).await?;
        let mut pause = self.measuring.lock().await;
        self.forget_all_but(&classes);
        let is_asked_for = |class: &FencedClass| {
            only.is_none_or(|only| class.client.fence.iter().any(|it| it.workload == *only))
        };
        classes.retain(is_asked_for);
        let open = self.open(&classes, &snapshot);
        if !open.is_empty() {
            let (measured, pause_until) = measure(open, snapshot).await?;
            self.keep(measured);
            *pause = Some(pause_until);
        }
        Some(self.known(classes))
    }

    /// The same with what is known already; it may be of an older revision.
    pub(crate) async fn look(self: &Arc<Self>, admin: &Shared) -> Option<Vec<ClassSavings>> {
        let classes = admin.engine.fenced_classes().await?;
        let snapshot = admin.writer.read(|index| index.snapshot()).await?;
        self.forget_all_but(&classes);
        let open = self.open(&classes, &snapshot);
        if let Ok(mut pause) = self.measuring.clone().try_lock_owned()
            && !open.is_empty()
            && pause.is_none_or(|until| until <= Instant::now())
        {
            let savings = self.clone();
            tokio::spawn(async move {
                if let Some((measured, pause_until)) = measure(open, snapshot).await {
                    savings.keep(measured);
                    *pause = Some(pause_until);
                }
            });
        }
        Some(self.known(classes))
    }

    /// What no class needs any more is forgotten.
    fn forget_all_but(&self, classes: &[FencedClass]) {
        let needed: HashSet<Client> = classes.iter().map(|it| unfenced(&it.client)).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|client, _| needed.contains(client));
    }

    /// What must be compiled to know all of this revision.
    fn open(&self, classes: &[FencedClass], snapshot: &Snapshot) -> Vec<Unfenced> {
        let needed = classes.iter().map(|class| (unfenced(&class.client), class.proxy.clone()));
        let mut needed: HashMap<Client, Arc<Proxy>> = needed.collect();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = |client: &Client| {
            known.get(client).is_none_or(|measured| measured.revision != snapshot.revision)
        };
        needed.retain(|client, _| is_open(client));
        let mut open: Vec<Unfenced> = needed.into_iter().collect();
        // Those first of which nothing is known.
        open.sort_by(|(a, _), (b, _)| (known.contains_key(a), a).cmp(&(known.contains_key(b), b)));
        open
    }

    fn keep(&self, measured: Vec<(Client, Measured)>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(measured);
    }

    fn known(&self, classes: Vec<FencedClass>) -> Vec<ClassSavings> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let look = |class: FencedClass| ClassSavings {
            held: Sizes::of(class.views.iter().map(|view| &**view)),
            full: known.get(&unfenced(&class.client)).map(|measured| measured.sizes),
            class,
        };
        classes.into_iter().map(look).collect()
    }
}

/// The class as it would be without its fence.
pub(crate) fn unfenced(client: &Client) -> Client {
    Client { fence: None, ..client.clone() }
}

/// Compiles as many as it can in time, and says when to do so again.
async fn measure(
    open: Vec<Unfenced>,
    snapshot: Arc<Snapshot>,
) -> Option<(Vec<(Client, Measured)>, Instant)> {
    let measuring = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        let mut reckoner = Reckoner::new(&snapshot);
        let mut measured = Vec::with_capacity(open.len());
        for (client, proxy) in open {
            if begun.elapsed() > LIMIT {
                break;
            }
            let sizes = reckoner.outbound(&client, &proxy);
            measured.push((client, Measured { revision: snapshot.revision, sizes }));
        }
        (measured, Instant::now() + (begun.elapsed() * SHARE).max(PAUSE))
    });
    // A task that panicked has said so.
    measuring.await.ok()
}
