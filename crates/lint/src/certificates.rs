//! What can be said of a certificate and its key without using them.

use rustls::{InconsistentKeys, crypto::ring::sign::any_supported_type, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a certificate and its key cannot be used together; `None` where they can.
pub(crate) fn fault_of_pair(certificate: &[u8], key: &[u8]) -> Option<Fault> {
    let chain = match chain(certificate) {
        Ok(chain) => chain,
        Err(reason) => return Some(Fault { part: Part::Certificate, reason }),
    };
    let in_key = |reason| Some(Fault { part: Part::Key, reason });
    let Ok(key) = PrivateKeyDer::from_pem_slice(key) else {
        return in_key("it holds no private key in PEM");
    };
    let Ok(key) = any_supported_type(&key) else {
        return in_key("its key is of a kind that is not known, or damaged");
    };
    match CertifiedKey::new(chain, key).keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            in_key("the key does not belong to the certificate")
        }
        Ok(()) | Err(_) => None,
    }
}

/// Why certificates of authorities cannot be used; `None` where they can.
pub(crate) fn fault_of_authorities(text: &[u8]) -> Option<&'static str> {
    chain(text).err()
}

fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let chain = chain.map_err(|_| "it is not valid PEM")?;
    if chain.is_empty() {
        return Err("it holds no certificate in PEM");
    }
    match chain.iter().all(|it| X509Certificate::from_der(it).is_ok()) {
        true => Ok(chain),
        false => Err("a certificate in it is damaged"),
    }
}

/// The time in which the first certificate is valid, in seconds since the epoch.
pub(crate) fn validity(text: &[u8]) -> Option<(i64, i64)> {
    let chain = chain(text).ok()?;
    let (_, first) = X509Certificate::from_der(chain.first()?).ok()?;
    let validity = first.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

pub(crate) struct Fault {
    pub(crate) part: Part,
    pub(crate) reason: &'static str,
}

/// Which of the two is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Certificate,
    Key,
}
