use std::sync::Arc;

use api::istio::mesh_config::MeshConfig;
use proptest::{collection::vec, prelude::*};
use snapshot::{Change, Features, Index};
use storage::Embedded;
use tempfile::TempDir;

use super::*;

/// A mesh with a fence, at some time.
struct Mesh(Index);

impl Mesh {
    fn new(waited: BTreeMap<ObjectKey, Domains>) -> Self {
        let index =
            Index::new(Arc::new(MeshConfig::default()), Features::default(), "cluster.local");
        Self(index.with_fence_waits(waited))
    }

    /// The fence `shop/web` asks for these hosts now.
    fn ask(&mut self, now: i64, hosts: &[String]) -> &mut Self {
        let hosts: String = hosts.iter().map(|host| format!("{host}: {{}}, ")).collect();
        let text = format!(
            "apiVersion: microservice.slime.io/v1alpha1\nkind: ServiceFence\n\
             metadata: {{name: web, namespace: shop}}\nspec: {{enable: true, host: {{{hosts}}}}}\n"
        );
        let (objects, findings) = api::parse_documents("mesh.yaml", text.as_bytes());
        assert!(findings.is_empty(), "{findings:?}");
        let time = [Change::Time(now)].into_iter();
        self.0.apply(time.chain(objects.into_iter().map(Change::Put)));
        self
    }

    fn time(&mut self, now: i64) -> &mut Self {
        self.0.apply([Change::Time(now)]);
        self
    }

    fn waits(&self) -> FenceWaits {
        self.0.snapshot().fence_waits().clone()
    }

    /// Hosts that wait, each with the last second of it.
    fn waiting(&self) -> Vec<(String, i64)> {
        let waits = self.waits();
        let all = waits.iter().flat_map(|(_, domains)| &**domains);
        all.map(|(key, domain)| (key.clone(), domain.until.unwrap())).collect()
    }
}

fn hosts(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|host| (*host).to_owned()).collect()
}

fn open(folder: &TempDir) -> StorageHandle {
    StorageHandle::new(Embedded::open(folder.path()).unwrap().storage)
}

/// What a keeper has written when it ends.
async fn keep(folder: &TempDir, waits: FenceWaits) -> BTreeMap<ObjectKey, Domains> {
    let (keeper, _) = WaitKeeper::open(open(folder)).await;
    let (_said, waits) = watch::channel(Some(waits));
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    keeper.start(waits, shutdown).await.unwrap();
    WaitKeeper::open(open(folder)).await.1
}

#[tokio::test]
async fn what_waits_waits_on_in_the_next_process_and_no_longer_than_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::new(BTreeMap::new());
    mesh.ask(100, &hosts(&["a.x", "b.x", "c.x"])).ask(110, &hosts(&["b.x"]));
    let expected = [("a.x".to_owned(), 410), ("c.x".to_owned(), 410)];
    assert_eq!(mesh.waiting(), expected);
    let kept = keep(&folder, mesh.waits()).await;

    let mut next = Mesh::new(kept.clone());
    next.ask(300, &hosts(&["b.x", "c.x"]));
    assert_eq!(next.waiting(), expected[..1], "what is asked for again does not wait");
    assert!(next.time(411).waiting().is_empty());
    assert!(keep(&folder, next.waits()).await.is_empty());

    let mut late = Mesh::new(kept);
    assert!(late.ask(410, &hosts(&["b.x"])).waiting().is_empty(), "its time passed meanwhile");
}

#[tokio::test]
async fn before_anything_is_known_nothing_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::new(BTreeMap::new());
    let kept = keep(&folder, mesh.ask(1, &hosts(&["a.x"])).ask(2, &[]).waits()).await;
    assert_eq!(kept.len(), 1);
    let (keeper, _) = WaitKeeper::open(open(&folder)).await;
    let (said, waits) = watch::channel(None);
    drop(said);
    keeper.start(waits, CancellationToken::new()).await.unwrap();
    assert_eq!(WaitKeeper::open(open(&folder)).await.1, kept);
}

#[tokio::test]
async fn a_fence_that_drops_more_than_is_kept_keeps_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let many: Vec<String> = (0..MOST + 5).map(|number| format!("h{number}.x")).collect();
    let mut mesh = Mesh::new(BTreeMap::new());
    let kept = keep(&folder, mesh.ask(1, &many).ask(2, &[]).waits()).await;
    assert_eq!(kept.values().map(Domains::len).sum::<usize>(), MOST);
}

fn domain() -> impl Strategy<Value = Domain> {
    let hosts = vec("[a-z.*]{1,253}", 0..4);
    (hosts, 0..4_u8, 0..i64::MAX, any::<bool>()).prop_map(
        |(hosts, source, until, is_recallable)| Domain {
            hosts: hosts.iter().map(|host| Hostname::new(host)).collect(),
            status: DomainStatus::ExpireWait,
            source: source_of(source).unwrap(),
            until: Some(until),
            is_recallable,
        },
    )
}

proptest! {
    #[test]
    fn what_waits_is_read_as_it_was_written(
        domains in prop::collection::btree_map("[a-z./*]{1,253}", domain(), 0..5),
        namespace in "[a-z-]{0,63}",
        name in "[a-z.-]{1,253}",
    ) {
        let key = ObjectKey::new(Kind::ServiceFence, &namespace, &name);
        prop_assert_eq!(read_key(&key_of(&key)), Some(key));
        prop_assert_eq!(read(&value_of(&domains)), Some(domains));
    }

    #[test]
    fn any_bytes_are_read_or_left_out(bytes in vec(any::<u8>(), 0..60)) {
        let _ = read_key(&bytes);
        let _ = read(&bytes);
        let _ = read(&[&[VERSION], &*bytes].concat());
    }
}
