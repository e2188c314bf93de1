//! What a certificate says: read once from its bytes, with the parts that we judge by.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use time::OffsetDateTime;
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA},
    prelude::FromDer,
    public_key::PublicKey,
    time::ASN1Time,
};

/// The fewest bits of an RSA key that is not weak.
const RSA_BITS: usize = 2048;

/// The parts of a certificate that decide what it may be used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The name of its holder, as openssl prints it.
    pub subject: String,
    /// SHA-256 of the whole certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// The URIs that it names, such as SPIFFE identities.
    pub uris: Vec<String>,
    /// Whether it may sign other certificates.
    pub is_authority: bool,
    /// Whether it is signed with its own key.
    pub is_self_signed: bool,
    /// Why its cryptography is too weak, if it is.
    pub weakness: Option<&'static str>,
    /// Its public key, as `SubjectPublicKeyInfo` in DER.
    pub(crate) public_key: Vec<u8>,
}

/// Bytes that are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a certificate")]
pub struct NotACertificate;

/// Reads a certificate. Its signature is not checked.
pub fn parse_certificate(der: &[u8]) -> Result<CertificateFacts, NotACertificate> {
    let certificate = match X509Certificate::from_der(der) {
        Ok(([], certificate)) => certificate,
        Ok(_) | Err(_) => return Err(NotACertificate),
    };
    let usage = certificate.key_usage().map_err(|_| NotACertificate)?;
    let may_sign = usage.is_none_or(|usage| usage.value.key_cert_sign());
    Ok(CertificateFacts {
        subject: certificate.subject().to_string(),
        fingerprint: hexadecimal(digest::digest(&digest::SHA256, der).as_ref()),
        not_before: system_time(certificate.validity().not_before),
        not_after: system_time(certificate.validity().not_after),
        uris: uris(&certificate)?,
        is_authority: certificate.is_ca() && may_sign,
        is_self_signed: is_signed_by(&certificate, &certificate),
        weakness: weakness(&certificate),
        public_key: certificate.public_key().raw.to_vec(),
    })
}

/// All certificates of a PEM text. Anything else in it is passed over.
pub(crate) fn parse_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, NotACertificate> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.map_err(|_| NotACertificate)
}

/// Whether the signature of `below` was made with the key of `above`.
pub(crate) fn is_issued_by(below: &[u8], above: &[u8]) -> bool {
    match (X509Certificate::from_der(below), X509Certificate::from_der(above)) {
        (Ok((_, below)), Ok((_, above))) => is_signed_by(&below, &above),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}

fn is_signed_by(below: &X509Certificate<'_>, above: &X509Certificate<'_>) -> bool {
    below.issuer().as_raw() == above.subject().as_raw()
        && below.verify_signature(Some(above.public_key())).is_ok()
}

fn uris(certificate: &X509Certificate<'_>) -> Result<Vec<String>, NotACertificate> {
    let names = certificate.subject_alternative_name().map_err(|_| NotACertificate)?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    Ok(uris.collect())
}

fn weakness(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    let signature = &certificate.signature_algorithm.algorithm;
    if *signature == OID_PKCS1_SHA1WITHRSA || *signature == OID_SHA1_WITH_RSA {
        return Some("it is signed with SHA-1");
    }
    weakness_of_key(certificate.public_key().parsed().ok()?)
}

/// Why a key is too weak to be certified.
pub(crate) fn weakness_of_key(key: PublicKey<'_>) -> Option<&'static str> {
    match key {
        PublicKey::RSA(key) if key.key_size() < RSA_BITS => {
            Some("its RSA key has fewer than 2048 bits")
        }
        _ => None,
    }
}

fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    match seconds {
        0.. => UNIX_EPOCH + distance,
        _ => UNIX_EPOCH.checked_sub(distance).unwrap_or(UNIX_EPOCH),
    }
}

/// A time as RFC 3339 has it, in UTC and whole seconds.
pub fn render_time(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let Ok(time) = OffsetDateTime::from_unix_timestamp(seconds) else {
        return "after the year 9999".to_owned();
    };
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Two digits for each byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A certificate as PEM.
pub(crate) fn render_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem + "-----END CERTIFICATE-----\n"
}
