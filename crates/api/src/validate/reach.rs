//! Rules of a VirtualService that can never match.

use std::collections::{HashMap, hash_map::Entry};

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
    prefixes(check, &path.field("http"), service);
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

/// A prefix that an earlier, shorter prefix covers, all else being equal.
fn prefixes(check: &mut Check<'_>, path: &Path<'_>, service: &VirtualService) {
    let mut seen: Vec<(&str, String, usize)> = Vec::new();
    for (index, route) in service.http.iter().enumerate() {
        for (place, request) in route.match_.iter().enumerate() {
            let Some(StringMatch::Prefix(prefix)) = &request.uri else { continue };
            let rest = http_key(&HttpMatchRequest { uri: None, ..request.clone() });
            let covering = seen.iter().find(|(shorter, other, _)| {
                prefix.len() > shorter.len() && prefix.starts_with(shorter) && *other == rest
            });
            if let Some((shorter, _, first)) = covering {
                let message =
                    format!("the prefix `{prefix}` is covered by `{shorter}` of rule {first}");
                let at = path.index(index);
                let list = at.field("match");
                let hint = "put the longer prefix first";
                check.report(&codes::VS_UNREACHABLE, &list.index(place), message, hint);
            }
            seen.push((prefix, rest, index));
        }
    }
}
