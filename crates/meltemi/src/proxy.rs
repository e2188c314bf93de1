//! `proxy status` and `proxy config`.

use std::{io::Write, process::ExitCode};

use admin::{ProxyConfig, ProxyStatusList};
use clap::ValueEnum;

use crate::client::Server;

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

/// Which proxies have acknowledged everything.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meltemi proxy status\n  meltemi ps cart.shop -o json")]
pub(crate) struct Status {
    /// Only this proxy (`name.namespace`).
    proxy: Option<String>,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Status {
    pub(crate) async fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let Self { proxy, output, server } = self;
        let mut list: ProxyStatusList = match server.get("/debug/proxies").await? {
            Ok(list) => list,
            Err(code) => return Ok(code),
        };
        if let Some(proxy) = proxy {
            list.items.retain(|item| item.proxy == proxy || item.id == proxy);
        }
        if output == Output::Json {
            serde_json::to_writer_pretty(&mut *out, &list)?;
            writeln!(out)?;
            return Ok(ExitCode::SUCCESS);
        }
        let count = |state: &str| list.items.iter().filter(|item| item.state == state).count();
        writeln!(
            out,
            "{} proxies: {} synced, {} stale, {} refused something",
            list.items.len(),
            count("SYNCED"),
            count("STALE"),
            count("NACK")
        )?;
        for item in &list.items {
            let waiting: Vec<String> =
                item.pending.iter().map(|(kind, count)| format!("{kind}:{count}")).collect();
            writeln!(
                out,
                "{:<40} {:<8} {:<7} {:<6} {}",
                item.proxy,
                item.kind,
                item.state,
                item.protocol,
                waiting.join(" ")
            )?;
            for refused in &item.refused {
                let reason = refused.refused.as_deref().unwrap_or_default();
                writeln!(out, "    {} {}: {reason}", refused.kind, refused.name)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a proxy was sent and has acknowledged.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meltemi proxy config cart.shop\n  meltemi pc cart.shop clusters -o json"
)]
pub(crate) struct Config {
    /// The proxy (`name.namespace`).
    proxy: String,
    /// Which resources.
    #[arg(value_enum, default_value_t = What::All)]
    what: What,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Clusters,
    Listeners,
    Routes,
    Endpoints,
    All,
}

impl What {
    fn includes(self, kind: &str) -> bool {
        match self {
            Self::Clusters => kind == "cluster",
            Self::Listeners => kind == "listener",
            Self::Routes => kind == "route",
            Self::Endpoints => kind == "endpoint",
            Self::All => true,
        }
    }
}

impl Config {
    pub(crate) async fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let Self { proxy, what, output, server } = self;
        let path = format!("/debug/config_dump?proxy={proxy}");
        let mut config: ProxyConfig = match server.get(&path).await? {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        config.resources.retain(|resource| what.includes(&resource.kind));
        if output == Output::Json {
            serde_json::to_writer_pretty(&mut *out, &config)?;
            writeln!(out)?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(out, "{} {}", config.status.proxy, config.status.state)?;
        for resource in &config.resources {
            let state = match (&resource.refused, &resource.sent, &resource.acknowledged) {
                (Some(_), _, _) => "NACK",
                (None, Some(_), _) => "SENT",
                (None, None, Some(_)) => "ACK",
                (None, None, None) => "-",
            };
            writeln!(out, "{:<9} {state:<5} {}", resource.kind, resource.name)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
