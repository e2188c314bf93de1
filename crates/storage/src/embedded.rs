//! One file in a folder, in the format of `redb`: copy-on-write B-trees with checksums.
//!
//! - Killed at any moment, it opens again with the last batch that was written, whole.
//! - A file that is broken is set aside under another name, never deleted: the process begins
//!   anew, and people still have what there was.
//! - After a failed read or write the file is opened anew by the next call: `redb` refuses to go on.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::OpenOptionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, StorageError as RedbStorageError,
    TableDefinition, TableError,
};

use crate::{Batch, Entry, Storage, StorageError, Table};

const FILE: &str = "meltemi.redb";
/// The most memory for pages that were read. Readers keep their own form of what they read.
const CACHE: usize = 4 << 20;

/// The embedded storage. Clones are the same one.
#[derive(Clone)]
pub struct Embedded(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// None after a failure, until the next call.
    database: Mutex<Option<Arc<Database>>>,
}

/// A storage that can be used.
pub struct Opened {
    /// The storage.
    pub storage: Embedded,
    /// What happened to the file that was there, if it was broken: the storage is empty then.
    pub set_aside: Option<SetAside>,
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

enum Failure {
    Broken(String),
    Other(StorageError),
}

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

impl Embedded {
    /// Opens the file in `folder`; makes both where there are none. Blocks while the file is
    /// checked.
    pub fn open(folder: &Path) -> Result<Opened, StorageError> {
        let path = folder.join(FILE);
        let fail = |source| StorageError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(fail)?;
        let mut set_aside = None;
        let database = match open(&path) {
            Ok(database) => database,
            Err(Failure::Other(error)) => return Err(error),
            Err(Failure::Broken(reason)) => {
                let aside = free_name(&path);
                let failed = |source| StorageError::Folder { path: path.clone(), source };
                fs::rename(&path, &aside).map_err(failed)?;
                set_aside = Some(SetAside { path: aside, reason });
                open(&path).map_err(|failure| failure.of(&path))?
            }
        };
        // A file that was just made must be found after a loss of power, too.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)?;
        let database = Mutex::new(Some(Arc::new(database)));
        Ok(Opened { storage: Self(Arc::new(Inner { path, database })), set_aside })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn with<T>(
        &self,
        verb: &'static str,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StorageError> {
        let path = &self.0.path;
        let database = {
            let mut slot = self.0.database.lock().unwrap_or_else(PoisonError::into_inner);
            match &*slot {
                Some(database) => database.clone(),
                None => {
                    let opened = Arc::new(open(path).map_err(|failure| failure.of(path))?);
                    slot.insert(opened).clone()
                }
            }
        };
        work(&database).map_err(|source| {
            let mut slot = self.0.database.lock().unwrap_or_else(PoisonError::into_inner);
            // Somebody else may have opened it anew.
            if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, &database)) {
                *slot = None;
            }
            StorageError::Access { verb, path: path.clone(), source: source.into() }
        })
    }
}

impl Storage for Embedded {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.with("read", |database| {
            let Some(table) = read_table(database, table)? else { return Ok(None) };
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        })
    }

    fn write(&self, batch: &Batch) -> Result<(), StorageError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.with("write", |database| {
            let transaction = database.begin_write()?;
            for (table, changes) in &batch.0 {
                let mut table = transaction.open_table(Bytes::new(table))?;
                for (key, value) in changes {
                    match value {
                        Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                        None => table.remove(key.as_slice())?,
                    };
                }
            }
            Ok(transaction.commit()?)
        })
    }

    fn scan(
        &self,
        table: Table,
        range: Range<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        self.with("read", |database| {
            let Some(table) = read_table(database, table)? else { return Ok(Vec::new()) };
            let mut entries = Vec::new();
            for entry in table.range(range.start.as_slice()..range.end.as_slice())?.take(limit) {
                let (key, value) = entry?;
                entries.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(entries)
        })
    }
}

type ReadTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

fn read_table(database: &Database, table: Table) -> Result<Option<ReadTable>, redb::Error> {
    match database.begin_read()?.open_table(Bytes::new(table)) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn open(path: &Path) -> Result<Database, Failure> {
    // Only the owner may read what is kept.
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map_err(|source| Failure::Other(StorageError::Folder { path: path.to_owned(), source }))?;
    let opening = || {
        let mut builder = Builder::new();
        // What was altered while nobody looked is found now, not in the middle of a read.
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true).create(path)
    };
    // In a file of arbitrary bytes `redb` may come upon what it holds impossible.
    let opened = catch_unwind(AssertUnwindSafe(opening))
        .map_err(|_| Failure::Broken("its content is impossible".to_owned()))?;
    opened.map_err(|error| {
        let path = path.to_owned();
        Failure::Other(match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                StorageError::InUse { path }
            }
            DatabaseError::UpgradeRequired(format) => StorageError::Format { path, format },
            DatabaseError::Storage(RedbStorageError::Corrupted(reason)) => {
                return Failure::Broken(reason);
            }
            // So it names a file that is none of its own.
            DatabaseError::Storage(RedbStorageError::Io(error))
                if error.kind() == io::ErrorKind::InvalidData =>
            {
                return Failure::Broken(error.to_string());
            }
            DatabaseError::Storage(RedbStorageError::Io(source)) => {
                StorageError::Folder { path, source }
            }
            error => StorageError::Access { verb: "open", path, source: error.into() },
        })
    })
}

impl Failure {
    fn of(self, path: &Path) -> StorageError {
        match self {
            Self::Other(error) => error,
            Self::Broken(reason) => {
                StorageError::Access { verb: "open", path: path.to_owned(), source: reason.into() }
            }
        }
    }
}

/// A name beside the file that nothing has.
fn free_name(path: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let named = |suffix: String| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    let names = (0..).map(|count| match count {
        0 => named(format!(".broken-{now}")),
        count => named(format!(".broken-{now}-{count}")),
    });
    let mut free = names.filter(|name| !name.exists());
    free.next().unwrap_or_else(|| named(".broken".to_owned()))
}

#[cfg(test)]
mod tests;
