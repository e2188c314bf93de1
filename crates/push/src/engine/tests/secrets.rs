//! Kubernetes Secrets: only those that were asked for, and only when they change.

use std::{collections::BTreeSet, sync::Arc};

use model::Kind;
use serde_json::Value;
use testkit::certs::CertificateAuthority;

use super::stage::{NOTHING, Stage, Work, proxy, puts};
use crate::{ResourceKind, engine::StreamId};

const CERT: &str = "kubernetes://cert";
const CACERT: &str = "kubernetes://cert-cacert";

fn gateway(namespace: &str, address: &str) -> model::Proxy {
    let id = format!("router~{address}~edge.{namespace}~{namespace}.svc.cluster.local");
    proxy(&id, &[], "", Value::Null)
}

fn ask(stage: &mut Stage, stream: StreamId, names: &[&str]) {
    let names: BTreeSet<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
    stage.ask_secrets(stream, names);
}

/// A Secret `cert` with a certificate of this name, and the authority beside it.
fn cert(namespace: &str, authority: &CertificateAuthority, name: &str) -> String {
    let leaf = authority.leaf(&[name]).unwrap();
    let block = |text: &str| text.trim().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: cert, namespace: {namespace}}}\n\
         type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n  \
         ca.crt: |\n    {}\n",
        block(&leaf.certificate_pem),
        block(&leaf.key_pem),
        block(&authority.pem),
    )
}

#[test]
fn gateways_of_a_namespace_share_a_secret_and_others_do_not_notice() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let mut stage = Stage::new(puts(&cert("shop", &authority, "one.example")));
    let own = [gateway("shop", "10.0.0.1"), gateway("shop", "10.0.0.2")];
    let [one, two] = own.map(|it| stage.connect(it));
    let other = stage.connect(gateway("pay", "10.0.0.3"));
    for stream in [one, two, other] {
        ask(&mut stage, stream, &[CERT]);
    }
    for stream in [one, two] {
        assert_eq!(stage.names(stream, ResourceKind::Secret), [CERT]);
    }
    assert!(stage.names(other, ResourceKind::Secret).is_empty());
    let work = stage.put(&cert("shop", &authority, "two.example"));
    assert_eq!(work, Work { jobs: 1, compiled: 1, notified: 2, ..NOTHING });
    assert_eq!(stage.contents(one), stage.contents(two));
    // A Secret that nobody has asked for costs nothing.
    let unasked = cert("shop", &authority, "x").replace("name: cert", "name: unasked");
    assert_eq!(stage.put(&unasked), NOTHING);
}

#[test]
fn authorities_stand_beside_the_certificate_or_in_a_secret_of_their_own() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let mut stage = Stage::new(puts(&cert("shop", &authority, "one.example")));
    let stream = stage.connect(gateway("shop", "10.0.0.1"));
    ask(&mut stage, stream, &[CACERT]);
    let beside = stage.render(stream, ResourceKind::Secret, CACERT);
    assert!(beside.contains("trusted_ca") && !beside.contains("private_key"), "{beside}");
    let other = CertificateAuthority::new("other").unwrap();
    let own = cert("shop", &other, "x").replace("name: cert", "name: cert-cacert");
    assert_eq!(stage.put(&own).notified, 1);
    assert_ne!(stage.render(stream, ResourceKind::Secret, CACERT), beside);
    stage.delete(Kind::Secret, "shop", "cert-cacert");
    assert_eq!(stage.render(stream, ResourceKind::Secret, CACERT), beside);
}

#[test]
fn what_cannot_be_used_leaves_what_there_was_and_is_said() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let good = cert("shop", &authority, "one.example");
    let mut stage = Stage::new(puts(&good));
    let stream = stage.connect(gateway("shop", "10.0.0.1"));
    ask(&mut stage, stream, &[CERT]);
    let before = stage.contents(stream);
    assert!(stage.findings().is_empty());
    let broken = good.replace("PRIVATE KEY", "SOMETHING");
    assert_eq!(stage.put(&broken).notified, 0);
    assert_eq!(stage.contents(stream), before);
    let findings = stage.findings();
    assert_eq!(findings.len(), 1);
    assert!(findings[0].contains("MEL0347") && findings[0].contains("shop/cert"), "{findings:?}");
    assert!(!findings[0].contains("BEGIN"), "{findings:?}");
    stage.delete(Kind::Secret, "shop", "cert");
    assert!(stage.names(stream, ResourceKind::Secret).is_empty());
    assert!(stage.findings()[0].contains("MEL0346"), "{:?}", stage.findings());
    stage.put(&good);
    assert_eq!(stage.contents(stream), before);
    assert!(stage.findings().is_empty());
}

#[test]
fn an_expired_certificate_is_served_and_said() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let leaf = authority.expired_leaf(&["one.example"]).unwrap();
    let good = authority.leaf(&["one.example"]).unwrap();
    let secret = cert("shop", &authority, "one.example");
    // The text of the one that `cert` has made is not known here: all of it is replaced.
    let start = secret.find("  tls.crt").unwrap();
    let end = secret.find("  ca.crt").unwrap();
    let block = |text: &str| text.trim().replace('\n', "\n    ");
    let pair = format!(
        "  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        block(&leaf.certificate_pem),
        block(&leaf.key_pem)
    );
    let secret = format!("{}{pair}{}", &secret[..start], &secret[end..]);
    assert_ne!(leaf.certificate_pem, good.certificate_pem);
    let mut stage = Stage::new(puts(&secret));
    let stream = stage.connect(gateway("shop", "10.0.0.1"));
    ask(&mut stage, stream, &[CERT]);
    assert_eq!(stage.names(stream, ResourceKind::Secret), [CERT]);
    assert!(stage.findings()[0].contains("MEL0348"), "{:?}", stage.findings());
}

#[test]
fn what_is_no_longer_asked_for_is_forgotten() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let mut stage = Stage::new(puts(&cert("shop", &authority, "one.example")));
    let stream = stage.connect(gateway("shop", "10.0.0.1"));
    ask(&mut stage, stream, &[CERT]);
    ask(&mut stage, stream, &[]);
    assert!(stage.names(stream, ResourceKind::Secret).is_empty());
    assert_eq!(stage.put(&cert("shop", &authority, "two.example")), NOTHING);
}
