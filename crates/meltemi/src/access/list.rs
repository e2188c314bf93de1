//! What was denied and allowed.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use source::{EXPIRES_AT, MADE_BY, MADE_BY_ACCESS};

use crate::{
    client::Server,
    output::{self, Exit, Format, Screen, Table},
};

/// Show what was denied and allowed, and until when.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi access list
  meltemi access list --all -o json

Exit codes: 0 done, 1 failed, 64 usage, 69 no control plane")]
pub(crate) struct List {
    /// Every AuthorizationPolicy, not only those of `meltemi access`.
    #[arg(long)]
    all: bool,
    #[arg(short, long, default_value = "table", value_parser = Format::among(&[Format::Table, Format::Json, Format::Yaml, Format::Name]))]
    pub(super) output: Format,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Objects {
    items: Vec<Object>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    namespace: String,
    name: String,
    location: String,
    annotations: std::collections::BTreeMap<String, String>,
    spec: Value,
}

/// One policy, as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    namespace: String,
    name: String,
    action: String,
    to: String,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    location: String,
}

impl List {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { all, output, server } = self;
        let path = "/debug/configz?kind=AuthorizationPolicy&content=true";
        let objects: Objects = server.get(path, screen.catalogue()).await?;
        let is_ours =
            |it: &Object| it.annotations.get(MADE_BY).is_some_and(|by| by == MADE_BY_ACCESS);
        let rows: Vec<Row> =
            objects.items.into_iter().filter(|it| all || is_ours(it)).map(row).collect();
        match output {
            Format::Json | Format::Yaml => screen.structured(output, &output::List::new(rows))?,
            Format::Name => {
                for row in &rows {
                    screen.line(&format!("{}/{}", row.namespace, row.name))?;
                }
            }
            _ => {
                let columns = ["NAMESPACE", "NAME", "ACTION", "FROM", "TO", "EXPIRES"];
                let mut table = Table::new(columns);
                for row in rows {
                    let expires = row.expires.unwrap_or_else(|| "never".to_owned());
                    let cells = [row.namespace, row.name, row.action, row.from, row.to, expires];
                    table.row(cells.map(Into::into));
                }
                screen.table(&table)?;
            }
        }
        Ok(Exit::Done)
    }
}

fn row(object: Object) -> Row {
    let spec = &object.spec;
    let labels = spec["selector"]["matchLabels"].as_object().into_iter().flatten();
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let sources = spec["rules"].as_array().into_iter().flatten();
    let sources = sources.flat_map(|rule| rule["from"].as_array().into_iter().flatten());
    let fields = sources.flat_map(|from| from["source"].as_object().into_iter().flatten());
    let values = fields.flat_map(|(name, values)| {
        let sign = if name.starts_with("not") { "not " } else { "" };
        let values = values.as_array().into_iter().flatten();
        values.map(move |value| format!("{sign}{}", value.as_str().unwrap_or_default()))
    });
    let from: Vec<String> = values.collect();
    Row {
        action: spec["action"].as_str().unwrap_or("ALLOW").to_owned(),
        to: if labels.is_empty() { "*".to_owned() } else { labels.join(",") },
        from: if from.is_empty() { "*".to_owned() } else { from.join(",") },
        expires: object.annotations.get(EXPIRES_AT).cloned(),
        namespace: object.namespace,
        name: object.name,
        location: object.location,
    }
}
