//! Where a redirect of a route leads.

use envoy::config::route::v3::{
    RedirectAction, RouteMatch,
    redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
    route_match::PathSpecifier,
};
use regex::Regex;

use crate::{Answer, Call, Tls};

use super::http::{port_of, without_port};

/// What the proxy answers to `call`, which a route for `wanted` has taken.
pub(super) fn redirect(call: &Call, wanted: &RouteMatch, redirect: &RedirectAction) -> Answer {
    let status = match RedirectResponseCode::try_from(redirect.response_code) {
        Ok(RedirectResponseCode::MovedPermanently) | Err(_) => 301,
        Ok(RedirectResponseCode::Found) => 302,
        Ok(RedirectResponseCode::SeeOther) => 303,
        Ok(RedirectResponseCode::TemporaryRedirect) => 307,
        Ok(RedirectResponseCode::PermanentRedirect) => 308,
    };
    let own_scheme = if call.tls == Tls::Plaintext { "http" } else { "https" };
    let scheme = match &redirect.scheme_rewrite_specifier {
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => "https",
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => scheme,
        Some(SchemeRewriteSpecifier::HttpsRedirect(false)) | None => own_scheme,
    };
    let host = match redirect.host_redirect.as_str() {
        "" => own_host(call, redirect, own_scheme, scheme),
        host => host,
    };
    let port = match redirect.port_redirect {
        0 => String::new(),
        port => format!(":{port}"),
    };
    let path = new_path(call.path(), wanted, redirect);
    Answer::Redirect { status, location: format!("{scheme}://{host}{port}{path}") }
}

/// The host of the call, without a port that the new scheme or port makes wrong.
fn own_host<'c>(call: &'c Call, redirect: &RedirectAction, own: &str, scheme: &str) -> &'c str {
    let default_port = if own == "http" { "80" } else { "443" };
    let is_default = scheme != own && port_of(call.host()) == Some(default_port);
    match redirect.port_redirect != 0 || is_default {
        true => without_port(call.host()),
        false => call.host(),
    }
}

fn new_path(path: &str, wanted: &RouteMatch, redirect: &RedirectAction) -> String {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let (bare, query) = path.split_at(end);
    let query = if redirect.strip_query { "" } else { query };
    match &redirect.path_rewrite_specifier {
        // A new path with a query of its own has no room for the old one.
        Some(PathRewriteSpecifier::PathRedirect(new)) if new.contains('?') => new.clone(),
        Some(PathRewriteSpecifier::PathRedirect(new)) => format!("{new}{query}"),
        Some(PathRewriteSpecifier::PrefixRewrite(new)) => {
            let matched = match &wanted.path_specifier {
                Some(PathSpecifier::Prefix(it) | PathSpecifier::PathSeparatedPrefix(it)) => {
                    it.len()
                }
                _ => bare.len(),
            };
            format!("{new}{}{query}", bare.get(matched..).unwrap_or_default())
        }
        Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
            let pattern = rewrite.pattern.as_ref().map_or("", |pattern| &pattern.regex);
            match Regex::new(pattern) {
                Ok(regex) => {
                    let new = regex.replace_all(bare, re2_groups(&rewrite.substitution));
                    format!("{new}{query}")
                }
                Err(_) => format!("{bare}{query}"),
            }
        }
        // A format that only a running proxy can fill in.
        Some(PathRewriteSpecifier::PathRewrite(_)) | None => format!("{bare}{query}"),
    }
}

/// `\1` of RE2 is `${1}` of `regex`.
fn re2_groups(substitution: &str) -> String {
    let mut text = String::with_capacity(substitution.len() + 8);
    let mut characters = substitution.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(digit) if digit.is_ascii_digit() => text.push_str(&format!("${{{digit}}}")),
                Some(other) => text.push(other),
                None => (),
            },
            '$' => text.push_str("$$"),
            other => text.push(other),
        }
    }
    text
}
