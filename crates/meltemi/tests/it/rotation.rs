//! The steps of a rotation wait for what connected proxies have acknowledged.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use envoy::type_url;
use tokio::time;
use xds::client::{AdsClient, AdsResponse};

use crate::{
    plane::{SHOP, Said},
    streams::{Claim, Guarded, OWN},
};

const PATIENCE: Duration = Duration::from_secs(20);

struct Rotation {
    guarded: Guarded,
    directory: PathBuf,
}

impl Rotation {
    async fn start() -> Self {
        let guarded = Guarded::start(&[("shop.yaml", SHOP)]).await;
        let directory = guarded.plane.mesh.objects().parent().unwrap().join("identity");
        Self { guarded, directory }
    }

    async fn step(&self, arguments: &[&str]) -> Said {
        let directory = ["--directory", self.directory.to_str().unwrap()];
        let arguments = [&["identity", "rotate"], arguments, &directory].concat();
        self.guarded.plane.run(&arguments).await
    }

    /// As if the longest life of a certificate had passed since the last step.
    fn let_time_pass(&self) {
        let path = self.directory.join("state.json");
        let mut state: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        state["since"] = 0.into();
        fs::write(&path, state.to_string()).unwrap();
    }

    /// The step is refused, and this proxy is named.
    async fn expect_behind(&self, proxy: &str) {
        self.let_time_pass();
        let said = self.step(&["next"]).await.expect(75);
        assert!(said.err.contains("1 of 2 connected proxies"), "{}", said.err);
        assert!(said.err.contains(proxy), "{}", said.err);
    }

    /// The step is taken once the control plane has heard of all.
    async fn expect_taken(&self) {
        let taken = async {
            while self.step(&["next"]).await.code != 0 {
                time::sleep(Duration::from_millis(50)).await;
            }
        };
        time::timeout(PATIENCE, taken).await.expect("the step is taken");
    }
}

async fn next(client: &mut AdsClient) -> AdsResponse {
    let response = time::timeout(PATIENCE, client.next_response()).await.expect("in time");
    response.unwrap().expect("a response")
}

#[tokio::test]
async fn a_step_waits_until_every_connected_proxy_has_what_it_needs() {
    let rotation = Rotation::start().await;
    let guarded = &rotation.guarded;
    let leaf = guarded.leaf("shop", "cart");
    let claim = Claim { leaf: Some(&leaf), ..Claim::default() };
    let mut cart = guarded.open(&claim).await.unwrap();
    cart.subscribe(type_url::SECRET, OWN.map(str::to_owned), BTreeMap::new()).await.unwrap();
    let first = next(&mut cart).await;
    cart.ack(&first).await.unwrap();
    // One without an identity has nothing that could break.
    let mut nobody = guarded.open(&Claim::default()).await.unwrap();
    nobody.subscribe(type_url::LISTENER, [], BTreeMap::new()).await.unwrap();
    next(&mut nobody).await;

    rotation.step(&["start"]).await.expect(0);
    rotation.expect_behind("cart-1.shop").await;
    let both_roots = next(&mut cart).await;
    rotation.expect_behind("cart-1.shop").await;
    cart.ack(&both_roots).await.unwrap();
    rotation.expect_taken().await;

    // Both roots are believed; what is missing is a certificate of the new one.
    rotation.expect_behind("cart-1.shop").await;
    let new_issuer = next(&mut cart).await;
    cart.ack(&new_issuer).await.unwrap();
    rotation.expect_taken().await;
}

#[tokio::test]
async fn a_step_is_not_taken_while_nobody_can_be_asked() {
    let rotation = Rotation::start().await;
    rotation.step(&["start"]).await.expect(0);
    let early = rotation.step(&["next"]).await.expect(75);
    assert!(early.err.contains("too early"), "{}", early.err);
    rotation.let_time_pass();
    let nobody = rotation.step(&["next", "--server", "127.0.0.1:1"]).await.expect(69);
    assert!(nobody.err.contains("--force"), "{}", nobody.err);
    let force = ["next", "--server", "127.0.0.1:1", "--force", "--reason", "a test"];
    rotation.step(&force).await.expect(0);
    rotation.let_time_pass();
    // Nobody is connected, so that nobody is behind.
    rotation.step(&["next"]).await.expect(0);
}
