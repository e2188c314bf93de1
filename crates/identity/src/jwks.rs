//! JSON Web Key Sets: the public keys that tokens are checked with.
//!
//! - RSA keys for RS256 and P-256 keys for ES256. Any other key is left out and named: a set may
//!   hold keys for others.
//! - A key without a use that we know can check nothing: there is no way from a public key to HMAC.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// The fewest bytes of an RSA modulus: 2048 bits.
const RSA_BYTES: usize = 256;
/// A coordinate of P-256.
const COORDINATE: usize = 32;

/// The keys of one issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    pub(crate) keys: Vec<VerificationKey>,
    /// Why keys of the set are not used.
    pub skipped: Vec<String>,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerificationKey {
    pub(crate) id: Option<String>,
    pub(crate) material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Material {
    /// RS256: modulus and exponent.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// ES256: an uncompressed point.
    P256(Vec<u8>),
}

/// The algorithms of signatures that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Es256,
}

/// A text that is not a set of keys, or holds none that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not the JSON of a set.
    #[error("it is not a JSON Web Key Set: an object with a list `keys`")]
    NotASet,
    /// No key for RS256 or ES256.
    #[error("it has no key for RS256 (RSA, 2048 bits or more) or ES256 (EC, P-256)")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Reads a set.
pub fn parse_key_set(bytes: &[u8]) -> Result<KeySet, KeySetError> {
    let set: RawSet = serde_json::from_slice(bytes).map_err(|_| KeySetError::NotASet)?;
    let mut found = KeySet::default();
    for (index, raw) in set.keys.into_iter().enumerate() {
        let key = serde_json::from_value(raw).map_err(|_| "it is not an object with `kty`");
        match key.and_then(convert_key) {
            Ok(key) => found.keys.push(key),
            Err(why) => found.skipped.push(format!("key {index}: {why}")),
        }
    }
    match found.keys.is_empty() {
        true => Err(KeySetError::NoUsableKey),
        false => Ok(found),
    }
}

fn convert_key(raw: RawKey) -> Result<VerificationKey, &'static str> {
    if raw.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return Err("it is not for signatures");
    }
    let field = |field: Option<String>| {
        let bytes = field.and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok());
        bytes.ok_or("a field of the key is missing, or not base64url")
    };
    let (material, algorithm) = match (raw.kty.as_str(), raw.crv.as_deref()) {
        ("RSA", _) => {
            let n = field(raw.n)?;
            let n = n[n.iter().take_while(|byte| **byte == 0).count()..].to_vec();
            if n.len() < RSA_BYTES {
                return Err("its RSA key has fewer than 2048 bits");
            }
            (Material::Rsa { n, e: field(raw.e)? }, "RS256")
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (field(raw.x)?, field(raw.y)?);
            if x.len() != COORDINATE || y.len() != COORDINATE {
                return Err("it is not a point of P-256");
            }
            (Material::P256([&[4][..], &x, &y].concat()), "ES256")
        }
        _ => return Err("it is neither RSA nor EC with the curve P-256"),
    };
    if raw.alg.is_some_and(|named| named != algorithm) {
        return Err("its algorithm is neither RS256 nor ES256");
    }
    Ok(VerificationKey { id: raw.kid, material })
}

impl VerificationKey {
    /// Whether `signature` of `message` was made with this key and this algorithm.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (&self.material, algorithm) {
            (Material::Rsa { n, e }, Algorithm::Rs256) => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            (Material::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
                    .is_ok()
            }
            (Material::Rsa { .. }, Algorithm::Es256) | (Material::P256(_), Algorithm::Rs256) => {
                false
            }
        }
    }
}
