//! PeerAuthentication and RequestAuthentication.

use super::{Check, Path, authorization};
use crate::{
    codes,
    istio::{
        peer_authentication::PeerAuthentication,
        request_authentication::{JwtRule, RequestAuthentication},
    },
};

pub(super) fn peer(check: &mut Check<'_>, path: &Path<'_>, policy: &PeerAuthentication) {
    check.label_selector(&path.field("selector"), policy.selector.as_ref());
    let Some(ports) = &policy.port_level_mtls else { return };
    let at = path.field("portLevelMtls");
    let selects = policy.selector.as_ref().is_some_and(|s| !s.match_labels.is_empty());
    if ports.is_empty() {
        let message = "`portLevelMtls` must have at least one port";
        check.report(&codes::AUTH_PORT_LEVEL, &at, message, "leave it out");
    } else if !selects {
        let message = "`portLevelMtls` needs a `selector` with labels";
        check.report(&codes::AUTH_PORT_LEVEL, &at, message, "");
    }
    for port in ports.keys() {
        if !port.parse::<u16>().is_ok_and(|port| port > 0) {
            let message = format!("`{port}` is not a port in the range 1 to 65535");
            check.report(&codes::PORT_RANGE, &at.key(port), message, "");
        }
    }
}

pub(super) fn request(check: &mut Check<'_>, path: &Path<'_>, policy: &RequestAuthentication) {
    let (one, many) = (policy.target_ref.as_ref(), &policy.target_refs);
    check.targets(path, policy.selector.as_ref(), one, many);
    let list = path.field("jwtRules");
    for (index, rule) in policy.jwt_rules.iter().enumerate() {
        jwt_rule(check, &list.index(index), rule);
    }
}

fn jwt_rule(check: &mut Check<'_>, path: &Path<'_>, rule: &JwtRule) {
    check.required(!rule.issuer.is_empty(), &path.field("issuer"), "the issuer");
    let lists = [
        ("audiences", &rule.audiences),
        ("fromParams", &rule.from_params),
        ("fromCookies", &rule.from_cookies),
        ("spaceDelimitedClaims", &rule.space_delimited_claims),
    ];
    for (name, values) in lists {
        let list = path.field(name);
        for (index, value) in values.iter().enumerate() {
            check.required(!value.is_empty(), &list.index(index), "the value");
        }
    }
    if !rule.jwks_uri.is_empty() {
        let scheme = authorization::scheme(&rule.jwks_uri).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            let message = format!("`{}` is not the address of a key set", rule.jwks_uri);
            let hint = "it begins with `https://`";
            check.report(&codes::AUTH_JWT, &path.field("jwksUri"), message, hint);
        }
    }
    if !rule.jwks.is_empty() {
        let keys: Result<serde_json::Value, _> = serde_json::from_str(&rule.jwks);
        if !keys.is_ok_and(|keys| keys.is_object()) {
            let message = "`jwks` is not a JSON Web Key Set";
            check.report(&codes::AUTH_JWT, &path.field("jwks"), message, "");
        }
    }
    let list = path.field("fromHeaders");
    for (index, header) in rule.from_headers.iter().enumerate() {
        let at = list.index(index);
        check.required(!header.name.is_empty(), &at.field("name"), "the name of the header");
    }
    let list = path.field("outputClaimToHeaders");
    for (index, output) in rule.output_claim_to_headers.iter().enumerate() {
        let at = list.index(index);
        check.required(!output.claim.is_empty(), &at.field("claim"), "the claim");
        authorization::header_name(check, &at.field("header"), &output.header);
    }
    check.duration(&path.field("timeout"), rule.timeout);
}
