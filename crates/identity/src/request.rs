//! Certificate signing requests: bytes from anybody → a public key that its sender owns.
//!
//! - The names and extensions of a request are not read: who may be called what is decided by who
//!   sent it.
//! - Never panics, whatever the bytes.

use rcgen::SubjectPublicKeyInfo;
use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

use crate::certificate::weakness_of_key;

/// The longest request that is read: RSA 8192 with every name one could want takes a part of it.
pub const LONGEST_REQUEST: usize = 32 << 10;
const PEM_BEGIN: &[u8] = b"-----BEGIN";

/// Why a request is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too many bytes.
    #[error("the signing request has {0} bytes, at most 32768 are read")]
    TooLong(usize),
    /// Not a request.
    #[error("it is not a PKCS#10 signing request, in PEM (`CERTIFICATE REQUEST`) or DER")]
    NotARequest,
    /// The key cannot be certified.
    #[error("the key must be ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more")]
    Key,
    /// The sender has not shown that it has the private key.
    #[error("the signature of the request was not made with its key, with SHA-256 or better")]
    Signature,
}

/// A key whose owner asks for a certificate.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    pub(crate) key: SubjectPublicKeyInfo,
}

/// Reads a request in PEM or DER and checks that it is signed with its own key.
pub fn parse_request(bytes: &[u8]) -> Result<SigningRequest, RequestError> {
    if bytes.len() > LONGEST_REQUEST {
        return Err(RequestError::TooLong(bytes.len()));
    }
    let der = match bytes.trim_ascii_start().starts_with(PEM_BEGIN) {
        true => CertificateSigningRequestDer::from_pem_slice(bytes)
            .map_err(|_| RequestError::NotARequest)?,
        false => CertificateSigningRequestDer::from(bytes),
    };
    let Ok(([], request)) = X509CertificationRequest::from_der(&der) else {
        return Err(RequestError::NotARequest);
    };
    let public = &request.certification_request_info.subject_pki;
    let key = SubjectPublicKeyInfo::from_der(public.raw).map_err(|_| RequestError::Key)?;
    let parsed = public.parsed().map_err(|_| RequestError::Key)?;
    if weakness_of_key(parsed).is_some() {
        return Err(RequestError::Key);
    }
    if is_sha1(&request) || request.verify_signature().is_err() {
        return Err(RequestError::Signature);
    }
    Ok(SigningRequest { key })
}

fn is_sha1(request: &X509CertificationRequest<'_>) -> bool {
    use x509_parser::oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA};
    [OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA].contains(&request.signature_algorithm.algorithm)
}
