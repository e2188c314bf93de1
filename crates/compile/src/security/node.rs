//! Permissions and principals: Envoy's two languages for one logic.

use envoy::config::{
    core::v3::CidrRange,
    rbac::v3::{
        Permission, Principal, permission,
        principal::{self, Authenticated},
    },
    route::v3::HeaderMatcher,
};
use envoy::types::matcher::v3::{MetadataMatcher, StringMatcher};

/// What can be combined by "and", "or" and "not".
pub(super) trait Node: Sized {
    fn any() -> Self;
    fn all_of(nodes: Vec<Self>) -> Self;
    fn one_of(nodes: Vec<Self>) -> Self;
    fn negate(self) -> Self;
    fn metadata(matcher: MetadataMatcher) -> Self;
}

pub(super) fn permission(rule: permission::Rule) -> Permission {
    Permission { rule: Some(rule) }
}

pub(super) fn principal(identifier: principal::Identifier) -> Principal {
    Principal { identifier: Some(identifier) }
}

impl Node for Permission {
    fn any() -> Self {
        permission(permission::Rule::Any(true))
    }

    fn all_of(rules: Vec<Self>) -> Self {
        permission(permission::Rule::AndRules(permission::Set { rules }))
    }

    fn one_of(rules: Vec<Self>) -> Self {
        permission(permission::Rule::OrRules(permission::Set { rules }))
    }

    fn negate(self) -> Self {
        permission(permission::Rule::NotRule(Box::new(self)))
    }

    #[expect(
        deprecated,
        reason = "the successor can read other metadata too, which nobody asks for"
    )]
    fn metadata(matcher: MetadataMatcher) -> Self {
        permission(permission::Rule::Metadata(matcher))
    }
}

impl Node for Principal {
    fn any() -> Self {
        principal(principal::Identifier::Any(true))
    }

    fn all_of(ids: Vec<Self>) -> Self {
        principal(principal::Identifier::AndIds(principal::Set { ids }))
    }

    fn one_of(ids: Vec<Self>) -> Self {
        principal(principal::Identifier::OrIds(principal::Set { ids }))
    }

    fn negate(self) -> Self {
        principal(principal::Identifier::NotId(Box::new(self)))
    }

    #[expect(
        deprecated,
        reason = "the successor can read other metadata too, which nobody asks for"
    )]
    fn metadata(matcher: MetadataMatcher) -> Self {
        principal(principal::Identifier::Metadata(matcher))
    }
}

/// The caller's certificate has this name.
pub(super) fn authenticated(name: StringMatcher) -> Principal {
    let authenticated = Authenticated { principal_name: Some(name) };
    principal(principal::Identifier::Authenticated(authenticated))
}

pub(super) fn header_permission(matcher: HeaderMatcher) -> Permission {
    permission(permission::Rule::Header(matcher))
}

pub(super) fn direct_remote_ip(range: CidrRange) -> Principal {
    principal(principal::Identifier::DirectRemoteIp(range))
}

pub(super) fn remote_ip(range: CidrRange) -> Principal {
    principal(principal::Identifier::RemoteIp(range))
}
