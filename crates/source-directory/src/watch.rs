//! Events of the kernel → the paths to look at again.
//!
//! - Nothing queues up: events of the same path are merged, and very many become one full look.
//! - A directory is watched once, whatever paths lead to it.
//! - An event is a hint and never a fact: what it says is looked up on disk.
//! - Not here: what is done with the paths (`tracker`).

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use model::Diagnostics;
use notify::{
    ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind},
};
use source::Findings;

use crate::{
    codes, place,
    scan::{self, Inode, Scan},
};

/// More paths than this are not remembered one by one.
const MOST_PATHS: usize = 10_000;

/// What happened to a path, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// Its attributes changed.
    Noticed,
    /// It was created and is perhaps still empty.
    Created,
    /// It was written to, and its writer has not closed it since.
    Writing,
    /// It is what it should be, or gone.
    Settled,
}

/// What happened since the last time of asking.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) paths: BTreeMap<PathBuf, Touch>,
    /// Something happened that cannot be said by paths.
    pub(crate) rescan: bool,
    /// When the first of it was noticed.
    pub(crate) received: Option<Instant>,
}

/// What the kernel said, waiting to be taken.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    wake: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct State {
    interests: BTreeMap<PathBuf, Interest>,
    /// Watched directories that were moved or removed.
    lost: BTreeSet<PathBuf>,
    touched: Touched,
}

/// Why a directory is watched.
#[derive(Clone, Debug, Default)]
struct Interest {
    /// The paths under which its entries are seen; none when only some names matter.
    listed: BTreeSet<PathBuf>,
    /// Entries that are seen under other paths.
    names: BTreeMap<OsString, BTreeSet<PathBuf>>,
}

impl Inbox {
    /// Waits until something has happened. Safe to cancel.
    pub(crate) async fn wait(&self) {
        self.wake.notified().await;
    }

    /// Whether all that has happened is that files were put in place, or taken away.
    pub(crate) fn is_settled(&self) -> bool {
        let touched = &self.lock().touched;
        !touched.rescan && touched.paths.values().all(|touch| *touch == Touch::Settled)
    }

    pub(crate) fn take(&self) -> Touched {
        std::mem::take(&mut self.lock().touched)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, event: notify::Result<Event>) {
        let mut state = self.lock();
        let is_relevant = match event {
            Ok(event) if !event.need_rescan() => state.event(&event),
            Ok(_) | Err(_) => {
                state.touched.rescan = true;
                true
            }
        };
        if is_relevant {
            state.touched.received.get_or_insert_with(Instant::now);
            drop(state);
            self.wake.notify_one();
        }
    }
}

impl State {
    /// Whether the event matters.
    fn event(&mut self, event: &Event) -> bool {
        let Some(touch) = classify(event.kind) else { return false };
        let mut is_relevant = false;
        for path in &event.paths {
            is_relevant |= self.path(path, touch, event.kind);
        }
        is_relevant
    }

    fn path(&mut self, path: &Path, touch: Touch, kind: EventKind) -> bool {
        let is_move = matches!(
            kind,
            EventKind::Remove(_) | EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_))
        );
        let mut is_relevant = false;
        if is_move && self.interests.contains_key(path) {
            self.lost.insert(path.to_owned());
            self.touched.rescan = true;
            is_relevant = true;
        }
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return is_relevant;
        };
        let Some(interest) = self.interests.get(directory) else { return is_relevant };
        let mut seen: Vec<PathBuf> =
            interest.names.get(name).into_iter().flatten().cloned().collect();
        if place::is_ignored(name) {
            // A mounted ConfigMap changes by a rename of its hidden `..data`.
            let is_swap = is_move && name.as_encoded_bytes().starts_with(b"..");
            self.touched.rescan |= is_swap && !interest.listed.is_empty();
            is_relevant |= is_swap && !interest.listed.is_empty();
        } else {
            seen.extend(interest.listed.iter().map(|directory| directory.join(name)));
        }
        for path in seen {
            is_relevant = true;
            self.touched.touch(path, touch);
        }
        is_relevant
    }
}

impl Touched {
    fn touch(&mut self, path: PathBuf, touch: Touch) {
        if self.paths.len() >= MOST_PATHS {
            self.paths.clear();
            self.rescan = true;
        }
        let entry = self.paths.entry(path).or_insert(touch);
        if touch != Touch::Noticed {
            *entry = touch;
        }
    }
}

fn classify(kind: EventKind) -> Option<Touch> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Touch::Settled),
        EventKind::Access(_) => None,
        EventKind::Create(CreateKind::Folder) => Some(Touch::Settled),
        EventKind::Create(_) => Some(Touch::Created),
        EventKind::Modify(ModifyKind::Data(_)) => Some(Touch::Writing),
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(Touch::Noticed),
        EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Any | ModifyKind::Other)
        | EventKind::Remove(_)
        | EventKind::Any
        | EventKind::Other => Some(Touch::Settled),
    }
}

/// The watch on all directories that matter.
pub(crate) struct DirectoryWatch {
    inbox: Arc<Inbox>,
    /// `None` when the system gives no watch at all.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<Inode, PathBuf>,
    findings: Findings,
}

impl DirectoryWatch {
    pub(crate) fn new() -> Self {
        let inbox = Arc::<Inbox>::default();
        let recorder = inbox.clone();
        let watcher = notify::recommended_watcher(move |event| recorder.record(event));
        if let Err(error) = &watcher {
            tracing::warn!(%error, "Files cannot be watched, and are looked at periodically");
        }
        let (watched, findings) = (BTreeMap::new(), Findings::new());
        Self { inbox, watcher: watcher.ok(), watched, findings }
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// The directories that could not be watched.
    pub(crate) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Watches what the scan has seen and nothing else. Returns whether a directory is watched that
    /// was not before: what happened in it meanwhile is not known.
    pub(crate) fn follow(&mut self, scan: &Scan) -> bool {
        let lost = std::mem::take(&mut self.inbox.lock().lost);
        self.watched.retain(|_, path| {
            let is_lost = lost.contains(path);
            if is_lost && let Some(watcher) = &mut self.watcher {
                // It fails when the kernel has dropped the watch with its directory.
                let _ = watcher.unwatch(path);
            }
            !is_lost
        });
        let wanted = wanted(scan);
        self.watched.retain(|inode, path| {
            let is_wanted = wanted.contains_key(inode);
            if !is_wanted && let Some(watcher) = &mut self.watcher {
                let _ = watcher.unwatch(path);
            }
            is_wanted
        });
        let mut interests = BTreeMap::new();
        let mut new = Vec::new();
        for (inode, (path, interest)) in wanted {
            let path = self.watched.get(&inode).cloned().unwrap_or_else(|| {
                new.push((inode, path.clone()));
                path
            });
            interests.insert(path, interest);
        }
        // The lock is not held below: the thread that answers to `watch` takes it too.
        self.inbox.lock().interests = interests;
        self.findings.clear();
        let mut is_new = false;
        for (inode, path) in new {
            is_new |= self.watch(inode, path, scan);
        }
        is_new
    }

    fn watch(&mut self, inode: Inode, path: PathBuf, scan: &Scan) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let Err(error) = watcher.watch(&path, RecursiveMode::NonRecursive) else {
            self.watched.insert(inode, path);
            return true;
        };
        // A directory that is gone again will be noticed by whoever lists it.
        if let Some(listed) = scan.directories.get(&path)
            && !matches!(error.kind, ErrorKind::PathNotFound)
        {
            let hint = match error.kind {
                ErrorKind::MaxFilesWatch => "raise the sysctl fs.inotify.max_user_watches",
                _ => "",
            };
            let message = "it cannot be watched; it is looked at periodically instead";
            let finding = codes::NOT_WATCHED.diagnostic(message).hint(hint);
            let finding = finding.at(model::Location { file: listed.name.clone(), line: 0 });
            self.findings.insert(listed.name.clone(), Diagnostics::from_iter([finding]));
        }
        false
    }
}

/// The directories to watch, each with a path that leads to it.
fn wanted(scan: &Scan) -> BTreeMap<Inode, (PathBuf, Interest)> {
    let mut wanted = BTreeMap::<Inode, (PathBuf, Interest)>::new();
    for (path, listed) in &scan.directories {
        let entry = wanted.entry(listed.inode);
        let (_, interest) = entry.or_insert_with(|| (path.clone(), Interest::default()));
        interest.listed.insert(path.clone());
    }
    for (path, names) in &scan.aliases {
        let Ok(metadata) = fs::metadata(path) else { continue };
        let entry = wanted.entry(scan::inode(&metadata));
        let (_, interest) = entry.or_insert_with(|| (path.clone(), Interest::default()));
        for (name, paths) in names {
            interest.names.entry(name.clone()).or_default().extend(paths.iter().cloned());
        }
    }
    wanted
}
