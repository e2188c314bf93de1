//! An issuer of JSON Web Tokens, with a key of its own.

use anyhow::Result;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use serde_json::{Value, json};

/// Signs tokens. Two issuers never have the same key.
#[derive(Debug)]
pub struct TokenIssuer {
    key: KeyPair,
    /// The `iss` of its tokens.
    pub name: String,
}

impl TokenIssuer {
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self { key: KeyPair::generate_for(&PKCS_ED25519)?, name: name.to_owned() })
    }

    /// Its public key as a JSON Web Key Set.
    #[must_use]
    pub fn jwks(&self) -> String {
        let public = URL_SAFE_NO_PAD.encode(self.key.der_bytes());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "1", "x": public});
        json!({"keys": [key]}).to_string()
    }

    /// A signed token with these claims, the issuer's name among them. It does not expire unless
    /// the claims say so.
    pub fn token(&self, claims: &Value) -> Result<String> {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "1"});
        let mut claims = claims.clone();
        if let Some(fields) = claims.as_object_mut() {
            fields.entry("iss").or_insert_with(|| self.name.clone().into());
        }
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes())?);
        Ok(format!("{signed}.{signature}"))
    }
}
