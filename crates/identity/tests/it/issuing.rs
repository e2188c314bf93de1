//! The fields of what is issued, and handshakes with it.

use std::time::Duration;

use identity::{
    Ambient, Authority, AuthoritySettings, IssueError, RequestError, parse_certificate,
};
use model::Identity;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, oid_registry::OID_EC_P256,
    prelude::FromDer,
};

use crate::{
    ambient::{DAY, Fixture},
    handshake::{Side, certificates, handshake, is_expired},
};

pub(crate) fn cart() -> Identity {
    "spiffe://cluster.local/ns/shop/sa/cart".parse().unwrap()
}

pub(crate) fn side(authority: &Authority) -> Side {
    Side { certificate: authority.issue(&cart()).unwrap(), roots: authority.roots() }
}

#[test]
fn a_leaf_says_who_its_holder_is_and_nothing_else() {
    let fixture = Fixture::new();
    let authority = fixture.open();
    let issued = authority.issue(&cart()).unwrap();
    let chain = certificates(&issued.chain_pem);
    assert_eq!(chain.len(), 2, "the leaf and the intermediate, without the root");
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    assert_eq!(leaf.subject().to_string(), "");
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(names.critical, "it stands in for the subject");
    let expected = [GeneralName::URI("spiffe://cluster.local/ns/shop/sa/cart")];
    assert_eq!(names.value.general_names, expected);
    let usage = leaf.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign() && !usage.key_encipherment());
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.client_auth && extended.server_auth && !extended.any);
    assert!(!leaf.is_ca());
    let curve = leaf.public_key().algorithm.parameters.as_ref().unwrap().as_oid().unwrap();
    assert_eq!(curve, OID_EC_P256);
    let serial = leaf.raw_serial();
    assert_eq!((serial.len(), serial[0] & 0x80), (16, 0));
    let now = fixture.ambient.now();
    assert_eq!(issued.not_before, now - Duration::from_secs(300), "for clocks behind ours");
    assert_eq!(issued.not_after, now + DAY);
    let seconds = |time: std::time::SystemTime| {
        time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
    };
    assert_eq!(leaf.validity().not_before.timestamp(), seconds(issued.not_before));
    assert_eq!(leaf.validity().not_after.timestamp(), seconds(issued.not_after));
}

#[test]
fn certificates_are_renewed_around_half_of_their_life_and_not_all_at_once() {
    let fixture = Fixture::new();
    let authority = fixture.open();
    let now = fixture.ambient.now();
    let mut shares: Vec<f64> = (0..50)
        .map(|_| authority.issue(&cart()).unwrap().renew_at.duration_since(now).unwrap())
        .map(|wait| wait.as_secs_f64() / DAY.as_secs_f64())
        .collect();
    shares.sort_by(f64::total_cmp);
    assert!(shares[0] >= 0.4 && shares[49] <= 0.6, "{shares:?}");
    assert!(shares[49] - shares[0] > 0.1, "{shares:?}");
}

#[test]
fn two_workloads_shake_hands_until_a_certificate_expires() {
    let fixture = Fixture::new();
    let authority = fixture.open();
    let (one, two) = (side(&authority), side(&authority));
    handshake(&one, &two, fixture.ambient.now()).unwrap();
    assert!(is_expired(handshake(&one, &two, fixture.ambient.now() + 2 * DAY)));
    let stranger = Fixture::new();
    let stranger = side(&stranger.open());
    handshake(&stranger, &two, fixture.ambient.now()).unwrap_err();
    handshake(&one, &stranger, fixture.ambient.now()).unwrap_err();
}

#[test]
fn a_request_is_signed_for_its_key_and_its_names_are_ignored() {
    let fixture = Fixture::new();
    let authority = fixture.open();
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let request = params.serialize_request(&key).unwrap();
        for bytes in [request.pem().unwrap().into_bytes(), request.der().to_vec()] {
            let chain = authority.sign(&bytes, &cart(), None).unwrap();
            assert_eq!(chain.intermediates_pem.len(), 1);
            assert_eq!(chain.roots_pem, authority.roots());
            let leaf = &certificates(&chain.leaf_pem)[0];
            let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
            let names = leaf.subject_alternative_name().unwrap().unwrap();
            let expected = [GeneralName::URI("spiffe://cluster.local/ns/shop/sa/cart")];
            assert_eq!(names.value.general_names, expected);
            assert!(!leaf.is_ca());
            let public = rcgen::PublicKeyData::subject_public_key_info(&key);
            assert_eq!(leaf.public_key().raw, public);
        }
    }
}

#[test]
fn a_request_that_is_not_signed_with_its_key_is_refused() {
    let fixture = Fixture::new();
    let authority = fixture.open();
    let sign = |bytes: &[u8]| match authority.sign(bytes, &cart(), None) {
        Err(IssueError::Request(error)) => error,
        other => panic!("{other:?}"),
    };
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    let mut stolen = request.der().to_vec();
    *stolen.last_mut().unwrap() ^= 1;
    assert_eq!(sign(&stolen), RequestError::Signature);
    let mut longer = request.der().to_vec();
    longer.push(0);
    for bytes in [b"".as_slice(), b"-----BEGIN", b"\x30\x00", &longer, &stolen[..50]] {
        assert_eq!(sign(bytes), RequestError::NotARequest, "{bytes:?}");
    }
    assert_eq!(sign(&vec![b'x'; 40_000]), RequestError::TooLong(40_000));
}

#[test]
fn requests_of_openssl_are_signed_unless_they_are_weak() {
    let fixture = Fixture::new();
    let authority = fixture.open();
    let sign = |request: &str| authority.sign(request.as_bytes(), &cart(), None);
    sign(include_str!("../../testdata/ec.csr")).unwrap();
    let chain = sign(include_str!("../../testdata/rsa.csr")).unwrap();
    let leaf = &certificates(&chain.leaf_pem)[0];
    let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
    let usage = leaf.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && usage.key_encipherment());
    for (request, expected) in [
        (include_str!("../../testdata/weak.csr"), RequestError::Key),
        (include_str!("../../testdata/sha1.csr"), RequestError::Signature),
    ] {
        match sign(request) {
            Err(IssueError::Request(error)) => assert_eq!(error, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_life_is_as_long_as_asked_within_the_limits() {
    let fixture = Fixture::new();
    let authority = fixture.open();
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    let now = fixture.ambient.now();
    let life = |asked| {
        let chain = authority.sign(request.der(), &cart(), asked).unwrap();
        chain.not_after.duration_since(now).unwrap()
    };
    assert_eq!(life(None), DAY);
    assert_eq!(life(Some(DAY / 2)), DAY / 2);
    assert_eq!(life(Some(3650 * DAY)), 7 * DAY);
    assert_eq!(life(Some(Duration::ZERO)), Duration::from_secs(1));
}

#[test]
fn nothing_outlives_the_root() {
    let fixture = Fixture::new();
    let authority = fixture.open();
    let end = authority.status().roots[0].not_after;
    let left = end.duration_since(fixture.ambient.now()).unwrap();
    assert!(!authority.status().ends_soon);
    fixture.ambient.pass(left - DAY / 2);
    // An intermediate for the last half of a day is made on the way.
    assert!(authority.status().ends_soon);
    authority.refresh().unwrap();
    assert_eq!(authority.issue(&cart()).unwrap().not_after, end);
    fixture.ambient.pass(DAY);
    assert!(matches!(authority.issue(&cart()), Err(IssueError::Expired)));
}

#[test]
fn a_certificate_is_for_the_own_trust_domain_only() {
    let authority = Fixture::new().open();
    let foreign: Identity = "spiffe://other.example/ns/shop/sa/cart".parse().unwrap();
    let error = authority.issue(&foreign).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`spiffe://other.example/ns/shop/sa/cart` is not of the trust domain `cluster.local`, for \
         which this authority signs"
    );
}

#[test]
fn a_server_is_named_by_dns_names_and_addresses() {
    let authority = Fixture::new().open();
    let names = ["meltemi.mesh.svc".to_owned(), "127.0.0.1".to_owned()];
    let issued = authority.server_certificate(&names).unwrap();
    let leaf = &certificates(&issued.chain_pem)[0];
    let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
    let found = leaf.subject_alternative_name().unwrap().unwrap();
    let expected =
        [GeneralName::DNSName("meltemi.mesh.svc"), GeneralName::IPAddress(&[127, 0, 0, 1])];
    assert_eq!(found.value.general_names, expected);
}

#[test]
fn the_machines_own_clock_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let settings = AuthoritySettings::new(folder.path().join("a"), "cluster.local", "one");
    let authority = Authority::open(settings).unwrap();
    let (one, two) = (side(&authority), side(&authority));
    handshake(&one, &two, std::time::SystemTime::now()).unwrap();
    let leaf = parse_certificate(&certificates(&one.certificate.chain_pem)[0]).unwrap();
    assert_eq!(leaf.not_after, one.certificate.not_after);
    assert_eq!(leaf.not_before, one.certificate.not_before);
}
