//! Bearer tokens: a JWT from anybody → the service account that its issuer vouches for.
//!
//! - RS256 and ES256 only; what the token says of its algorithm must be what the key is for. There
//!   is no `none` and no HMAC.
//! - Issuer, audience and expiry are required. Nothing of a token is believed before its signature
//!   is checked, but its issuer and key id, which only choose the key.
//! - Pure, and never panics. No part of a token gets into an error.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::jwks::{Algorithm, KeySet};

/// The longest token that is read.
pub const LONGEST_TOKEN: usize = 16 << 10;
/// How far the clock of an issuer may be off.
const LEEWAY: Duration = Duration::from_secs(60);
/// As what a token counts whose expiry is too far away for a clock.
const MAX_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Which tokens are accepted, and whom they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// The `iss` of the token.
    pub issuer: String,
    /// The token must be for at least one of them. Empty: no token is accepted.
    pub audiences: Vec<String>,
    /// Where the token names its holder.
    pub claims: ClaimMapping,
}

/// Where a token names the service account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClaimMapping {
    /// `sub` is `system:serviceaccount:<namespace>:<name>`, as in Kubernetes.
    #[default]
    Subject,
    /// Two claims, which may lie inside other ones, such as `kubernetes.io` → `namespace`.
    Claims {
        /// The way to the claim with the namespace, one name per level.
        namespace: Vec<String>,
        /// The way to the claim with the name of the service account.
        service_account: Vec<String>,
    },
}

/// Whom a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// When the token expires.
    pub expires: SystemTime,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Too many bytes.
    #[error("the token is longer than 16 KiB")]
    TooLong,
    /// Not three parts of base64url with JSON in the first two.
    #[error("the token is not a JWT")]
    NotAToken,
    /// Another algorithm.
    #[error("the token is not signed with RS256 or ES256")]
    Algorithm,
    /// An extension that must be understood.
    #[error("the header of the token has `crit`, which is not supported")]
    Critical,
    /// Nobody has a key for this issuer.
    #[error("the issuer of the token is not one of those that are accepted")]
    Issuer,
    /// The signature is of none of the issuer's keys.
    #[error(
        "the signature of the token is not of one of its issuer's keys: is the JWKS up to date?"
    )]
    Signature,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Without an expiry.
    #[error("the token has no `exp`")]
    NoExpiry,
    /// Too old.
    #[error("the token has expired: ask for a new one")]
    Expired,
    /// Too early.
    #[error("the token is not valid yet: are the clocks right?")]
    NotYet,
    /// It names no service account.
    #[error("the token does not say which service account it is of")]
    NoServiceAccount,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// A token that is cut into its parts, and not believed.
struct Parts<'a> {
    header: Header,
    claims: Map<String, Value>,
    message: &'a str,
    signature: Vec<u8>,
}

/// Checks a token. Rules and keys go together; those of the token's issuer are used.
pub fn verify_token<'a>(
    token: &str,
    accepted: impl IntoIterator<Item = (&'a TokenRules, &'a KeySet)>,
    now: SystemTime,
) -> Result<ServiceAccount, TokenError> {
    let Parts { header, claims, message, signature } = split(token)?;
    if header.crit.is_some() {
        return Err(TokenError::Critical);
    }
    let algorithm = match header.alg.as_str() {
        "RS256" => Algorithm::Rs256,
        "ES256" => Algorithm::Es256,
        _ => return Err(TokenError::Algorithm),
    };
    let issuer = claims.get("iss").and_then(Value::as_str);
    let mut of_issuer =
        accepted.into_iter().filter(|(rules, _)| issuer == Some(rules.issuer.as_str())).peekable();
    if of_issuer.peek().is_none() {
        return Err(TokenError::Issuer);
    }
    let is_signed = |keys: &KeySet| {
        let may_be = |id: &Option<String>| match (id, &header.kid) {
            (Some(id), Some(named)) => id == named,
            (None, _) | (_, None) => true,
        };
        let mut candidates = keys.keys.iter().filter(|key| may_be(&key.id));
        candidates.any(|key| key.verifies(algorithm, message.as_bytes(), &signature))
    };
    let (rules, _) = of_issuer.find(|(_, keys)| is_signed(keys)).ok_or(TokenError::Signature)?;
    check_audience(rules, &claims)?;
    let expires = check_times(&claims, now)?;
    let (namespace, name) =
        service_account(&rules.claims, &claims).ok_or(TokenError::NoServiceAccount)?;
    Ok(ServiceAccount { namespace, name, expires })
}

fn split(token: &str) -> Result<Parts<'_>, TokenError> {
    if token.len() > LONGEST_TOKEN {
        return Err(TokenError::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::NotAToken)?;
    let (header, claims) = message.split_once('.').ok_or(TokenError::NotAToken)?;
    // A further dot is no letter of base64url.
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::NotAToken);
    let not_json = |_| TokenError::NotAToken;
    Ok(Parts {
        header: serde_json::from_slice(&decode(header)?).map_err(not_json)?,
        claims: serde_json::from_slice(&decode(claims)?).map_err(not_json)?,
        message,
        signature: decode(signature)?,
    })
}

fn check_audience(rules: &TokenRules, claims: &Map<String, Value>) -> Result<(), TokenError> {
    let is_ours = |audience: &Value| {
        audience.as_str().is_some_and(|name| rules.audiences.iter().any(|own| own == name))
    };
    let is_for_us = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    is_for_us.then_some(()).ok_or(TokenError::Audience)
}

/// When the token expires.
fn check_times(claims: &Map<String, Value>, now: SystemTime) -> Result<SystemTime, TokenError> {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let leeway = LEEWAY.as_secs_f64();
    let expires = claims.get("exp").and_then(Value::as_f64).ok_or(TokenError::NoExpiry)?;
    if seconds >= expires + leeway {
        return Err(TokenError::Expired);
    }
    if let Some(begins) = claims.get("nbf") {
        let begins = begins.as_f64().ok_or(TokenError::NotYet)?;
        if seconds + leeway < begins {
            return Err(TokenError::NotYet);
        }
    }
    let life = Duration::try_from_secs_f64(expires).ok();
    // A time that no clock reaches is as good as the last one that it does.
    Ok(life.and_then(|life| UNIX_EPOCH.checked_add(life)).unwrap_or(now + MAX_LIFE))
}

/// Namespace and name.
fn service_account(
    mapping: &ClaimMapping,
    claims: &Map<String, Value>,
) -> Option<(String, String)> {
    match mapping {
        ClaimMapping::Subject => {
            let subject = claims.get("sub")?.as_str()?.strip_prefix(SERVICE_ACCOUNT)?;
            let (namespace, name) = subject.split_once(':')?;
            Some((namespace.to_owned(), name.to_owned()))
        }
        ClaimMapping::Claims { namespace, service_account } => {
            Some((claim(claims, namespace)?, claim(claims, service_account)?))
        }
    }
}

fn claim(claims: &Map<String, Value>, path: &[String]) -> Option<String> {
    let (last, levels) = path.split_last()?;
    let mut object = claims;
    for level in levels {
        object = object.get(level)?.as_object()?;
    }
    object.get(last)?.as_str().map(str::to_owned)
}
