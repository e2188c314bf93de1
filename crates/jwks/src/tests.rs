use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use snapshot::Change;
use source::{SourceEvent, SourceReceiver, SourceSender, SourceStatuses, channel};
use testkit::http::{Backend, Behaviour};
use tokio_util::sync::CancellationToken;

use crate::{FetchError, Fetcher, HttpsClient, KeyMetrics, KeySettings, KeyStage};

const KEYS: &str = r#"{"keys":[{"kty":"RSA","n":"1"}]}"#;
const OTHER_KEYS: &str = r#"{"keys":[{"kty":"RSA","n":"2"}]}"#;

/// Answers by address, and counts.
#[derive(Clone, Default)]
struct FakeFetcher {
    pages: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeFetcher {
    fn set(&self, uri: &str, page: &str) {
        self.pages.lock().unwrap().insert(uri.to_owned(), page.to_owned());
    }
}

impl Fetcher for FakeFetcher {
    async fn fetch(&self, uri: &str) -> Result<Bytes, FetchError> {
        self.asked.lock().unwrap().push(uri.to_owned());
        let page = self.pages.lock().unwrap().get(uri).cloned();
        match page.as_deref() {
            Some("hang") => std::future::pending().await,
            Some(page) => Ok(Bytes::from(page.to_owned())),
            None => Err(FetchError::Unusable { why: "there is no page" }),
        }
    }
}

struct Rig {
    fetcher: FakeFetcher,
    statuses: SourceStatuses,
    metrics: KeyMetrics,
    sources: SourceSender,
    store: SourceReceiver,
}

impl Rig {
    fn start() -> Self {
        let settings = KeySettings {
            refresh: Duration::from_secs(60),
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_secs(30),
            patience: Duration::from_secs(5),
        };
        let fetcher = FakeFetcher::default();
        let (statuses, metrics) = (SourceStatuses::default(), KeyMetrics::default());
        let stage = KeyStage::new(settings, fetcher.clone(), metrics.clone(), statuses.clone());
        let ((sources, incoming), (outgoing, store)) = (channel(16), channel(16));
        tokio::spawn(stage.run(incoming, outgoing, CancellationToken::new()));
        Self { fetcher, statuses, metrics, sources, store }
    }

    async fn say(&self, changes: Vec<Change>) {
        let event = SourceEvent::Changes {
            source: "test".into(),
            changes,
            diagnostics: BTreeMap::new(),
            received: std::time::Instant::now(),
        };
        self.sources.send(event).await.unwrap();
    }

    async fn sync(&self) {
        self.sources.send(SourceEvent::Synced { source: "test".into() }).await.unwrap();
    }

    /// The next event, in a few words.
    async fn heard(&mut self) -> String {
        match self.store.recv().await.expect("the stage goes on") {
            SourceEvent::Synced { .. } => "synced".to_owned(),
            SourceEvent::Barrier { .. } => "barrier".to_owned(),
            SourceEvent::Changes { changes, .. } => {
                let words = changes.iter().map(|change| match change {
                    Change::Put(object) => format!("put {}", object.key.name),
                    Change::Delete(key) => format!("delete {}", key.name),
                    Change::KeySet(source, Some(keys)) => format!("{source} {keys}"),
                    Change::KeySet(source, None) => format!("{source} none"),
                    Change::Learned(workload, _) => unreachable!("calls of {workload}"),
                    Change::FenceSwitched(target, _) => unreachable!("the fences of {target}"),
                    Change::Time(now) => unreachable!("it is {now}"),
                });
                words.collect::<Vec<_>>().join(", ")
            }
        }
    }

    fn findings(&self) -> Vec<String> {
        let status = self.statuses.get("jwks").unwrap_or_default();
        let findings = status.findings.values().flat_map(|it| it.iter());
        findings.map(ToString::to_string).collect()
    }
}

fn policy(name: &str, rule: &str) -> Change {
    let text = format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n\
         metadata: {{name: {name}, namespace: shop}}\nspec: {{jwtRules: [{{{rule}}}]}}\n"
    );
    let (objects, findings) = api::parse_documents("test.yaml", text.as_bytes());
    assert!(findings.is_empty(), "{findings:?}");
    Change::Put(objects.into_iter().next().unwrap())
}

fn with_uri(name: &str, uri: &str) -> Change {
    policy(name, &format!("issuer: i, jwksUri: '{uri}'"))
}

#[tokio::test(start_paused = true)]
async fn keys_are_there_before_the_word_that_all_is_read() {
    let mut rig = Rig::start();
    rig.fetcher.set("https://a/keys", KEYS);
    rig.say(vec![with_uri("a", "https://a/keys")]).await;
    rig.sync().await;
    assert_eq!(rig.heard().await, "put a");
    assert_eq!(rig.heard().await, format!("`https://a/keys` {KEYS}"));
    assert_eq!(rig.heard().await, "synced");
    assert_eq!(rig.metrics.success.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_start_does_not_wait_for_ever() {
    let mut rig = Rig::start();
    rig.fetcher.set("https://a/keys", "hang");
    rig.say(vec![policy("a", "issuer: i, jwksUri: 'https://a/keys', timeout: 100s")]).await;
    rig.sync().await;
    rig.say(vec![policy("b", "issuer: i, jwks: '{}'")]).await;
    assert_eq!(rig.heard().await, "put a");
    assert_eq!(rig.heard().await, "synced");
    assert_eq!(rig.heard().await, "put b");
}

#[tokio::test(start_paused = true)]
async fn a_failed_fetch_is_reported_and_tried_again_and_the_last_good_keys_stay() {
    let mut rig = Rig::start();
    rig.say(vec![with_uri("a", "https://a/keys")]).await;
    rig.sync().await;
    assert_eq!(rig.heard().await, "put a");
    assert_eq!(rig.heard().await, "synced");
    let findings = rig.findings();
    assert!(findings[0].starts_with("error[MEL0264] RequestAuthentication shop/a"), "{findings:?}");
    rig.fetcher.set("https://a/keys", KEYS);
    assert_eq!(rig.heard().await, format!("`https://a/keys` {KEYS}"));
    assert!(rig.findings().is_empty());
    rig.fetcher.set("https://a/keys", "<html>");
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert!(rig.findings()[0].starts_with("warning"), "{:?}", rig.findings());
    rig.fetcher.set("https://a/keys", OTHER_KEYS);
    // Nothing was said while there was no newer set.
    assert_eq!(rig.heard().await, format!("`https://a/keys` {OTHER_KEYS}"));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_is_asked_where_its_keys_are() {
    let mut rig = Rig::start();
    let description = "https://i.example/.well-known/openid-configuration";
    rig.fetcher.set(description, r#"{"jwks_uri":"https://elsewhere/keys"}"#);
    rig.fetcher.set("https://elsewhere/keys", KEYS);
    rig.say(vec![policy("a", "issuer: 'https://i.example/'")]).await;
    assert_eq!(rig.heard().await, "put a");
    assert_eq!(rig.heard().await, format!("the issuer `https://i.example/` {KEYS}"));
}

#[tokio::test(start_paused = true)]
async fn several_policies_share_a_set_which_ends_with_the_last() {
    let mut rig = Rig::start();
    rig.fetcher.set("https://a/keys", KEYS);
    rig.say(vec![with_uri("a", "https://a/keys"), with_uri("b", "https://a/keys")]).await;
    assert_eq!(rig.heard().await, "put a, put b");
    assert_eq!(rig.heard().await, format!("`https://a/keys` {KEYS}"));
    let key = |change: Change| change.key().cloned().unwrap();
    rig.say(vec![Change::Delete(key(with_uri("a", "x")))]).await;
    assert_eq!(rig.heard().await, "delete a");
    rig.say(vec![Change::Delete(key(with_uri("b", "x")))]).await;
    assert_eq!(rig.heard().await, "delete b");
    assert_eq!(rig.heard().await, "`https://a/keys` none");
    assert_eq!(rig.fetcher.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_client_reads_a_page_and_refuses_what_is_none() {
    let backend = Backend::start("keys").await.unwrap();
    let uri = format!("http://{}/keys", backend.address());
    let client = HttpsClient::default();
    backend.set_behaviour(Behaviour { body: Some(KEYS.into()), ..Behaviour::answer() });
    assert_eq!(client.fetch(&uri).await.unwrap(), KEYS);
    backend.set_behaviour(Behaviour::status(500));
    assert!(matches!(client.fetch(&uri).await, Err(FetchError::Status { .. })));
    let large = vec![b' '; (1 << 20) + 1];
    backend.set_behaviour(Behaviour { body: Some(large.into()), ..Behaviour::answer() });
    assert!(matches!(client.fetch(&uri).await, Err(FetchError::TooLarge { .. })));
    backend.set_behaviour(Behaviour::status(302).with_header("location", &uri));
    assert!(matches!(client.fetch(&uri).await, Err(FetchError::Redirect { .. })));
    for bad in ["ftp://x/", "file:///etc/passwd", "keys", ""] {
        assert!(matches!(client.fetch(bad).await, Err(FetchError::BadUri { .. })), "{bad}");
    }
}
