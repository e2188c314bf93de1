//! `proxy config`.

use admin::{ProxyConfig, ResourceStatus};
use clap::ValueEnum;

use super::view::{self, View};
use crate::{
    client::Server,
    output::{Cell, Exit, Format, Role, Screen, Table},
};

const FORMATS: &[Format] =
    &[Format::Table, Format::Wide, Format::Short, Format::Name, Format::Json, Format::Yaml];

/// What a proxy was sent and has acknowledged.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi proxy config cart-1.shop
  meltemi pc cart-1.shop clusters --fqdn pay.shop --subset v2
  meltemi pc cart-1.shop routes --name 80 -o yaml
  meltemi pc cart-1.shop secrets
  meltemi pc cart-1.shop all -o json > dump.json

Exit codes: 0 done, 1 no such proxy, 64 wrong usage, 69 no control plane")]
pub(crate) struct Config {
    /// The proxy (`name.namespace`, or its node id).
    proxy: String,
    /// Which resources.
    #[arg(value_enum, default_value_t = What::All)]
    what: What,
    #[command(flatten)]
    filter: Filter,
    #[arg(short, long, default_value = "table", value_parser = Format::among(FORMATS))]
    pub(crate) output: Format,
    #[command(flatten)]
    server: Server,
}

/// Which resources of the chosen types. All that is given must hold.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only resources whose name holds this text.
    #[arg(long)]
    name: Option<String>,
    /// Only clusters and endpoints of this host, or of one that begins with it.
    #[arg(long)]
    fqdn: Option<String>,
    /// Only clusters, endpoints, listeners and routes of this port.
    #[arg(long)]
    pub(super) port: Option<u16>,
    /// Only clusters and endpoints of this subset.
    #[arg(long)]
    subset: Option<String>,
    /// Only clusters of this direction.
    #[arg(long, value_enum)]
    direction: Option<Direction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Direction {
    Inbound,
    Outbound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    #[value(aliases = ["cluster", "c"])]
    Clusters,
    #[value(aliases = ["listener", "l"])]
    Listeners,
    #[value(aliases = ["route", "r"])]
    Routes,
    #[value(aliases = ["endpoint", "ep"])]
    Endpoints,
    #[value(aliases = ["secret", "s"])]
    Secrets,
    All,
}

impl What {
    fn views(self) -> &'static [View] {
        match self {
            Self::Clusters => &[View::Clusters],
            Self::Listeners => &[View::Listeners],
            Self::Routes => &[View::Routes],
            Self::Endpoints => &[View::Endpoints],
            Self::Secrets => &[View::Secrets],
            Self::All => {
                &[View::Clusters, View::Listeners, View::Routes, View::Endpoints, View::Secrets]
            }
        }
    }
}

impl Config {
    pub(crate) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { proxy, what, filter, output, server } = self;
        let path = format!("/debug/config_dump?proxy={proxy}");
        let config: ProxyConfig = server.get(&path, screen.catalogue()).await?;
        print(config, what, &filter, output, screen)?;
        Ok(Exit::Done)
    }
}

/// How far a resource is.
pub(super) fn state(resource: &ResourceStatus) -> (&'static str, Role) {
    match (&resource.refused, &resource.sent, &resource.acknowledged) {
        (Some(_), _, _) => ("NACK", Role::Error),
        (None, Some(_), _) => ("SENT", Role::Warning),
        (None, None, Some(_)) => ("ACK", Role::Good),
        (None, None, None) => ("WAITS", Role::Warning),
    }
}

pub(super) fn print(
    mut config: ProxyConfig,
    what: What,
    filter: &Filter,
    output: Format,
    screen: &mut Screen<'_>,
) -> anyhow::Result<()> {
    let views = what.views();
    config.resources.retain(|resource| {
        let is_open = output != Format::Short || state(resource).0 != "ACK";
        is_open && views.iter().any(|it| it.shows(resource)) && filter.takes(resource)
    });
    match output {
        Format::Json | Format::Yaml => return screen.structured(output, &config),
        Format::Name => {
            for resource in &config.resources {
                screen.line(&format!("{}/{}", resource.kind, resource.name))?;
            }
            return Ok(());
        }
        _ => (),
    }
    print_summary(&config, screen)?;
    for view in views {
        let mut resources: Vec<&ResourceStatus> =
            config.resources.iter().filter(|it| view.shows(it)).collect();
        // What is not acknowledged comes first.
        resources.sort_by_key(|it| state(it).0 == "ACK");
        if resources.is_empty() {
            continue;
        }
        if views.len() > 1 {
            screen.line("")?;
        }
        let table = view::table(*view, &resources);
        match output {
            Format::Wide => screen.wide_table(&table)?,
            _ => screen.table(&table)?,
        }
    }
    Ok(())
}

fn print_summary(config: &ProxyConfig, screen: &mut Screen<'_>) -> std::io::Result<()> {
    let resources = &config.resources;
    let count = |wanted: &str| resources.iter().filter(|it| state(it).0 == wanted).count();
    let words = [
        ("proxy", config.status.proxy.as_str().into()),
        ("total", resources.len().into()),
        ("acknowledged", count("ACK").into()),
        ("waiting", (count("SENT") + count("WAITS")).into()),
        ("refused", count("NACK").into()),
    ];
    let text = screen.text("proxy-config-summary", &words);
    let role = match (count("NACK"), count("ACK") == resources.len()) {
        (0, true) => Role::Good,
        (0, false) => Role::Warning,
        (_, _) => Role::Error,
    };
    screen.mark(role, &text)?;
    for resource in resources {
        if let Some(reason) = &resource.refused {
            let text = format!("{} `{}`: {reason}", resource.kind, resource.name);
            screen.mark(Role::Error, &text)?;
        }
    }
    Ok(())
}

impl Filter {
    fn takes(&self, resource: &ResourceStatus) -> bool {
        let Self { name, fqdn, port, subset, direction } = self;
        let cluster = view::ClusterName::parse(&resource.name);
        let of_cluster = |wanted: bool, found: &dyn Fn(&view::ClusterName<'_>) -> bool| {
            !wanted || cluster.as_ref().is_some_and(found)
        };
        name.as_ref().is_none_or(|name| resource.name.contains(name.as_str()))
            && of_cluster(fqdn.is_some(), &|it| {
                let wanted = fqdn.as_deref().unwrap_or_default();
                let rest = it.host.strip_prefix(wanted);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
            && of_cluster(subset.is_some(), &|it| Some(it.subset) == subset.as_deref())
            && of_cluster(direction.is_some(), &|it| match direction {
                Some(Direction::Inbound) => it.direction == "inbound",
                Some(Direction::Outbound) | None => it.direction == "outbound",
            })
            && port.is_none_or(|port| match &cluster {
                Some(cluster) => cluster.port == port.to_string(),
                None => view::port(resource) == Some(port),
            })
    }
}

/// The last cell of every row.
pub(super) fn state_cell(resource: &ResourceStatus) -> Cell {
    let (text, role) = state(resource);
    Cell::marked(text, role)
}

/// A table with the columns of a view and the state.
pub(super) fn view_table(columns: &[&'static str]) -> Table {
    Table::new(columns.iter().copied().chain(["STATE"]))
}
