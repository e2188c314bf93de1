use serde_json::json;

use super::*;

#[track_caller]
fn check(before: Value, after: Value, expected: &[&str]) {
    let found: Vec<String> = differences(&before, &after)
        .into_iter()
        .map(|it| format!("{}: {} → {}", it.path, it.before, it.after))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn fields_are_named_by_their_paths() {
    check(
        json!({"a": {"b": 1, "c": [1, 2]}, "same": true}),
        json!({"a": {"b": 2, "c": [1, 3, 4]}, "same": true}),
        &["a.b: 1 → 2", "a.c[1]: 2 → 3", "a.c[2]: null → 4"],
    );
}

#[test]
fn entries_with_names_are_compared_with_their_namesakes() {
    check(
        json!({"hosts": [{"name": "a", "x": 1}, {"name": "b", "x": 1}]}),
        json!({"hosts": [{"name": "new"}, {"name": "a", "x": 1}, {"name": "b", "x": 2}]}),
        &["hosts[b].x: 1 → 2", "hosts[new]: null → {\"name\":\"new\"}"],
    );
}

#[test]
fn another_order_alone_is_a_difference() {
    check(
        json!([{"name": "a"}, {"name": "b"}]),
        json!([{"name": "b"}, {"name": "a"}]),
        &[" (order): [\"a\",\"b\"] → [\"b\",\"a\"]"],
    );
}

#[test]
fn endpoints_are_known_by_their_address() {
    let at = |address: &str| json!({"endpoint": {"address": {"socket_address": {"address": address, "port_value": 80}}}});
    let found = differences(&json!([at("10.0.0.1"), at("10.0.0.2")]), &json!([at("10.0.0.2")]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, "[10.0.0.1:80]");
    assert_eq!(found[0].after, Value::Null);
}

#[test]
fn two_entries_with_one_name_are_compared_by_place() {
    check(
        json!([{"name": "a", "x": 1}, {"name": "a", "x": 2}]),
        json!([{"name": "a", "x": 1}, {"name": "a", "x": 3}]),
        &["[1].x: 2 → 3"],
    );
}
