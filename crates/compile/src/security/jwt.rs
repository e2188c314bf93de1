//! RequestAuthentications of one workload → the filter that checks tokens.
//!
//! - A token that is there must be valid; a request without one goes on, and it is for an
//!   AuthorizationPolicy to demand one.
//! - Keys are given to Envoy with the filter. An issuer whose keys are not known has none, so that
//!   its tokens are refused, and those of other issuers are checked as ever.

use std::collections::BTreeMap;

use api::istio::request_authentication::JwtRule;
use envoy::{
    config::core::v3::{DataSource, data_source::Specifier},
    extensions::filters::{
        http::jwt_authn::v3::{
            JwtAuthentication, JwtClaimToHeader, JwtHeader, JwtProvider, JwtRequirement,
            JwtRequirementAndList, JwtRequirementOrList, RequirementRule,
            jwt_provider::{JwksSourceSpecifier, NormalizePayload},
            jwt_requirement::RequiresType,
            requirement_rule::RequirementType,
        },
        network::http_connection_manager::v3::HttpFilter,
    },
};
use model::{Diagnostics, ObjectKey};

use super::{
    SecurityInput,
    matcher::{JWT_FILTER, PAYLOAD, is_header_name},
    rbac::push_once,
};
use crate::{codes, filters::http_filter, route::every_path};

/// A key that verifies nothing. Envoy refuses a whole listener for a set without a key that it can
/// read, so every set has this one too.
///
/// It is a point of P-256 whose x is the SHA-256 of "nobody holds the key to this point, 0", and
/// whose y is even: nobody can know the private key, or ever sign by it.
const NOBODY: [(&str, &str); 6] = [
    ("alg", "ES256"),
    ("crv", "P-256"),
    ("kid", "nobody"),
    ("kty", "EC"),
    ("x", "zPR3iR4fOcW4V6XVNHEGMg6KJPrAZCv_EPXCHRePtSk"),
    ("y", "A3r-C8eaxp7P3vLKxEQEadEit4cmjCSPFCZPk0R8_AA"),
];
/// What Envoy reads of a key. Everything else, such as a private part, stays here.
const KEY_FIELDS: [&str; 10] = ["alg", "crv", "e", "k", "kid", "kty", "n", "use", "x", "y"];
/// Claims that hold several words, by their standards.
const SPACE_DELIMITED: [&str; 2] = ["scope", "permission"];

/// A rule and where it was written.
struct Written<'a> {
    rule: &'a JwtRule,
    key: &'a ObjectKey,
    index: usize,
}

/// The filter; `None` if no rule is there.
pub(super) fn filter(input: &SecurityInput, findings: &mut Diagnostics) -> Option<HttpFilter> {
    let mut written: Vec<Written<'_>> = Vec::new();
    for record in &input.authentications {
        let rules = record.spec.jwt_rules.iter().enumerate();
        written.extend(rules.map(|(index, rule)| Written { rule, key: &record.key, index }));
    }
    // Providers are named by their place: it must not depend on the age of the objects.
    written.sort_by(|a, b| a.rule.issuer.cmp(&b.rule.issuer));
    if written.is_empty() {
        return None;
    }
    let mut filter = JwtAuthentication { bypass_cors_preflight: true, ..Default::default() };
    let mut checks = Vec::with_capacity(written.len());
    for (index, written) in written.iter().enumerate() {
        let name = format!("origins-{index}");
        filter.providers.insert(name.clone(), provider(written, input, findings));
        checks.push(name);
    }
    filter.rules = vec![RequirementRule {
        r#match: Some(every_path()),
        requirement_type: Some(RequirementType::Requires(requirement(&checks))),
    }];
    Some(http_filter(JWT_FILTER, &filter))
}

/// Every token that is there is valid. Where several issuers look for theirs in one place, one of
/// them is enough.
fn requirement(providers: &[String]) -> JwtRequirement {
    let provider = |name: &String| requires(RequiresType::ProviderName(name.clone()));
    let or_missing = |name: &String| {
        let missing = requires(RequiresType::AllowMissing(()));
        one_of(vec![provider(name), missing])
    };
    if let [only] = providers {
        return or_missing(only);
    }
    let all = JwtRequirementAndList { requirements: providers.iter().map(or_missing).collect() };
    let mut alternatives: Vec<JwtRequirement> = providers.iter().map(provider).collect();
    alternatives.push(requires(RequiresType::RequiresAll(all)));
    one_of(alternatives)
}

fn requires(requires_type: RequiresType) -> JwtRequirement {
    JwtRequirement { requires_type: Some(requires_type) }
}

fn one_of(requirements: Vec<JwtRequirement>) -> JwtRequirement {
    requires(RequiresType::RequiresAny(JwtRequirementOrList { requirements }))
}

fn provider(
    written: &Written<'_>,
    input: &SecurityInput,
    findings: &mut Diagnostics,
) -> JwtProvider {
    let rule = written.rule;
    let space_delimited = SPACE_DELIMITED.into_iter().map(str::to_owned);
    let space_delimited = space_delimited.chain(rule.space_delimited_claims.iter().cloned());
    // One name that Envoy does not take would cost the whole listener.
    let claims = rule.output_claim_to_headers.iter();
    let claims = claims.filter(|it| is_header_name(&it.header) && !it.claim.is_empty());
    let claim_to_headers = claims.map(|it| JwtClaimToHeader {
        header_name: it.header.clone(),
        claim_name: it.claim.clone(),
        ..JwtClaimToHeader::default()
    });
    let from_headers = rule
        .from_headers
        .iter()
        .filter(|it| is_header_name(&it.name))
        .map(|it| JwtHeader { name: it.name.clone(), value_prefix: it.prefix.clone() });
    JwtProvider {
        issuer: rule.issuer.clone(),
        audiences: rule.audiences.clone(),
        forward: rule.forward_original_token,
        from_headers: from_headers.collect(),
        from_params: rule.from_params.clone(),
        from_cookies: rule.from_cookies.clone(),
        forward_payload_header: Some(&rule.output_payload_to_header)
            .filter(|name| is_header_name(name))
            .cloned()
            .unwrap_or_default(),
        payload_in_metadata: PAYLOAD.to_owned(),
        normalize_payload_in_metadata: Some(NormalizePayload {
            space_delimited_claims: space_delimited.collect(),
        }),
        claim_to_headers: claim_to_headers.collect(),
        // Routes may depend on claims, which are known only now.
        clear_route_cache: true,
        jwks_source_specifier: Some(JwksSourceSpecifier::LocalJwks(DataSource {
            specifier: Some(Specifier::InlineString(keys(written, input, findings))),
            ..DataSource::default()
        })),
        ..JwtProvider::default()
    }
}

/// The issuer's keys as text. Of a fetched set that is not there yet, whoever fetches it reports.
fn keys(written: &Written<'_>, input: &SecurityInput, findings: &mut Diagnostics) -> String {
    let rule = written.rule;
    let fetched = snapshot::KeySource::of(rule).map(|source| input.key_sets.get(&source));
    let text = match &fetched {
        None => Some(rule.jwks.as_str()),
        Some(keys) => keys.and_then(Option::as_ref).map(|keys| keys.as_str()),
    };
    let keys = text.map(readable_keys).unwrap_or_default();
    if fetched.is_none() && keys.is_empty() {
        let finding = codes::TOKEN_KEYS.diagnostic("`jwks` holds no keys");
        let finding = finding.object(written.key.clone());
        let finding = finding.field(format!("spec.jwtRules[{}].jwks", written.index));
        push_once(findings, finding.hint("its tokens are refused until it does"));
    }
    let nobody = NOBODY.map(|(field, value)| (field.to_owned(), value.to_owned()));
    let keys = keys.into_iter().chain([nobody.into_iter().collect()]);
    serde_json::json!({ "keys": keys.collect::<Vec<Key>>() }).to_string()
}

type Key = BTreeMap<String, String>;

/// The keys of a set, as far as they have the form of one.
fn readable_keys(text: &str) -> Vec<Key> {
    let set: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let fields = |key: &serde_json::Value| -> Key {
        let field = |name: &str| Some((name.to_owned(), key.get(name)?.as_str()?.to_owned()));
        KEY_FIELDS.into_iter().filter_map(field).collect()
    };
    keys.map(fields).filter(|key| key.contains_key("kty")).collect()
}
