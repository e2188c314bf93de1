use std::{collections::BTreeMap, time::Duration};

use snapshot::Features;
use source::{SourceSender, channel};
use tokio::{sync::oneshot, task::JoinHandle};

use super::*;

/// A service of this name and port.
fn service(name: &str, port: u16) -> Change {
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
    );
    let (objects, diagnostics) = api::parse_documents("test.yaml", text.as_bytes());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    Change::Put(objects.into_iter().next().unwrap())
}

/// Notes what is published.
struct FakeSink(mpsc::UnboundedSender<Publication>);

impl SnapshotSink for FakeSink {
    async fn publish(&mut self, publication: Publication) {
        self.0.send(publication).unwrap();
    }
}

struct Rig {
    events: SourceSender,
    published: mpsc::UnboundedReceiver<Publication>,
    handle: WriterHandle,
    running: JoinHandle<()>,
}

impl Rig {
    fn new() -> Self {
        let index = Index::new(Arc::default(), Features::default(), "cluster.local");
        let writer = Writer::new(index, ["fake".into()]);
        let handle = writer.handle();
        let (events, receiver) = channel(16);
        let (sender, published) = mpsc::unbounded_channel();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(writer.run(receiver, FakeSink(sender), || (), shutdown));
        Self { events, published, handle, running }
    }

    async fn put(&self, changes: Vec<Change>, received: Instant) {
        let (source, diagnostics) = ("fake".into(), BTreeMap::new());
        let event = SourceEvent::Changes { source, changes, diagnostics, received };
        self.events.send(event).await.unwrap();
    }

    async fn synced(&self) {
        self.events.send(SourceEvent::Synced { source: "fake".into() }).await.unwrap();
    }

    async fn barrier(&self) -> oneshot::Receiver<u64> {
        let (barrier, reached) = Barrier::new();
        self.events.send(SourceEvent::Barrier { source: "fake".into(), barrier }).await.unwrap();
        reached
    }
}

#[tokio::test]
async fn a_barrier_is_reached_when_all_before_it_is_published() {
    let mut rig = Rig::new();
    rig.put(vec![service("a", 80)], Instant::now()).await;
    let mut early = rig.barrier().await;
    tokio::task::yield_now().await;
    assert!(early.try_recv().is_err(), "nothing is published before the source is synced");
    rig.synced().await;
    assert_eq!(early.await, Ok(1));
    assert_eq!(rig.published.try_recv().unwrap().snapshot.revision, 1);
    rig.put(vec![service("b", 80)], Instant::now()).await;
    assert_eq!(rig.barrier().await.await, Ok(2));
    assert_eq!(rig.published.try_recv().unwrap().snapshot.revision, 2);
    // Nothing new is no new revision.
    rig.put(vec![service("b", 80)], Instant::now()).await;
    assert_eq!(rig.barrier().await.await, Ok(2));
    assert!(rig.published.try_recv().is_err());
}

#[tokio::test]
async fn a_writer_that_ends_leaves_nobody_waiting() {
    let rig = Rig::new();
    let reached = rig.barrier().await;
    rig.running.abort();
    assert!(reached.await.is_err());
    assert!(rig.handle.read(|_| ()).await.is_none());
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let mut rig = Rig::new();
    rig.put(vec![service("a", 80)], Instant::now()).await;
    rig.synced().await;
    rig.published.recv().await.unwrap();
    let run = rig.handle.dry_run(vec![service("a", 81), service("b", 80)]).await.unwrap();
    assert_eq!(run.base, 1);
    assert_eq!(run.snapshot.service_count(), 2);
    assert!(!run.changes.is_empty());
    let objects = rig.handle.read(|index| (index.objects().len(), index.snapshot().revision));
    assert_eq!(objects.await, Some((1, 1)));
    assert!(rig.published.try_recv().is_err());
}

#[tokio::test]
async fn a_publication_knows_when_its_first_change_was_noticed() {
    let mut rig = Rig::new();
    let (first, second) = (Instant::now(), Instant::now() + Duration::from_secs(1));
    rig.put(vec![service("a", 80)], first).await;
    rig.put(vec![service("b", 80)], second).await;
    rig.synced().await;
    assert_eq!(rig.published.recv().await.unwrap().noticed, first);
    rig.put(vec![service("c", 80)], second).await;
    assert_eq!(rig.published.recv().await.unwrap().noticed, second);
}
