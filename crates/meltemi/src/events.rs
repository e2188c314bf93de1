//! `events`: the last changes, what caused each, what it cost, and who got what.

use admin::{Push, PushList};

use crate::{
    client::Server,
    output::{Cell, Exit, Format, Role, Screen, Table},
};

const FORMATS: &[Format] = &[Format::Table, Format::Wide, Format::Json, Format::Yaml];

/// The last changes: what caused each, what it cost, who got what.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi events
  meltemi events --last 5 -o wide
  meltemi events --object VirtualService/shop/cart
  meltemi events -o json

Exit codes: 0 done, 64 wrong usage, 69 no control plane")]
pub(crate) struct Events {
    /// How many at most.
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    last: usize,
    /// Only those that this object caused, such as `VirtualService/shop/cart`.
    #[arg(long, value_name = "KIND/NAMESPACE/NAME")]
    object: Option<String>,
    #[arg(short, long, default_value = "table", value_parser = Format::among(FORMATS))]
    pub(crate) output: Format,
    #[command(flatten)]
    server: Server,
}

impl Events {
    pub(crate) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { last, object, output, server } = self;
        // What is not shown is found among those that are kept.
        let asked = if object.is_some() { usize::MAX } else { last };
        let path = format!("/debug/pushes?last={asked}");
        let mut list: PushList = server.get(&path, screen.catalogue()).await?;
        if let Some(object) = object {
            list.items.retain(|push| push.causes.iter().any(|it| is_named(&it.object, &object)));
            list.items.truncate(last);
        }
        print(&list, output, screen)?;
        Ok(Exit::Done)
    }
}

/// `VirtualService shop/cart` is asked for as `VirtualService/shop/cart`, in any case.
fn is_named(object: &str, wanted: &str) -> bool {
    object.replacen(' ', "/", 1).eq_ignore_ascii_case(wanted)
}

fn print(list: &PushList, output: Format, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    if matches!(output, Format::Json | Format::Yaml) {
        return screen.structured(output, list);
    }
    if list.items.is_empty() {
        screen.say("events-none", &[])?;
        return Ok(());
    }
    let open = list.items.iter().filter(|push| !is_live(push)).count();
    let words = [
        ("total", list.items.len().into()),
        ("live", (list.items.len() - open).into()),
        ("open", open.into()),
    ];
    let role = if open == 0 { Role::Good } else { Role::Warning };
    let summary = screen.text("events-summary", &words);
    screen.mark(role, &summary)?;
    let table = table(list, output, screen);
    match output {
        Format::Wide => screen.wide_table(&table)?,
        _ => screen.table(&table)?,
    }
    Ok(())
}

fn is_live(push: &Push) -> bool {
    push.proxies.live >= push.proxies.told
}

fn table(list: &PushList, output: Format, screen: &Screen<'_>) -> Table {
    let wide = output == Format::Wide;
    let mut columns = vec!["REVISION", "LIVE", "TOOK", "SENT", "COMPILED", "CHANGED", "CAUSE"];
    if wide {
        columns.splice(1..1, ["AT"]);
    }
    let mut table = Table::new(columns);
    for push in &list.items {
        let proxies = &push.proxies;
        let live = format!("{}/{} of {}", proxies.live, proxies.told, proxies.connected);
        let live = match is_live(push) {
            true => live.into(),
            false => Cell::marked(live, Role::Warning),
        };
        let bytes = push.sent.values().map(|sent| sent.bytes).sum();
        let mut row: Vec<Cell> = vec![
            push.revision.to_string().into(),
            live,
            format!("{:.0} ms", proxies.live_ms.max(proxies.told_ms)).into(),
            crate::output::bytes(bytes).into(),
            format!("{} in {:.1} ms", push.cost.compiled, push.cost.compile_ms).into(),
            changed(push).into(),
            cause(push, wide, screen).into(),
        ];
        if wide {
            row.insert(1, push.at.to_string().into());
        }
        table.row(row);
    }
    table
}

fn changed(push: &Push) -> String {
    let counts: Vec<String> =
        push.changed.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    match counts.is_empty() {
        true => "-".to_owned(),
        false => counts.join(", "),
    }
}

/// The first object, or all that are known.
fn cause(push: &Push, wide: bool, screen: &Screen<'_>) -> String {
    let shown = if wide { push.causes.len() } else { 1 };
    let causes = push.causes.iter().take(shown);
    let mut words: Vec<String> =
        causes.map(|it| format!("{} {}", it.object, it.happening)).collect();
    let more = push.cause_count.saturating_sub(words.len());
    if more > 0 {
        words.push(screen.text("events-more", &[("count", more.into())]));
    }
    match words.is_empty() {
        true => "-".to_owned(),
        false => words.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;
    use crate::{
        language::{Catalogue, Language},
        output::Look,
    };

    fn list() -> PushList {
        serde_json::from_value(json!({ "items": [
            {
                "revision": 8, "at": 1_700_000_000, "causeCount": 3,
                "causes": [{ "object": "VirtualService shop/cart", "happening": "updated" }],
                "cost": { "compileMs": 0.42, "jobs": 3, "compiled": 1, "hosts": 1 },
                "changed": { "route": 1 },
                "proxies": {
                    "connected": 10, "told": 4, "live": 3, "toldMs": 6.1, "liveMs": 12.6,
                },
                "sent": { "route": { "responses": 4, "resources": 4, "bytes": 5_400 } },
            },
            {
                "revision": 7, "at": 1_700_000_000, "causeCount": 1,
                "causes": [{ "object": "Service shop/pay", "happening": "added" }],
                "cost": { "compileMs": 0.1, "jobs": 1, "compiled": 0, "hosts": 0 },
                "changed": {},
                "proxies": {
                    "connected": 10, "told": 0, "live": 0, "toldMs": 5.0, "liveMs": 0.0,
                },
                "sent": {},
            },
        ] }))
        .unwrap()
    }

    #[track_caller]
    fn check(list: &PushList, output: Format, expected: Expect) {
        let catalogue = Catalogue::new(Language::En);
        let mut out = Vec::new();
        print(list, output, &mut Screen::new(&mut out, Look::PLAIN, &catalogue)).unwrap();
        let text = String::from_utf8(out).unwrap();
        expected.assert_eq(&anstream::adapter::strip_str(&text).to_string());
    }

    #[test]
    fn a_change_is_a_line_with_who_has_it() {
        check(
            &list(),
            Format::Table,
            expect![[r#"
            ‼ the last 2 changes: 1 live in all proxies that they concern, 1 not yet
            REVISION  LIVE       TOOK   SENT  COMPILED     CHANGED  CAUSE
            8         3/4 of 10  13 ms  5 kB  1 in 0.4 ms  1 route  VirtualService shop/cart updated, and 2 more
            7         0/0 of 10  5 ms   0 B   0 in 0.1 ms  -        Service shop/pay added
        "#]],
        );
    }

    #[test]
    fn nothing_is_said_in_words() {
        check(
            &PushList { items: Vec::new() },
            Format::Table,
            expect![[r"
                nothing has changed since the control plane started
            "]],
        );
    }

    #[test]
    fn an_object_is_named_as_on_the_command_line() {
        assert!(is_named("VirtualService shop/cart", "virtualservice/shop/cart"));
        assert!(!is_named("VirtualService shop/cart", "VirtualService/shop/car"));
    }
}
