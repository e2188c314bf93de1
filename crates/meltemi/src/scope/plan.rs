//! `scope plan`: what fences would cut. Nothing is changed.

mod offline;

use std::collections::BTreeSet;

use admin::{ScopePlan, ScopePlanItem, ScopeSizes};

use self::offline::{Offline, Reckoned};
use crate::{
    client::{Server, encode},
    environment::Environment,
    output::{self, Cell, Exit, Format, Role, Screen, Table, bytes},
};

/// Show what fences would cut, from what is known; nothing is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi scope plan shop
  meltemi scope plan shop/web -o wide
  meltemi scope plan shop -o json
  meltemi scope plan shop --directory ./mesh --import calls.csv
  meltemi scope plan shop --settings /etc/meltemi.yaml

It is reckoned for the proxies that are connected. Known calls are those that were learned: what was
never seen fares like those that are listed: it waits once in the mode on-demand, goes through the lazy
gateway in the mode gateway, and where `outboundTrafficPolicy` says in the others.
With --directory or --settings no control plane is asked: proxies are those that the files would
have, one for each Pod and WorkloadEntry, and one for each workload that is only named, by a
Service, a WorkloadGroup, a fence or an imported call. They are taken for Envoys that can ask.
Exit codes: 0 done, 1 there is no such proxy, 64 wrong usage, 65 a file cannot be read,
69 no control plane, 75 another plan is being made, 79 something of an imported file was left out")]
pub(crate) struct Plan {
    /// A namespace, or one workload of it.
    #[arg(value_name = "NAMESPACE[/WORKLOAD]")]
    target: String,
    #[command(flatten)]
    offline: Offline,
    #[arg(short, long, default_value = "table", value_parser = Format::among(&[Format::Table, Format::Wide, Format::Json, Format::Yaml]))]
    pub(super) output: Format,
    #[command(flatten)]
    server: Server,
}

/// Calls that are shown one by one.
const MOST_SHOWN: usize = 10;

impl Plan {
    pub(super) async fn run(
        self,
        environment: &Environment,
        screen: &mut Screen<'_>,
    ) -> anyhow::Result<Exit> {
        let Self { target, offline, output, server } = self;
        let (plan, reckoned) = match offline.is_meant() {
            true => {
                let (plan, reckoned) = offline.plan(&target, environment, screen)?;
                (plan, Some(reckoned))
            }
            false => {
                let path = format!("/debug/scope/plan?target={}", encode(&target));
                (server.get(&path, screen.catalogue()).await?, None)
            }
        };
        if let Some(Reckoned { notes, .. }) = &reckoned {
            notes.iter().for_each(|note| eprintln!("{note}"));
        }
        match output {
            Format::Json | Format::Yaml => {
                let ScopePlan { target, items, now, then, left_out } = plan;
                let metadata = serde_json::json!({
                    "target": target, "now": now, "then": then, "leftOut": left_out,
                });
                screen.structured(output, &output::List::new(items).metadata(metadata))?;
            }
            _ => {
                if let Some(Reckoned { listed, named, .. }) = &reckoned {
                    let words = [("listed", (*listed).into()), ("named", (*named).into())];
                    screen.say("scope-plan-offline", &words)?;
                }
                print(&plan, output, screen)?;
            }
        }
        Ok(reckoned.map_or(Exit::Done, |it| it.exit))
    }
}

/// What remains, and the share that goes.
fn cut(now: ScopeSizes, then: ScopeSizes) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a share in words")]
    let less = match now.bytes {
        0 => 0.0,
        all => 100.0 * (1.0 - then.bytes as f64 / all as f64),
    };
    format!("{less:.1} %")
}

fn print(plan: &ScopePlan, output: Format, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    let proxies: usize = plan.items.iter().map(|item| item.proxies).sum();
    let words = [
        ("proxies", proxies.into()),
        ("now", bytes(plan.now.bytes).into()),
        ("then", bytes(plan.then.bytes).into()),
        ("cut", cut(plan.now, plan.then).into()),
    ];
    let text = screen.text("scope-plan", &words);
    screen.mark(Role::Notice, &text)?;
    let columns =
        ["WORKLOAD", "PROXIES", "NOW", "MODE", "HOLDS", "WOULD HOLD", "CUT", "KNOWN", "LACKING"];
    let mut table = Table::new(columns);
    for item in &plan.items {
        let size = |it: ScopeSizes| match output {
            Format::Wide => format!("{} in {}", bytes(it.bytes), it.resources),
            _ => bytes(it.bytes),
        };
        let mode = match item.unfenced_because {
            Some(_) => Cell::marked(item.mode.as_str(), Role::Warning),
            None => item.mode.as_str().into(),
        };
        table.row([
            item.workload.as_str().into(),
            item.proxies.to_string().into(),
            item.mode_now.as_str().into(),
            mode,
            size(item.now).into(),
            size(item.then).into(),
            cut(item.now, item.then).into(),
            item.known.to_string().into(),
            (item.waiting.len() + item.detoured.len() + item.cut.len()).to_string().into(),
        ]);
    }
    match output {
        Format::Wide => screen.wide_table(&table)?,
        _ => screen.table(&table)?,
    }
    // Proxies of one workload that differ have most of it in common.
    let mut told = BTreeSet::new();
    for item in &plan.items {
        for (role, text) in explain(item, screen) {
            if told.insert(text.clone()) {
                match role {
                    Some(role) => screen.mark(role, &text)?,
                    None => screen.line(&text)?,
                }
            }
        }
    }
    if plan.left_out > 0 {
        screen.say("scope-plan-left-out", &[("count", plan.left_out.into())])?;
    }
    Ok(())
}

/// What is to be known before such a workload is fenced.
fn explain(item: &ScopePlanItem, screen: &Screen<'_>) -> Vec<(Option<Role>, String)> {
    let workload = ("workload", item.workload.as_str().into());
    if let Some(reason) = &item.unfenced_because {
        let key = match reason.as_str() {
            "gateway" => "scope-plan-gateway",
            "grpc" => "scope-plan-grpc",
            _ => "scope-plan-cannot-ask",
        };
        return vec![(Some(Role::Warning), screen.text(key, &[workload]))];
    }
    let mut said = Vec::new();
    if item.mode == "gateway" && !item.by_gateway {
        let text = screen.text("scope-plan-no-gateway", std::slice::from_ref(&workload));
        said.push((Some(Role::Warning), text));
    }
    if let Some(key) = explain_unknown(item) {
        said.push((None, screen.text(key, std::slice::from_ref(&workload))));
    }
    for (key, hosts) in [
        ("scope-plan-waiting", &item.waiting),
        ("scope-plan-detoured", &item.detoured),
        ("scope-plan-cut", &item.cut),
        ("scope-plan-invisible", &item.invisible),
    ] {
        if hosts.is_empty() {
            continue;
        }
        let mut shown = hosts.iter().take(MOST_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        if hosts.len() > MOST_SHOWN {
            shown.push_str(&format!(", … ({})", hosts.len()));
        }
        said.push((None, screen.text(key, &[workload.clone(), ("hosts", shown.into())])));
    }
    said
}

/// What becomes of calls of a workload of which none is known, if that is not what it is now.
fn explain_unknown(item: &ScopePlanItem) -> Option<&'static str> {
    if item.known > 0 {
        return None;
    }
    Some(match item.mode.as_str() {
        "full" => return None,
        "on-demand" => "scope-plan-unknown",
        "gateway" if item.by_gateway => "scope-plan-unknown-detoured",
        "declared" => "scope-plan-unknown-declared",
        "passthrough" => "scope-plan-unknown-passthrough",
        // The mode gateway learns as well, where there is none.
        _ => "scope-plan-unknown-learned",
    })
}
