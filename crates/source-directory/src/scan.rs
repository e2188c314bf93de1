//! Everything that the settings name, as it is on disk now: which files, where, in which state.
//!
//! - Links are followed. A directory is read once, under the first path that leads to it, so that
//!   neither loops nor several links multiply it.
//! - Hidden entries are passed over: of a mounted ConfigMap, whose visible links lead through
//!   `..data` to the hidden directory of one version, each file is read once.
//! - What cannot be looked at is named as unproven: nothing below it counts as gone.
//! - Not here: the content of files (`load`), what follows from a difference (`tracker`).

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use model::Diagnostic;
use source::Findings;

use crate::{
    Rank, codes,
    place::{self, Form, Last, Place},
};

/// Deeper directories are not read.
const DEEPEST: usize = 32;

/// Identity of a file or directory on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Inode {
    device: u64,
    number: u64,
}

/// The state of a file: while it stays the same, so does the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) inode: Inode,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn new(metadata: &Metadata) -> Self {
        Self {
            inode: inode(metadata),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the content was written less than `age` ago.
    pub(crate) fn is_younger_than(&self, age: Duration) -> bool {
        let (seconds, nanos) = self.modified;
        let since_epoch = Duration::new(
            u64::try_from(seconds).unwrap_or_default(),
            u32::try_from(nanos).unwrap_or_default(),
        );
        let modified = SystemTime::UNIX_EPOCH + since_epoch;
        // A time in the future says nothing.
        SystemTime::now().duration_since(modified).is_ok_and(|passed| passed < age)
    }
}

pub(crate) fn inode(metadata: &Metadata) -> Inode {
    Inode { device: metadata.dev(), number: metadata.ino() }
}

/// A file that is there.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) name: Arc<str>,
    pub(crate) rank: Rank,
    /// Its state, or why that is not known.
    pub(crate) state: Result<Stamp, Diagnostic>,
}

/// A directory that was listed.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: Arc<str>,
    pub(crate) inode: Inode,
}

/// What there is.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) files: BTreeMap<PathBuf, Found>,
    pub(crate) directories: BTreeMap<PathBuf, Listed>,
    /// Below these, nothing is proven to be gone.
    pub(crate) unproven: BTreeSet<PathBuf>,
    /// What is wrong with directories.
    pub(crate) findings: Findings,
    /// Entries of other directories on which what is seen depends, with the paths that do:
    /// targets of links, and the places themselves.
    pub(crate) aliases: BTreeMap<PathBuf, BTreeMap<OsString, BTreeSet<PathBuf>>>,
    /// Directories of the settings without any file to read.
    pub(crate) empty: Vec<Arc<str>>,
    /// What there is to remember of directories of the settings.
    pub(crate) last: BTreeMap<PathBuf, Last>,
    visited: BTreeSet<Inode>,
    /// The mesh configuration, which a directory may hold too.
    mesh_config: Option<Inode>,
}

/// Looks at all places.
pub(crate) fn scan(places: &[Place]) -> Scan {
    let mut scan = Scan::default();
    for place in places {
        scan.alias(&place.path, &place.path);
        match fs::metadata(&place.path) {
            Ok(metadata) if metadata.is_dir() => scan.directory(place, &metadata),
            Ok(metadata) => {
                if place.rank == Rank::MeshConfig {
                    scan.mesh_config = Some(inode(&metadata));
                }
                scan.follow(&place.path);
                scan.file(&place.path, &place.name, place.rank, &metadata);
            }
            Err(error) => scan.absent(place, &error),
        }
    }
    scan
}

impl Scan {
    fn directory(&mut self, place: &Place, metadata: &Metadata) {
        let inode = inode(metadata);
        // What another place has shown is neither read twice nor missing here.
        if self.visited.contains(&inode) {
            return;
        }
        let files = self.files.len();
        self.walk(&place.path, &place.name, metadata, 0);
        if self.files.len() > files {
            self.last.insert(place.path.clone(), Last::Filled(inode));
        } else if !self.unproven.contains(&place.path) {
            self.empty.push(place.name.clone());
            let is_other = match place.last {
                Last::Unseen => false,
                Last::Absent => true,
                Last::Filled(before) => before != inode,
            };
            if is_other {
                let message = format!(
                    "`{}` came back without any file; what it last held stays in effect",
                    place.name
                );
                let hint = "mount or fill it, or start again without it";
                self.unproven.insert(place.path.clone());
                self.find(&place.name, codes::VANISHED.diagnostic(message).hint(hint));
            }
        }
    }

    fn walk(&mut self, path: &Path, name: &Arc<str>, metadata: &Metadata, depth: usize) {
        let inode = inode(metadata);
        if !self.visited.insert(inode) {
            return;
        }
        if depth > DEEPEST {
            let message = format!("the directory is more than {DEEPEST} levels deep and not read");
            return self.find(name, codes::TOO_DEEP.diagnostic(message));
        }
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, name, &error),
        };
        self.directories.insert(path.to_owned(), Listed { name: name.clone(), inode });
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let file_name = entry.file_name();
            if place::is_ignored(&file_name) {
                continue;
            }
            let (path, name) = (entry.path(), place::child_name(name, &file_name));
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.walk(&path, &name, &metadata, depth + 1),
                Ok(metadata) => {
                    let is_mesh_config = self.mesh_config == Some(crate::scan::inode(&metadata));
                    if place::is_configuration(&path) && !is_mesh_config {
                        if is_link {
                            self.follow(&path);
                        }
                        self.file(&path, &name, Rank::Found, &metadata);
                    }
                }
                // Gone since the directory was listed.
                Err(_) if fs::symlink_metadata(&path).is_err_and(|error| is_absent(&error)) => (),
                Err(error) if place::is_configuration(&path) => {
                    let state = Err(unreadable(&name, &error));
                    self.files.entry(path).or_insert(Found { name, rank: Rank::Found, state });
                }
                Err(error) => self.unreadable(&path, &name, &error),
            }
        }
    }

    fn file(&mut self, path: &Path, name: &Arc<str>, rank: Rank, metadata: &Metadata) {
        // Reading a pipe or a device might never end.
        let state = if metadata.is_file() {
            Ok(Stamp::new(metadata))
        } else {
            let finding = codes::UNREADABLE.diagnostic("it is neither a file nor a directory");
            Err(finding.at(location(name)))
        };
        let found = Found { name: name.clone(), rank, state };
        self.files.entry(path.to_owned()).or_insert(found);
    }

    /// A place that cannot be looked at. Only a plain file that was deleted counts as gone.
    fn absent(&mut self, place: &Place, error: &io::Error) {
        let is_parent_there = place.path.parent().is_some_and(Path::is_dir);
        let is_link = fs::symlink_metadata(&place.path).is_ok();
        let is_deleted = is_absent(error) && is_parent_there && !is_link;
        if is_deleted && place.form == Form::File && place.rank == Rank::Found {
            return;
        }
        let finding = if is_absent(error) {
            let message = format!("`{}` is gone; what it last held stays in effect", place.name);
            let hint = "bring it back, or start again without it";
            codes::VANISHED.diagnostic(message).hint(hint).at(location(&place.name))
        } else {
            unreadable(&place.name, error)
        };
        match place.form {
            Form::Directory => {
                self.last.insert(place.path.clone(), Last::Absent);
                self.unproven.insert(place.path.clone());
                self.find(&place.name, finding);
            }
            Form::File => {
                let found =
                    Found { name: place.name.clone(), rank: place.rank, state: Err(finding) };
                self.files.entry(place.path.clone()).or_insert(found);
            }
        }
    }

    fn unreadable(&mut self, path: &Path, name: &Arc<str>, error: &io::Error) {
        self.unproven.insert(path.to_owned());
        self.find(name, unreadable(name, error));
    }

    fn find(&mut self, name: &Arc<str>, finding: Diagnostic) {
        let finding = if finding.location.is_some() { finding } else { finding.at(location(name)) };
        self.findings.entry(name.clone()).or_default().push(finding);
    }

    /// What `path` shows changes when the file behind the link does.
    fn follow(&mut self, path: &Path) {
        if let Ok(target) = fs::canonicalize(path)
            && target != path
        {
            self.alias(&target, path);
        }
    }

    fn alias(&mut self, target: &Path, path: &Path) {
        if let (Some(directory), Some(name)) = (target.parent(), target.file_name()) {
            let names = self.aliases.entry(directory.to_owned()).or_default();
            names.entry(name.to_owned()).or_default().insert(path.to_owned());
        }
    }
}

/// The finding that something cannot be read.
pub(crate) fn unreadable(name: &Arc<str>, error: &io::Error) -> Diagnostic {
    let message = format!("it cannot be read, and what it last held stays in effect: {error}");
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "allow this process to read it",
        io::ErrorKind::NotFound => "it is a link to nothing: mend or remove the link",
        _ => "check the file system",
    };
    codes::UNREADABLE.diagnostic(message).hint(hint).at(location(name))
}

pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn location(name: &Arc<str>) -> model::Location {
    model::Location { file: name.clone(), line: 0 }
}

/// Whether a file was made by writing: not a link, nor another name for a file that was there.
pub(crate) fn is_sole_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1)
}

/// Whether two paths lead to the same file.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    let inode = |path| fs::metadata(path).map(|metadata| inode(&metadata));
    matches!((inode(one), inode(other)), (Ok(one), Ok(other)) if one == other)
}
