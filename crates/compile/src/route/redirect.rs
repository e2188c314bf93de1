//! Rules that answer without a destination: redirects and fixed answers.

use api::istio::{
    HttpBody,
    virtual_service::{HttpDirectResponse, HttpRedirect, RedirectPortSelection},
};
use envoy::config::{
    core::v3::{DataSource, data_source::Specifier},
    route::v3::{
        DirectResponseAction, RedirectAction, Route,
        redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
        route::Action,
    },
};

use super::{RouteContext, Scheme};

/// Sets no action when the code is none of a redirect's.
pub(super) fn apply_redirect(
    redirect: &HttpRedirect,
    context: &RouteContext<'_>,
    route: &mut Route,
) {
    let code = match redirect.redirect_code {
        0 | 301 => RedirectResponseCode::MovedPermanently,
        302 => RedirectResponseCode::Found,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => return,
    };
    let path = match (redirect.prefix_rewrite.as_str(), redirect.uri.as_str()) {
        ("", "") => None,
        ("", uri) => Some(PathRewriteSpecifier::PathRedirect(uri.to_owned())),
        (prefix, _) => Some(PathRewriteSpecifier::PrefixRewrite(prefix.to_owned())),
    };
    let scheme = redirect.scheme.as_str();
    route.action = Some(Action::Redirect(RedirectAction {
        host_redirect: redirect.authority.clone(),
        port_redirect: redirect_port(redirect, context),
        response_code: code.into(),
        scheme_rewrite_specifier: (!scheme.is_empty())
            .then(|| SchemeRewriteSpecifier::SchemeRedirect(scheme.to_owned())),
        path_rewrite_specifier: path,
        ..RedirectAction::default()
    }));
}

/// 0 leaves the port to the scheme. Envoy cannot read the port off the request, but the listener
/// is known.
fn redirect_port(redirect: &HttpRedirect, context: &RouteContext<'_>) -> u32 {
    let port = match (redirect.port, redirect.derive_port) {
        (Some(port), _) => port,
        (None, Some(RedirectPortSelection::FromRequestPort)) => context.port.into(),
        (None, Some(RedirectPortSelection::FromProtocolDefault) | None) => 0,
    };
    let own = match context.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let scheme = if redirect.scheme.is_empty() { own } else { redirect.scheme.as_str() };
    match (port, scheme) {
        (80, "http") | (443, "https") => 0,
        (port, _) => port,
    }
}

pub(super) fn apply_direct_response(response: &HttpDirectResponse, route: &mut Route) {
    let body = match response.body.as_ref() {
        None | Some(HttpBody::Unset) => None,
        Some(HttpBody::Text(text)) => Some(Specifier::InlineString(text.clone())),
        Some(HttpBody::Bytes(bytes)) => Some(Specifier::InlineBytes(bytes.0.clone())),
    };
    let body =
        body.map(|specifier| DataSource { specifier: Some(specifier), watched_directory: None });
    route.action = Some(Action::DirectResponse(DirectResponseAction {
        status: response.status,
        body,
        ..DirectResponseAction::default()
    }));
}

/// The answer to requests that have nowhere to go.
pub(super) fn refusal() -> Action {
    Action::DirectResponse(DirectResponseAction { status: 500, ..DirectResponseAction::default() })
}
