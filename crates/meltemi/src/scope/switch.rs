//! `scope disable` and `scope enable`: fences off, in spite of all that is written, and on again.

use std::time::Duration;

use admin::{FenceSwitchRequest, ScopeDecision, WaitOutcome};
use model::FenceTarget;

use super::known;
use crate::{
    client::Server,
    input::parse_duration,
    output::{Exit, Format, Role, Screen},
    wait,
};

/// Send workloads everything, whatever fences and labels say, and wait until they have it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi scope disable shop/web
  meltemi scope disable shop --for 2h --timeout 5m
  meltemi scope disable shop -o json

Everything is sent first; nothing is taken away. It holds also if not every proxy has acknowledged
it in time, and again after a restart where learned dependencies are kept.
Exit codes: 0 every proxy has it, 64 wrong usage, 69 no control plane, 77 not allowed from here,
81 timed out, 82 a proxy refused something, 130 interrupted")]
pub(crate) struct Disable {
    /// A namespace, or one workload of it.
    #[arg(value_name = "NAMESPACE[/WORKLOAD]")]
    target: String,
    /// For how long, such as `2h`; until `scope enable` unless set.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    length: Option<Duration>,
    /// How long to wait for the proxies, such as `90s` or `2m`.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    timeout: Duration,
    #[arg(short, long, default_value = "table", value_parser = Format::among(&[Format::Table, Format::Json, Format::Yaml]))]
    pub(super) output: Format,
    #[command(flatten)]
    server: Server,
}

/// Let fences and labels count again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi scope enable shop/web
  meltemi scope enable shop

Exit codes: 0 done, 1 they were not switched off, 64 wrong usage, 69 no control plane, 77 not allowed
from here")]
pub(crate) struct Enable {
    /// What was switched off: a namespace, or one workload of it.
    #[arg(value_name = "NAMESPACE[/WORKLOAD]")]
    target: String,
    #[command(flatten)]
    server: Server,
}

impl Disable {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { target, length, timeout, output, server } = self;
        let request = FenceSwitchRequest {
            target: target.clone(),
            seconds: length.map(|length| length.as_secs().max(1)),
            timeout: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        };
        // It is a decision ahead of time, or a slip of the pen.
        if target.parse::<FenceTarget>().is_ok() {
            known::say_unknown(&target, &server, screen).await?;
        }
        let path = "/api/scope/disable";
        let lines = server.post_lines(path, &request, screen.catalogue()).await?;
        let words = [("target", target.as_str().into())];
        let Some(result) = wait::follow(lines, screen).await? else {
            eprintln!("{}", screen.text("scope-disable-interrupted", &words));
            return Ok(Exit::Interrupted);
        };
        if output != Format::Table {
            screen.structured(output, &result)?;
            return Ok(result.exit(false));
        }
        let mut text = Vec::new();
        if result.report.outcome == WaitOutcome::Live {
            let words = [words[0].clone(), ("live", result.report.live.into())];
            text.push((Some(Role::Good), screen.text("scope-disabled", &words)));
        } else {
            text.extend(result.describe(screen));
            text.push((Some(Role::Warning), screen.text("scope-disable-open", &words)));
        }
        wait::print_lines(text, screen)?;
        Ok(result.exit(false))
    }
}

impl Enable {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { target, server } = self;
        let request = FenceSwitchRequest { target: target.clone(), seconds: None, timeout: 0 };
        let path = "/api/scope/enable";
        let _: ScopeDecision = server.post(path, &request, screen.catalogue()).await?;
        screen.say("scope-enabled", &[("target", target.into())])?;
        Ok(Exit::Done)
    }
}
