use std::collections::VecDeque;

use api::Object;
use model::{Kind, Location, ObjectKey};
use snapshot::Change;

use super::*;
use crate::{Findings, SourceStatus};

/// What a run does, step by step.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put(&'static str),
    Synced,
    Fail,
    Panic,
    Stay,
}

struct FakeSource(Vec<Step>);

impl Source for FakeSource {
    fn name(&self) -> &str {
        "fake"
    }

    async fn run(
        self,
        events: SourceSender,
        shutdown: CancellationToken,
    ) -> Result<(), SourceError> {
        let source: Arc<str> = "fake".into();
        for step in self.0 {
            match step {
                Step::Put(name) => {
                    let (changes, received) = (vec![Change::Put(object(name))], Instant::now());
                    let (source, diagnostics) = (source.clone(), Findings::new());
                    let event = SourceEvent::Changes { source, changes, diagnostics, received };
                    events.send(event).await?;
                }
                Step::Synced => events.send(SourceEvent::Synced { source: source.clone() }).await?,
                Step::Fail => {
                    let cause = std::io::Error::other("the cause");
                    return Err(SourceError::caused("it failed", "try again", cause));
                }
                Step::Panic => panic!("on purpose"),
                Step::Stay => shutdown.cancelled().await,
            }
        }
        Ok(())
    }
}

fn object(name: &str) -> Object {
    let meta = api::meta::ObjectMeta { name: name.to_owned(), ..Default::default() };
    let spec = api::Spec::from(api::k8s::namespace::Namespace::default());
    Object::new(meta, spec, Location { file: format!("{name}.yaml").into(), line: 1 })
}

/// Runs these runs one after another. Returns what the reader hears, and the last status.
async fn hear(runs: &[&[Step]], events: usize) -> (Vec<String>, Arc<SourceStatus>, Duration) {
    hear_after(None, runs, events).await
}

/// The same after a process that has left something.
async fn hear_after(
    restored: Option<Restored>,
    runs: &[&[Step]],
    events: usize,
) -> (Vec<String>, Arc<SourceStatus>, Duration) {
    let mut runs: VecDeque<_> = runs.iter().map(|run| run.to_vec()).collect();
    let (sender, mut receiver) = channel(4);
    let (statuses, shutdown) = (SourceStatuses::default(), CancellationToken::new());
    let begun = tokio::time::Instant::now();
    let running = tokio::spawn(supervise(
        move || FakeSource(runs.pop_front().expect("another run")),
        restored,
        SuperviseSettings::default(),
        sender,
        statuses.clone(),
        shutdown.clone(),
    ));
    let mut heard = Vec::new();
    while heard.len() < events {
        match receiver.recv().await.expect("the source goes on") {
            SourceEvent::Synced { .. } => heard.push("synced".to_owned()),
            SourceEvent::Barrier { .. } => heard.push("barrier".to_owned()),
            SourceEvent::Changes { changes, .. } => {
                heard.extend(changes.iter().map(|change| match change {
                    Change::Put(object) => format!("put {}", object.key.name),
                    Change::Delete(ObjectKey { kind, name, .. }) => {
                        assert_eq!(*kind, Kind::Namespace);
                        format!("delete {name}")
                    }
                    Change::KeySet(source, _) => unreachable!("keys of {source}"),
                    Change::Learned(workload, _) => unreachable!("calls of {workload}"),
                    Change::FenceSwitched(target, _) => unreachable!("the fences of {target}"),
                    Change::Time(now) => unreachable!("it is {now}"),
                }));
            }
        }
    }
    let elapsed = begun.elapsed();
    shutdown.cancel();
    running.await.unwrap();
    (heard, statuses.get("fake").unwrap(), elapsed)
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_started_again_and_its_state_is_kept() {
    use Step::{Fail, Panic, Put, Stay, Synced};
    let runs: [&[Step]; 4] = [
        &[Put("a"), Put("b"), Synced, Fail],
        &[Put("a"), Fail],
        &[Panic],
        &[Put("a"), Put("c"), Synced, Stay],
    ];
    let (heard, status, elapsed) = hear(&runs, 6).await;
    assert_eq!(heard, ["put a", "put b", "synced", "put c", "delete b", "synced"]);
    assert_eq!((status.objects, status.files, status.restarts), (2, 2, 3));
    assert!(status.synced);
    // 0.5 s after the first, and again 0.5 s + 1 s + … without being synced in between.
    assert_eq!(elapsed.as_millis() / 100, 5 + 10 + 20);
}

#[tokio::test(start_paused = true)]
async fn what_was_restored_is_in_effect_until_the_source_says_otherwise() {
    use Step::{Fail, Put, Stay, Synced};
    let restored = || {
        let objects = vec![object("a"), object("b")];
        Some(Restored { written: SystemTime::UNIX_EPOCH, objects })
    };
    // Readers hear at once that all is there. What is the same is not said again.
    let (heard, status, _) = hear_after(restored(), &[&[Put("a"), Put("c"), Stay]], 4).await;
    assert_eq!(heard, ["put a", "put b", "synced", "put c"]);
    assert_eq!((status.restored, status.synced), (Some(SystemTime::UNIX_EPOCH), false));
    let runs: [&[Step]; 2] = [&[Put("a"), Fail], &[Put("a"), Put("c"), Synced, Stay]];
    let (heard, status, _) = hear_after(restored(), &runs, 6).await;
    assert_eq!(heard, ["put a", "put b", "synced", "put c", "delete b", "synced"]);
    assert_eq!((status.restored, status.synced, status.objects), (None, true, 2));
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_the_failure_its_cause_and_what_to_do() {
    let (_, status, _) = hear(&[&[Step::Fail], &[Step::Synced, Step::Stay]], 1).await;
    let failure = status.last_error.as_ref().expect("a failure");
    assert_eq!(failure.message, "it failed (try again): the cause");
    assert!(status.synced);
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_a_source_whose_reader_does_not_read() {
    let (sender, _receiver) = channel(1);
    let shutdown = CancellationToken::new();
    let steps = vec![Step::Put("a"), Step::Put("b"), Step::Put("c"), Step::Put("d"), Step::Stay];
    let running = tokio::spawn(supervise(
        move || FakeSource(steps.clone()),
        None,
        SuperviseSettings::default(),
        sender,
        SourceStatuses::default(),
        shutdown.clone(),
    ));
    tokio::time::sleep(Duration::from_secs(1)).await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("it ends").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_gone_ends_the_source() {
    let (sender, receiver) = channel(1);
    drop(receiver);
    let ended = supervise(
        || FakeSource(vec![Step::Put("a"), Step::Stay]),
        None,
        SuperviseSettings::default(),
        sender,
        SourceStatuses::default(),
        CancellationToken::new(),
    );
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("it ends");
}
