//! TLS that the client's sidecar opens, and TLS that it passes through by server name.

use std::{net::SocketAddr, path::Path};

use testkit::{
    certs::{CertificateAuthority, Leaf},
    http::{Backend, BackendSettings, Client, Request, TlsSettings},
    ports,
};

use crate::shop::{PORT, Shop, ShopSettings, destination_rule, egress, send};

/// The port of services that are called encrypted.
pub(crate) const TLS_PORT: u16 = 9443;

/// A host outside of the mesh with one instance.
pub(crate) fn entry(name: &str, host: &str, protocol: &str, address: SocketAddr) -> String {
    let service_port = if protocol == "TLS" { TLS_PORT } else { PORT };
    let (ip, port) = (address.ip(), address.port());
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{host}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: {service_port}, name: p, protocol: {protocol}, targetPort: {port}}}]
  endpoints: [{{address: {ip}}}]
"
    )
}

/// A policy for `pay.example` with these TLS settings.
fn tls(settings: &str) -> String {
    destination_rule("").replace(
        "host: web",
        &format!("host: pay.example\n  trafficPolicy: {{tls: {{{settings}}}}}"),
    )
}

/// The instance of a service that is called encrypted.
pub(crate) fn encrypted(name: &str) -> BackendSettings {
    BackendSettings { address: ports::loopback_socket(8443), ..BackendSettings::new(name) }
}

/// One that shows a certificate of `authority`.
async fn tls_backend(name: &str, authority: &CertificateAuthority, leaf: &Leaf) -> Backend {
    let tls = Some(authority.server_config(leaf).unwrap());
    Backend::start_with(BackendSettings { tls, ..encrypted(name) }).await.unwrap()
}

/// A shop whose client calls the TLS server `pay.example` in plain text.
async fn paying(backend: &Backend, settings: &str) -> Shop {
    let entry = entry("pay", "pay.example", "HTTP", backend.address());
    Shop::start(&[], &(entry + &tls(settings))).await
}

async fn pay(shop: &Shop) -> testkit::http::Response {
    send(&Request::get(shop.address, "pay.example", "/bill")).await
}

fn quoted(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test]
async fn a_plain_request_goes_out_encrypted_and_the_server_is_verified() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let leaf = authority.leaf(&["pay.example"]).unwrap();
    let backend = tls_backend("pay", &authority, &leaf).await;
    let authority = quoted(&authority.path);
    let settings = format!(
        "mode: SIMPLE, sni: pay.example, subjectAltNames: [pay.example], caCertificates: {authority}"
    );
    let shop = paying(&backend, &settings).await;
    let echo = pay(&shop).await.echo().unwrap();
    assert_eq!((echo.backend.as_str(), echo.path.as_str()), ("pay", "/bill"));
}

#[tokio::test]
async fn a_server_of_another_name_or_authority_is_refused() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let other = CertificateAuthority::new("other").unwrap();
    let leaf = authority.leaf(&["pay.example"]).unwrap();
    let backend = tls_backend("pay", &authority, &leaf).await;
    for (path, name) in [(&other.path, "pay.example"), (&authority.path, "other.example")] {
        let authority = quoted(path);
        let settings =
            format!("mode: SIMPLE, subjectAltNames: [{name}], caCertificates: {authority}");
        let shop = paying(&backend, &settings).await;
        assert_eq!(pay(&shop).await.status, 503);
    }
    assert_eq!(backend.requests(), 0);
}

#[tokio::test]
async fn the_client_shows_its_certificate_where_a_policy_says_so() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let leaf = authority.leaf(&["pay.example"]).unwrap();
    let client = authority.leaf(&["client.example"]).unwrap();
    let tls = Some(authority.mutual_server_config(&leaf).unwrap());
    let backend = BackendSettings { tls, ..encrypted("pay") };
    let backend = Backend::start_with(backend).await.unwrap();
    let authority = quoted(&authority.path);
    let certificate = quoted(&client.certificate_path);
    let key = quoted(&client.key_path);
    let settings = format!(
        "mode: MUTUAL, caCertificates: {authority}, clientCertificate: {certificate}, privateKey: {key}"
    );
    assert_eq!(pay(&paying(&backend, &settings).await).await.backend(), Some("pay"));
    let without = format!("mode: SIMPLE, caCertificates: {authority}");
    assert_eq!(pay(&paying(&backend, &without).await).await.status, 503);
}

#[tokio::test]
async fn encrypted_connections_are_routed_by_server_name() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let (mut backends, mut leaves) = (Vec::new(), Vec::new());
    for name in ["one", "two", "three"] {
        let leaf = authority.leaf(&[&format!("{name}.example")]).unwrap();
        backends.push(tls_backend(name, &authority, &leaf).await);
        leaves.push(leaf);
    }
    let address = ports::loopback_socket(TLS_PORT);
    let mut yaml: String = ["one", "two", "three"]
        .iter()
        .zip(&backends)
        .map(|(name, it)| entry(name, &format!("{name}.example"), "TLS", it.address()))
        .collect();
    for (name, leads_to) in [("one", "one"), ("two", "three"), ("three", "three")] {
        yaml += &format!(
            "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}.example]
  tls:
  - match: [{{port: {TLS_PORT}, sniHosts: [{name}.example]}}]
    route: [{{destination: {{host: {leads_to}.example}}}}]
"
        );
    }
    let shop = Shop::start_with(ShopSettings {
        yaml: &yaml,
        egress: &egress(address, "TLS", "*"),
        ..ShopSettings::default()
    })
    .await;
    shop.wait_listening(address).await;
    for (name, answered_by) in [("one", 0), ("two", 2), ("three", 2)] {
        let request =
            Request::get(address, name, "/").tls(TlsSettings::new(&format!("{name}.example")));
        let response = send(&request).await;
        assert_eq!(response.backend(), Some(backends[answered_by].name()), "{name}");
        // Nobody on the way has the keys: the certificate is the server's own.
        let shown = response.peer_certificates[0].as_ref();
        assert_eq!(shown, leaves[answered_by].certificate_der().unwrap().as_ref());
    }
    let unknown = Request::get(address, "x", "/").tls(TlsSettings::new("unknown.example"));
    assert!(Client::new().send(&unknown).await.is_err());
}
