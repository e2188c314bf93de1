use expect_test::expect;

use super::{Cell, Exit, Failure, Format, Look, Role, Screen, Table, report_error};
use crate::language::{Catalogue, Language};

fn print(look: Look, run: impl FnOnce(&mut Screen<'_>)) -> String {
    let catalogue = Catalogue::new(Language::En);
    let mut out = Vec::new();
    run(&mut Screen::new(&mut out, look, &catalogue));
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

fn sample() -> Table {
    let mut table = Table::new(["NAME", "STATE", "MESSAGE"]);
    table.row(["购物车".into(), Cell::marked("NACK", Role::Error), "a long message".into()]);
    table.row(["cart".into(), Cell::marked("SYNCED", Role::Good), "".into()]);
    table
}

#[test]
fn columns_are_aligned_by_the_width_that_a_terminal_shows() {
    let text = print(Look::PLAIN, |screen| screen.table(&sample()).unwrap());
    expect![[r#"
        NAME    STATE   MESSAGE
        购物车  NACK    a long message
        cart    SYNCED
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_narrow_terminal_cuts_cells_and_never_adds_lines() {
    let look = Look { width: Some(28), ..Look::PLAIN };
    let text = print(look, |screen| screen.table(&sample()).unwrap());
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains('…'), "{text}");
    let wide = print(look, |screen| screen.wide_table(&sample()).unwrap());
    assert!(wide.contains("a long message"), "{wide}");
}

#[test]
fn an_error_is_text_for_people_and_json_for_programs() {
    let error = anyhow::Error::from(Failure::new(Exit::BadInput, "it is wrong").hint("mend it"));
    let report = |format| {
        let mut err = Vec::new();
        let exit = report_error(&error, format, &mut err);
        (exit, String::from_utf8(err).unwrap())
    };
    assert_eq!(
        report(Format::Table),
        (Exit::BadInput, "error: it is wrong\n  → mend it\n".to_owned())
    );
    let (_, json) = report(Format::Json);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["error"]["code"], 65);
    assert_eq!(value["error"]["hint"], "mend it");
}

#[test]
fn yaml_and_json_say_the_same() {
    let value = serde_json::json!({ "items": [{ "name": "true", "port": 80 }] });
    let yaml = print(Look::PLAIN, |screen| screen.structured(Format::Yaml, &value).unwrap());
    expect![[r#"
        items:
        - name: "true"
          port: 80
    "#]]
    .assert_eq(&yaml);
}
