//! Files → what signs and what is trusted, or the reason why they do not fit together.
//!
//! - All or nothing: a bundle is checked to the end, with a certificate made by it, before anybody
//!   uses it.
//! - An intermediate is kept with its chain; roots are left out of the chain, whoever put them in.
//! - Not here: where the files are (`cacerts`, `store`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use model::Identity;
use rcgen::PublicKeyData;
use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, UnixTime},
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use zeroize::Zeroizing;

use crate::{
    Ambient, CertificateFacts, MintError,
    certificate::{is_issued_by, parse_certificate, parse_pem, render_pem},
    issuer::{LeafName, Signer, make_leaf},
    key::{KeyError, generate, parse_key},
};

/// The content of a file, and which one.
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

/// The files of a bundle.
pub(crate) struct BundleInput {
    /// All trusted roots; at least one file.
    pub(crate) roots: Vec<Part>,
    /// The first certificate of the first file signs; the rest leads from it to a root.
    pub(crate) chain: Vec<Part>,
    /// The key of the certificate that signs.
    pub(crate) key: Part,
}

/// What signs, and what is trusted.
pub(crate) struct Bundle {
    pub(crate) signer: Signer,
    /// The certificate that signs; a root where there is no intermediate.
    pub(crate) issuer: CertificateFacts,
    /// The intermediates, the one that signs first, each as PEM.
    pub(crate) chain_pem: Arc<[Arc<str>]>,
    pub(crate) roots: Vec<CertificateFacts>,
    pub(crate) roots_pem: Arc<str>,
    /// Judges the leafs of all roots.
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
}

/// Why files are not the root, intermediate and key of an authority.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not PEM, or no certificate in it.
    #[error("`{}` holds no certificate in PEM: write the certificate there", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The text between the lines of PEM is damaged.
    #[error("`{}` holds a certificate that cannot be read: copy the file again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The private key cannot be used.
    #[error("`{}` cannot be used as a key: {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without any of its content.
        problem: String,
    },
    /// The key is another certificate's.
    #[error(
        "the key in `{}` does not belong to the first certificate in `{}` ({subject}): put the two \
         together that were made together", key.display(), certificate.display()
    )]
    KeyMismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
        /// The holder of the certificate.
        subject: String,
    },
    /// The certificate may not sign others.
    #[error(
        "the certificate of {subject} in `{}` may not sign certificates: an authority's has `CA:TRUE` \
         and the key usage `keyCertSign`", path.display()
    )]
    NotAnAuthority {
        /// The file.
        path: PathBuf,
        /// The holder of the certificate.
        subject: String,
    },
    /// The certificate is not valid at this time.
    #[error(
        "the certificate of {subject} in `{}` {when}: replace it, or set the clock of this machine",
        path.display()
    )]
    NotNow {
        /// The file.
        path: PathBuf,
        /// The holder of the certificate.
        subject: String,
        /// `has expired` or `is not valid yet`.
        when: &'static str,
    },
    /// The cryptography is too weak.
    #[error("the certificate of {subject} in `{}` is too weak: {why}; make a new one", path.display())]
    Weak {
        /// The file.
        path: PathBuf,
        /// The holder of the certificate.
        subject: String,
        /// What is weak.
        why: &'static str,
    },
    /// No trusted root has signed the end of the chain.
    #[error(
        "the chain in `{}` ends with {subject}, which no root in `{}` has signed: add the missing \
         intermediate to the chain, or its root to the roots", chain.display(), roots.display()
    )]
    NoWayToRoot {
        /// The file of the chain.
        chain: PathBuf,
        /// The file of the roots.
        roots: PathBuf,
        /// The last certificate of the chain.
        subject: String,
    },
    /// The roots cannot be used to judge others.
    #[error("the roots in `{}` cannot be used", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        source: VerifierBuilderError,
    },
    /// A root cannot be used to judge others.
    #[error("a root in `{}` cannot be used", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// A certificate made with these files would be refused by its readers.
    #[error(
        "certificates signed with `{}` would be refused: its path length or name constraints may \
         not allow leafs of workloads", path.display()
    )]
    Refused {
        /// The file of the certificate that signs.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// Nothing could be signed.
    #[error("failed to sign with `{}`", path.display())]
    Mint {
        /// The file of the certificate that signs.
        path: PathBuf,
        /// The cause.
        source: MintError,
    },
}

/// Checks that the files fit together and are good now.
pub(crate) fn check_bundle(
    input: &BundleInput,
    trust_domain: &str,
    ambient: &dyn Ambient,
) -> Result<Bundle, BundleError> {
    let now = ambient.now();
    let Some(roots_path) = input.roots.first().map(|part| part.path.as_path()) else {
        return Err(BundleError::NoCertificate { path: input.key.path.clone() });
    };
    let mut roots: Vec<CertificateDer<'static>> = Vec::new();
    for part in &input.roots {
        roots.extend(read_all(part)?);
    }
    let mut chain: Vec<(&Path, CertificateDer<'static>)> = Vec::new();
    for part in &input.chain {
        for certificate in read_all(part)? {
            if !chain.iter().any(|(_, known)| *known == certificate) {
                chain.push((&part.path, certificate));
            }
        }
    }
    // Each file of the chain has at least one certificate, and there is a file.
    let Some((issuer_path, issuer)) = chain.first().cloned() else {
        return Err(BundleError::NoCertificate { path: input.key.path.clone() });
    };
    let facts = judge(issuer_path, &issuer, now)?;
    let key = parse_key(&input.key.bytes).map_err(|error| key_error(&input.key.path, &error))?;
    if key.subject_public_key_info() != facts.public_key {
        return Err(BundleError::KeyMismatch {
            key: input.key.path.clone(),
            certificate: issuer_path.to_owned(),
            subject: facts.subject,
        });
    }
    chain.retain(|(_, certificate)| !roots.contains(certificate));
    let mut not_after = facts.not_after;
    for (path, certificate) in &chain {
        not_after = not_after.min(judge(path, certificate, now)?.not_after);
    }
    let anchor = anchor((issuer_path, &issuer), &chain, (roots_path, &roots))?;
    let anchor = judge(roots_path, anchor, now)?;
    let mint = |source| BundleError::Mint { path: issuer_path.to_owned(), source };
    let signer = Signer::new(&issuer, key, not_after.min(anchor.not_after))
        .map_err(|error| mint(error.into()))?;
    let verifier = verifier(roots_path, &roots)?;
    let intermediates: Vec<CertificateDer<'_>> = chain.iter().map(|(_, it)| it.clone()).collect();
    let probe = probe(&signer, trust_domain, ambient).map_err(mint)?;
    verifier
        .verify_client_cert(&probe, &intermediates, unix_time(now))
        .map_err(|source| BundleError::Refused { path: issuer_path.to_owned(), source })?;
    Ok(Bundle {
        signer,
        issuer: facts,
        chain_pem: intermediates.iter().map(|it| render_pem(it).into()).collect(),
        roots: roots.iter().filter_map(|root| parse_certificate(root).ok()).collect(),
        roots_pem: roots.iter().map(|root| render_pem(root)).collect::<String>().into(),
        verifier,
    })
}

/// The certificates of a file, each once.
fn read_all(part: &Part) -> Result<Vec<CertificateDer<'static>>, BundleError> {
    let path = || part.path.clone();
    let all = parse_pem(&part.bytes).map_err(|_| BundleError::Damaged { path: path() })?;
    let mut found: Vec<CertificateDer<'static>> = Vec::with_capacity(all.len());
    for certificate in all {
        parse_certificate(&certificate).map_err(|_| BundleError::Damaged { path: path() })?;
        if !found.contains(&certificate) {
            found.push(certificate);
        }
    }
    match found.is_empty() {
        true => Err(BundleError::NoCertificate { path: path() }),
        false => Ok(found),
    }
}

/// Whether a certificate can be one of an authority now.
fn judge(
    path: &Path,
    certificate: &[u8],
    now: SystemTime,
) -> Result<CertificateFacts, BundleError> {
    let path = path.to_owned();
    let Ok(facts) = parse_certificate(certificate) else {
        return Err(BundleError::Damaged { path });
    };
    let subject = facts.subject.clone();
    if !facts.is_authority {
        return Err(BundleError::NotAnAuthority { path, subject });
    }
    if now > facts.not_after {
        return Err(BundleError::NotNow { path, subject, when: "has expired" });
    }
    if now < facts.not_before {
        return Err(BundleError::NotNow { path, subject, when: "is not valid yet" });
    }
    match facts.weakness {
        Some(why) => Err(BundleError::Weak { path, subject, why }),
        None => Ok(facts),
    }
}

/// The root that the chain leads to, each certificate being signed by the next one.
fn anchor<'a>(
    (issuer_path, issuer): (&Path, &'a CertificateDer<'static>),
    chain: &[(&Path, CertificateDer<'static>)],
    (roots_path, roots): (&Path, &'a [CertificateDer<'static>]),
) -> Result<&'a CertificateDer<'static>, BundleError> {
    if roots.contains(issuer) {
        return Ok(issuer);
    }
    let mut last = (issuer_path, issuer);
    for (path, above) in chain.iter().skip(1) {
        if is_issued_by(last.1, above) {
            last = (path, above);
        }
    }
    roots.iter().find(|root| is_issued_by(last.1, root)).ok_or_else(|| BundleError::NoWayToRoot {
        chain: last.0.to_owned(),
        roots: roots_path.to_owned(),
        subject: parse_certificate(last.1).map(|facts| facts.subject).unwrap_or_default(),
    })
}

fn verifier(
    path: &Path,
    roots: &[CertificateDer<'static>],
) -> Result<Arc<dyn ClientCertVerifier>, BundleError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store
            .add(root.clone())
            .map_err(|source| BundleError::Root { path: path.to_owned(), source })?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(store.into(), provider)
        .build()
        .map_err(|source| BundleError::Roots { path: path.to_owned(), source })
}

/// A leaf that nobody is given.
fn probe(
    signer: &Signer,
    trust_domain: &str,
    ambient: &dyn Ambient,
) -> Result<CertificateDer<'static>, MintError> {
    let (key, _) = generate()?;
    let identity = Identity {
        trust_domain: trust_domain.into(),
        namespace: "probe".into(),
        service_account: "probe".into(),
    };
    let lifetime = Duration::from_secs(60);
    let (leaf, _) = make_leaf(ambient, signer, &LeafName::Workload(&identity), &key, lifetime)?;
    Ok(leaf.der().clone())
}

/// The time as rustls takes it.
pub(crate) fn unix_time(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn key_error(path: &Path, error: &KeyError) -> BundleError {
    BundleError::Key { path: path.to_owned(), problem: error.to_string() }
}
