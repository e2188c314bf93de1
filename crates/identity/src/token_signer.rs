//! Signs tokens, for tests and for meshes without an issuer of their own.
//!
//! - The counterpart of `jwt`: ES256 or RS256, as the key is; its public half comes as a JSON Web
//!   Key Set.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest,
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use serde_json::{Value, json};

use crate::{
    KeyError, MintError, PrivateKeyPem, RandomnessError, Token,
    certificate::hexadecimal,
    key::{first_usable, generate},
};

/// A private key that signs tokens.
pub struct TokenSigner {
    key: Key,
    /// The name of the key: a part of the digest of its public half.
    id: String,
    random: SystemRandom,
}

enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TokenSigner").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TokenSigner {
    /// Makes an ECDSA P-256 key.
    pub fn generate() -> Result<(Self, PrivateKeyPem), MintError> {
        let (_, pem) = generate()?;
        match Self::parse(pem.expose().as_bytes()) {
            Ok(signer) => Ok((signer, pem)),
            Err(_) => Err(MintError::Certificate(rcgen::Error::KeyGenerationUnavailable)),
        }
    }

    /// Reads an RSA key of 2048 bits or more, or an ECDSA P-256 key.
    pub fn parse(pem: &[u8]) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let key = first_usable(pem, |pkcs8| {
            let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random);
            p256.map(Key::P256).or_else(|_| RsaKeyPair::from_pkcs8(pkcs8).map(Key::Rsa)).ok()
        })?;
        let public = match &key {
            Key::Rsa(key) => key.public_key().as_ref(),
            Key::P256(key) => key.public_key().as_ref(),
        };
        let id = hexadecimal(&digest::digest(&digest::SHA256, public).as_ref()[..8]);
        Ok(Self { key, id, random })
    }

    /// The public half, for those who check tokens.
    pub fn key_set(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match &self.key {
            Key::Rsa(key) => {
                let public: PublicKeyComponents<Vec<u8>> = key.public().into();
                json!({ "kty": "RSA", "alg": "RS256", "n": encode(&public.n), "e": encode(&public.e) })
            }
            Key::P256(key) => {
                // An uncompressed point: a mark, then both coordinates.
                let point = key.public_key().as_ref();
                let (x, y) = point[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "x": encode(x), "y": encode(y) })
            }
        };
        key["use"] = "sig".into();
        key["kid"] = self.id.as_str().into();
        json!({ "keys": [key] })
    }

    /// Signs claims as they are.
    pub fn sign(&self, claims: &Value) -> Result<Token, RandomnessError> {
        let algorithm = match &self.key {
            Key::Rsa(_) => "RS256",
            Key::P256(_) => "ES256",
        };
        let header = json!({ "alg": algorithm, "kid": self.id, "typ": "JWT" });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &self.random, message.as_bytes(), &mut signature)
                    .map_err(|_| RandomnessError)?;
                signature
            }
            Key::P256(key) => {
                let signed = key.sign(&self.random, message.as_bytes());
                signed.map_err(|_| RandomnessError)?.as_ref().to_vec()
            }
        };
        Ok(Token::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}
