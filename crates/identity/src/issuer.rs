//! Makes certificates: roots, intermediates, and the leafs of workloads and servers.
//!
//! - A leaf names what its caller has proven and nothing else; it cannot sign.
//! - Nothing outlives what signed it.
//! - Not here: who may have which name, and where anything is kept.

use std::time::{Duration, SystemTime};

use model::Identity;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::{Ambient, RandomnessError, certificate::hexadecimal, state::seconds};

/// How far in the past certificates begin, for callers whose clock is behind ours.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The life of a root, and of an intermediate.
const ROOT_LIFETIME: Duration = DAY.saturating_mul(3650);
const INTERMEDIATE_LIFETIME: Duration = DAY.saturating_mul(730);

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// There is no randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// A name or a time cannot be written into a certificate, or signing failed.
    #[error("failed to make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// A time is too far away for a certificate.
    #[error("a time does not fit into a certificate")]
    Time(#[from] time::error::ComponentRange),
}

/// A certificate that signs, with its key.
pub(crate) struct Signer {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    /// Until when what it signs can be valid.
    pub(crate) not_after: SystemTime,
}

impl Signer {
    /// Takes a certificate apart that has been found to be an authority's.
    pub(crate) fn new(
        certificate: &CertificateDer<'_>,
        key: KeyPair,
        not_after: SystemTime,
    ) -> Result<Self, rcgen::Error> {
        Ok(Self { issuer: Issuer::from_ca_cert_der(certificate, key)?, not_after })
    }
}

/// What a leaf is for.
pub(crate) enum LeafName<'a> {
    Workload(&'a Identity),
    /// DNS names and IP addresses.
    Server(&'a [String]),
}

/// When a leaf is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

/// Makes a self-signed root for a trust domain. `id` keeps the names of roots apart.
pub(crate) fn make_root(
    ambient: &dyn Ambient,
    trust_domain: &str,
    id: &str,
    key: &KeyPair,
) -> Result<Certificate, MintError> {
    let now = ambient.now();
    let mut params = authority(ambient, BasicConstraints::Unconstrained)?;
    params.distinguished_name.push(DnType::OrganizationName, trust_domain);
    params.distinguished_name.push(DnType::CommonName, format!("root {id}"));
    set_validity(&mut params, now - CLOCK_SKEW, now + ROOT_LIFETIME)?;
    Ok(params.self_signed(key)?)
}

/// Makes an intermediate for a cluster, which can sign leafs alone.
pub(crate) fn make_intermediate(
    ambient: &dyn Ambient,
    root: &Signer,
    (trust_domain, cluster): (&str, &str),
    id: &str,
    key: &KeyPair,
) -> Result<Certificate, MintError> {
    let now = ambient.now();
    let mut params = authority(ambient, BasicConstraints::Constrained(0))?;
    params.distinguished_name.push(DnType::OrganizationName, trust_domain);
    params.distinguished_name.push(DnType::LocalityName, cluster);
    params.distinguished_name.push(DnType::CommonName, format!("intermediate {id}"));
    let not_after = (now + INTERMEDIATE_LIFETIME).min(root.not_after);
    set_validity(&mut params, now - CLOCK_SKEW, not_after)?;
    params.use_authority_key_identifier_extension = true;
    Ok(params.signed_by(key, &root.issuer)?)
}

/// Makes a leaf for somebody else's or our own key. It lives for `lifetime` from now on, but not
/// longer than the signer.
pub(crate) fn make_leaf(
    ambient: &dyn Ambient,
    signer: &Signer,
    name: &LeafName<'_>,
    key: &impl PublicKeyData,
    lifetime: Duration,
) -> Result<(Certificate, Validity), MintError> {
    let now = ambient.now();
    let not_after =
        now.checked_add(lifetime).map_or(signer.not_after, |it| it.min(signer.not_after));
    let validity = Validity { not_before: whole(now - CLOCK_SKEW), not_after: whole(not_after) };
    let mut params = match name {
        LeafName::Workload(identity) => {
            let mut params = CertificateParams::default();
            params.subject_alt_names.push(SanType::URI(identity.to_string().try_into()?));
            params
        }
        LeafName::Server(names) => CertificateParams::new(names.to_vec())?,
    };
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(serial(ambient)?);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if key.algorithm() == &rcgen::PKCS_RSA_SHA256 {
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    set_validity(&mut params, validity.not_before, validity.not_after)?;
    Ok((params.signed_by(key, &signer.issuer)?, validity))
}

fn authority(
    ambient: &dyn Ambient,
    constraints: BasicConstraints,
) -> Result<CertificateParams, MintError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(serial(ambient)?);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn set_validity(
    params: &mut CertificateParams,
    not_before: SystemTime,
    not_after: SystemTime,
) -> Result<(), MintError> {
    params.not_before = date(not_before)?;
    params.not_after = date(not_after)?;
    Ok(())
}

/// Certificates count whole seconds: a part of one is cut off.
fn whole(time: SystemTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds(time))
}

fn date(time: SystemTime) -> Result<OffsetDateTime, time::error::ComponentRange> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds(time)).unwrap_or(i64::MAX))
}

/// 127 random bits: positive, and never two the same.
fn serial(ambient: &dyn Ambient) -> Result<SerialNumber, RandomnessError> {
    let mut bytes = ambient.random()?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// A short random name for a certificate and its files.
pub(crate) fn fresh_id(ambient: &dyn Ambient) -> Result<String, RandomnessError> {
    Ok(hexadecimal(&ambient.random()?[..4]))
}
