//! Who a proxy has proven to be, and the secrets that it gets for it.

use std::{fmt::Write, net::SocketAddr, sync::Arc};

use identity::{Authenticators, AuthorityDirectory, Credential, Haste, SystemAmbient};
use testkit::{
    EnvoyProcess, Mesh,
    certs::{CertificateAuthority, Leaf},
    http::{Backend, Client, Request, Response, TlsSettings},
    mesh::{MeshSettings, ProxyProtocol, ProxySettings},
    ports,
};

use crate::shop::{BINARY, Instance, backend, eventually, require, service};

const HTTPS: u16 = 7443;
const PLAIN: u16 = 7081;

/// A gateway with one encrypted and one plain server in front of `web`.
struct Edge {
    mesh: Mesh,
    envoy: EnvoyProcess,
    address: SocketAddr,
    plain: SocketAddr,
    _web: Backend,
}

/// The gateway's proxy, which proves to be the service account `edge`.
fn edge_proxy() -> ProxySettings {
    ProxySettings::gateway("edge.shop").identity("edge")
}

impl Edge {
    /// `tls` are the settings of the encrypted server; `files` are served beside.
    async fn start(tls: &str, files: &[(&str, &str)], proxy: &ProxySettings) -> Self {
        Self::start_in(tls, files, proxy, &[]).await
    }

    async fn start_in(
        tls: &str,
        files: &[(&str, &str)],
        proxy: &ProxySettings,
        environment: &[(&str, &str)],
    ) -> Self {
        let web = backend("web").await;
        let ip = ports::loopback_address();
        let mut yaml = service("web", &[Instance::new("v1", &web)]);
        write!(
            yaml,
            "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec:
  selector: {{app: edge}}
  servers:
  - {{bind: {ip}, port: {{number: {HTTPS}, name: https, protocol: HTTPS}}, hosts: ['*'], tls: {{{tls}}}}}
  - {{bind: {ip}, port: {{number: {PLAIN}, name: http, protocol: HTTP}}, hosts: ['*']}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: at-edge, namespace: shop}}
spec:
  hosts: ['*']
  gateways: [edge]
  http: [{{route: [{{destination: {{host: web}}}}]}}]
"
        )
        .unwrap();
        let files: Vec<(&str, &str)> =
            [("mesh.yaml", yaml.as_str())].into_iter().chain(files.iter().copied()).collect();
        let settings =
            MeshSettings { environment, ..MeshSettings::new(BINARY, &files).with_identities() };
        let mesh = Mesh::start(&settings).await.unwrap();
        let envoy = mesh.proxy(proxy).await.unwrap();
        let (address, plain) = (SocketAddr::new(ip, HTTPS), SocketAddr::new(ip, PLAIN));
        let edge = Self { mesh, envoy, address, plain, _web: web };
        eventually(async || Client::new().send(&Request::get(edge.plain, "web", "/")).await).await;
        edge
    }

    /// An encrypted request on a connection of its own.
    async fn get(&self, identity: Option<&Leaf>) -> anyhow::Result<Response> {
        let tls = TlsSettings { identity: identity.cloned(), ..TlsSettings::new("web.example") };
        Client::new().send(&Request::get(self.address, "web.example", "/").tls(tls)).await
    }

    /// Waits until the server shows this certificate.
    async fn wait_shows(&self, leaf: &Leaf) {
        let wanted = leaf.certificate_der().unwrap();
        eventually(async || {
            let shown = self.get(None).await?.peer_certificates;
            require(shown.first() == Some(&wanted), "another certificate is shown")
        })
        .await;
    }

    /// How often listeners were made or changed.
    async fn listener_changes(&self) -> (u64, u64) {
        let stat = async |name| self.envoy.stat(name).await.unwrap();
        let prefix = "listener_manager.listener";
        (stat(&format!("{prefix}_added")).await, stat(&format!("{prefix}_modified")).await)
    }
}

/// A Secret with a certificate and its key.
pub(crate) fn tls_secret(name: &str, namespace: &str, leaf: &Leaf) -> String {
    secret(
        name,
        namespace,
        "kubernetes.io/tls",
        &[("tls.crt", &leaf.certificate_pem), ("tls.key", &leaf.key_pem)],
    )
}

pub(crate) fn secret(name: &str, namespace: &str, kind: &str, values: &[(&str, &str)]) -> String {
    let mut yaml = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         type: {kind}\nstringData:\n"
    );
    for (key, value) in values {
        writeln!(yaml, "  {key}: |\n    {}", value.trim().replace('\n', "\n    ")).unwrap();
    }
    yaml
}

const SIMPLE: &str = "mode: SIMPLE, credentialName: web-cert";

#[tokio::test]
async fn a_gateway_serves_a_secret_and_follows_it_without_a_change_of_the_listener() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let [old, new] = ["old.example", "new.example"].map(|it| authority.leaf(&[it]).unwrap());
    for protocol in [ProxyProtocol::Delta, ProxyProtocol::Sotw] {
        let files = [("secret.yaml", &*tls_secret("web-cert", "shop", &old))];
        let edge = Edge::start(SIMPLE, &files, &edge_proxy().protocol(protocol)).await;
        edge.wait_shows(&old).await;
        let changes = edge.listener_changes().await;
        edge.mesh.write("secret.yaml", &tls_secret("web-cert", "shop", &new)).unwrap();
        edge.wait_shows(&new).await;
        // What cannot be used leaves what there was, and is said.
        let broken = secret(
            "web-cert",
            "shop",
            "kubernetes.io/tls",
            &[("tls.crt", &old.certificate_pem), ("tls.key", &new.key_pem)],
        );
        edge.mesh.write("secret.yaml", &broken).unwrap();
        eventually(async || edge.expect_finding("MEL0347").await).await;
        edge.wait_shows(&new).await;
        edge.mesh.remove("secret.yaml").unwrap();
        eventually(async || edge.expect_finding("MEL0346").await).await;
        edge.wait_shows(&new).await;
        assert_eq!(edge.listener_changes().await, changes);
        eventually(async || edge.mesh.expect_synced(1).await).await;
    }
}

impl Edge {
    async fn expect_finding(&self, code: &str) -> anyhow::Result<()> {
        let findings = self.mesh.control_plane().get("/debug/findings").await?;
        let items = findings["items"].as_array().map_or(&[][..], Vec::as_slice);
        require(items.iter().any(|it| it["code"] == code), format!("no {code} in {findings}"))
    }
}

#[tokio::test]
async fn a_gateway_asks_its_callers_for_certificates_of_a_secret() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let foreign = CertificateAuthority::new("foreign").unwrap();
    let own = authority.leaf(&["web.example"]).unwrap();
    let [known, unknown] = [&authority, &foreign].map(|it| it.leaf(&["client"]).unwrap());
    let files = [
        ("secret.yaml", &*tls_secret("web-cert", "shop", &own)),
        ("ca.yaml", &secret("web-cert-cacert", "shop", "Opaque", &[("cacert", &authority.pem)])),
    ];
    let tls = "mode: MUTUAL, credentialName: web-cert";
    let edge = Edge::start(tls, &files, &edge_proxy()).await;
    eventually(async || edge.get(Some(&known)).await).await;
    assert!(edge.get(None).await.is_err());
    assert!(edge.get(Some(&unknown)).await.is_err());
}

#[tokio::test]
async fn who_has_proven_nothing_is_served_but_for_secrets() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let own = authority.leaf(&["web.example"]).unwrap();
    let files = [("secret.yaml", &*tls_secret("web-cert", "shop", &own))];
    for protocol in [ProxyProtocol::Delta, ProxyProtocol::Sotw] {
        let proxy = ProxySettings::gateway("edge.shop").protocol(protocol);
        let edge = Edge::start(SIMPLE, &files, &proxy).await;
        assert!(edge.get(None).await.is_err());
        eventually(async || edge.mesh.expect_synced(1).await).await;
    }
}

#[tokio::test]
async fn a_secret_of_another_namespace_is_not_served() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let own = authority.leaf(&["web.example"]).unwrap();
    let files = [("secret.yaml", &*tls_secret("web-cert", "other", &own))];
    for name in ["web-cert", "kubernetes://other/web-cert"] {
        let tls = format!("mode: SIMPLE, credentialName: '{name}'");
        let edge = Edge::start(&tls, &files, &edge_proxy()).await;
        assert!(edge.get(None).await.is_err());
        eventually(async || edge.expect_finding("MEL0346").await).await;
    }
}

#[tokio::test]
async fn the_certificate_of_a_workload_is_its_own_and_renewed_while_it_serves() {
    for protocol in [ProxyProtocol::Delta, ProxyProtocol::Sotw] {
        let mut edge = Edge::start_in(
            "mode: ISTIO_MUTUAL",
            &[],
            &edge_proxy().protocol(protocol),
            &[("MELTEMI_CERTIFICATE_LIFETIME", "4s")],
        )
        .await;
        let caller = edge.mesh.identity_files("shop", "caller").unwrap().leaf().unwrap();
        let first = eventually(async || edge.get(Some(&caller)).await).await.peer_certificates;
        assert!(edge.get(None).await.is_err());
        let changes = edge.listener_changes().await;
        let foreign = CertificateAuthority::new("foreign").unwrap();
        let foreign = foreign.leaf(&["spiffe://cluster.local/ns/shop/sa/caller"]).unwrap();
        assert!(edge.get(Some(&foreign)).await.is_err());
        // The authority outlives the process that has it.
        edge.mesh.kill();
        edge.mesh.restart().await.unwrap();
        eventually(async || {
            let caller = edge.mesh.identity_files("shop", "caller")?.leaf()?;
            let now = edge.get(Some(&caller)).await?.peer_certificates;
            require(now[0] != first[0], "it is not renewed")?;
            require(now[1..] == first[1..], "another issuer")
        })
        .await;
        assert_eq!(edge.listener_changes().await, changes);
    }
}

/// Whether Envoy trusts as much as `roots` are: in a dump they are base64.
fn trusts(dump: &str, roots: &str) -> bool {
    let trusted = dump.split("\"trusted_ca\":{\"inline_bytes\":\"").nth(1);
    let trusted = trusted.and_then(|rest| rest.split('"').next()).unwrap_or_default();
    trusted.len() == roots.len().div_ceil(3) * 4
}

#[tokio::test]
async fn a_root_is_replaced_while_every_call_goes_through() {
    let edge = Edge::start("mode: ISTIO_MUTUAL", &[], &edge_proxy()).await;
    let authority = edge.mesh.authority();
    let directory = edge.mesh.objects().parent().unwrap().join("identity");
    let directory = AuthorityDirectory::new(&directory, Arc::new(SystemAmbient::default()));
    // Judges the gateway by the roots that a caller has.
    let caller = Authenticators::open(authority.clone(), Vec::new()).unwrap();
    let new_leaf = || edge.mesh.identity_files("shop", "caller").unwrap().leaf().unwrap();
    let call = async |leaf: &Leaf| {
        let shown = edge.get(Some(leaf)).await.unwrap().peer_certificates;
        let shown = Credential::ClientCertificate(shown.into());
        let server = caller.authenticate(&shown).await.unwrap().identity;
        assert_eq!(server.to_string(), "spiffe://cluster.local/ns/shop/sa/edge");
    };
    let mut leaf = new_leaf();
    eventually(async || edge.get(Some(&leaf)).await).await;
    let first = edge.get(Some(&leaf)).await.unwrap().peer_certificates;
    let take = |step: usize| match step {
        0 => directory.start_rotation().unwrap(),
        _ => directory.continue_rotation(Haste::Forced("a test".to_owned())).unwrap(),
    };
    for step in 0..3 {
        let status = take(step);
        assert_eq!(status.roots.len(), [2, 2, 1][step]);
        authority.refresh().unwrap();
        let roots = authority.roots();
        let renewed = new_leaf();
        // While the gateway comes to have the roots of this step and, from the second one on, a
        // certificate of the new root, the certificates of this step and of the one before it do.
        // The first step issues none of the new root yet.
        eventually(async || {
            call(&leaf).await;
            if step > 0 {
                call(&renewed).await;
            }
            let dump = edge.envoy.config_dump().await?.to_string();
            require(trusts(&dump, &roots), "the roots of another step")?;
            let shown = edge.get(Some(&leaf)).await?.peer_certificates;
            require((shown.last() != first.last()) == (step > 0), "the issuer of another step")
        })
        .await;
        leaf = renewed;
        call(&leaf).await;
    }
}
