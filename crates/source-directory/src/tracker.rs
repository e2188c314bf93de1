//! What is on disk now, compared with what was there before → changes.
//!
//! - Level-triggered: what is touched is looked up, and everything is looked at now and then.
//! - A file in the hands of its writer is left alone until it is closed; when that takes long, what
//!   it shows is taken, but nothing counts as gone by it.
//! - A file counts as gone when it is missing twice, a moment apart, in a directory that is there:
//!   editors and scripts replace a file by removing it first.
//! - Blocks on disk. Not here: when to look (`directory`).

mod tracked;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use model::{Diagnostics, ObjectKey};
use snapshot::Change;
use source::{Findings, SourceError};

use self::tracked::Tracked;
use crate::{
    Completeness, DirectorySettings, Draft, FileSet, ParsedFile, Rank, WriteError, WriteMode,
    Written,
    load::{self, Content, Task},
    place::{self, Place},
    plan::{self, FileEdit, Ground, Plan},
    scan::{self, Scan},
    watch::{DirectoryWatch, Inbox, Touch, Touched},
    write,
};

/// How long a missing file may be on its way.
const GONE_AFTER: Duration = Duration::from_millis(50);

/// How long a file without further writes may be left open before it is read all the same.
const OPEN_FOR: Duration = Duration::from_millis(300);

/// How often a scan is repeated while new directories keep coming.
const MOST_SCANS: usize = 3;

/// What is to be said: changes, and the findings of the places where they changed.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) changes: Vec<Change>,
    pub(crate) diagnostics: Findings,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.diagnostics.is_empty()
    }
}

/// Where to look, beside what was touched and what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Touched,
    Everything,
    /// As `Everything`, and what no writer is known to be at counts as finished.
    Settled,
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    File,
    /// Something on which it depends which files are seen.
    Structure,
    /// Something without a meaning here.
    Nothing,
}

type Updates = Vec<(Arc<str>, Option<ParsedFile>)>;

/// Files to read, and whether their writers are done.
type Reads = BTreeMap<PathBuf, Completeness>;

pub(crate) struct Tracker {
    places: Vec<Place>,
    set: FileSet,
    files: BTreeMap<PathBuf, Tracked>,
    directories: BTreeMap<PathBuf, Arc<str>>,
    /// Files that are being written, with the last sign of it.
    writing: BTreeMap<PathBuf, Instant>,
    /// Files that are missing, and since when.
    missing: BTreeMap<PathBuf, Instant>,
    /// Whether something could not be looked at, so that any event may be its return.
    is_in_doubt: bool,
    /// What is wrong with places that are not files.
    findings: Findings,
    watch: DirectoryWatch,
    /// A change in place that no event announced may go on for as long as this.
    rescan: Duration,
}

impl Tracker {
    /// Reads everything for the first time.
    pub(crate) fn start(settings: &DirectorySettings) -> Result<(Self, Batch), SourceError> {
        let places = place::places(settings)?;
        let mut tracker = Self {
            places,
            set: FileSet::default(),
            files: BTreeMap::new(),
            directories: BTreeMap::new(),
            writing: BTreeMap::new(),
            missing: BTreeMap::new(),
            is_in_doubt: false,
            findings: Findings::new(),
            watch: DirectoryWatch::new(),
            rescan: settings.rescan,
        };
        let scan = tracker.scan();
        if let Some(name) = scan.empty.first() {
            let finding = load::empty(name);
            return Err(SourceError::failed(finding.message, finding.hint));
        }
        // A place that cannot even be listed is more likely a mistake than a passing trouble.
        let unreadable = |place: &&Place| scan.unproven.contains(&place.path);
        if let Some(place) = tracker.places.iter().find(unreadable) {
            let hint = "allow this process to list it";
            return Err(SourceError::failed(format!("failed to list `{}`", place.name), hint));
        }
        let batch = tracker.compare(scan, Reads::new(), Instant::now(), settings.rescan);
        Ok((tracker, batch))
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        self.watch.inbox()
    }

    /// When to look again without being told.
    pub(crate) fn due(&self) -> Option<Instant> {
        let writing = self.writing.values().min().map(|since| *since + OPEN_FOR);
        let missing = self.missing.values().min().map(|since| *since + GONE_AFTER);
        writing.into_iter().chain(missing).min()
    }

    /// Looks at what was touched, what is due and, if asked, everything. Returns when the first of
    /// the touches was noticed, and what came of it.
    pub(crate) fn work(&mut self, extent: Extent) -> (Option<Instant>, Batch) {
        let now = Instant::now();
        let mut reads = Reads::new();
        // Taken whatever the reason to look was, for its signal may have been lost to another one.
        let touched = self.inbox().take();
        let received = touched.received;
        let mut needs_scan = extent != Extent::Touched;
        needs_scan |= self.is_in_doubt && received.is_some();
        needs_scan |= self.touched(touched, &mut reads, now);
        needs_scan |= self.missing.values().any(|since| now >= *since + GONE_AFTER);
        self.take_open(&mut reads, now);
        let batch = if needs_scan {
            let scan = self.scan();
            let patience = if extent == Extent::Settled { Duration::ZERO } else { self.rescan };
            self.compare(scan, reads, now, patience)
        } else {
            self.read(Updates::new(), reads, now)
        };
        (received, batch)
    }

    /// Places drafts in the files and takes objects out of them, or says how that would be done.
    pub(crate) fn write(
        &self,
        drafts: &[Draft],
        removals: &[ObjectKey],
        mode: WriteMode,
    ) -> Result<Vec<Written>, WriteError> {
        let ground = Ground {
            places: &self.places,
            object: &|key| self.set.object(key).cloned(),
            refused: &|key| self.set.refused_in(key),
            path: &|name| {
                let mut files = self.files.iter();
                files.find(|(_, tracked)| &*tracked.name == name).map(|(path, _)| path.clone())
            },
        };
        let Plan { written, edits } = plan::plan(&ground, drafts, removals)?;
        if mode == WriteMode::Write {
            let edits: Vec<FileEdit> = edits.into_values().collect();
            write::write_all(&edits)?;
        }
        Ok(written)
    }

    /// Looks at everything, and again while there are directories that were not watched meanwhile.
    fn scan(&mut self) -> Scan {
        let mut scan = scan::scan(&self.places);
        for _ in 0..MOST_SCANS {
            if !self.watch.follow(&scan) {
                break;
            }
            scan = scan::scan(&self.places);
        }
        self.is_in_doubt = !scan.unproven.is_empty();
        for place in &mut self.places {
            place.last = scan.last.get(&place.path).copied().unwrap_or(place.last);
        }
        scan
    }

    /// Sorts what was touched into files to read and files to wait for. Returns whether something
    /// was touched that only a scan can tell.
    fn touched(&mut self, touched: Touched, reads: &mut Reads, now: Instant) -> bool {
        let mut needs_scan = touched.rescan;
        for (path, touch) in touched.paths {
            let seen = self.look(&path);
            needs_scan |= seen == Seen::Structure;
            if seen != Seen::File {
                continue;
            }
            let is_writing = match touch {
                Touch::Noticed if self.writing.contains_key(&path) => continue,
                Touch::Noticed | Touch::Settled => false,
                Touch::Created => scan::is_sole_file(&path),
                Touch::Writing => true,
            };
            if is_writing {
                self.writing.insert(path, now);
                continue;
            }
            self.writing.remove(&path);
            let completeness = match (touch, self.files.get(&path)) {
                (Touch::Noticed, Some(tracked)) => tracked.completeness,
                _ => Completeness::Whole,
            };
            reads.insert(path, completeness);
        }
        needs_scan
    }

    /// What is at a path that was touched; a new file in a known directory is taken note of.
    fn look(&mut self, path: &Path) -> Seen {
        let is_place = self.places.iter().any(|place| place.path == path);
        if path.is_dir() || self.directories.contains_key(path) {
            return Seen::Structure;
        }
        if self.files.contains_key(path) {
            return Seen::File;
        }
        let directory = path.parent().and_then(|parent| self.directories.get(parent));
        let (Some(directory), Some(file_name)) = (directory, path.file_name()) else {
            return if is_place { Seen::Structure } else { Seen::Nothing };
        };
        let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        // Whether a link is to be watched at its other end is for the scan to find.
        if is_place || is_link {
            return Seen::Structure;
        }
        let is_read_elsewhere =
            self.places.iter().any(|place| scan::is_same_file(&place.path, path));
        if !place::is_configuration(path) || !path.is_file() || is_read_elsewhere {
            return Seen::Nothing;
        }
        let name = place::child_name(directory, file_name);
        self.files.insert(path.to_owned(), Tracked::new(name, Rank::Found));
        Seen::File
    }

    /// Files whose writers are not done, but idle for so long that what is there is taken.
    fn take_open(&mut self, reads: &mut Reads, now: Instant) {
        self.writing.retain(|path, since| {
            let is_due = now >= *since + OPEN_FOR;
            if is_due {
                reads.insert(path.clone(), Completeness::Partial);
            }
            !is_due
        });
    }

    /// Compares everything that is there with what was. A change in place that no event announced
    /// may go on for `patience`.
    fn compare(&mut self, scan: Scan, mut reads: Reads, now: Instant, patience: Duration) -> Batch {
        let mut updates = Updates::new();
        self.directories = scan
            .directories
            .iter()
            .map(|(path, listed)| (path.clone(), listed.name.clone()))
            .collect();
        self.compare_missing(&scan, &mut updates, now);
        for (path, found) in &scan.files {
            self.missing.remove(path);
            let tracked = self.files.entry(path.clone());
            let tracked = tracked.or_insert_with(|| Tracked::new(found.name.clone(), found.rank));
            if tracked.name != found.name {
                // It is now seen under another path of the settings.
                updates.push((std::mem::replace(&mut tracked.name, found.name.clone()), None));
                *tracked = Tracked::new(found.name.clone(), found.rank);
            }
            match &found.state {
                Ok(stamp) if !self.writing.contains_key(path) => {
                    if let Some(completeness) = tracked.needs_read(stamp, patience) {
                        reads.entry(path.clone()).or_insert(completeness);
                    }
                }
                Ok(_) => (),
                Err(finding) => {
                    (tracked.stamp, tracked.hash) = (None, None);
                    reads.remove(path);
                    let unknown = ParsedFile::unknown(finding.clone(), found.rank);
                    updates.push((found.name.clone(), Some(unknown)));
                }
            }
        }
        let mut findings = scan.findings;
        for (place, diagnostics) in self.watch.findings() {
            findings.entry(place.clone()).or_default().extend(diagnostics.clone());
        }
        let mut changed = differences(&self.findings, &findings);
        self.findings = findings;
        let mut batch = self.read(updates, reads, now);
        changed.append(&mut batch.diagnostics);
        Batch { changes: batch.changes, diagnostics: changed }
    }

    fn compare_missing(&mut self, scan: &Scan, updates: &mut Updates, now: Instant) {
        let missing: Vec<PathBuf> =
            self.files.keys().filter(|path| !scan.files.contains_key(*path)).cloned().collect();
        for path in missing {
            if path.ancestors().any(|above| scan.unproven.contains(above)) {
                self.missing.remove(&path);
                continue;
            }
            let since = *self.missing.entry(path.clone()).or_insert(now);
            if now >= since + GONE_AFTER {
                self.missing.remove(&path);
                self.writing.remove(&path);
                if let Some(tracked) = self.files.remove(&path) {
                    updates.push((tracked.name, None));
                }
            }
        }
    }

    /// Reads files and applies what they and `updates` say, all at once.
    fn read(&mut self, mut updates: Updates, reads: Reads, now: Instant) -> Batch {
        let tasks = reads.into_iter().filter_map(|(path, completeness)| {
            let tracked = self.files.get(&path)?;
            // Bytes that were taken for unfinished are looked at again when they are finished.
            let is_settled = tracked.completeness == Completeness::Whole;
            let known =
                tracked.hash.filter(|_| is_settled || completeness == Completeness::Partial);
            let (name, rank) = (tracked.name.clone(), tracked.rank);
            Some(Task { path, name, rank, known, completeness })
        });
        for (task, content) in load::read_all(tasks.collect()) {
            let Some(tracked) = self.files.get_mut(&task.path) else { continue };
            if let Content::Gone = content {
                self.missing.entry(task.path).or_insert(now);
                continue;
            }
            self.missing.remove(&task.path);
            match content {
                Content::Gone => (),
                Content::Same { stamp } => tracked.stamp = stamp,
                Content::New { hash, stamp, parsed } => {
                    (tracked.hash, tracked.stamp) = (hash, stamp);
                    tracked.completeness = task.completeness;
                    updates.push((task.name, Some(parsed)));
                }
            }
        }
        let changes = self.set.apply(updates);
        Batch { changes, diagnostics: self.set.take_findings() }
    }
}

/// The findings of the places where they differ, as they are now.
fn differences(before: &Findings, now: &Findings) -> Findings {
    let none = Diagnostics::default();
    let of = |findings: &Findings, place: &Arc<str>| findings.get(place).unwrap_or(&none).clone();
    let places = before.keys().chain(now.keys());
    let changed = places.filter(|place| of(before, place) != of(now, place));
    changed.map(|place| (place.clone(), of(now, place))).collect()
}
