//! The keys of token issuers, which are fetched and not written by people.
//!
//! - Not here: who fetches them (`jwks`), what they mean to Envoy (`compile`).

use std::{fmt, sync::Arc};

use api::istio::request_authentication::JwtRule;
use model::Shared;

use crate::Snapshot;

/// Where the keys of an issuer are found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySource {
    /// A JSON Web Key Set at this address.
    Uri(Arc<str>),
    /// The issuer's own description, by OpenID Connect Discovery, names the address.
    Issuer(Arc<str>),
}

impl KeySource {
    /// Where a rule has its keys from; `None` if it holds them itself.
    pub fn of(rule: &JwtRule) -> Option<Self> {
        match (rule.jwks.as_str(), rule.jwks_uri.as_str()) {
            ("", "") => Some(Self::Issuer(rule.issuer.as_str().into())),
            ("", uri) => Some(Self::Uri(uri.into())),
            (_, _) => None,
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(uri) => write!(out, "`{uri}`"),
            Self::Issuer(issuer) => write!(out, "the issuer `{issuer}`"),
        }
    }
}

impl Snapshot {
    /// The key set of a source, if it was ever fetched.
    pub(crate) fn key_set(&self, source: &KeySource) -> Option<&Shared<String>> {
        self.key_sets.get(source)
    }
}
