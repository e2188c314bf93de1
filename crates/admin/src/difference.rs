//! Two JSON values → the fields in which they differ.
//!
//! - The entries of a list are compared by what names them (`name`, an address, a port), so that
//!   one that is put in front does not make all others differ.
//! - Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One field that differs. What is not there is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldChange {
    /// `spec.http[0].route[1].weight`; `virtual_hosts[cart.shop:80]` where entries have names.
    pub path: String,
    pub before: Value,
    pub after: Value,
}

/// The differences, in the order of the fields.
pub fn differences(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare("", before, after, &mut changes);
    changes
}

fn compare(path: &str, before: &Value, after: &Value, changes: &mut Vec<FieldChange>) {
    match (before, after) {
        _ if before == after => (),
        (Value::Object(before), Value::Object(after)) => {
            let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let child = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let of = |side: &serde_json::Map<String, Value>| side.get(key).cloned();
                let (before, after) = (of(before), of(after));
                compare(&child, &before.unwrap_or_default(), &after.unwrap_or_default(), changes);
            }
        }
        (Value::Array(before), Value::Array(after)) => compare_lists(path, before, after, changes),
        _ => changes.push(FieldChange {
            path: path.to_owned(),
            before: before.clone(),
            after: after.clone(),
        }),
    }
}

fn compare_lists(path: &str, before: &[Value], after: &[Value], changes: &mut Vec<FieldChange>) {
    let (old, new) = (labels(before), labels(after));
    let (Some(old), Some(new)) = (old, new) else {
        let nothing = Value::Null;
        for index in 0..before.len().max(after.len()) {
            let child = format!("{path}[{index}]");
            let of = |side: &'_ [Value]| side.get(index).cloned();
            let (before, after) = (of(before), of(after));
            let (before, after) =
                (before.unwrap_or(nothing.clone()), after.unwrap_or(nothing.clone()));
            compare(&child, &before, &after, changes);
        }
        return;
    };
    let find = |side: &'_ [Value], labels: &BTreeMap<String, usize>, label: &str| {
        labels.get(label).and_then(|index| side.get(*index)).cloned().unwrap_or_default()
    };
    // Old entries in their order, then the new ones in theirs.
    let added = new.iter().filter(|(label, _)| !old.contains_key(*label));
    let mut order: Vec<(usize, usize, &String)> = old.iter().map(|(it, at)| (0, *at, it)).collect();
    order.extend(added.map(|(label, at)| (1, *at, label)));
    order.sort();
    let count = changes.len();
    for (_, _, label) in order {
        let (before, after) = (find(before, &old, label), find(after, &new, label));
        compare(&format!("{path}[{label}]"), &before, &after, changes);
    }
    if changes.len() == count {
        let names = |labels: &BTreeMap<String, usize>| {
            let mut names: Vec<(&usize, &String)> =
                labels.iter().map(|(it, at)| (at, it)).collect();
            names.sort();
            Value::from(names.into_iter().map(|(_, name)| name.clone()).collect::<Vec<_>>())
        };
        let (before, after) = (names(&old), names(&new));
        changes.push(FieldChange { path: format!("{path} (order)"), before, after });
    }
}

/// What each entry of a list is known by; `None` when some entry has no name, or two have one.
fn labels(list: &[Value]) -> Option<BTreeMap<String, usize>> {
    let mut labels = BTreeMap::new();
    for (index, entry) in list.iter().enumerate() {
        if labels.insert(label(entry)?, index).is_some() {
            return None;
        }
    }
    Some(labels)
}

fn label(entry: &Value) -> Option<String> {
    if let Some(name) = entry.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        return Some(name.to_owned());
    }
    let socket = entry.pointer("/endpoint/address/socket_address")?;
    let port = socket.get("port_value").and_then(Value::as_u64).unwrap_or_default();
    Some(format!("{}:{port}", socket.get("address")?.as_str()?))
}

#[cfg(test)]
mod tests;
