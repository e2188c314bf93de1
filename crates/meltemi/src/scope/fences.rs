//! `scope fences`: what limits the scopes of workloads, dependency by dependency.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::known;
use crate::{
    client::{Server, encode},
    output::{self, Cell, Exit, Format, Role, Screen, Table},
};

/// Show fences with their dependencies, as Slime's status has them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi scope fences
  meltemi scope fences shop/web
  meltemi scope fences shop -o json

Exit codes: 0 done, 1 nobody knows such a namespace or fence, 64 wrong usage, 69 no control plane")]
pub(crate) struct Fences {
    /// A namespace, or one fence of it; everything if absent.
    #[arg(value_name = "NAMESPACE[/FENCE]")]
    what: Option<String>,
    #[arg(short, long, default_value = "table", value_parser = Format::among(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name]))]
    pub(super) output: Format,
    #[command(flatten)]
    server: Server,
}

/// The answer of `/debug/fences`.
#[derive(Debug, Deserialize)]
struct FenceList {
    items: Vec<Fence>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Fence {
    namespace: String,
    name: String,
    origin: String,
    enabled: bool,
    selector: serde_json::Value,
    status: Status,
}

#[derive(Debug, Serialize, Deserialize)]
struct Status {
    domains: BTreeMap<String, Domain>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Domain {
    hosts: Vec<String>,
    /// `ACTIVE`, `EXPIRE` or `EXPIREWAIT`.
    status: String,
    source: String,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

impl Fences {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { what, output, server } = self;
        let what = what.unwrap_or_default();
        let (namespace, name) = what.split_once('/').unwrap_or((&what, ""));
        let path = format!("/debug/fences?namespace={}&name={}", encode(namespace), encode(name));
        let FenceList { items } = server.get(&path, screen.catalogue()).await?;
        let exit = match items.is_empty() {
            true => known::exit_of_query(&what, &server, screen).await?,
            false => Exit::Done,
        };
        match output {
            Format::Json | Format::Yaml => {
                screen.structured(output, &output::List::new(items))?;
            }
            Format::Name => {
                for it in &items {
                    screen.line(&format!("{}/{}", it.namespace, it.name))?;
                }
            }
            _ => print(&items, output, screen)?,
        }
        Ok(exit)
    }
}

fn print(fences: &[Fence], output: Format, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    if fences.is_empty() {
        screen.say("scope-export-none", &[])?;
        return Ok(());
    }
    let wide = output == Format::Wide;
    let columns = ["FENCE", "DEPENDENCY", "STATUS", "UNTIL", "BY"];
    let mut table = Table::new(columns.into_iter().chain(wide.then_some("LEADS TO")));
    for fence in fences {
        let name = format!("{}/{}", fence.namespace, fence.name);
        if !fence.enabled || fence.status.domains.is_empty() {
            let status = match fence.enabled {
                true => "-".into(),
                false => Cell::marked("disabled", Role::Notice),
            };
            let cells = [name.as_str().into(), "-".into(), status, "-".into(), "-".into()];
            table.row(cells.into_iter().chain(wide.then(|| "-".into())));
        }
        let domains = fence.status.domains.iter().filter(|_| fence.enabled);
        for (key, domain) in domains {
            let status = match domain.status.as_str() {
                "ACTIVE" => Cell::marked("ACTIVE", Role::Good),
                "EXPIREWAIT" => Cell::marked("EXPIREWAIT", Role::Warning),
                other => Cell::marked(other, Role::Notice),
            };
            let until =
                domain.until.map_or_else(|| "-".to_owned(), |it| api::Timestamp(it).to_string());
            let led_to = domain.hosts.iter().filter(|host| *host != key);
            let led_to = led_to.cloned().collect::<Vec<_>>().join(", ");
            let cells = [
                name.as_str().into(),
                key.as_str().into(),
                status,
                until.into(),
                domain.source.as_str().into(),
            ];
            table.row(cells.into_iter().chain(wide.then(|| led_to.into())));
        }
    }
    match wide {
        true => screen.wide_table(&table)?,
        false => screen.table(&table)?,
    }
    Ok(())
}
