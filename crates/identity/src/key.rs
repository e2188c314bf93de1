//! Private keys: made, and read from PEM in the forms that openssl writes.
//!
//! - `ring` reads PKCS#8 alone; what is PKCS#1 (`RSA PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`) is
//!   wrapped into it here.
//! - A key does not leave this crate but as [`PrivateKeyPem`].

use rcgen::KeyPair;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use zeroize::Zeroizing;

use crate::PrivateKeyPem;

/// `rsaEncryption` with no parameters, and `ecPublicKey` with the curves of ECDSA, in DER.
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] =
    b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;

/// Why a text is not a private key that can sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM of a private key.
    #[error("it holds no private key in PEM")]
    NotPem,
    /// A private key of another kind.
    #[error(
        "its private key is encrypted or damaged, or is neither RSA of 2048 bits or more, nor ECDSA P-256 or P-384, nor Ed25519"
    )]
    Unusable,
}

/// Makes an ECDSA P-256 key.
pub(crate) fn generate() -> Result<(KeyPair, PrivateKeyPem), rcgen::Error> {
    let key = KeyPair::generate()?;
    let pem = PrivateKeyPem::new(key.serialize_pem());
    Ok((key, pem))
}

/// Reads the first private key of a PEM text.
pub(crate) fn parse_key(pem: &[u8]) -> Result<KeyPair, KeyError> {
    first_usable(pem, |pkcs8| {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
        KeyPair::try_from(&key).ok()
    })
}

/// Gives the first private key of a PEM text as PKCS#8 to `read`, in each form that it can have.
pub(crate) fn first_usable<T>(
    pem: &[u8],
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<T, KeyError> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::NotPem)?;
    let found = match &key {
        PrivateKeyDer::Pkcs8(key) => read(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => read(&wrap(RSA, key.secret_pkcs1_der())),
        PrivateKeyDer::Sec1(key) => {
            let inner = key.secret_sec1_der();
            read(&wrap(P256, inner)).or_else(|| read(&wrap(P384, inner)))
        }
        _ => None,
    };
    found.ok_or(KeyError::Unusable)
}

/// `PrivateKeyInfo { version 0, algorithm, OCTET STRING { key } }`.
fn wrap(algorithm: &[u8], key: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(vec![0x02, 0x01, 0x00]);
    body.extend_from_slice(algorithm);
    write_element(&mut body, OCTET_STRING, key);
    let mut whole = Zeroizing::new(Vec::with_capacity(body.len() + 4));
    write_element(&mut whole, SEQUENCE, &body);
    whole
}

/// Tag, length in the shortest form, content.
fn write_element(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    match content.len() {
        short @ 0..0x80 => out.push(short as u8),
        _ => {
            out.push(0x80 | significant.len() as u8);
            out.extend_from_slice(significant);
        }
    }
    out.extend_from_slice(content);
}
