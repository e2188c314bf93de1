//! An existing root and intermediate, in Istio's layout.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use identity::{
    Ambient, Authority, AuthorityDirectory, AuthorityError, AuthoritySettings, BundleError,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use time::OffsetDateTime;

use crate::{
    ambient::{DAY, Fixture},
    handshake::handshake,
    issuing::{cart, side},
};

/// A root that a company has already, and what it signs.
struct Company {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = is_ca;
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Company {
    fn new(name: &str) -> Self {
        let params = params(name, IsCa::Ca(BasicConstraints::Unconstrained));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn intermediate(&self, name: &str) -> (String, String) {
        self.sign(&params(name, IsCa::Ca(BasicConstraints::Constrained(0))))
    }
}

struct Cacerts {
    fixture: Fixture,
    folder: PathBuf,
}

impl Cacerts {
    fn new() -> Self {
        let fixture = Fixture::new();
        let folder = fixture.folder.path().join("cacerts");
        fs::create_dir(&folder).unwrap();
        Self { fixture, folder }
    }

    fn write(&self, files: &[(&str, &str)]) {
        for (name, content) in files {
            fs::write(self.folder.join(name), content).unwrap();
        }
    }

    fn write_all(&self, root: &Company, (certificate, key): &(String, String)) {
        self.write(&[
            ("root-cert.pem", &root.pem),
            ("ca-cert.pem", certificate),
            ("cert-chain.pem", &format!("{certificate}{}", root.pem)),
            ("ca-key.pem", key),
        ]);
    }

    fn settings(&self) -> AuthoritySettings {
        AuthoritySettings { cacerts: Some(self.folder.clone()), ..self.fixture.settings() }
    }

    fn open(&self) -> Authority {
        self.fixture.open_with(self.settings())
    }

    #[track_caller]
    fn refused(&self) -> (BundleError, String) {
        match Authority::open_with(self.settings(), self.fixture.ambient.clone()) {
            Err(AuthorityError::Bundle(error)) => {
                let folder = format!("{}/", self.folder.display());
                let text = error.to_string().replace(&folder, "");
                (error, text)
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn both_layouts_are_read_and_clusters_of_one_root_trust_each_other() {
    let company = Company::new("company");
    let (one, two) = (Cacerts::new(), Cacerts::new());
    one.write_all(&company, &company.intermediate("one"));
    let (certificate, key) = company.intermediate("two");
    two.write(&[("ca.crt", &company.pem), ("tls.crt", &certificate), ("tls.key", &key)]);
    let (one, two) = (one.open(), two.open());
    assert_eq!(one.roots(), two.roots());
    assert_ne!(one.status().issuer, two.status().issuer);
    let now = Fixture::new().ambient.now();
    handshake(&side(&one), &side(&two), now).unwrap();
    handshake(&side(&two), &side(&one), now).unwrap();
    let chain = one.issue(&cart()).unwrap().chain_pem;
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "the root is left out");
}

#[test]
fn an_intermediate_for_another_cluster_works_there() {
    let fixture = Fixture::new();
    let own = fixture.open();
    let directory = AuthorityDirectory::new(&fixture.settings().directory, fixture.ambient.clone());
    let two = Cacerts::new();
    let files = directory.make_intermediate("two", None).unwrap().write(&two.folder).unwrap();
    assert_eq!(files.len(), 4);
    let other = two.open();
    assert_eq!(other.roots(), own.roots(), "a second cluster does not change the root");
    assert!(other.status().issuer.subject.contains("L=two"), "{:?}", other.status().issuer);
    handshake(&side(&own), &side(&other), fixture.ambient.now()).unwrap();
    handshake(&side(&other), &side(&own), fixture.ambient.now()).unwrap();
}

#[test]
fn a_root_that_signs_by_itself_has_no_chain() {
    let company = Company::new("company");
    let cacerts = Cacerts::new();
    let key = company.issuer.key().serialize_pem();
    cacerts.write(&[
        ("root-cert.pem", &company.pem),
        ("ca-cert.pem", &company.pem),
        ("ca-key.pem", &key),
    ]);
    let authority = cacerts.open();
    let own = side(&authority);
    assert_eq!(own.certificate.chain_pem.matches("BEGIN CERTIFICATE").count(), 1);
    handshake(&own, &own, cacerts.fixture.ambient.now()).unwrap();
}

#[test]
fn changed_files_are_taken_and_broken_ones_are_not() {
    let (old, new) = (Company::new("old"), Company::new("new"));
    let cacerts = Cacerts::new();
    let intermediate = old.intermediate("one");
    cacerts.write_all(&old, &intermediate);
    let authority = cacerts.open();
    let changed = authority.changed();
    let before = authority.status().issuer;
    assert!(!authority.refresh().unwrap());
    // A new intermediate, whose certificate is there before its key.
    let next = old.intermediate("one again");
    cacerts.write(&[("ca-cert.pem", &next.0), ("cert-chain.pem", &next.0)]);
    let error = authority.refresh().unwrap_err();
    assert!(matches!(error, AuthorityError::Bundle(BundleError::KeyMismatch { .. })), "{error}");
    assert_eq!(authority.status().issuer, before);
    assert!(authority.status().problem.unwrap().contains("ca-key.pem"));
    assert!(!changed.has_changed().unwrap());
    cacerts.write(&[("ca-key.pem", &next.1)]);
    assert!(authority.refresh().unwrap() && changed.has_changed().unwrap());
    assert_ne!(authority.status().issuer, before);
    // A second root.
    cacerts.write(&[("root-cert.pem", &format!("{}{}", old.pem, new.pem))]);
    assert!(authority.refresh().unwrap());
    assert_eq!(authority.status().roots.len(), 2);
    // A root that nothing leads to.
    cacerts.write(&[("root-cert.pem", &new.pem)]);
    authority.refresh().unwrap_err();
    assert_eq!(authority.status().roots.len(), 2);
}

#[test]
fn mismatches_name_the_file_and_what_to_do() {
    let (own, other) = (Company::new("own"), Company::new("other"));
    let cacerts = Cacerts::new();
    let good = own.intermediate("one");
    let check = |name: &str, content: &str, expected: &str| {
        cacerts.write_all(&own, &good);
        cacerts.write(&[(name, content)]);
        assert_eq!(cacerts.refused().1, expected);
    };
    check(
        "ca-key.pem",
        &KeyPair::generate().unwrap().serialize_pem(),
        "the key in `ca-key.pem` does not belong to the first certificate in `ca-cert.pem` \
         (CN=one): put the two together that were made together",
    );
    check(
        "ca-key.pem",
        "nothing",
        "`ca-key.pem` cannot be used as a key: it holds no private key in PEM",
    );
    check(
        "root-cert.pem",
        "",
        "`root-cert.pem` holds no certificate in PEM: write the certificate there",
    );
    check(
        "root-cert.pem",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        "`root-cert.pem` holds a certificate that cannot be read: copy the file again",
    );
    check(
        "root-cert.pem",
        &other.pem,
        "the chain in `cert-chain.pem` ends with CN=own, which no root in `root-cert.pem` has \
         signed: add the missing intermediate to the chain, or its root to the roots",
    );
    let no_authority = own.sign(&params("leaf", IsCa::ExplicitNoCa));
    cacerts.write_all(&own, &no_authority);
    assert_eq!(
        cacerts.refused().1,
        "the certificate of CN=leaf in `ca-cert.pem` may not sign certificates: an authority's has \
         `CA:TRUE` and the key usage `keyCertSign`"
    );
}

#[test]
fn what_is_not_valid_now_or_cannot_sign_leafs_is_refused() {
    let own = Company::new("own");
    let cacerts = Cacerts::new();
    let now = OffsetDateTime::from(cacerts.fixture.ambient.now());
    let authority = || params("one", IsCa::Ca(BasicConstraints::Constrained(0)));
    let mut expired = authority();
    expired.not_after = now - Duration::from_secs(60);
    cacerts.write_all(&own, &own.sign(&expired));
    assert!(cacerts.refused().1.contains("has expired: replace it"));
    let mut early = authority();
    early.not_before = now + DAY;
    cacerts.write_all(&own, &own.sign(&early));
    assert!(cacerts.refused().1.contains("is not valid yet"));
    let mut constrained = authority();
    constrained.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.com".to_owned())],
        excluded_subtrees: vec![rcgen::GeneralSubtree::Rfc822Name("a@example.com".to_owned())],
    });
    cacerts.write_all(&own, &own.sign(&constrained));
    let opened = Authority::open_with(cacerts.settings(), cacerts.fixture.ambient.clone());
    // Constraints of DNS names do not concern URIs: what rustls accepts is accepted.
    opened.unwrap();
    let deep = own.sign(&authority());
    let issuer = Issuer::from_ca_cert_pem(&deep.0, KeyPair::from_pem(&deep.1).unwrap()).unwrap();
    let below_key = KeyPair::generate().unwrap();
    let below = authority().signed_by(&below_key, &issuer).unwrap().pem();
    cacerts.write_all(&own, &(below.clone(), below_key.serialize_pem()));
    cacerts.write(&[("cert-chain.pem", &format!("{below}{}", deep.0))]);
    assert!(matches!(cacerts.refused().0, BundleError::Refused { .. }), "the path is too long");
}

/// What openssl makes is read, and what we issue is good for openssl.
#[test]
fn openssl_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &[&str]| {
        let run = Command::new("openssl").args(arguments).current_dir(folder.path()).output();
        run.map(|run| (run.status.success(), String::from_utf8_lossy(&run.stderr).into_owned()))
    };
    if openssl(&["version"]).is_err() {
        println!("SKIPPED: there is no openssl to compare with");
        return;
    }
    let run = |arguments: &[&str]| {
        let (success, errors) = openssl(arguments).unwrap();
        assert!(success, "{arguments:?}: {errors}");
    };
    let usage = "keyUsage=critical,keyCertSign,digitalSignature";
    for (form, make_key) in [
        ("pkcs1", ["genrsa", "-traditional", "-out", "ca-key.pem", "2048"].as_slice()),
        ("sec1", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca-key.pem"]),
        ("p384", &["ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", "ca-key.pem"]),
        ("pkcs8", &["genpkey", "-algorithm", "ed25519", "-out", "ca-key.pem"]),
    ] {
        run(make_key);
        run(&[
            "req",
            "-x509",
            "-new",
            "-key",
            "ca-key.pem",
            "-subj",
            "/O=company/CN=root",
            "-days",
            "30",
            "-addext",
            usage,
            "-out",
            "ca-cert.pem",
        ]);
        fs::copy(folder.path().join("ca-cert.pem"), folder.path().join("root-cert.pem")).unwrap();
        let mut settings =
            AuthoritySettings::new(folder.path().join("state"), "cluster.local", "one");
        settings.cacerts = Some(folder.path().to_owned());
        let authority = Authority::open(settings).unwrap_or_else(|error| panic!("{form}: {error}"));
        let issued = authority.issue(&cart()).unwrap();
        fs::write(folder.path().join("leaf.pem"), &*issued.chain_pem).unwrap();
        run(&[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslclient",
            "-CAfile",
            "root-cert.pem",
            "leaf.pem",
        ]);
        run(&[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-CAfile",
            "root-cert.pem",
            "leaf.pem",
        ]);
    }
    // A chain of our own.
    let own =
        Authority::open(AuthoritySettings::new(folder.path().join("own"), "cluster.local", "one"))
            .unwrap();
    fs::write(folder.path().join("roots.pem"), &*own.roots()).unwrap();
    let issued = own.issue(&cart()).unwrap();
    fs::write(folder.path().join("chain.pem"), &*issued.chain_pem).unwrap();
    run(&[
        "verify",
        "-x509_strict",
        "-CAfile",
        "roots.pem",
        "-untrusted",
        "chain.pem",
        "chain.pem",
    ]);
}
