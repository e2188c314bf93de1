//! RequestAuthentications of one workload → the filter that checks tokens.
//!
//! - A token that is there must be valid; a request without one goes on, and it is for an
//!   AuthorizationPolicy to demand one.
//! - Keys are given to Envoy with the filter. An issuer whose keys are not known has none, so that
//!   its tokens are refused, and those of other issuers are checked as ever.

use api::istio::request_authentication::JwtRule;
use envoy::{
    config::{
        core::v3::{DataSource, data_source::Specifier},
        route::v3::{RouteMatch, route_match::PathSpecifier},
    },
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
use model::{Diagnostic, Diagnostics, ObjectKey};

use super::{
    SecurityInput,
    matcher::{JWT_FILTER, PAYLOAD},
    rbac::push_once,
};
use crate::{codes, filters::http_filter};

/// A key set that verifies nothing.
const NO_KEYS: &str = r#"{"keys":[]}"#;
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
    let everything = RouteMatch {
        path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
        ..RouteMatch::default()
    };
    filter.rules = vec![RequirementRule {
        r#match: Some(everything),
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
    let claim_to_headers = rule.output_claim_to_headers.iter().map(|it| JwtClaimToHeader {
        header_name: it.header.clone(),
        claim_name: it.claim.clone(),
        ..JwtClaimToHeader::default()
    });
    let from_headers = rule
        .from_headers
        .iter()
        .map(|it| JwtHeader { name: it.name.clone(), value_prefix: it.prefix.clone() });
    JwtProvider {
        issuer: rule.issuer.clone(),
        audiences: rule.audiences.clone(),
        forward: rule.forward_original_token,
        from_headers: from_headers.collect(),
        from_params: rule.from_params.clone(),
        from_cookies: rule.from_cookies.clone(),
        forward_payload_header: rule.output_payload_to_header.clone(),
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

/// The issuer's keys as text.
fn keys(written: &Written<'_>, input: &SecurityInput, findings: &mut Diagnostics) -> String {
    let at = |field: &str| format!("spec.jwtRules[{}].{field}", written.index);
    let finding = |field: &str, message: String| -> Diagnostic {
        let finding = codes::TOKEN_KEYS.diagnostic(message).object(written.key.clone());
        finding.field(at(field)).hint("tokens of this issuer are refused until it has keys")
    };
    let rule = written.rule;
    if !rule.jwks.is_empty() {
        let parsed: Option<serde_json::Value> = serde_json::from_str(&rule.jwks).ok();
        let count = parsed.as_ref().and_then(|it| it.get("keys")?.as_array().map(Vec::len));
        if count.is_some_and(|count| count > 0) {
            return rule.jwks.clone();
        }
        push_once(findings, finding("jwks", "`jwks` holds no keys".to_owned()));
        return NO_KEYS.to_owned();
    }
    let Some(source) = snapshot::KeySource::of(rule) else { return NO_KEYS.to_owned() };
    match input.key_sets.get(&source) {
        Some(Some(keys)) => keys.to_string(),
        Some(None) | None => {
            let field = if rule.jwks_uri.is_empty() { "issuer" } else { "jwksUri" };
            let message = format!("no keys of {source} are known yet");
            push_once(findings, finding(field, message));
            NO_KEYS.to_owned()
        }
    }
}
