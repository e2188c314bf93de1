//! Certificates of callers out of Secrets: what a DestinationRule calls by `credentialName`.

use std::net::SocketAddr;

use testkit::{
    EnvoyProcess, Mesh,
    certs::{CertificateAuthority, Leaf},
    http::{Backend, BackendSettings, Client, Request, Response},
    mesh::{MeshSettings, ProxyKind, ProxyProtocol, ProxySettings},
    ports,
};
use tokio::net::TcpStream;

use crate::{
    identity::secret,
    shop::{BINARY, PORT, destination_rule, eventually, require},
    tls::{encrypted, entry},
};

const SECRET: &str = "secret.yaml";
/// The host of the certificate and of the rule.
const HOST: &str = "pay.example";

/// A proxy that calls the TLS server `pay.example` for clients in plain text.
struct Payer {
    mesh: Mesh,
    envoy: EnvoyProcess,
    address: SocketAddr,
    pay: Backend,
}

/// Those of the server, and of nobody.
struct Authorities {
    own: CertificateAuthority,
    other: CertificateAuthority,
}

impl Authorities {
    fn new() -> Self {
        let [own, other] = ["own", "other"].map(|name| CertificateAuthority::new(name).unwrap());
        Self { own, other }
    }

    fn client(&self) -> Leaf {
        self.own.leaf(&["client.example"]).unwrap()
    }
}

/// The proxy of `payer.shop`, which proves who it is.
fn payer(kind: ProxyKind) -> ProxySettings {
    ProxySettings { kind, ..ProxySettings::sidecar("payer.shop") }.identity("payer")
}

/// A Secret `pay` with a certificate, its key, and whom its holder believes.
fn credential(leaf: Option<&Leaf>, believed: &CertificateAuthority) -> String {
    let mut values = vec![("ca.crt", believed.pem.as_str())];
    if let Some(leaf) = leaf {
        values.extend([("tls.crt", &*leaf.certificate_pem), ("tls.key", &leaf.key_pem)]);
    }
    secret("pay", "shop", "Opaque", &values)
}

/// A rule for `pay.example` with these TLS settings, for the workload or for all.
fn rule(tls: &str, selector: &str) -> String {
    destination_rule("").replace(
        "host: web",
        &format!(
            "host: {HOST}\n{selector}  trafficPolicy: {{tls: {{{tls}, sni: {HOST}, \
             subjectAltNames: [{HOST}]}}}}"
        ),
    )
}

const SELECTED: &str = "  workloadSelector: {matchLabels: {app: payer}}\n";
const MUTUAL: &str = "mode: MUTUAL, credentialName: pay";
const SIMPLE: &str = "mode: SIMPLE, credentialName: pay";

impl Payer {
    async fn start(server: BackendSettings, proxy: &ProxySettings, yaml: &str) -> Self {
        let pay = Backend::start_with(server).await.unwrap();
        let address = ports::loopback_socket(PORT);
        let ip = address.ip();
        let entrance = match proxy.kind {
            ProxyKind::Gateway => format!(
                "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: payer, namespace: shop}}
spec:
  selector: {{app: payer}}
  servers:
  - {{bind: {ip}, port: {{number: {PORT}, name: http, protocol: HTTP}}, hosts: ['*']}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: payer, namespace: shop}}
spec:
  hosts: [{HOST}]
  gateways: [payer]
  http: [{{route: [{{destination: {{host: {HOST}}}}}]}}]
"
            ),
            ProxyKind::Sidecar | ProxyKind::RedirectedSidecar => format!(
                "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: payer, namespace: shop}}
spec:
  workloadSelector: {{labels: {{app: payer}}}}
  egress:
  - port: {{number: {PORT}, protocol: HTTP, name: http}}
    bind: {ip}
    captureMode: NONE
    hosts: ['shop/*']
"
            ),
        };
        let entry = entry("pay", HOST, "HTTP", pay.address());
        let yaml = [&*entry, &*entrance, yaml].concat();
        let files = [("mesh.yaml", yaml.as_str())];
        let settings = MeshSettings::new(BINARY, &files).with_identities();
        let mesh = Mesh::start(&settings).await.unwrap();
        mesh.expect_no_errors().await.unwrap();
        let envoy = mesh.proxy(proxy).await.unwrap();
        eventually(async || TcpStream::connect(address).await).await;
        Self { mesh, envoy, address, pay }
    }

    async fn pay(&self) -> Response {
        crate::shop::send(&Request::get(self.address, HOST, "/bill")).await
    }

    /// Waits until a request reaches the server.
    async fn wait_paid(&self) {
        eventually(async || {
            let answer = Client::new().send(&Request::get(self.address, HOST, "/")).await?;
            require(answer.status == 200, answer.text())
        })
        .await;
    }

    /// How often clusters and listeners were made, changed or removed.
    async fn changes(&self) -> Vec<(String, u64)> {
        let filter = r"^(cluster_manager\.cluster|listener_manager\.listener)_(added|modified|removed|updated)$";
        self.envoy.stats(filter).await.unwrap().into_iter().collect()
    }

    async fn expect_finding(&self, code: &str) {
        eventually(async || {
            let found = self.mesh.control_plane().get("/debug/findings").await?;
            require(found.to_string().contains(code), format!("no {code} in {found}"))
        })
        .await;
    }
}

/// A server that asks its callers for certificates.
fn asking(authorities: &Authorities) -> BackendSettings {
    let leaf = authorities.own.leaf(&[HOST]).unwrap();
    BackendSettings {
        tls: Some(authorities.own.mutual_server_config(&leaf).unwrap()),
        ..encrypted("pay")
    }
}

/// One that does not.
fn showing(authorities: &Authorities) -> BackendSettings {
    let leaf = authorities.own.leaf(&[HOST]).unwrap();
    let tls = Some(authorities.own.server_config(&leaf).unwrap());
    BackendSettings { tls, ..encrypted("pay") }
}

/// A gateway in front of the world, and a sidecar that its rule names.
const CALLERS: [(ProxyKind, &str); 2] = [(ProxyKind::Gateway, ""), (ProxyKind::Sidecar, SELECTED)];

#[tokio::test]
async fn the_certificate_of_a_caller_is_a_secret_and_follows_it() {
    for (kind, selector) in CALLERS {
        for protocol in [ProxyProtocol::Delta, ProxyProtocol::Sotw] {
            let authorities = Authorities::new();
            let wrong = authorities.other.leaf(&["client.example"]).unwrap();
            let yaml = rule(MUTUAL, selector);
            let proxy = payer(kind).protocol(protocol);
            let payer = Payer::start(asking(&authorities), &proxy, &yaml).await;
            // Nobody has a certificate yet.
            assert_eq!(payer.pay().await.status, 503, "{kind:?}");
            payer.mesh.write(SECRET, &credential(Some(&wrong), &authorities.own)).unwrap();
            eventually(async || {
                let dump = payer.envoy.config_dump().await?.to_string();
                require(dump.contains("kubernetes://pay"), "the secret is not there")
            })
            .await;
            let changes = payer.changes().await;
            assert_eq!(payer.pay().await.status, 503, "{kind:?}: of another authority");
            let client = authorities.client();
            payer.mesh.write(SECRET, &credential(Some(&client), &authorities.own)).unwrap();
            payer.wait_paid().await;
            // What is gone stays in use, and is said.
            payer.mesh.remove(SECRET).unwrap();
            payer.expect_finding("MEL0346").await;
            assert_eq!(payer.pay().await.status, 200, "{kind:?}");
            assert_eq!(payer.changes().await, changes, "{kind:?}");
            eventually(async || payer.mesh.expect_synced(1).await).await;
        }
    }
}

#[tokio::test]
async fn whom_a_caller_believes_is_a_secret_and_follows_it() {
    for (kind, selector) in CALLERS {
        let authorities = Authorities::new();
        let yaml = rule(SIMPLE, selector);
        let payer = Payer::start(showing(&authorities), &payer(kind), &yaml).await;
        assert_eq!(payer.pay().await.status, 503, "{kind:?}: whom to believe is not known");
        payer.mesh.write(SECRET, &credential(None, &authorities.other)).unwrap();
        eventually(async || {
            let dump = payer.envoy.config_dump().await?.to_string();
            require(dump.contains("inline_bytes"), "the secret is not there")
        })
        .await;
        let changes = payer.changes().await;
        assert_eq!(payer.pay().await.status, 503, "{kind:?}: somebody else is believed");
        assert_eq!(payer.pay.requests(), 0);
        payer.mesh.write(SECRET, &credential(None, &authorities.own)).unwrap();
        payer.wait_paid().await;
        assert_eq!(payer.changes().await, changes, "{kind:?}");
    }
}

/// As Istio has it: without a selector, the rule is for the sidecars of all namespaces, most of
/// which may not have the Secret.
#[tokio::test]
async fn sidecars_that_no_rule_names_get_no_secret() {
    let authorities = Authorities::new();
    let yaml =
        rule(MUTUAL, "") + "---\n" + &credential(Some(&authorities.client()), &authorities.own);
    let proxy = payer(ProxyKind::Sidecar);
    let payer = Payer::start(asking(&authorities), &proxy, &yaml).await;
    payer.expect_finding("MEL0322").await;
    assert_eq!(payer.pay().await.status, 503);
    assert_eq!(payer.pay.requests(), 0);
}

#[tokio::test]
async fn callers_that_have_proven_nothing_get_no_secret() {
    for (kind, selector) in CALLERS {
        let authorities = Authorities::new();
        let credential = credential(Some(&authorities.client()), &authorities.own);
        let yaml = rule(MUTUAL, selector) + "---\n" + &credential;
        let nobody = ProxySettings { identity: None, ..payer(kind) };
        let payer = Payer::start(asking(&authorities), &nobody, &yaml).await;
        assert_eq!(payer.pay().await.status, 503, "{kind:?}");
        assert_eq!(payer.pay.requests(), 0);
    }
}
