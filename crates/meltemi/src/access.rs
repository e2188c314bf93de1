//! `access`: black and white lists as plain AuthorizationPolicies.
//!
//! - What it writes is an object like any other, in a file of the served directories.
//! - Not here: what a policy does (`compile`), ending it in time (`source`).

mod list;
mod policy;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use admin::{ApplyReport, DeleteRequest, DiffReport, FileSetRequest, InputFile, ObjectName};
use api::Timestamp;
use clap::Subcommand;

use crate::{
    client::Server,
    diff,
    input::parse_duration,
    output::{Exit, Format, Screen},
    wait::wait_for,
};

use self::list::List;
use self::policy::{Callee, Caller, Grant, Verdict};

pub(crate) const EXAMPLES: &str = "\
Examples:
  meltemi access deny --from web --to shop/cart --ttl 1h
  meltemi access allow --from shop/web --to shop/cart --method GET --path '/items/*'
  meltemi access list

Exit codes: 0 done, 64 wrong usage; the page of each command lists its own";

#[derive(Debug, Subcommand)]
pub(crate) enum AccessVerb {
    /// Refuse what callers do; beats every policy that allows.
    #[command(after_help = WRITE_EXAMPLES)]
    Deny(Write),
    /// Allow callers; what no such policy allows is refused from then on.
    #[command(after_help = WRITE_EXAMPLES)]
    Allow(Write),
    /// Show what was denied and allowed, and until when.
    List(List),
    /// Take policies back.
    Remove(Remove),
}

const WRITE_EXAMPLES: &str = "\
Examples:
  meltemi access deny --from web --to shop/cart --ttl 1h
  meltemi access deny --from 10.0.0.0/8 --to shop --port 8080 --dry-run
  meltemi access allow --from shop/web,ops --to shop/version=v2,app=cart --method GET

Exit codes: 0 done, 1 failed or (dry run) differences, 64 usage, 69 no control plane, 77 not
allowed from here, 80 conflict; with --wait as `meltemi wait`";

/// Who may or may not do what.
#[derive(Debug, clap::Args)]
pub(crate) struct Write {
    /// Callers: `namespace/account`, `namespace`, an address range, or `*`.
    #[arg(long, required = true, value_delimiter = ',', value_name = "CALLER")]
    from: Vec<Caller>,
    /// Callee: `namespace/app`, `namespace/label=value,…`, `namespace`, or `*`.
    #[arg(long, value_name = "CALLEE")]
    to: Callee,
    /// Ports of the workload.
    #[arg(long, value_delimiter = ',')]
    port: Vec<u16>,
    /// Methods of requests.
    #[arg(long, value_delimiter = ',')]
    method: Vec<String>,
    /// Paths of requests, such as `/items/*`.
    #[arg(long, value_delimiter = ',')]
    path: Vec<String>,
    /// How long it holds, such as `1h`; for ever if absent.
    #[arg(long, value_parser = parse_duration)]
    ttl: Option<Duration>,
    /// Name of the policy; made of the rest if absent.
    #[arg(long)]
    name: Option<String>,
    /// Namespace of the policies that hold everywhere.
    #[arg(long, default_value = "istio-system")]
    root_namespace: String,
    /// Only show the object and what it would change.
    #[arg(long)]
    dry_run: bool,
    /// Wait until every proxy has acknowledged it.
    #[arg(long)]
    wait: bool,
    /// How long to wait, such as `90s` or `2m`.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    server: Server,
}

/// Take policies back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi access remove deny-web-to-shop-cart -n shop

Exit codes: 0 done, 1 failed or not there, 64 usage, 69 no control plane, 77 not allowed from here")]
pub(crate) struct Remove {
    /// Names, as `access list` shows them.
    #[arg(required = true)]
    names: Vec<String>,
    /// Their namespace.
    #[arg(short, long, default_value = "istio-system")]
    namespace: String,
    #[command(flatten)]
    server: Server,
}

impl AccessVerb {
    /// Errors take the form of the output.
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Deny(_) | Self::Allow(_) | Self::Remove(_) => Format::Table,
            Self::List(args) => args.output,
        }
    }

    pub(crate) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        match self {
            Self::Deny(args) => args.run(Verdict::Deny, screen).await,
            Self::Allow(args) => args.run(Verdict::Allow, screen).await,
            Self::List(args) => args.run(screen).await,
            Self::Remove(args) => args.run(screen).await,
        }
    }
}

impl Write {
    async fn run(self, verdict: Verdict, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { from, to, port, method, path, ttl, name, root_namespace, .. } = self;
        let Self { dry_run, wait, timeout, server, .. } = self;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let end = ttl.map(|ttl| i64::try_from((now + ttl).as_secs()).unwrap_or(i64::MAX));
        let expires = end.map(|end| Timestamp(end).to_string());
        let grant = Grant { verdict, from, to, port, method, path, expires, name, root_namespace };
        let text = grant.yaml();
        let request = FileSetRequest {
            files: vec![InputFile { name: "access".to_owned(), text: text.clone() }],
        };
        if dry_run {
            screen.line(text.trim_end())?;
            screen.line("")?;
            let report: DiffReport = server.post("/api/diff", &request, screen.catalogue()).await?;
            diff::print(&report, diff::Show::Summary, screen)?;
            return Ok(diff::exit(&report));
        }
        let report: ApplyReport = server.post("/api/apply", &request, screen.catalogue()).await?;
        for finding in &report.findings {
            eprintln!("{finding}");
        }
        for object in &report.objects {
            screen.line(&crate::apply::line(object, Format::Table))?;
        }
        if verdict == Verdict::Allow {
            screen.say("access-allow-note", &[])?;
        }
        match wait {
            false => Ok(Exit::Done),
            true => Ok(match wait_for(&server, timeout, 100, screen).await? {
                None => Exit::Interrupted,
                Some(result) => result.exit(false),
            }),
        }
    }
}

impl Remove {
    async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { names, namespace, server } = self;
        let object = |name: String| ObjectName {
            kind: "AuthorizationPolicy".to_owned(),
            namespace: namespace.clone(),
            name,
        };
        let request = DeleteRequest { objects: names.into_iter().map(object).collect() };
        let report: ApplyReport = server.post("/api/delete", &request, screen.catalogue()).await?;
        for object in &report.objects {
            screen.line(&crate::apply::line(object, Format::Table))?;
        }
        Ok(Exit::Done)
    }
}
