//! The keeper between its queue, its storage and the mesh. Time is the runtime's.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use model::{FenceSwitch, FenceTarget, Hostname, WorkloadKey};
use source::SourceReceiver;
use storage::{Batch, Embedded};
use tokio::time::{sleep, timeout};

use super::*;
use crate::EdgeState;

struct Rig {
    handle: ScopeHandle,
    mesh: SourceReceiver,
    shutdown: CancellationToken,
    /// The last set of each workload.
    sets: BTreeMap<String, Vec<String>>,
    /// The last decision about each.
    switches: BTreeMap<String, FenceSwitch>,
}

fn key(text: &str) -> WorkloadKey {
    let (namespace, name) = text.split_once('/').unwrap();
    WorkloadKey { namespace: namespace.into(), name: name.into() }
}

fn storage_in(folder: &Path) -> Option<StorageHandle> {
    Some(StorageHandle::new(Embedded::open(folder).unwrap().storage))
}

impl Rig {
    /// A keeper that has said what it knew.
    async fn start(storage: Option<StorageHandle>, settings: ScopeSettings) -> Self {
        let shutdown = CancellationToken::new();
        let (sender, mesh) = source::channel(16);
        let handle = Keeper::start(storage, settings, sender, shutdown.clone());
        let mut rig =
            Self { handle, mesh, shutdown, sets: BTreeMap::new(), switches: BTreeMap::new() };
        while rig.next().await {}
        rig
    }

    /// Takes in one event; false when it was that all is said.
    async fn next(&mut self) -> bool {
        let event = timeout(Duration::from_secs(3_600), self.mesh.recv()).await;
        match event.expect("something is said").expect("the keeper lives") {
            SourceEvent::Changes { changes, source, .. } => {
                assert_eq!(&*source, SOURCE);
                for change in changes {
                    if let Change::FenceSwitched(target, switch) = change {
                        self.switches.insert(target.to_string(), switch);
                        continue;
                    }
                    let Change::Learned(workload, hosts) = change else { panic!("{change:?}") };
                    let hosts = hosts.iter().flat_map(|hosts| hosts.iter());
                    let hosts = hosts.map(Hostname::to_string).collect();
                    self.sets.insert(workload.to_string(), hosts);
                }
                true
            }
            SourceEvent::Synced { source } => {
                assert_eq!(&*source, SOURCE);
                false
            }
            SourceEvent::Barrier { barrier, .. } => {
                barrier.reach(7);
                true
            }
        }
    }

    fn observe(&self, workload: &str, host: &str, sensor: Sensor) {
        self.handle.observe(key(workload), host.into(), sensor, 1);
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.handle.ended().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_call_is_in_the_mesh_before_any_timer_and_a_second_is_not_news() {
    let mut rig = Rig::start(None, ScopeSettings::default()).await;
    let before = Instant::now();
    rig.observe("shop/web", "cart", Sensor::Request);
    assert!(rig.next().await);
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(rig.sets["shop/web"], ["cart"]);
    rig.observe("shop/web", "cart", Sensor::AccessLog);
    rig.observe("shop/web", "pay", Sensor::Request);
    assert!(rig.next().await);
    assert_eq!(rig.sets["shop/web"], ["cart", "pay"]);
    assert!(rig.mesh.is_empty());
    let edges = rig.handle.edges(&key("shop/web")).await.unwrap();
    assert_eq!(edges[0].count, 2);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn observers_never_wait() {
    let settings = ScopeSettings { queue: 10, ..Default::default() };
    let mut rig = Rig::start(None, settings).await;
    for host in 0..50 {
        rig.observe("shop/web", &format!("h{host}"), Sensor::Request);
    }
    assert_eq!(rig.handle.metrics.dropped.get(), 40);
    assert!(rig.next().await);
    assert_eq!(rig.sets["shop/web"].len(), 10);
    rig.end().await;
}

#[tokio::test]
async fn what_was_learned_is_said_again_after_a_restart_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(storage_in(folder.path()), ScopeSettings::default()).await;
    assert!(rig.sets.is_empty());
    rig.handle.meet(key("shop/web-v1"), "web".into());
    rig.observe("shop/web-v1", "cart", Sensor::Request);
    rig.observe("shop/web-v1", "pay", Sensor::Request);
    rig.next().await;
    rig.handle.pin(&key("shop/other"), &"pinned".into()).await.unwrap();
    rig.handle.reset(&key("shop/web-v1"), Some("pay".into())).await.unwrap();
    rig.end().await;

    let mut rig = Rig::start(storage_in(folder.path()), ScopeSettings::default()).await;
    assert_eq!(rig.sets["shop/web-v1"], ["cart"]);
    assert_eq!(rig.sets["shop/other"], ["pinned"]);
    // Also who is whose sibling.
    rig.handle.meet(key("shop/web-v2"), "web".into());
    rig.next().await;
    assert_eq!(rig.sets["shop/web-v2"], ["cart"]);
    rig.end().await;
}

#[tokio::test]
async fn a_new_edge_is_written_down_within_a_moment_although_the_process_is_not_ended() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage_in(folder.path()).unwrap();
    let mut rig = Rig::start(Some(storage.clone()), ScopeSettings::default()).await;
    rig.observe("shop/web", "cart", Sensor::Request);
    rig.next().await;
    let stored = async {
        while storage.scan(WORKLOADS, Vec::new()..vec![u8::MAX], 9).await.unwrap().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), stored).await.expect("it is written without an end");
    rig.end().await;
}

#[tokio::test]
async fn a_decision_about_fences_outlives_a_restart_and_is_in_effect_behind_its_mark() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(storage_in(folder.path()), ScopeSettings::default()).await;
    let target = |text: &str| text.parse::<FenceTarget>().unwrap();
    rig.handle.switch_off(target("shop/web"), None).await.unwrap();
    rig.handle.switch_off(target("bank"), Some(3_600)).await.unwrap();
    let handle = rig.handle.clone();
    let waiting = tokio::spawn(async move { handle.in_effect().await });
    rig.next().await;
    rig.next().await;
    assert_eq!(rig.switches.len(), 2);
    assert!(!waiting.is_finished(), "the mark comes last");
    rig.next().await;
    assert_eq!(waiting.await.unwrap(), Ok(7));
    assert!(rig.handle.confirm_off(target("shop/web")).await.unwrap());
    assert!(!rig.handle.confirm_off(target("shop")).await.unwrap());
    rig.end().await;

    let rig = Rig::start(storage_in(folder.path()), ScopeSettings::default()).await;
    assert_eq!(rig.switches.values().collect::<Vec<_>>(), [&FenceSwitch::Off; 2]);
    let all = rig.handle.fences_off().await.unwrap();
    let bank = &all[0];
    assert_eq!(bank.0, target("bank"));
    assert_eq!(bank.1.until, Some(bank.1.since + 3_600));
    assert!(all[1].1.confirmed.is_some());
    assert!(rig.handle.switch_back(target("bank")).await.unwrap());
    rig.end().await;

    let rig = Rig::start(storage_in(folder.path()), ScopeSettings::default()).await;
    assert_eq!(rig.switches.keys().collect::<Vec<_>>(), ["shop/web"]);
    rig.end().await;
}

/// A storage that writes only while it may, and then says so.
#[derive(Clone, Default)]
struct Held(Arc<(Mutex<(bool, usize)>, Condvar)>);

impl Held {
    fn let_through(&self) {
        self.0.0.lock().unwrap().0 = true;
        self.0.1.notify_all();
    }

    fn writes(&self) -> usize {
        self.0.0.lock().unwrap().1
    }
}

impl storage::Storage for Held {
    fn get(&self, _: storage::Table, _: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(None)
    }

    fn write(&self, _: &Batch) -> Result<(), StorageError> {
        let state = self.0.0.lock().unwrap();
        let mut state = self.0.1.wait_while(state, |state| !state.0).unwrap();
        state.1 += 1;
        Ok(())
    }

    fn scan(
        &self,
        _: storage::Table,
        _: std::ops::Range<Vec<u8>>,
        _: usize,
    ) -> Result<Vec<storage::Entry>, StorageError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn people_are_answered_when_their_decision_is_written_and_learning_does_not_wait_for_that() {
    let held = Held::default();
    let storage = StorageHandle::new(held.clone());
    let mut rig = Rig::start(Some(storage), ScopeSettings::default()).await;
    let handle = rig.handle.clone();
    let pinning = tokio::spawn(async move { handle.pin(&key("shop/web"), &"pinned".into()).await });
    // It counts at once.
    rig.next().await;
    assert_eq!(rig.sets["shop/web"], ["pinned"]);
    // One that is decided while a write is held is for the next write.
    let handle = rig.handle.clone();
    let switching =
        tokio::spawn(async move { handle.switch_off("bank".parse().unwrap(), None).await });
    rig.next().await;
    rig.observe("shop/web", "cart", Sensor::Request);
    rig.next().await;
    assert_eq!(rig.sets["shop/web"], ["cart", "pinned"]);
    sleep(Duration::from_millis(50)).await;
    assert!(!pinning.is_finished() && !switching.is_finished(), "nothing is written yet");
    held.let_through();
    assert_eq!(pinning.await.unwrap(), Ok(true));
    assert_eq!(switching.await.unwrap(), Ok(()));
    assert!(held.writes() > 1, "the second decision is not in the first write");
    rig.end().await;
}

#[tokio::test]
async fn a_decision_is_on_the_disk_when_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage_in(folder.path()).unwrap();
    let rig = Rig::start(Some(storage.clone()), ScopeSettings::default()).await;
    let web = key("shop/web");
    let stored = async || {
        let all = storage.scan(WORKLOADS, Vec::new()..vec![u8::MAX], 9).await.unwrap();
        all.iter().filter_map(|(key, value)| record::read(key, value)).next()
    };
    let is_pinned = |record: &Option<(WorkloadKey, crate::Record)>| {
        record.as_ref().is_some_and(|(_, record)| record.edges.iter().any(|edge| edge.is_pinned))
    };
    rig.handle.pin(&web, &"cart".into()).await.unwrap();
    assert!(is_pinned(&stored().await));
    rig.handle.unpin(&web, &"cart".into()).await.unwrap();
    let record = stored().await;
    assert!(record.is_some() && !is_pinned(&record));
    rig.handle.reset(&web, None).await.unwrap();
    assert!(stored().await.is_none_or(|(_, record)| record.edges.is_empty()));
    let off = async || storage.scan(FENCES_OFF, Vec::new()..vec![u8::MAX], 9).await.unwrap().len();
    rig.handle.switch_off("bank".parse().unwrap(), None).await.unwrap();
    assert_eq!(off().await, 1);
    rig.handle.switch_back("bank".parse().unwrap()).await.unwrap();
    assert_eq!(off().await, 0);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn fences_count_again_when_their_time_is_over() {
    let mut rig = Rig::start(None, ScopeSettings::default()).await;
    rig.handle.switch_off("shop".parse().unwrap(), Some(60)).await.unwrap();
    rig.next().await;
    assert_eq!(rig.switches["shop"], FenceSwitch::Off);
    rig.next().await;
    assert_eq!(rig.switches["shop"], FenceSwitch::AsWritten);
    assert!(rig.handle.fences_off().await.unwrap().is_empty());
    rig.end().await;
}

/// A storage on a full disk.
struct Full;

impl storage::Storage for Full {
    fn get(&self, _: storage::Table, _: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(None)
    }

    fn write(&self, _: &Batch) -> Result<(), StorageError> {
        Err(StorageError::Ending)
    }

    fn scan(
        &self,
        _: storage::Table,
        _: std::ops::Range<Vec<u8>>,
        _: usize,
    ) -> Result<Vec<storage::Entry>, StorageError> {
        Err(StorageError::Ending)
    }
}

#[tokio::test]
async fn learning_goes_on_without_a_working_disk() {
    let storage = StorageHandle::new(Full);
    let mut rig = Rig::start(Some(storage), ScopeSettings::default()).await;
    rig.observe("shop/web", "cart", Sensor::Request);
    rig.next().await;
    let failed = async {
        while rig.handle.metrics.failed_writes.get() == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), failed).await.expect("it is counted");
    let pinned = rig.handle.pin(&key("shop/web"), &"pay".into()).await;
    assert_eq!(pinned, Err(DecisionError::NotKept));
    rig.next().await;
    assert_eq!(rig.sets["shop/web"], ["cart", "pay"]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_aged_leaves_the_mesh() {
    let settings = ScopeSettings { half_life: 60, minimum_life: 60, ..Default::default() };
    let mut rig = Rig::start(None, settings).await;
    rig.observe("shop/web", "cart", Sensor::Request);
    rig.next().await;
    let speak = rig.handle.clone();
    let speaking = tokio::spawn(async move {
        loop {
            speak.works(Sensor::AccessLog);
            sleep(Duration::from_secs(60)).await;
        }
    });
    rig.next().await;
    assert_eq!(rig.sets["shop/web"], [""; 0]);
    assert_eq!(rig.handle.metrics.removed.get(), 1);
    speaking.abort();
    rig.end().await;
}

/// A storage whose process may be killed behind any write: what has gone of ten edges by then must
/// count in the windows.
struct Judged(Embedded);

impl storage::Storage for Judged {
    fn get(&self, table: storage::Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.0.get(table, key)
    }

    fn write(&self, batch: &Batch) -> Result<(), StorageError> {
        self.0.write(batch)?;
        let all = |table| self.0.scan(table, Vec::new()..vec![u8::MAX], 9);
        for (key, value) in all(WORKLOADS)? {
            let (_, record) = record::read(&key, &value).unwrap();
            let gone = 10 - record.edges.len() as u32;
            let windows = all(WINDOWS)?;
            let windows = windows.iter().map(|(key, value)| record::read_window(key, value));
            let removed: Vec<u32> = windows.map(|read| read.unwrap().1.removed).collect();
            assert_eq!(removed, vec![gone; if gone > 0 { 2 } else { 0 }]);
        }
        Ok(())
    }

    fn scan(
        &self,
        table: storage::Table,
        range: std::ops::Range<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<storage::Entry>, StorageError> {
        self.0.scan(table, range, limit)
    }
}

/// Ten edges that nobody uses any more, over a restart.
async fn check_budget(settings: ScopeSettings) {
    let settings = ScopeSettings { half_life: 1, minimum_life: 1, pass: 1, ..settings };
    let folder = tempfile::tempdir().unwrap();
    let storage = Judged(Embedded::open(folder.path()).unwrap().storage);
    let mut rig = Rig::start(Some(StorageHandle::new(storage)), settings.clone()).await;
    for host in 0..10 {
        rig.observe("shop/web", &format!("h{host}"), Sensor::AccessLog);
    }
    while rig.sets.is_empty() || rig.sets["shop/web"].len() != 8 {
        rig.next().await;
    }
    let metrics = rig.handle.metrics.clone();
    rig.end().await;
    assert_eq!(metrics.failed_writes.get(), 0, "no write leaves the windows behind");
    let rig = Rig::start(storage_in(folder.path()), settings).await;
    assert_eq!(rig.sets["shop/web"].len(), 8);
    let due = async {
        while rig.handle.stats().await.unwrap().by_state[EdgeState::Due.index()] < 8 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), due).await.expect("nothing but the budget keeps them");
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(rig.handle.edges(&key("shop/web")).await.unwrap().len(), 8, "the window goes on");
    rig.end().await;
}

#[tokio::test]
async fn a_restart_begins_no_window() {
    let workload = ScopeSettings { shrink_workload: 20, shrink_total: 100, ..Default::default() };
    let all = ScopeSettings { shrink_workload: 100, shrink_total: 20, ..Default::default() };
    tokio::join!(check_budget(workload), check_budget(all));
}

#[tokio::test]
async fn a_hundred_thousand_edges_are_a_file_of_less_than_twenty_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ScopeSettings { queue: 200_000, ..Default::default() };
    let rig = Rig::start(storage_in(folder.path()), settings.clone()).await;
    let Rig { handle, mut mesh, shutdown, .. } = rig;
    let listening = tokio::spawn(async move { while mesh.recv().await.is_some() {} });
    let see = |sensor| {
        for workload in 0..5_000 {
            let own = key(&format!("namespace-{:02}/deployment-{workload:05}", workload % 50));
            for target in 0..20 {
                let service = (workload * 7 + target * 131) % 2_000;
                let host = format!("service-number-{service:05}.namespace.svc.cluster.local");
                handle.observe(own.clone(), host.as_str().into(), sensor, 1);
            }
        }
    };
    see(Sensor::Request);
    // Written again, in another order: the file must not grow with each write.
    while handle.stats().await.unwrap().edges < 100_000 {
        sleep(Duration::from_millis(50)).await;
    }
    sleep(Duration::from_secs(2)).await;
    see(Sensor::AccessLog);
    while handle.stats().await.unwrap().by_sensor[Sensor::AccessLog as usize] < 100_000 {
        sleep(Duration::from_millis(50)).await;
    }
    shutdown.cancel();
    handle.ended().await;
    listening.abort();
    let files = std::fs::read_dir(folder.path()).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!("{bytes} bytes on disk");
    assert!(bytes < 20_000_000, "{bytes} bytes");
    let rig = Rig::start(storage_in(folder.path()), settings).await;
    assert_eq!(rig.sets.len(), 5_000);
    rig.end().await;
}
