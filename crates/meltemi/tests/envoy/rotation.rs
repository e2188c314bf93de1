//! A new root under load: each step of `meltemi identity rotate`, between two sidecars.

use std::{collections::BTreeSet, process::Command, time::Duration};

use identity::parse_certificate;
use serde_json::Value;
use testkit::http::{Load, LoadSettings, TlsSettings};
use tokio::time;

use crate::{
    mtls::{ANY_HTTP, HTTP, Pair, mode},
    shop::{BINARY, destination_rule, eventually, require},
};

/// Each request has a connection, and so a handshake, of its own between the sidecars.
const NO_REUSE: &str = "  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}";
const PER_SECOND: u32 = 120;

/// `meltemi identity rotate`, while the control plane uses the directory.
fn rotate(pair: &Pair, arguments: &[&str]) {
    let directory = pair.mesh.objects().parent().unwrap().join("identity");
    let mut command = Command::new(BINARY);
    command.args(["identity", "rotate"]).args(arguments).arg("--directory").arg(directory);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The versions of both sidecars' own secrets, as far as they are acknowledged.
async fn acknowledged(pair: &Pair) -> BTreeSet<(String, String, String)> {
    let mut found = BTreeSet::new();
    for proxy in ["client.shop", "web.shop"] {
        let dump = pair.mesh.proxy_config(proxy).await.unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for it in dump["resources"].as_array().into_iter().flatten() {
            if it["type"] == "secret" && it["sent"].is_null() {
                found.insert((proxy.to_owned(), text(&it["name"]), text(&it["acknowledged"])));
            }
        }
    }
    found
}

/// The issuer of the certificate that the sidecar of `web` shows, by its own certificate.
async fn issuer(pair: &Pair) -> String {
    let identity = pair.mesh.identity_files("shop", "caller").unwrap().leaf().unwrap();
    let tls = TlsSettings { identity: Some(identity), ..TlsSettings::new("web") };
    let answer = pair.outside(HTTP, Some(tls)).await.unwrap();
    parse_certificate(answer.peer_certificates.last().unwrap()).unwrap().fingerprint
}

#[tokio::test]
async fn a_root_is_replaced_under_load_without_a_failed_request() {
    let pair = Pair::start(&(mode("STRICT") + &destination_rule(NO_REUSE))).await;
    let first = issuer(&pair).await;
    let loads = [HTTP, ANY_HTTP].map(|port| {
        let request = pair.request(port).timeout(Duration::from_secs(5));
        Load::start(LoadSettings::new(request, PER_SECOND))
    });
    let force = ["next", "--force", "--reason", "a test"];
    for (step, changed) in [
        (&["start"][..], &["ROOTCA", "default"][..]),
        // Who is trusted is the same; who issues is not.
        (&force, &["default"]),
        (&force, &["ROOTCA", "default"]),
    ] {
        let before = acknowledged(&pair).await;
        rotate(&pair, step);
        eventually(async || {
            let now = acknowledged(&pair).await;
            let fresh = now.iter().filter(|it| !before.contains(it));
            let fresh = fresh.filter(|(_, name, _)| changed.contains(&name.as_str())).count();
            require(fresh == 2 * changed.len(), format!("{step:?}: {before:?} {now:?}"))
        })
        .await;
        // The load goes on with what this step has brought.
        time::sleep(Duration::from_secs(1)).await;
        pair.mesh.authority().refresh().unwrap();
    }
    for load in loads {
        let report = load.stop().await;
        report.expect_no_failure().unwrap();
        assert!(report.sent > u64::from(PER_SECOND) * 3, "{report}");
    }
    assert_ne!(issuer(&pair).await, first);
    // Each request was a handshake of its own.
    let stats = pair.sidecar.stats(r"^cluster\.outbound.*\.ssl\.handshake$").await.unwrap();
    assert!(stats.values().sum::<u64>() > u64::from(PER_SECOND) * 3, "{stats:?}");
    // The streams that the old root has proven end, and cannot come back with what they had; the
    // sidecars go on with what they have.
    eventually(async || pair.mesh.expect_synced(0).await).await;
    let load = Load::start(LoadSettings::new(pair.request(HTTP), PER_SECOND));
    time::sleep(Duration::from_secs(1)).await;
    load.stop().await.expect_no_failure().unwrap();
}
