//! Dependencies of fences that nothing asks for any more, and that stay for a while: kept over the end
//! of the process, until when included.
//!
//! - Few, and not for long: what a fence asks for stands in its object, and is not written down here.
//! - Written a moment after it has changed, and at the end.
//! - Not here: what waits, and what follows from it (`snapshot`).

use std::{collections::BTreeMap, sync::Arc};

use model::{Hostname, Kind, ObjectKey};
use snapshot::{Domain, DomainSource, DomainStatus, Domains, FenceWaits};
use storage::{Batch, StorageHandle, Table};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Duration, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::record::{Bytes, VERSION, push_number, push_text};

const WAITS: Table = "scope-fence-waits";
/// More hosts than this are not kept.
const MOST: usize = 10_000;
/// The longest name of a dependency: that of DNS.
const LONGEST: usize = 253;
/// The time between two writes.
const PAUSE: Duration = Duration::from_secs(1);
const RECALLABLE: u8 = 1;

/// Keeps what waits.
pub struct WaitKeeper {
    storage: StorageHandle,
    written: BTreeMap<ObjectKey, Domains>,
    /// What was told already, so that it is told once.
    is_too_much: bool,
    has_failed: bool,
}

impl WaitKeeper {
    /// A keeper, and what was kept before. Where that cannot be read, nothing waits any more.
    pub async fn open(storage: StorageHandle) -> (Self, BTreeMap<ObjectKey, Domains>) {
        let all = storage.scan(WAITS, Vec::new()..vec![u8::MAX; 2], usize::MAX).await;
        let all = all.unwrap_or_else(|error| {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "What waits in fences cannot be read: it is over");
            Vec::new()
        });
        // What a later version wrote is left as it is.
        let written: BTreeMap<_, _> =
            all.iter().filter_map(|(key, value)| Some((read_key(key)?, read(value)?))).collect();
        let keeper =
            Self { storage, written: written.clone(), is_too_much: false, has_failed: false };
        (keeper, written)
    }

    /// Writes down what is said, until the shutdown.
    pub fn start(
        mut self,
        mut waits: watch::Receiver<Option<FenceWaits>>,
        shutdown: CancellationToken,
    ) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    changed = waits.changed() => if changed.is_err() { break },
                }
                let now = waits.borrow_and_update().clone();
                if !self.write(now).await {
                    waits.mark_changed();
                }
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = sleep(PAUSE) => (),
                }
            }
            let last = waits.borrow().clone();
            self.write(last).await;
        })
    }

    /// Whether all of it is written down. Nothing was said yet: nothing is forgotten.
    async fn write(&mut self, waits: Option<FenceWaits>) -> bool {
        let Some(waits) = waits else { return true };
        let wanted = self.choose(&waits);
        let mut batch = Batch::default();
        for (key, domains) in &wanted {
            if self.written.get(key) != Some(domains) {
                batch.put(WAITS, key_of(key), value_of(domains));
            }
        }
        for gone in self.written.keys().filter(|key| !wanted.contains_key(key)) {
            batch.delete(WAITS, key_of(gone));
        }
        if batch.is_empty() {
            return true;
        }
        if let Err(error) = self.storage.write(Arc::new(batch)).await {
            if !std::mem::replace(&mut self.has_failed, true) {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "What waits in fences cannot be written down; trying again");
            }
            return false;
        }
        (self.written, self.has_failed) = (wanted, false);
        true
    }

    /// As much as is kept.
    fn choose(&mut self, waits: &FenceWaits) -> BTreeMap<ObjectKey, Domains> {
        let (mut chosen, mut hosts, mut left) = (BTreeMap::new(), 0, 0);
        for (fence, domains) in waits.iter() {
            let mut kept = Domains::new();
            for (key, domain) in domains.iter() {
                hosts += domain.hosts.len().max(1);
                match hosts <= MOST && has_room(key, domain) {
                    true => drop(kept.insert(key.clone(), domain.clone())),
                    false => left += 1,
                }
            }
            if !kept.is_empty() {
                chosen.insert(fence.clone(), kept);
            }
        }
        if std::mem::replace(&mut self.is_too_much, left > 0) != (left > 0) && left > 0 {
            tracing::warn!(left, "Not all that waits in fences would wait on after a restart");
        }
        chosen
    }
}

/// Whether its names have the length of names.
fn has_room(key: &str, domain: &Domain) -> bool {
    let mut hosts = domain.hosts.iter().map(Hostname::as_str);
    key.len() <= LONGEST && hosts.all(|host| host.len() <= LONGEST)
}

fn key_of(key: &ObjectKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    push_text(&mut bytes, key.namespace.as_str());
    push_text(&mut bytes, key.name.as_str());
    bytes
}

fn read_key(key: &[u8]) -> Option<ObjectKey> {
    let mut key = Bytes(key);
    let workload = key.workload().filter(|_| key.0.is_empty())?;
    Some(ObjectKey { kind: Kind::ServiceFence, namespace: workload.namespace, name: workload.name })
}

fn value_of(domains: &Domains) -> Vec<u8> {
    let mut value = vec![VERSION];
    for (key, domain) in domains {
        let Domain { hosts, status: _, source, until, is_recallable } = domain;
        push_text(&mut value, key);
        let recallable = if *is_recallable { RECALLABLE } else { 0 };
        value.extend([number_of(*source), recallable]);
        push_number(&mut value, until.map_or(0, |until| u64::try_from(until).unwrap_or(0)));
        push_number(&mut value, hosts.len() as u64);
        for host in hosts {
            push_text(&mut value, host.as_str());
        }
    }
    value
}

fn read(value: &[u8]) -> Option<Domains> {
    let mut value = Bytes(value.strip_prefix(&[VERSION])?);
    let mut domains = Domains::new();
    while !value.0.is_empty() {
        let key = value.text()?.to_owned();
        let [source, flags] = [value.byte()?, value.byte()?];
        let until = i64::try_from(value.number()?).ok()?;
        let count = value.number()?;
        let hosts = (0..count).map(|_| value.text().map(Hostname::new));
        let hosts = hosts.collect::<Option<Vec<Hostname>>>()?;
        let domain = Domain {
            hosts,
            status: DomainStatus::ExpireWait,
            source: source_of(source)?,
            until: Some(until),
            is_recallable: flags & RECALLABLE != 0,
        };
        domains.insert(key, domain);
    }
    Some(domains)
}

fn number_of(source: DomainSource) -> u8 {
    match source {
        DomainSource::Host => 0,
        DomainSource::Namespace => 1,
        DomainSource::Labels => 2,
        DomainSource::Status => 3,
    }
}

fn source_of(number: u8) -> Option<DomainSource> {
    let sources =
        [DomainSource::Host, DomainSource::Namespace, DomainSource::Labels, DomainSource::Status];
    sources.into_iter().find(|source| number_of(*source) == number)
}

#[cfg(test)]
mod tests;
