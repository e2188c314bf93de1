//! RequestAuthentication: which tokens are valid.

use serde::{Deserialize, Serialize};

use crate::{Duration, is_default, istio::LabelSelector, istio::PolicyTargetReference};

/// Token rules of the selected workloads.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestAuthentication {
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<LabelSelector>,
    #[serde(alias = "target_ref", skip_serializing_if = "is_default")]
    pub target_ref: Option<PolicyTargetReference>,
    #[serde(alias = "target_refs", skip_serializing_if = "is_default")]
    pub target_refs: Vec<PolicyTargetReference>,
    #[serde(alias = "jwt_rules", skip_serializing_if = "is_default")]
    pub jwt_rules: Vec<JwtRule>,
}

/// One issuer of tokens.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JwtRule {
    #[serde(skip_serializing_if = "is_default")]
    pub issuer: String,
    #[serde(skip_serializing_if = "is_default")]
    pub audiences: Vec<String>,
    #[serde(alias = "jwks_uri", skip_serializing_if = "is_default")]
    pub jwks_uri: String,
    #[serde(skip_serializing_if = "is_default")]
    pub jwks: String,
    #[serde(alias = "from_headers", skip_serializing_if = "is_default")]
    pub from_headers: Vec<JwtHeader>,
    #[serde(alias = "from_params", skip_serializing_if = "is_default")]
    pub from_params: Vec<String>,
    #[serde(alias = "from_cookies", skip_serializing_if = "is_default")]
    pub from_cookies: Vec<String>,
    #[serde(alias = "output_payload_to_header", skip_serializing_if = "is_default")]
    pub output_payload_to_header: String,
    #[serde(alias = "forward_original_token", skip_serializing_if = "is_default")]
    pub forward_original_token: bool,
    #[serde(alias = "output_claim_to_headers", skip_serializing_if = "is_default")]
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    #[serde(alias = "space_delimited_claims", skip_serializing_if = "is_default")]
    pub space_delimited_claims: Vec<String>,
}

/// A header that holds a token.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JwtHeader {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub prefix: String,
}

/// A claim copied into a header.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimToHeader {
    #[serde(skip_serializing_if = "is_default")]
    pub header: String,
    #[serde(skip_serializing_if = "is_default")]
    pub claim: String,
}
