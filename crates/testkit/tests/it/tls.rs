use std::sync::Arc;

use rustls_pki_types::{CertificateDer, pem::PemObject};
use testkit::{
    certs::CertificateAuthority,
    http::{Backend, BackendSettings, Client, Request, TlsSettings},
};

#[tokio::test]
async fn a_client_sees_the_certificate_of_a_tls_backend() {
    let authority = CertificateAuthority::new("test authority").unwrap();
    let leaf = authority.leaf(&["web.shop", "127.0.0.1", "spiffe://mesh/ns/shop"]).unwrap();
    let tls = Some(authority.server_config(&leaf).unwrap());
    let settings = BackendSettings { tls, ..BackendSettings::new("web") };
    let backend = Backend::start_with(settings).await.unwrap();

    let request =
        Request::get(backend.address(), "web.shop", "/").tls(TlsSettings::new("web.shop"));
    let expected = CertificateDer::from_pem_slice(leaf.certificate_pem.as_bytes()).unwrap();
    for (request, protocol) in [(request.clone(), "HTTP/1.1"), (request.http2(), "HTTP/2.0")] {
        let answer = Client::new().send(&request).await.unwrap();
        assert_eq!(answer.echo().unwrap().protocol, protocol);
        assert_eq!(answer.peer_certificates.as_slice(), std::slice::from_ref(&expected));
    }
    assert_eq!(std::fs::read_to_string(&leaf.key_path).unwrap(), leaf.key_pem);
}

#[tokio::test]
async fn a_mutual_backend_refuses_a_client_without_certificate() {
    let authority = CertificateAuthority::new("test authority").unwrap();
    let server = authority.leaf(&["web.shop"]).unwrap();
    let config = authority.mutual_server_config(&server).unwrap();
    let settings =
        BackendSettings { tls: Some(Arc::clone(&config)), ..BackendSettings::new("web") };
    let backend = Backend::start_with(settings).await.unwrap();

    let tls = TlsSettings::new("web.shop");
    let request = Request::get(backend.address(), "web.shop", "/").tls(tls.clone());
    Client::new().send(&request).await.expect_err("a certificate is asked for");

    let identity = Some(authority.leaf(&["spiffe://mesh/ns/shop/sa/client"]).unwrap());
    let request = request.tls(TlsSettings { identity, ..tls });
    assert_eq!(Client::new().send(&request).await.unwrap().backend(), Some("web"));
}
