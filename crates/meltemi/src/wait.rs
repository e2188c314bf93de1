//! `wait`: until what the directories hold now is live in every proxy.
//!
//! - One request; the control plane waits, and says how far it is.
//! - Progress and lists are for people and go to standard error unless standard output is a
//!   terminal; a script finds one line of JSON on standard output.

mod progress;

use std::time::Duration;

use admin::{Finding, RefusedResource, WaitEvent, WaitOutcome, WaitReport, WaitingProxy};
use serde::Serialize;

use self::progress::Progress;
use crate::{
    client::{Lines, Server},
    input::parse_duration,
    output::{Exit, Failure, Format, Role, Screen},
};

/// Wait until the content of the directories, as it is now, is live in every proxy.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi wait --timeout 60s
  meltemi wait --timeout 2m --quorum 95 -o json

Exit codes: 0 live, 64 usage, 65 live but for files with errors, 69 no control plane,
81 timed out, 82 a proxy refused something, 83 proxies went away, 130 interrupted")]
pub(crate) struct Wait {
    /// How long, such as `90s` or `2m`.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    timeout: Duration,
    /// How many percent of the proxies must be live if others go away meanwhile.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    quorum: u8,
    #[arg(short, long, default_value = "table", value_parser = Format::among(&[Format::Table, Format::Json, Format::Yaml]))]
    pub(crate) output: Format,
    #[command(flatten)]
    server: Server,
}

/// Proxies that are shown one by one.
const MOST_SHOWN: usize = 10;

/// What a script reads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaitResult {
    #[serde(flatten)]
    pub(crate) report: WaitReport,
    /// What is wrong with the files.
    pub(crate) findings: Vec<Finding>,
}

impl Wait {
    pub(crate) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { timeout, quorum, output, server } = self;
        let Some(result) = wait_for(&server, timeout, quorum, screen).await? else {
            eprintln!("{}", screen.text("wait-interrupted", &[]));
            return Ok(Exit::Interrupted);
        };
        match output {
            Format::Table => result.print(screen)?,
            _ => screen.structured(output, &result)?,
        }
        Ok(result.exit(true))
    }
}

/// Waits; `None` when the user has had enough of it.
pub(crate) async fn wait_for(
    server: &Server,
    timeout: Duration,
    quorum: u8,
    screen: &Screen<'_>,
) -> anyhow::Result<Option<WaitResult>> {
    let path = format!("/api/wait?timeout={}&quorum={quorum}", timeout.as_millis());
    follow(server.lines(&path, screen.catalogue()).await?, screen).await
}

/// Shows how far proxies are until the end; `None` when the user has had enough of it.
pub(crate) async fn follow(
    mut lines: Lines,
    screen: &Screen<'_>,
) -> anyhow::Result<Option<WaitResult>> {
    let mut progress = Progress::new();
    let mut found = Vec::new();
    loop {
        let event = tokio::select! {
            event = lines.next::<WaitEvent>() => event?,
            _ = tokio::signal::ctrl_c() => {
                progress.clear();
                return Ok(None);
            }
        };
        match event {
            Some(WaitEvent::Taken { findings, .. }) => found = findings,
            Some(WaitEvent::Progress { live, total, pending, held_back }) => {
                let mut text = screen.text("wait-progress", &words(live, total));
                for (kind, count) in &pending {
                    text.push_str(&format!("  {kind} {count}"));
                }
                progress.show(&text);
                held_back.iter().for_each(|reason| progress.tell_once(reason));
            }
            Some(WaitEvent::End(report)) => {
                progress.clear();
                return Ok(Some(WaitResult { report, findings: found }));
            }
            None => {
                progress.clear();
                let message = screen.text("wait-cut", &[]);
                return Err(Failure::new(Exit::TryAgain, message).into());
            }
        }
    }
}

fn words(live: usize, total: usize) -> [(&'static str, crate::language::Word<'static>); 2] {
    [("live", live.into()), ("total", total.into())]
}

impl WaitResult {
    /// How it ended; `with_findings`, files with errors are not live.
    pub(crate) fn exit(&self, with_findings: bool) -> Exit {
        let has_errors = self.findings.iter().any(Finding::is_error);
        match self.report.outcome {
            WaitOutcome::Live if with_findings && has_errors => Exit::BadInput,
            WaitOutcome::Live => Exit::Done,
            WaitOutcome::TimedOut => Exit::TimedOut,
            WaitOutcome::Refused => Exit::Refused,
            WaitOutcome::Lost => Exit::Lost,
        }
    }

    /// For people, and for scripts that have not asked for a form.
    pub(crate) fn print(&self, screen: &mut Screen<'_>) -> anyhow::Result<()> {
        let text = self.describe(screen);
        if screen.is_terminal() {
            return print_lines(text, screen);
        }
        for (_, line) in text {
            eprintln!("{line}");
        }
        screen.line(&serde_json::to_string(self)?)?;
        Ok(())
    }

    /// The end in words, line by line.
    pub(crate) fn describe(&self, screen: &Screen<'_>) -> Vec<(Option<Role>, String)> {
        let WaitReport { outcome, revision, total, live, milliseconds, .. } = &self.report;
        let mut lines = Vec::new();
        for finding in self.findings.iter().filter(|finding| finding.is_error()) {
            lines.push((Some(Role::Error), finding.to_string()));
        }
        let seconds = format!("{}.{:02}", milliseconds / 1000, milliseconds % 1000 / 10);
        let mut words = words(*live, *total).to_vec();
        words.push(("revision", (*revision).into()));
        words.push(("seconds", seconds.into()));
        let (role, key) = match outcome {
            WaitOutcome::Live => (Role::Good, "wait-live"),
            WaitOutcome::TimedOut => (Role::Error, "wait-timed-out"),
            WaitOutcome::Refused => (Role::Error, "wait-refused"),
            WaitOutcome::Lost => (Role::Error, "wait-lost"),
        };
        lines.push((Some(role), screen.text(key, &words)));
        if !self.report.problem.is_empty() {
            lines.push((None, format!("  {}", self.report.problem)));
        }
        let refused = self.report.refused.iter().map(refused_line);
        let waiting = self.report.waiting.iter().map(waiting_line);
        let lost = self.report.lost.iter().map(|proxy| format!("  {proxy}  gone"));
        shorten(refused.collect(), &mut lines);
        if *outcome != WaitOutcome::Refused {
            shorten(waiting.collect(), &mut lines);
        }
        shorten(lost.collect(), &mut lines);
        if let Some(first) = self.report.refused.first() {
            let next = format!("Next: meltemi proxy config {}", first.proxy);
            lines.push((None, next));
        } else if *outcome == WaitOutcome::TimedOut {
            lines.push((None, "Next: meltemi proxy status".to_owned()));
        }
        lines
    }
}

/// Lines for people, the marked ones as what they are.
pub(crate) fn print_lines(
    lines: Vec<(Option<Role>, String)>,
    screen: &mut Screen<'_>,
) -> anyhow::Result<()> {
    lines.into_iter().try_for_each(|(role, line)| match role {
        Some(role) => screen.mark(role, &line),
        None => screen.line(&line),
    })?;
    Ok(())
}

fn refused_line(refused: &RefusedResource) -> String {
    format!("  {}  {} {}: {}", refused.proxy, refused.kind, refused.name, refused.message)
}

fn waiting_line(waiting: &WaitingProxy) -> String {
    let pending: Vec<String> =
        waiting.pending.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let mut line = format!("  {}  waits", waiting.proxy);
    if !pending.is_empty() {
        line.push_str(&format!(" for {}", pending.join(", ")));
    }
    for reason in &waiting.held_back {
        line.push_str(&format!("\n    {reason}"));
    }
    line
}

fn shorten(list: Vec<String>, lines: &mut Vec<(Option<Role>, String)>) {
    let more = list.len().saturating_sub(MOST_SHOWN);
    lines.extend(list.into_iter().take(MOST_SHOWN).map(|line| (None, line)));
    if more > 0 {
        lines.push((None, format!("  and {more} more")));
    }
}
