//! Callers from other machines, and agents that ask for certificates, of a whole control plane.
//!
//! A connection to the machine's own outer address comes from that address, which is not loopback.

use http::HeaderMap;
use identity::{
    Authenticators, Credential, IstioCertificateRequest, IstioCertificateResponse,
    parse_certificate,
};
use prost::Message;
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use testkit::{
    certs::CertificateAuthority,
    http::{Client, Request, TlsSettings},
    ports,
};
use xds::Code;

use crate::{
    plane::SHOP,
    streams::{Claim, Guarded, OWN},
};

const CREATE: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

#[tokio::test]
async fn a_proxy_on_another_machine_must_prove_who_it_is_where_nobody_listens() {
    let Some(outer) = ports::require_outer_address("callers from other machines") else { return };
    let guarded = Guarded::start_at(outer, &[("shop.yaml", SHOP)]).await;
    let token = || Some(guarded.token("cart", 600));
    let leaf = guarded.leaf("shop", "cart");
    for sotw in [false, true] {
        let bare = || Claim { sotw, ..Claim::default() };
        for (claim, words) in [
            (bare(), "nothing proves who this proxy is"),
            (Claim { tls: true, ..bare() }, "nothing proves who this proxy is"),
            (Claim { token: token(), ..bare() }, "a token came over plain text"),
        ] {
            let (code, message) = guarded.refusal(&claim).await.expect("it is refused");
            assert_eq!(code, Code::Unauthenticated);
            assert!(message.contains(words), "{message}");
        }
        for claim in [
            Claim { token: token(), tls: true, ..bare() },
            Claim { leaf: Some(&leaf), ..bare() },
            Claim { leaf: Some(&leaf), token: token(), ..bare() },
        ] {
            assert_eq!(guarded.refusal(&claim).await, None);
            assert_eq!(guarded.secrets(&claim, &OWN).await, ["ROOTCA", "default"]);
        }
    }
}

/// A signing request in the name of somebody else.
fn signing_request() -> String {
    let mut params = CertificateParams::default();
    let pay = "spiffe://cluster.local/ns/shop/sa/pay";
    params.subject_alt_names.push(SanType::URI(pay.try_into().unwrap()));
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

/// Asks for a certificate as an agent does; an error is the status and its message.
async fn create(guarded: &Guarded, claim: &Claim<'_>) -> Result<Vec<String>, (u32, String)> {
    let message = IstioCertificateRequest { csr: signing_request(), ..Default::default() };
    let address = guarded.plane.mesh.xds_address();
    let mut request = Request::grpc(address, "localhost", CREATE, &message.encode_to_vec());
    if claim.tls || claim.leaf.is_some() {
        let identity = claim.leaf.cloned();
        request = request.tls(TlsSettings { identity, ..TlsSettings::new("localhost") });
    }
    if let Some(token) = &claim.token {
        request = request.header("authorization", token);
    }
    // A handshake that fails is no answer at all.
    let answer = Client::new().send(&request).await.map_err(|error| (14, format!("{error:#}")))?;
    let text = |headers: &HeaderMap| Some(headers.get("grpc-message")?.to_str().ok()?.to_owned());
    match answer.grpc_status() {
        Some(0) => {
            let message = answer.grpc_message().expect("an answer has a message");
            Ok(IstioCertificateResponse::decode(message).unwrap().cert_chain)
        }
        code => {
            let said = text(&answer.trailers).or_else(|| text(&answer.headers));
            Err((code.expect("it is gRPC"), said.unwrap_or_default()))
        }
    }
}

#[tokio::test]
async fn agents_get_certificates_for_what_they_have_proven() {
    let Some(outer) = ports::require_outer_address("callers from other machines") else { return };
    let guarded = Guarded::start_at(outer, &[("shop.yaml", SHOP)]).await;
    let (cart, token) = (guarded.leaf("shop", "cart"), Some(guarded.token("cart", 600)));
    let judges = Authenticators::open(guarded.plane.mesh.authority().clone(), Vec::new()).unwrap();
    for claim in [
        Claim { leaf: Some(&cart), ..Claim::default() },
        Claim { token: token.clone(), tls: true, ..Claim::default() },
    ] {
        let chain = create(&guarded, &claim).await.unwrap();
        let (roots, shown) = chain.split_last().unwrap();
        assert_eq!(**roots, *guarded.plane.mesh.authority().roots());
        let der = |pem: &String| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let shown: Vec<_> = shown.iter().map(der).collect();
        let facts = parse_certificate(&shown[0]).unwrap();
        assert_eq!(facts.uris, ["spiffe://cluster.local/ns/shop/sa/cart"], "not the request's");
        let proven = judges.authenticate(&Credential::ClientCertificate(shown.into())).await;
        assert_eq!(proven.unwrap().identity.to_string(), facts.uris[0]);
    }
    let foreign = CertificateAuthority::new("foreign").unwrap();
    let foreign = foreign.leaf(&["spiffe://cluster.local/ns/shop/sa/cart"]).unwrap();
    let expired = Some(guarded.token("cart", -600));
    for (claim, code, words) in [
        (Claim { tls: true, ..Claim::default() }, 16, "shows neither"),
        (Claim { token: expired, tls: true, ..Claim::default() }, 16, "expired"),
        (Claim { token, ..Claim::default() }, 16, "TLS"),
        (Claim { leaf: Some(&foreign), ..Claim::default() }, 14, ""),
    ] {
        let refused = create(&guarded, &claim).await.expect_err("it is refused");
        assert!(refused.0 == code && refused.1.contains(words), "{refused:?}");
    }
}
