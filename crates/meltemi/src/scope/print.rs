//! What is known of scopes, for people.

use admin::{ScopeEdge, ScopeEdgeList, ScopeExplanation, ScopeList, ScopeWorkload};

use crate::output::{self, Cell, Format, Role, Screen, Table, bytes};

pub(super) fn list(list: ScopeList, output: Format, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    let ScopeList { items, kept_in, fences_off, held, unfenced, sensors, prometheus } = list;
    match output {
        Format::Json | Format::Yaml => {
            let metadata = serde_json::json!({
                "keptIn": kept_in, "fencesOff": fences_off, "held": held, "unfenced": unfenced,
                "sensors": sensors, "prometheus": prometheus,
            });
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
    for sensor in sensors.iter().filter(|it| it.silent) {
        let words =
            [("sensor", sensor.sensor.as_str().into()), ("at", sensor.worked_at.as_str().into())];
        let text = screen.text("scope-silent", &words);
        screen.mark(Role::Warning, &text)?;
    }
    if let Some(problem) = prometheus.as_ref().and_then(|it| it.problem.as_deref()) {
        let url = prometheus.as_ref().map_or("", |it| &it.url);
        let text =
            screen.text("scope-prometheus", &[("url", url.into()), ("problem", problem.into())]);
        screen.mark(Role::Warning, &text)?;
    }
    if items.is_empty() {
        screen.say("scope-none", &[])?;
        return Ok(());
    }
    if unfenced.bytes > 0 {
        let words = [("held", bytes(held.bytes).into()), ("all", bytes(unfenced.bytes).into())];
        let text = screen.text("scope-saved", &words);
        screen.mark(Role::Good, &text)?;
    }
    let wide = output == Format::Wide;
    let columns = ["WORKLOAD", "MODE", "PROXIES", "DEPENDENCIES", "PINNED", "REFUSED"];
    let more = ["SEEDED", "ASKED", "UNKNOWN", "SERVICES"].into_iter().filter(|_| wide);
    let mut table =
        Table::new(columns.into_iter().chain(more).chain(["HOLDS", "SAVED", "LAST SEEN", "STATE"]));
    for it in &items {
        table.row(row(it, wide));
    }
    match wide {
        true => screen.wide_table(&table)?,
        false => screen.table(&table)?,
    }
    for it in items.iter().filter(|it| it.is_capped()) {
        explain_cap(it, screen)?;
    }
    Ok(())
}

fn row(it: &ScopeWorkload, wide: bool) -> Vec<Cell> {
    let count = |count: usize| Cell::from(count.to_string());
    let state = match it.judged() {
        "ok" => "ok".into(),
        other => Cell::marked(other, Role::Warning),
    };
    let refused = match it.refused {
        0 => "0".into(),
        many => Cell::marked(many.to_string(), Role::Warning),
    };
    let fenced = it.fenced.clone().unwrap_or_default();
    let is_fenced = it.fenced.is_some();
    let of_fenced = |text: String| Cell::from(if is_fenced { text } else { "-".to_owned() });
    let saved = fenced.unfenced.map(|all| all.bytes.saturating_sub(fenced.held.bytes));
    let mut cells = vec![
        it.workload.as_str().into(),
        of_fenced(fenced.mode.clone()),
        of_fenced(fenced.proxies.to_string()),
        count(it.targets),
        count(it.pinned),
        refused,
    ];
    if wide {
        cells.push(count(it.seeded));
        cells.push(of_fenced(fenced.asked.to_string()));
        cells.push(of_fenced(fenced.unknown.to_string()));
        cells.push(of_fenced(format!("{} of {}", fenced.services, fenced.visible)));
    }
    cells.push(of_fenced(bytes(fenced.held.bytes)));
    cells.push(saved.map_or_else(|| "-".into(), |saved| bytes(saved).into()));
    cells.push(it.last_seen.as_deref().unwrap_or("-").into());
    cells.push(state);
    cells
}

/// What a workload has had too much of, and what to do.
fn explain_cap(it: &ScopeWorkload, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    let Some(fenced) = &it.fenced else { return Ok(()) };
    let ports: Vec<String> = fenced.closed_ports.iter().map(u16::to_string).collect();
    let words = [
        ("workload", it.workload.as_str().into()),
        ("asked", fenced.asked.into()),
        ("ports", ports.join(", ").into()),
    ];
    for (key, is_so) in [
        ("scope-capped-everything", fenced.everything),
        ("scope-capped-unknown", !fenced.closed_ports.is_empty()),
    ] {
        if is_so {
            let text = screen.text(key, &words);
            screen.mark(Role::Warning, &text)?;
        }
    }
    Ok(())
}

pub(super) fn edges(
    workload: &str,
    edges: ScopeEdgeList,
    output: Format,
    screen: &mut Screen<'_>,
) -> anyhow::Result<()> {
    match output {
        Format::Json | Format::Yaml => {
            let metadata = serde_json::json!({
                "workload": workload, "fenced": edges.fenced, "fenceOff": edges.fence_off,
            });
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
    if let Some(target) = &edges.fence_off {
        let text = screen.text("scope-why-fence-off", &[("by", target.as_str().into())]);
        screen.mark(Role::Warning, &text)?;
    }
    if let Some(fenced) = &edges.fenced {
        let held = fenced.held;
        let all = fenced.unfenced.unwrap_or_default();
        let words = [
            ("workload", workload.to_owned().into()),
            ("mode", fenced.mode.as_str().into()),
            ("proxies", fenced.proxies.into()),
            ("bytes", bytes(held.bytes).into()),
            ("resources", held.resources.into()),
            ("all", bytes(all.bytes).into()),
            ("of", all.resources.into()),
        ];
        let key = if fenced.unfenced.is_some() { "scope-holds-of" } else { "scope-holds" };
        screen.say(key, &words)?;
    }
    if edges.items.is_empty() {
        screen.say("scope-unknown", &[("workload", workload.to_owned().into())])?;
        return Ok(());
    }
    let wide = output == Format::Wide;
    let mut columns =
        vec!["DEPENDENCY", "SENSOR", "FIRST SEEN", "LAST SEEN", "COUNT", "STATE", "COSTS"];
    if wide {
        columns.push("FORGOTTEN AFTER");
    }
    let mut table = Table::new(columns);
    for edge in edges.items {
        let mut row: Vec<Cell> = vec![
            edge.host.clone().into(),
            sensors(&edge).into(),
            seen(&edge.first_seen).into(),
            seen(&edge.last_seen).into(),
            edge.count.to_string().into(),
            state(&edge),
            edge.bytes.map_or_else(|| "-".into(), |cost| bytes(cost).into()),
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

/// A time, if there is one.
fn seen(at: &str) -> &str {
    if at.is_empty() { "-" } else { at }
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
        (state @ ("due" | "deadline"), _) => Cell::marked(state, Role::Warning),
        (state @ "declared-no-longer", _) => Cell::marked(state, Role::Notice),
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
    if let Some(written) = &it.written {
        let words = [place[0].clone(), place[1].clone(), ("written", written.as_str().into())];
        screen.say("scope-means", &words)?;
    }
    let is_in = it.in_scope.unwrap_or(it.edge.is_some());
    let (role, key) = match (is_in, it.known || it.in_scope.is_some()) {
        (true, _) => (Role::Good, "scope-in"),
        (false, true) => (Role::Warning, "scope-out"),
        (false, false) => (Role::Warning, "scope-unknown"),
    };
    let text = screen.text(key, &place);
    screen.mark(role, &text)?;
    for reason in &it.reasons {
        let words = [place[0].clone(), place[1].clone(), ("by", reason.by.as_str().into())];
        screen.say(&format!("scope-why-{}", reason.kind), &words)?;
    }
    if let Some(edge) = &it.edge {
        explain_edge(edge, screen)?;
    }
    if !is_in && it.reasons.is_empty() {
        screen.say("scope-how", &place)?;
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
    if edge.count > 0 {
        screen.say("scope-seen", &words)?;
    }
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
