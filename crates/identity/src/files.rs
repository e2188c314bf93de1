//! Small files on disk that are whole or not there, and secrets that only their owner can read.
//!
//! - A file takes its place by a rename after its content is synced: a crash at any point leaves
//!   the old content or the new one.
//! - A key that others may read is refused, as ssh does: it must be taken as known to them.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::bundle::Part;

/// The permissions of everybody but the owner.
const OTHERS: u32 = 0o077;
/// A file of ours is a few kilobytes; what is longer is not one.
const LONGEST: u64 = 1 << 20;
/// How names of files begin that are being written.
const DRAFT: &str = ".draft-";

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading failed.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Writing failed.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is far longer than any certificate or key.
    #[error("`{}` is longer than 1 MiB: it is not what it should be", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the key.
    #[error(
        "others can read the private key `{}` (mode {mode:04o}): if nobody has, run `chmod 600` on \
         it; else make a new one", path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    Everybody,
    /// Its owner: mode 0600.
    Owner,
}

/// Makes a directory that only its owner can enter, and those above it, if they are not there.
pub(crate) fn make_directory(path: &Path) -> Result<(), FileError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Reads a file that may be readable for others.
pub(crate) fn read(path: &Path) -> Result<Part, FileError> {
    let fail = |source| FileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(fail)?;
    match bytes.len() as u64 > LONGEST {
        true => Err(FileError::TooLong { path: path.to_owned() }),
        false => Ok(Part { path: path.to_owned(), bytes }),
    }
}

/// As [`read`]; `None` where there is no such file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Part>, FileError> {
    match read(path) {
        Ok(part) => Ok(Some(part)),
        Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a key of ours.
pub(crate) fn read_secret(path: &Path) -> Result<Part, FileError> {
    let mode = mode(path)?;
    match mode & OTHERS {
        0 => read(path),
        _ => Err(FileError::Exposed { path: path.to_owned(), mode }),
    }
}

/// The permissions of a file.
pub(crate) fn mode(path: &Path) -> Result<u32, FileError> {
    let metadata = fs::metadata(path);
    let metadata = metadata.map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    Ok(metadata.permissions().mode() & 0o7777)
}

/// Writes a file in one step.
pub(crate) fn write(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), FileError> {
    replace(path, bytes, readers)
        .map_err(|source| FileError::Write { path: path.to_owned(), source })
}

fn replace(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let draft = directory.join(format!("{DRAFT}{}", name.to_string_lossy()));
    // What a crash left behind is in the way; a link that somebody put there is not followed.
    let _ = fs::remove_file(&draft);
    let mode = match readers {
        Readers::Everybody => 0o644,
        Readers::Owner => 0o600,
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync(directory)
}

/// Removes a file that may not be there.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    removed.map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// The names in a directory.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>, FileError> {
    let fail = |source| FileError::Read { path: directory.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        names.push(entry.map_err(fail)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether a name is that of a file that was never finished.
pub(crate) fn is_draft(name: &str) -> bool {
    name.starts_with(DRAFT)
}

/// Waits until no other process changes the directory. The lock goes with the file.
pub(crate) fn lock(directory: &Path) -> Result<File, FileError> {
    let path = directory.join("lock");
    let locked = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .and_then(|file| file.lock().map(|()| file));
    locked.map_err(|source| FileError::Write { path, source })
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
