//! What is known of scopes, for people.

use admin::{ScopeEdge, ScopeEdgeList, ScopeExplanation, ScopeList};

use crate::output::{self, Cell, Format, Role, Screen, Table};

pub(super) fn list(list: ScopeList, output: Format, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    let ScopeList { items, kept_in, fences_off } = list;
    match output {
        Format::Json | Format::Yaml => {
            let metadata = serde_json::json!({ "keptIn": kept_in, "fencesOff": fences_off });
            return screen.structured(output, &output::List::new(items).metadata(metadata));
        }
        Format::Name => {
            for it in &items {
                screen.line(&it.workload)?;
            }
            return Ok(());
        }
        _ => {}
    }
    if kept_in.is_none() {
        let note = screen.text("scope-in-memory", &[]);
        screen.mark(Role::Notice, &note)?;
    }
    for off in &fences_off {
        let words = [
            ("target", off.target.as_str().into()),
            ("since", off.since.as_str().into()),
            ("until", off.until.as_deref().unwrap_or_default().into()),
        ];
        let (role, key) = match (off.state.as_str(), off.until.is_some()) {
            ("off", false) => (Role::Notice, "scope-off"),
            ("off", true) => (Role::Notice, "scope-off-until"),
            (_, _) => (Role::Warning, "scope-widening"),
        };
        let text = screen.text(key, &words);
        screen.mark(role, &text)?;
    }
    if items.is_empty() {
        screen.say("scope-none", &[])?;
        return Ok(());
    }
    let columns = ["WORKLOAD", "DEPENDENCIES", "PINNED", "SEEDED", "REFUSED", "LAST SEEN", "STATE"];
    let mut table = Table::new(columns);
    for it in items {
        let (state, refused) = match (it.full, it.refused) {
            (true, _) => (Cell::marked("full", Role::Warning), Role::Warning),
            (false, 1..) => (Cell::marked("refused", Role::Warning), Role::Warning),
            (false, 0) => ("ok".into(), Role::Good),
        };
        let count = |count: usize| Cell::from(count.to_string());
        let refused = match it.refused {
            0 => "0".into(),
            many => Cell::marked(many.to_string(), refused),
        };
        let last_seen = it.last_seen.unwrap_or_else(|| "-".to_owned());
        table.row([
            it.workload.into(),
            count(it.targets),
            count(it.pinned),
            count(it.seeded),
            refused,
            last_seen.into(),
            state,
        ]);
    }
    Ok(screen.table(&table)?)
}

pub(super) fn edges(
    workload: &str,
    edges: ScopeEdgeList,
    output: Format,
    screen: &mut Screen<'_>,
) -> anyhow::Result<()> {
    match output {
        Format::Json | Format::Yaml => {
            let metadata = serde_json::json!({ "workload": workload });
            let list = output::List::new(edges.items).metadata(metadata);
            return screen.structured(output, &list);
        }
        Format::Name => {
            for edge in &edges.items {
                screen.line(&edge.host)?;
            }
            return Ok(());
        }
        _ => {}
    }
    if edges.items.is_empty() {
        screen.say("scope-unknown", &[("workload", workload.to_owned().into())])?;
        return Ok(());
    }
    let wide = output == Format::Wide;
    let mut columns = vec!["DEPENDENCY", "SENSOR", "FIRST SEEN", "LAST SEEN", "COUNT", "STATE"];
    if wide {
        columns.push("FORGOTTEN AFTER");
    }
    let mut table = Table::new(columns);
    for edge in edges.items {
        let mut row: Vec<Cell> = vec![
            edge.host.clone().into(),
            sensors(&edge).into(),
            edge.first_seen.clone().into(),
            edge.last_seen.clone().into(),
            edge.count.to_string().into(),
            state(&edge),
        ];
        if wide {
            row.push(edge.forget_at.unwrap_or_else(|| "never".to_owned()).into());
        }
        table.row(row);
    }
    match wide {
        true => screen.wide_table(&table)?,
        false => screen.table(&table)?,
    }
    Ok(())
}

fn sensors(edge: &ScopeEdge) -> String {
    match edge.sensors.is_empty() {
        true => "-".to_owned(),
        false => edge.sensors.join(", "),
    }
}

fn state(edge: &ScopeEdge) -> Cell {
    match (edge.state.as_str(), &edge.kept_because) {
        ("kept", Some(reason)) => Cell::marked(format!("kept ({reason})"), Role::Notice),
        (state @ "due", _) => Cell::marked(state, Role::Warning),
        (state, _) => state.into(),
    }
}

pub(super) fn explanation(
    it: &ScopeExplanation,
    output: Format,
    screen: &mut Screen<'_>,
) -> anyhow::Result<()> {
    if output != Format::Table {
        return screen.structured(output, it);
    }
    let place = [("workload", it.workload.as_str().into()), ("host", it.host.as_str().into())];
    match &it.edge {
        Some(edge) => {
            let text = screen.text("scope-in", &place);
            screen.mark(Role::Good, &text)?;
            explain_edge(edge, screen)?;
        }
        None => {
            let key = if it.known { "scope-out" } else { "scope-unknown" };
            let text = screen.text(key, &place);
            screen.mark(Role::Warning, &text)?;
            screen.say("scope-how", &place)?;
        }
    }
    for note in &it.notes {
        let reason = note.reason.as_deref().unwrap_or_default();
        let words = [("at", note.at.as_str().into()), ("reason", reason.into())];
        let key = match note.event.as_str() {
            "aged" => "scope-note-aged",
            "reset" => "scope-note-reset",
            _ => "scope-note-refused",
        };
        screen.say(key, &words)?;
    }
    Ok(())
}

fn explain_edge(edge: &ScopeEdge, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    let sensors = sensors(edge);
    let forget_at = edge.forget_at.as_deref().unwrap_or_default();
    let words = [
        ("sensors", sensors.as_str().into()),
        ("first", edge.first_seen.as_str().into()),
        ("last", edge.last_seen.as_str().into()),
        ("count", (edge.count as usize).into()),
        ("forget", forget_at.into()),
    ];
    screen.say("scope-seen", &words)?;
    let key = match (edge.state.as_str(), edge.kept_because.as_deref()) {
        (_, Some("sensor-silent")) => "scope-kept-sensor-silent",
        (_, Some("unwatched")) => "scope-kept-unwatched",
        (_, Some("just-watched")) => "scope-kept-just-watched",
        (_, Some("workload-budget")) => "scope-kept-workload-budget",
        (_, Some(_)) => "scope-kept-total-budget",
        ("pinned", None) => "scope-state-pinned",
        ("seeded", None) => "scope-state-seeded",
        ("due", None) => "scope-state-due",
        (_, None) => "scope-state-learned",
    };
    screen.say(key, &words)?;
    Ok(())
}
