use proptest::prelude::*;

use super::*;
use crate::draft::parse_drafts;

/// A namespace; `value` tells its versions apart.
fn namespace(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{v: v{value}}}}}\n"
    )
}

fn draft(text: &str) -> Draft {
    let (drafts, diagnostics) = parse_drafts("test.yaml", text.as_bytes());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(drafts.len(), 1);
    drafts.into_iter().next().unwrap()
}

#[track_caller]
fn check(file: &str, new: &str, expected: &str) {
    let edited = replace(file.as_bytes(), &draft(new)).unwrap();
    assert_eq!(String::from_utf8(edited.bytes).unwrap(), expected);
}

#[test]
fn neighbours_and_comments_stay_byte_for_byte() {
    let before = "# top\n\n---\n# about a\n";
    let behind = "# below a\n--- # the next\n   # odd\nkind: Namespace\napiVersion: v1\nmetadata:\n    name:   b\n...\n";
    let file = format!("{before}{}{behind}", namespace("a", "1"));
    let new = namespace("a", "2");
    check(&file, &new, &format!("{before}{new}{behind}"));
}

#[test]
fn comments_of_the_draft_take_the_place_of_those_in_the_file() {
    let file = format!("# old\n{}# old end\n", namespace("a", "1"));
    let new = format!("# new\n{}# new end\n", namespace("a", "2"));
    check(&file, &new, &new);
    // Once more changes nothing: comments do not pile up.
    check(&new, &new.replace("v: v2", "v: v3"), &new.replace("v: v2", "v: v3"));
}

#[test]
fn bytes_that_are_no_text_stay_too() {
    let mut file = b"\xEF\xBB\xBF".to_vec();
    file.extend(namespace("a", "1").as_bytes());
    file.extend(b"---\n# \xff\xfe\n---\n");
    file.extend(namespace("b", "1").as_bytes());
    let edited = replace(&file, &draft(&namespace("b", "2"))).unwrap().bytes;
    let kept = file.len() - namespace("b", "1").len();
    assert_eq!(edited[..kept], file[..kept]);
    assert_eq!(&edited[kept..], namespace("b", "2").as_bytes());
}

#[test]
fn lines_end_as_they_did() {
    let file = namespace("a", "1").replace('\n', "\r\n") + "---\r\n" + &namespace("b", "1");
    let expected = namespace("a", "2").replace('\n', "\r\n") + "---\r\n" + &namespace("b", "1");
    check(&file, &namespace("a", "2"), &expected);
}

#[test]
fn items_of_a_list_are_replaced_in_place() {
    let file = "apiVersion: v1\nkind: List # two\nitems:\n  # first\n  - apiVersion: v1\n    kind: Namespace\n    metadata:\n      name: a\n\n  # second\n  -\n    apiVersion: v1\n    kind: Namespace\n    metadata: {name: b}\nmetadata: {}\n";
    let new = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    v: \"2\"\n";
    let edited = replace(file.as_bytes(), &draft(new)).unwrap();
    let expected =
        file.replace("      name: a\n", "      name: a\n      labels:\n        v: \"2\"\n");
    assert_eq!(String::from_utf8(edited.bytes).unwrap(), expected);
    assert_eq!(edited.before, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n");
    let new = namespace("b", "2");
    let edited = String::from_utf8(replace(file.as_bytes(), &draft(&new)).unwrap().bytes).unwrap();
    assert!(edited.contains("  # second\n  - apiVersion: v1\n    kind: Namespace\n"), "{edited}");
    assert!(edited.ends_with("labels: {v: v2}}\nmetadata: {}\n"), "{edited}");
}

#[test]
fn items_of_a_json_list_are_replaced_in_place() {
    let file = r#"{"kind": "List", "apiVersion": "v1",
  "items": [ {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "a"}},
             {"kind":"Namespace","apiVersion":"v1","metadata":{"name":"b"}} ], "x": 1 }
"#;
    let edited = replace(file.as_bytes(), &draft(&namespace("b", "x"))).unwrap();
    let text = String::from_utf8(edited.bytes).unwrap();
    assert!(text.starts_with(&file[..file.find("{\"kind\":\"N").unwrap()]), "{text}");
    assert!(text.ends_with(" ], \"x\": 1 }\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["items"][1]["metadata"]["labels"]["v"], "vx");
}

#[test]
fn what_cannot_be_told_apart_is_refused() {
    let own = draft(&namespace("a", "2"));
    let broken = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a\n";
    assert_eq!(replace(broken.as_bytes(), &own), Err(EditError::NotFound));
    // Two documents without a line of dashes between them.
    let two = format!("{}...\n{}", namespace("a", "1"), namespace("b", "1"));
    assert!(replace(two.as_bytes(), &own).is_err());
    let flow = "{kind: List, apiVersion: v1, items: [{kind: Namespace, apiVersion: v1, metadata: {name: a}}, {kind: Namespace, apiVersion: v1, metadata: {name: b}}]}";
    assert!(replace(flow.as_bytes(), &own).is_err());
}

#[test]
fn of_two_with_one_name_the_first_is_in_effect_and_replaced() {
    let file = format!("{}---\n{}", namespace("a", "1"), namespace("a", "9"));
    let expected = format!("{}---\n{}", namespace("a", "2"), namespace("a", "9"));
    check(&file, &namespace("a", "2"), &expected);
}

#[test]
fn a_new_object_comes_behind_the_others() {
    let file = "# only a comment";
    let edited = append(file.as_bytes(), &draft(&namespace("a", "1"))).unwrap();
    let expected = format!("# only a comment\n---\n{}", namespace("a", "1"));
    assert_eq!(String::from_utf8(edited).unwrap(), expected);
}

proptest! {
    /// Whatever stands around it: an edit changes its own object and nothing else, or is refused.
    #[test]
    fn an_edit_changes_one_object(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("---\n".to_owned()),
                Just("--- # x\n".to_owned()),
                Just("# comment\n".to_owned()),
                Just("...\n".to_owned()),
                Just("\n".to_owned()),
                Just("apiVersion: v1\nkind: List\nitems:\n".to_owned()),
                Just("- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n".to_owned()),
                Just("- apiVersion: v1\n  kind: Namespace\n  metadata: {name: c}\n".to_owned()),
                Just(namespace("a", "1")),
                Just(namespace("b", "1")),
                Just("{\"kind\": \"Namespace\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"a\"}}\n".to_owned()),
                "[ -~\n]{0,12}",
            ],
            0..8,
        )
    ) {
        let file = pieces.concat();
        let own = draft(&namespace("a", "2"));
        let keys = |bytes: &[u8]| {
            let (objects, _) = api::parse_documents("", bytes);
            objects.into_iter().rev().map(|it| (it.key, it.hash)).collect::<BTreeMap<_, _>>()
        };
        if let Ok(edited) = replace(file.as_bytes(), &own) {
            let mut expected = keys(file.as_bytes());
            expected.insert(own.key().clone(), own.object().hash);
            prop_assert_eq!(keys(&edited.bytes), expected, "{}", file);
        }
    }
}

#[track_caller]
fn check_removal(file: &str, expected: &str) {
    let key = ObjectKey::new(Kind::Namespace, "", "a");
    let edited = remove(file.as_bytes(), &key).unwrap();
    assert_eq!(String::from_utf8(edited.bytes).unwrap(), expected);
}

#[test]
fn an_object_goes_with_its_dashes_and_its_neighbours_stay() {
    let (a, b) = (namespace("a", "1"), namespace("b", "1"));
    check_removal(&format!("{a}---\n{b}"), &b);
    check_removal(&format!("{b}---\n{a}"), &b);
    check_removal(
        &format!("# top\n---\n{b}---\n{a}---\n{b}# end\n")
            .replace("name: b, labels: {v: v1}}\n# end", "name: c, labels: {v: v1}}\n# end"),
        &format!("# top\n---\n{b}---\n{b}# end\n")
            .replace("name: b, labels: {v: v1}}\n# end", "name: c, labels: {v: v1}}\n# end"),
    );
}

#[test]
fn nothing_is_left_of_a_file_with_one_object() {
    check_removal(&namespace("a", "1"), "");
    check_removal(&format!("# why\n---\n{}", namespace("a", "1")), "");
}

#[test]
fn an_object_that_cannot_be_taken_out_alone_stays() {
    let item = |name: &str| {
        format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}"}}}}"#)
    };
    let list =
        format!(r#"{{"apiVersion":"v1","kind":"List","items":[{},{}]}}"#, item("a"), item("b"));
    let key = ObjectKey::new(Kind::Namespace, "", "a");
    assert_eq!(remove(list.as_bytes(), &key).unwrap_err(), EditError::Entangled);
    let missing = remove(namespace("b", "1").as_bytes(), &key);
    assert_eq!(missing.unwrap_err(), EditError::NotFound);
}
