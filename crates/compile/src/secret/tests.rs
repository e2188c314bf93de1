use std::sync::Arc;

use api::k8s::secret::Secret;
use model::{Kind, ObjectKey, Shared};
use snapshot::Reader;
use testkit::certs::CertificateAuthority;

use super::{SecretInput, compile_secret, object_key, select_secret};
use crate::fixture::{render, snapshot};

/// What becomes of a Secret with these values under this name: a line for each field, or why not.
fn compile(name: &str, values: &[(&str, &str)]) -> String {
    let string_data =
        values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let content = Arc::new(Secret { string_data, ..Secret::default() });
    let key = ObjectKey::new(Kind::Secret, "shop", "cert");
    let content = Shared::with_hash(content, 0);
    let input = SecretInput { name: name.into(), key, content };
    match compile_secret(&input) {
        Ok(made) => render(&made.compiled.resource)
            .lines()
            .filter_map(|line| line.split_once(": ").map_or(Some(line), |(key, _)| Some(key)))
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" "),
        Err(finding) => format!("{}: {}", finding.code, finding.message),
    }
}

const PAIR: &str =
    "name tls_certificate: certificate_chain: inline_bytes private_key: inline_bytes";
const TRUST: &str = "name validation_context: trusted_ca: inline_bytes";

#[test]
fn both_namings_of_keys_are_known() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let leaf = authority.leaf(&["a.example"]).unwrap();
    let (chain, key) = (leaf.certificate_pem.as_str(), leaf.key_pem.as_str());
    assert_eq!(compile("kubernetes://c", &[("tls.crt", chain), ("tls.key", key)]), PAIR);
    assert_eq!(compile("kubernetes://c", &[("cert", chain), ("key", key)]), PAIR);
    let chain = format!("{chain}{}", authority.pem);
    assert_eq!(compile("kubernetes://c", &[("tls.crt", &chain), ("tls.key", key)]), PAIR);
    for name in ["ca.crt", "cacert"] {
        assert_eq!(compile("kubernetes://c-cacert", &[(name, &authority.pem)]), TRUST);
    }
}

#[test]
fn what_envoy_would_refuse_is_not_compiled() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let [one, two] = ["a.example", "b.example"].map(|it| authority.leaf(&[it]).unwrap());
    let check = |name: &str, values: &[(&str, &str)], expected: &str| {
        assert_eq!(compile(name, values), format!("MEL0347: {expected}"));
    };
    let (chain, key) = (one.certificate_pem.as_str(), one.key_pem.as_str());
    let neither = "it has neither `tls.crt` and `tls.key` nor `cert` and `key`";
    check("kubernetes://c", &[], neither);
    check("kubernetes://c", &[("tls.crt", chain)], neither);
    check("kubernetes://c", &[("tls.crt", chain), ("key", key)], neither);
    check("kubernetes://c", &[("tls.crt", ""), ("tls.key", key)], neither);
    check(
        "kubernetes://c",
        &[("tls.crt", chain), ("tls.key", &two.key_pem)],
        "`tls.key` is not the key of `tls.crt`",
    );
    check(
        "kubernetes://c",
        &[("tls.crt", key), ("tls.key", key)],
        "`tls.crt` holds no certificate in PEM",
    );
    check(
        "kubernetes://c",
        &[("tls.crt", chain), ("tls.key", "secret words")],
        "`tls.key` is not a private key in PEM",
    );
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(
        "kubernetes://c-cacert",
        &[("ca.crt", garbage)],
        "`ca.crt` holds something that is no certificate",
    );
    check("kubernetes://c-cacert", &[("tls.crt", chain)], "it has neither `ca.crt` nor `cacert`");
}

#[test]
fn a_name_leads_to_the_own_namespace_alone() {
    let mesh = snapshot(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: shop}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: pay}\n",
    );
    let find = |name: &str| {
        let reader = Reader::new(&mesh);
        let found = select_secret(&name.into(), &"shop".into(), &reader);
        found.map(|input| input.key.to_string()).map_err(|finding| finding.message)
    };
    for name in ["kubernetes://cert", "kubernetes://shop/cert", "kubernetes-gateway://shop/cert"] {
        assert_eq!(find(name), Ok("Secret shop/cert".to_owned()), "{name}");
    }
    assert_eq!(
        find("kubernetes://pay/cert").unwrap_err(),
        "`kubernetes://pay/cert` is asked for by a proxy of the namespace `shop`"
    );
    assert_eq!(find("kubernetes://none").unwrap_err(), "the Secret `none` does not exist");
    let key = object_key("kubernetes://a/b/c", &"shop".into());
    assert_eq!(key.to_string(), "Secret a/b/c");
}
