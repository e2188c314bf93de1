//! Rules of a VirtualService that can never match.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use serde::Serialize;

use super::{Check, Path};
use crate::{
    codes,
    istio::{
        StringMatch,
        virtual_service::{HttpMatchRequest, VirtualService},
    },
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, service: &VirtualService) {
    let http: Vec<Vec<String>> = service.http.iter().map(|r| render(&r.match_, http_key)).collect();
    rules(check, &path.field("http"), &http);
    let tls: Vec<Vec<String>> = service.tls.iter().map(|r| render(&r.match_, plain_key)).collect();
    rules(check, &path.field("tls"), &tls);
    let tcp: Vec<Vec<String>> = service.tcp.iter().map(|r| render(&r.match_, plain_key)).collect();
    rules(check, &path.field("tcp"), &tcp);
    covered(check, &path.field("http"), service);
}

fn render<T>(matches: &[T], key: fn(&T) -> String) -> Vec<String> {
    matches.iter().map(key).collect()
}

fn plain_key<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The name of a match says nothing about what it matches.
fn http_key(request: &HttpMatchRequest) -> String {
    plain_key(&HttpMatchRequest { name: String::new(), ..request.clone() })
}

fn rules(check: &mut Check<'_>, path: &Path<'_>, rules: &[Vec<String>]) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut catch_all = None;
    for (index, matches) in rules.iter().enumerate() {
        let at = path.index(index);
        if let Some(first) = catch_all {
            let message =
                format!("the rule is never used, because rule {first} matches everything");
            let hint = "put the rule without `match` last";
            check.report(&codes::VS_UNREACHABLE, &at, message, hint);
            continue;
        }
        if matches.is_empty() {
            catch_all = Some(index);
            continue;
        }
        let list = at.field("match");
        for (place, key) in matches.iter().enumerate() {
            match seen.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(index);
                }
                Entry::Occupied(entry) => {
                    let message = format!("the match is the same as one of rule {}", entry.get());
                    check.report(&codes::VS_UNREACHABLE, &list.index(place), message, "");
                }
            }
        }
    }
}

/// A match of which everything is taken by an earlier one already.
fn covered(check: &mut Check<'_>, path: &Path<'_>, service: &VirtualService) {
    let mut seen: Vec<(&HttpMatchRequest, usize)> = Vec::new();
    for (index, route) in service.http.iter().enumerate() {
        for (place, request) in route.match_.iter().enumerate() {
            let covering = seen.iter().find(|(earlier, _)| covers(earlier, request));
            if let Some((earlier, first)) = covering {
                let message = match (&earlier.uri, &request.uri) {
                    (Some(StringMatch::Prefix(shorter)), Some(StringMatch::Prefix(prefix))) => {
                        format!("the prefix `{prefix}` is covered by `{shorter}` of rule {first}")
                    }
                    _ => format!("the match is covered by one of rule {first}"),
                };
                let at = path.index(index);
                let list = at.field("match");
                let hint = match (&earlier.uri, &request.uri) {
                    (Some(StringMatch::Prefix(_)), Some(StringMatch::Prefix(_))) => {
                        "put the longer prefix first"
                    }
                    _ => "put what is narrower first",
                };
                check.report(&codes::VS_UNREACHABLE, &list.index(place), message, hint);
            }
            seen.push((request, index));
        }
    }
}

/// Whether `wide` takes all that `narrow` takes, and is not the same, which is told elsewhere.
fn covers(wide: &HttpMatchRequest, narrow: &HttpMatchRequest) -> bool {
    covers_uri(wide, narrow)
        && covers_text(&wide.scheme, &narrow.scheme)
        && covers_text(&wide.method, &narrow.method)
        && covers_text(&wide.authority, &narrow.authority)
        && is_part(&wide.headers, &narrow.headers)
        && is_part(&wide.query_params, &narrow.query_params)
        && is_part(&wide.without_headers, &narrow.without_headers)
        && is_part(&wide.source_labels, &narrow.source_labels)
        && (wide.port == 0 || wide.port == narrow.port)
        && (wide.source_namespace.is_empty() || wide.source_namespace == narrow.source_namespace)
        && (wide.gateways.is_empty()
            || !narrow.gateways.is_empty()
                && narrow.gateways.iter().all(|it| wide.gateways.contains(it)))
        && http_key(wide) != http_key(narrow)
}

fn covers_uri(wide: &HttpMatchRequest, narrow: &HttpMatchRequest) -> bool {
    use StringMatch::{Exact, Prefix};
    match (&wide.uri, &narrow.uri) {
        (None, _) => true,
        // Every path begins so.
        (Some(Prefix(root)), _) if root == "/" => true,
        (Some(_), _) if wide.ignore_uri_case != narrow.ignore_uri_case => false,
        (Some(Prefix(wide)), Some(Prefix(narrow) | Exact(narrow))) => {
            narrow.starts_with(wide.as_str())
        }
        (wide, narrow) => wide == narrow,
    }
}

fn covers_text(wide: &Option<StringMatch>, narrow: &Option<StringMatch>) -> bool {
    wide.is_none() || wide == narrow
}

fn is_part<T: PartialEq>(wide: &BTreeMap<String, T>, narrow: &BTreeMap<String, T>) -> bool {
    wide.iter().all(|(name, value)| narrow.get(name) == Some(value))
}
