//! The port for async code: every call runs where it may block.

use std::{ops::Range, sync::Arc};

use tokio::task::spawn_blocking;

use crate::{Batch, Entry, Storage, StorageError, Table};

/// Asks a storage without blocking the caller's thread. Cheap to clone.
#[derive(Clone)]
pub struct StorageHandle(Arc<dyn Storage>);

impl StorageHandle {
    /// A handle of `storage`, which lives as long as any of them.
    pub fn new(storage: impl Storage) -> Self {
        Self(Arc::new(storage))
    }

    /// See [`Storage::get`].
    pub async fn get(&self, table: Table, key: Vec<u8>) -> Result<Option<Vec<u8>>, StorageError> {
        self.run(move |storage| storage.get(table, &key)).await
    }

    /// See [`Storage::write`]. It goes on when the caller no longer waits.
    pub async fn write(&self, batch: Arc<Batch>) -> Result<(), StorageError> {
        self.run(move |storage| storage.write(&batch)).await
    }

    /// See [`Storage::scan`].
    pub async fn scan(
        &self,
        table: Table,
        range: Range<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        self.run(move |storage| storage.scan(table, range, limit)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Storage) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let storage = self.0.clone();
        spawn_blocking(move || work(&*storage)).await.unwrap_or(Err(StorageError::Ending))
    }
}
