//! Who calls whom, who may not, and a new root while load runs.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use testkit::{
    certs::Leaf,
    http::{Client, Request, TlsSettings},
};
use tokio::time;

use crate::{
    fleet::{issue, output},
    load,
    plane::PATIENCE,
    run::Demo,
    shop::{INSTANCES, Instance, NAMESPACE},
};

const LOOK: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);
/// Name of the secret with a proxy's own certificate, and of the one with the authorities.
const OWN: &str = "default";
const AUTHORITIES: &str = "ROOTCA";

fn identity(account: &str) -> String {
    format!("spiffe://cluster.local/ns/{NAMESPACE}/sa/{account}")
}

/// `rating-2` is an instance of `rating`.
fn application(instance: &str) -> &str {
    instance.split('-').next().unwrap_or(instance)
}

/// Every service tells who has called it.
pub(super) async fn identities(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("mutual TLS: everybody proves who they are");
    let answer = Client::new().send(&load::request(demo.shop.gateway())).await?;
    let page: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let callers: BTreeMap<String, String> = serde_json::from_value(page["called_by"].clone())?;
    for (name, caller) in &callers {
        demo.report.say(format_args!("{name} was called by {caller}"));
    }
    let expected = [
        ("frontend", "edge"),
        ("catalog", "frontend"),
        ("reviews", "frontend"),
        ("cart", "frontend"),
        ("rating", "reviews"),
    ];
    let told: BTreeMap<&str, &str> =
        callers.iter().map(|(name, caller)| (application(name), caller.as_str())).collect();
    let right = expected.iter().all(|(name, caller)| told.get(name) == Some(&&*identity(caller)));
    demo.report.check(right, "each service sees the identity of its caller");
    let proven = demo.plane.identities().await?;
    let all = proven.iter().all(|(proxy, proven)| *proven == identity(application(proxy)));
    let text = format!("{} of {} proxies have proven who they are", proven.len(), proven.len());
    demo.report.check(all && proven.len() == demo.fleet.proxy_count(), text);
    demo.end(step, None);
    Ok(())
}

/// Plain text, and callers that no policy names.
pub(super) async fn refused_callers(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("who is not allowed is refused");
    let cart = INSTANCES.iter().find(|it| it.name == "cart-1").context("the shop has no cart")?;
    let plain = Request::get(demo.shop.served(cart), "cart", "/").timeout(PATIENCE);
    let plain = Client::new().send(&plain).await;
    demo.report.check(plain.is_err(), "cart: plain text gets no answer");
    let allowed = call_as(demo, "frontend", cart).await?;
    demo.report.check(allowed == 200, format!("cart answers frontend with {allowed}"));
    let refused = call_as(demo, "catalog", cart).await?;
    demo.report.check(refused == 403, format!("cart answers catalog with {refused}"));
    demo.end(step, None);
    Ok(())
}

/// The status of a call with the certificate of a service account.
async fn call_as(demo: &Demo, account: &str, to: &Instance) -> Result<u16> {
    let folder = issue(demo.plane.binary(), &demo.shop, &format!("caller-{account}"), account)?;
    let leaf = Leaf::read(&folder.join("cert-chain.pem"), &folder.join("key.pem"))?;
    let tls = TlsSettings {
        alpn: vec!["istio-http/1.1".to_owned(), "istio".to_owned()],
        identity: Some(leaf),
        ..TlsSettings::new("cart")
    };
    let request = Request::get(demo.shop.served(to), "cart", "/").tls(tls).timeout(PATIENCE);
    Ok(Client::new().send(&request).await?.status.as_u16())
}

/// A second root, then certificates of it, then without the first one.
pub(super) async fn rotate_root(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("a new root, in three steps");
    rotate(demo, &["start"], AUTHORITIES).await?;
    demo.report.say("every proxy trusts both roots");
    let now = ["next", "--force", "--reason", "demo"];
    rotate(demo, &now, OWN).await?;
    demo.fleet.renew_proofs(&demo.shop, &demo.plane)?;
    demo.report.say("every proxy has a certificate of the new one");
    rotate(demo, &now, AUTHORITIES).await?;
    demo.report.say("the old one is gone");
    let tally = demo.watch(LOOK).await;
    demo.report.check(tally.ended > 0, format!("{} requests with the new one", tally.ended));
    demo.end(step, None);
    Ok(())
}

/// Takes a step, and waits until every proxy has another version of a secret.
async fn rotate(demo: &Demo, arguments: &[&str], secret: &str) -> Result<()> {
    let before = demo.plane.secret_versions(secret).await?;
    let mut command = Command::new(demo.plane.binary());
    command.args(["identity", "rotate"]).args(arguments);
    output(command.arg("--directory").arg(demo.shop.authority()))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = demo.plane.secret_versions(secret).await?;
        let changed = |(proxy, version): (&String, &String)| {
            !version.is_empty() && before.get(proxy) != Some(version)
        };
        if now.len() == demo.fleet.proxy_count() && now.iter().all(changed) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "not every proxy has a new `{secret}`");
        time::sleep(POLL).await;
    }
}
