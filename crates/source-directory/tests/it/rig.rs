//! A directory, the source that follows it, and what its reader knows.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use api::Spec;
use model::{Diagnostics, ObjectKey};
use snapshot::Change;
use source::{Findings, Source, SourceError, SourceEvent, SourceReceiver, channel};
use source_directory::{DirectoryHandle, DirectorySettings, DirectorySource, directory_control};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Generous: other tests load the machine.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Rig {
    pub(crate) root: TempDir,
    pub(crate) handle: DirectoryHandle,
    events: SourceReceiver,
    objects: BTreeMap<ObjectKey, api::Object>,
    findings: Findings,
    pub(crate) synced: usize,
    revision: u64,
    pub(crate) batches: usize,
    pub(crate) deletes: usize,
    _running: JoinHandle<Result<(), SourceError>>,
    _stop: DropGuard,
}

/// A directory with these files.
pub(crate) fn directory(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(&root.path().join(name), text);
    }
    root
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A namespace; `value` tells its versions apart.
pub(crate) fn namespace(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    v: \"{value}\"\n---\n"
    )
}

pub(crate) fn settings(path: &Path) -> DirectorySettings {
    DirectorySettings { paths: vec![path.to_owned()], ..DirectorySettings::default() }
}

impl Rig {
    pub(crate) async fn new(files: &[(&str, &str)]) -> Self {
        let root = directory(files);
        let settings = settings(root.path());
        Self::with(root, settings).await
    }

    pub(crate) async fn with(root: TempDir, settings: DirectorySettings) -> Self {
        let (sender, events) = channel(16);
        let stop = CancellationToken::new();
        let (handle, commands) = directory_control();
        let source = DirectorySource::new(settings).listen_to(commands);
        let running = tokio::spawn(source.run(sender, stop.clone()));
        let mut rig = Self {
            root,
            handle,
            events,
            objects: BTreeMap::new(),
            findings: Findings::new(),
            synced: 0,
            revision: 0,
            batches: 0,
            deletes: 0,
            _running: running,
            _stop: stop.drop_guard(),
        };
        while rig.synced == 0 {
            let event = tokio::time::timeout(PATIENCE * 10, rig.events.recv()).await;
            rig.take(event.expect("the source is synced").expect("the source goes on"));
        }
        rig
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        write(&self.path(name), text);
    }

    fn take(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Synced { source } => {
                assert_eq!(&*source, "directory");
                self.synced += 1;
            }
            SourceEvent::Barrier { barrier, .. } => {
                self.revision += 1;
                barrier.reach(self.revision);
            }
            SourceEvent::Changes { changes, diagnostics, .. } => {
                self.batches += 1;
                for change in changes {
                    match change {
                        Change::Put(object) => {
                            self.objects.insert(object.key.clone(), object);
                        }
                        Change::Delete(key) => {
                            self.deletes += 1;
                            assert!(self.objects.remove(&key).is_some(), "{key} was never put");
                        }
                        Change::KeySet(source, _) => unreachable!("keys of {source}"),
                        Change::Learned(workload, _) => unreachable!("calls of {workload}"),
                        Change::FenceSwitched(target, _) => unreachable!("fence of {target:?}"),
                        Change::Time(now) => unreachable!("it is {now}"),
                    }
                }
                self.findings.extend(diagnostics);
                self.findings.retain(|_, diagnostics| !diagnostics.is_empty());
            }
        }
    }

    /// Makes the source look at once, and takes what it says until it says that it has.
    pub(crate) async fn rescan(&mut self) {
        let handle = self.handle.clone();
        let mut reached = tokio::spawn(async move { handle.rescan().await });
        loop {
            tokio::select! {
                event = self.events.recv() => self.take(event.expect("the source goes on")),
                revision = &mut reached => {
                    assert_eq!(revision.unwrap(), Some(self.revision));
                    return;
                }
            }
        }
    }

    /// What is in effect, as `name=version`.
    pub(crate) fn state(&self) -> String {
        let label = |object: &api::Object| object.meta.labels.get("v").cloned();
        let each = self.objects.values().filter(|object| matches!(object.spec, Spec::Namespace(_)));
        let each =
            each.map(|object| format!("{}={}", object.key.name, label(object).unwrap_or_default()));
        each.collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn objects(&self) -> &BTreeMap<ObjectKey, api::Object> {
        &self.objects
    }

    /// The codes of all findings, with the files that they are about.
    pub(crate) fn codes(&self) -> String {
        let name = |file: &str| file.rsplit('/').next().unwrap_or_default().to_owned();
        let line = |file: &str, diagnostics: &Diagnostics| {
            let codes = diagnostics.iter().map(|finding| finding.code).collect::<Vec<_>>();
            format!("{}:{}", name(file), codes.join(","))
        };
        let lines = self.findings.iter().map(|(file, diagnostics)| line(file, diagnostics));
        lines.collect::<Vec<_>>().join(" ")
    }

    /// Takes events until `done`. Returns how long that took.
    #[track_caller]
    pub(crate) fn until(
        &mut self,
        what: &str,
        done: impl Fn(&Self) -> bool,
    ) -> impl Future<Output = Duration> {
        let caller = std::panic::Location::caller();
        async move {
            let begun = Instant::now();
            while !done(self) {
                let left = PATIENCE.saturating_sub(begun.elapsed());
                match tokio::time::timeout(left, self.events.recv()).await {
                    Ok(event) => self.take(event.expect("the source goes on")),
                    Err(_) => panic!(
                        "{caller}: not reached: {what}\n state: {}\n findings: {}",
                        self.state(),
                        self.codes()
                    ),
                }
            }
            begun.elapsed()
        }
    }

    /// Waits until the state is this.
    #[track_caller]
    pub(crate) fn reaches(&mut self, state: &str) -> impl Future<Output = Duration> {
        self.until(state, move |rig| rig.state() == state)
    }

    /// Lets the source do what it may be up to, and takes what it says.
    pub(crate) async fn idle(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while let Ok(event) = tokio::time::timeout_at(end, self.events.recv()).await {
            self.take(event.expect("the source goes on"));
        }
    }
}
