//! `proxy status`.

use std::time::{Duration, UNIX_EPOCH};

use admin::{ProxyStatus, ProxyStatusList};
use clap::ValueEnum;

use super::is_named;
use crate::{
    client::Server,
    output::{Cell, Exit, Failure, Format, Role, Screen, Table},
};

/// The longest list that is printed as a whole unless asked for.
const LONG: usize = 200;
/// Types in the order in which they are sent, with the short names that istioctl's users know.
const TYPES: [(&str, &str); 6] = [
    ("cluster", "CDS"),
    ("endpoint", "EDS"),
    ("listener", "LDS"),
    ("route", "RDS"),
    ("secret", "SDS"),
    ("runtime", "RTDS"),
];

const FORMATS: &[Format] =
    &[Format::Table, Format::Wide, Format::Short, Format::Name, Format::Json, Format::Yaml];

/// Which proxies have acknowledged everything, which wait, which refused something.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi proxy status
  meltemi ps --state nack
  meltemi ps -n shop -o json
  meltemi ps cart-1.shop

Exit codes: 0 done, 1 no such proxy, 64 wrong usage, 69 no control plane")]
pub(crate) struct Status {
    /// Only this proxy (`name.namespace`, or its node id).
    proxy: Option<String>,
    /// Only proxies of this namespace.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Only proxies in one of these states.
    #[arg(long, value_enum, value_delimiter = ',')]
    state: Vec<State>,
    /// List every proxy, also where there are more than 200.
    #[arg(short = 'A', long)]
    all: bool,
    #[arg(short, long, default_value = "table", value_parser = Format::among(FORMATS))]
    pub(crate) output: Format,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    Synced,
    Stale,
    Nack,
}

impl State {
    fn of(proxy: &ProxyStatus) -> Self {
        match proxy.state.as_str() {
            "NACK" => Self::Nack,
            "SYNCED" => Self::Synced,
            _ => Self::Stale,
        }
    }

    fn role(self) -> Role {
        match self {
            Self::Synced => Role::Good,
            Self::Stale => Role::Warning,
            Self::Nack => Role::Error,
        }
    }
}

impl Status {
    pub(crate) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { proxy, namespace, state, all, output, server } = self;
        let mut list: ProxyStatusList = server.get("/debug/proxies", screen.catalogue()).await?;
        let suffix = namespace.map(|namespace| format!(".{namespace}"));
        list.items.retain(|item| {
            proxy.as_ref().is_none_or(|wanted| is_named(item, wanted))
                && suffix.as_ref().is_none_or(|suffix| item.proxy.ends_with(suffix))
                && (state.is_empty() || state.contains(&State::of(item)))
        });
        if let Some(wanted) = proxy.as_ref().filter(|_| list.items.is_empty()) {
            let message = screen.text("proxy-unknown", &[("proxy", wanted.as_str().into())]);
            let hint = screen.text("proxy-unknown-hint", &[]);
            return Err(Failure::new(Exit::Failed, message).hint(hint).into());
        }
        print(list, all || proxy.is_some(), output, screen)?;
        Ok(Exit::Done)
    }
}

pub(super) fn print(
    mut list: ProxyStatusList,
    all: bool,
    output: Format,
    screen: &mut Screen<'_>,
) -> anyhow::Result<()> {
    list.items.sort_by_key(|item| match State::of(item) {
        State::Nack => 0,
        State::Stale => 1,
        State::Synced => 2,
    });
    match output {
        Format::Json | Format::Yaml => return screen.structured(output, &list),
        Format::Name => {
            for item in &list.items {
                screen.line(&format!("proxy/{}", item.proxy))?;
            }
            return Ok(());
        }
        _ => (),
    }
    print_summary(&list, screen)?;
    let long = list.items.len() > LONG && !all;
    let is_shown = |item: &&ProxyStatus| {
        let is_well = State::of(item) == State::Synced;
        !is_well || !(long || output == Format::Short)
    };
    let shown: Vec<&ProxyStatus> = list.items.iter().filter(is_shown).collect();
    if !shown.is_empty() {
        let table = table(&shown, output);
        match output {
            Format::Wide => screen.wide_table(&table)?,
            _ => screen.table(&table)?,
        }
    }
    print_reasons(&shown, screen)?;
    let hidden = list.items.len() - shown.len();
    if long && hidden > 0 {
        screen.say("proxy-hidden", &[("count", hidden.into())])?;
    }
    Ok(())
}

fn print_summary(list: &ProxyStatusList, screen: &mut Screen<'_>) -> std::io::Result<()> {
    let count = |state: State| list.items.iter().filter(|item| State::of(item) == state).count();
    let (stale, refused) = (count(State::Stale), count(State::Nack));
    let words = [
        ("total", list.items.len().into()),
        ("synced", count(State::Synced).into()),
        ("stale", stale.into()),
        ("refused", refused.into()),
    ];
    let summary = screen.text("proxy-summary", &words);
    if let Some(seconds) = list.restored {
        let time = identity::render_time(UNIX_EPOCH + Duration::from_secs(seconds));
        let message = screen.text("proxy-restored", &[("time", time.into())]);
        screen.mark(Role::Warning, &message)?;
    }
    let role = match (refused, stale) {
        (0, 0) => Role::Good,
        (0, _) => Role::Warning,
        (_, _) => Role::Error,
    };
    screen.mark(role, &summary)
}

fn table(items: &[&ProxyStatus], output: Format) -> Table {
    let mut columns = vec!["PROXY", "STATE"];
    columns.extend(TYPES.map(|(_, short)| short));
    columns.extend(["KIND", "PROTOCOL", "VERSION"]);
    if output == Format::Wide {
        columns.extend(["IDENTITY", "ID"]);
    }
    let mut table = Table::new(columns);
    for item in items {
        let mut row: Vec<Cell> = vec![
            item.proxy.as_str().into(),
            Cell::marked(item.state.as_str(), State::of(item).role()),
        ];
        row.extend(TYPES.map(|(kind, _)| type_cell(item, kind)));
        row.extend([&item.kind, &item.protocol, &item.version].map(|it| it.as_str().into()));
        if output == Format::Wide {
            let identity = if item.identity.is_empty() { "-" } else { item.identity.as_str() };
            row.extend([identity, item.id.as_str()].map(Into::into));
        }
        table.row(row);
    }
    table
}

/// How far the resources of one type are; nothing where the proxy has not asked for any.
fn type_cell(item: &ProxyStatus, kind: &str) -> Cell {
    if item.subscribed.as_ref().is_some_and(|kinds| kinds.iter().all(|it| it != kind)) {
        return "-".into();
    }
    let refused = item.refused.iter().filter(|resource| resource.kind == kind).count();
    match (refused, item.pending.get(kind)) {
        (0, None) => "ok".into(),
        (0, Some(waiting)) => Cell::marked(format!("{waiting} wait"), Role::Warning),
        (refused, _) => Cell::marked(format!("{refused} refused"), Role::Error),
    }
}

/// Envoy's words, and what is held back.
fn print_reasons(items: &[&ProxyStatus], screen: &mut Screen<'_>) -> std::io::Result<()> {
    for item in items {
        for resource in &item.refused {
            let reason = resource.refused.as_deref().unwrap_or_default();
            let text = format!("{} {} `{}`: {reason}", item.proxy, resource.kind, resource.name);
            screen.mark(Role::Error, &text)?;
        }
        for held in &item.held_back {
            screen.mark(Role::Warning, &format!("{} {held}", item.proxy))?;
        }
    }
    Ok(())
}
