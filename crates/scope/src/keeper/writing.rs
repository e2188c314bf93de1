//! Writing down: one write at a time, beside everything else.
//!
//! - Who asked that what was decided is kept is answered behind a write that began afterwards.
//! - What could not be written is tried again with the next write.

use std::{future::pending, sync::Arc};

use storage::{Batch, StorageError, StorageHandle};
use tokio::{
    sync::oneshot,
    task::{JoinError, JoinHandle},
    time::{Duration, Instant},
};

use super::{Keeper, handle::Kept};
use crate::{
    Sensor,
    record::{self, CLOCKS, CLOCKS_KEY},
};

/// The time between two beginnings of writing down which edges were seen again.
const TOUCH: Duration = Duration::from_secs(60);
/// Workloads of which that is written at once.
const TOUCHED: usize = 512;
/// Workloads that are written at once: a file that is copied on write needs room for each batch
/// beside what there is.
const BATCH: usize = 256;

/// What was not written, one after the other, and why.
type Unwritten = (Vec<Arc<Batch>>, StorageError);

/// How a write ended.
type Ended = Result<Result<(), Unwritten>, JoinError>;

/// The write that runs, and what the next one is for.
pub(super) struct Writing {
    running: Option<JoinHandle<Result<(), Unwritten>>>,
    /// Who waits for the write that runs, and for the next one.
    waiting: Vec<oneshot::Sender<Kept>>,
    next: Vec<oneshot::Sender<Kept>>,
    /// What could not be written yet.
    unwritten: Batch,
    touched_at: Instant,
    /// Whether the last write failed, so that only the first failure is told.
    has_failed: bool,
}

impl Writing {
    pub(super) fn new() -> Self {
        Self {
            running: None,
            waiting: Vec::new(),
            next: Vec::new(),
            unwritten: Batch::default(),
            touched_at: Instant::now(),
            has_failed: false,
        }
    }

    /// Of how many workloads it is time to write down that edges were seen again.
    pub(super) fn touched(&self) -> usize {
        if self.touched_at.elapsed() >= TOUCH { TOUCHED } else { 0 }
    }

    /// Waits for the end of the write that runs; forever while none does.
    pub(super) async fn end(&mut self) -> Ended {
        let Some(running) = &mut self.running else { return pending().await };
        let ended = running.await;
        self.running = None;
        ended
    }
}

impl Keeper {
    /// Answers when all that was decided before is written down.
    pub(super) fn keep(&mut self, reply: oneshot::Sender<Kept>) {
        self.writing.next.push(reply);
        self.write(0);
    }

    /// Begins to write down what must be, unless the write before still runs.
    pub(super) fn write(&mut self, touched: usize) {
        let Some(storage) = self.storage.clone() else {
            self.book.take_changes(usize::MAX);
            self.book.take_switch_changes();
            return answer(&mut self.writing.next, Kept::Yes);
        };
        if self.writing.running.is_some() {
            return;
        }
        let batches = self.batches(touched);
        if batches.is_empty() {
            return answer(&mut self.writing.next, Kept::Yes);
        }
        self.writing.waiting.append(&mut self.writing.next);
        let batches = batches.into_iter().map(Arc::new).collect();
        self.writing.running = Some(tokio::spawn(write_all(storage, batches)));
    }

    /// What is to be written down now. None of it is empty.
    fn batches(&mut self, touched: usize) -> Vec<Batch> {
        let mut batches = vec![std::mem::take(&mut self.writing.unwritten)];
        for records in self.book.take_changes(touched).chunks(BATCH) {
            let mut batch = Batch::default();
            // What is forgotten and what that takes of the budgets is written together. The one of
            // all is in each batch: whoever is killed in between has forgotten less, never more.
            for workload in std::iter::once(None).chain(records.iter().map(|(it, _)| Some(it))) {
                if let Some(window) = self.book.window(workload) {
                    record::write_window(workload, &window, &mut batch);
                }
            }
            for (workload, record) in records {
                record::write(workload, record.as_ref(), &mut batch);
            }
            batches.push(batch);
        }
        for (target, off) in self.book.take_switch_changes() {
            record::write_switch(&target, off.as_ref(), &mut batches[0]);
        }
        if touched > 0 && !self.book.has_touched() {
            self.writing.touched_at = Instant::now();
            let clocks = record::clocks_value(&self.book.clocks());
            batches[0].put(CLOCKS, CLOCKS_KEY.to_vec(), clocks);
        }
        batches.retain(|batch| !batch.is_empty());
        batches
    }

    /// Takes note of how a write ended, and begins the next one if somebody waits for it.
    pub(super) fn written(&mut self, ended: Ended) {
        // A task that panicked has said so; what it had is written when it changes again.
        let kept = match ended {
            Ok(Ok(())) => Kept::Yes,
            Ok(Err(_)) | Err(_) => Kept::No,
        };
        match ended {
            Ok(Err((batches, error))) => self.failed(batches, error),
            Ok(Ok(())) | Err(_) => self.writing.has_failed = false,
        }
        answer(&mut self.writing.waiting, kept);
        if !self.writing.next.is_empty() {
            self.write(0);
        }
    }

    fn failed(&mut self, batches: Vec<Arc<Batch>>, error: StorageError) {
        self.metrics.failed_writes.inc();
        if !std::mem::replace(&mut self.writing.has_failed, true) {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "Learned dependencies cannot be written down; trying again");
        }
        for batch in batches {
            self.writing.unwritten.extend(Arc::unwrap_or_clone(batch));
        }
    }

    /// Writes down all that is left.
    pub(super) async fn end(mut self) {
        self.finish().await;
        self.book.work(Sensor::Request, self.clock.now());
        loop {
            self.write(TOUCHED);
            self.finish().await;
            // A disk that does not work is not waited for.
            if self.writing.has_failed || !self.book.has_touched() {
                return;
            }
        }
    }

    async fn finish(&mut self) {
        while self.writing.running.is_some() {
            let ended = self.writing.end().await;
            self.written(ended);
        }
    }
}

fn answer(waiting: &mut Vec<oneshot::Sender<Kept>>, kept: Kept) {
    for reply in waiting.drain(..) {
        // Who asked may have gone.
        let _ = reply.send(kept);
    }
}

async fn write_all(storage: StorageHandle, batches: Vec<Arc<Batch>>) -> Result<(), Unwritten> {
    for (index, batch) in batches.iter().enumerate() {
        if let Err(error) = storage.write(batch.clone()).await {
            return Err((batches[index..].to_vec(), error));
        }
    }
    Ok(())
}
