//! Values of attributes, as people write them → nodes of Envoy's RBAC filters.

use envoy::{
    config::rbac::v3::{Permission, Principal, permission},
    types::matcher::v3::StringMatcher,
};
use model::Namespace;

use super::{
    matcher,
    node::{Node, direct_remote_ip, permission, remote_ip},
};

/// Why a part cannot be carried out.
pub(super) enum Unusable {
    /// It needs a request.
    OnlyHttp,
    Wrong(String),
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self::Wrong(reason)
    }
}

pub(super) fn url_path(text: &str) -> Result<Permission, Unusable> {
    Ok(permission(match matcher::is_path_template(text) {
        true => permission::Rule::UriTemplate(matcher::path_template(text)?),
        false => permission::Rule::UrlPath(matcher::path(text)),
    }))
}

pub(super) fn destination_port(text: &str) -> Result<Permission, Unusable> {
    Ok(permission(permission::Rule::DestinationPort(matcher::port(text)?)))
}

pub(super) fn destination_ip(text: &str) -> Result<Permission, Unusable> {
    Ok(permission(permission::Rule::DestinationIp(matcher::range(text)?)))
}

pub(super) fn server_name(text: &str) -> Result<Permission, Unusable> {
    Ok(permission(permission::Rule::RequestedServerName(matcher::string(text))))
}

pub(super) fn direct_range(text: &str) -> Result<Principal, Unusable> {
    Ok(direct_remote_ip(matcher::range(text)?))
}

pub(super) fn remote_range(text: &str) -> Result<Principal, Unusable> {
    Ok(remote_ip(matcher::range(text)?))
}

pub(super) fn namespace(text: &str) -> StringMatcher {
    matcher::regex(format!(".*/ns/{}/.*", matcher::glob(text)))
}

/// `account`, in the policy's namespace, or `namespace/account`.
pub(super) fn service_account(own: &Namespace, text: &str) -> StringMatcher {
    let (namespace, account) = text.split_once('/').unwrap_or((own.as_str(), text));
    let (namespace, account) = (matcher::escape(namespace), matcher::escape(account));
    matcher::regex(format!("spiffe://.+/ns/{namespace}/(.+/|)sa/{account}(/.+)?"))
}

pub(super) fn trust_domain(text: &str) -> StringMatcher {
    match text {
        "*" => matcher::something(),
        text if text.contains('*') => {
            let domain: Vec<String> = text.split('*').map(matcher::escape).collect();
            matcher::regex(format!("spiffe://{}/.*", domain.join("[^/]*")))
        }
        text => matcher::prefix(format!("spiffe://{text}/")),
    }
}

/// `issuer/subject`, of which either may be a pattern.
pub(super) fn request_principals(texts: &[String]) -> Result<Principal, Unusable> {
    let mut nodes: Vec<Principal> = texts.iter().map(|text| request_principal(text)).collect();
    Ok(match nodes.len() {
        1 => nodes.remove(0),
        _ => Principal::one_of(nodes),
    })
}

fn request_principal(text: &str) -> Principal {
    // Issuers are URLs: the subject is what follows the last slash.
    let parts = text.rsplit_once('/');
    let part = |part: &str| matcher::string(part);
    let (issuer, subject) = match (text, parts) {
        ("*", _) => (matcher::something(), matcher::something()),
        (_, Some((issuer, subject))) if text.starts_with('*') => {
            (part(issuer), matcher::exact(subject))
        }
        (_, None) if text.starts_with('*') => (matcher::something(), matcher::suffix(&text[1..])),
        (_, Some((issuer, subject))) if text.ends_with('*') => {
            (matcher::exact(issuer), part(subject))
        }
        (_, None) if text.ends_with('*') => {
            (matcher::prefix(&text[..text.len() - 1]), matcher::something())
        }
        (_, Some((issuer, subject))) => (matcher::exact(issuer), matcher::exact(subject)),
        (_, None) => (matcher::exact(text), matcher::exact("")),
    };
    let claims = [("iss", issuer), ("sub", subject)];
    let claims = claims.map(|(claim, text)| Principal::metadata(matcher::claim_text(claim, text)));
    Principal::all_of(claims.into())
}
