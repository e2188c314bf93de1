//! `scope`: whom workloads were seen to call, and what people decide about it.
//!
//! - Not here: how is learned and forgotten (the crate `scope`).

mod export;
mod fences;
mod import;
mod known;
mod plan;
mod print;
mod switch;

use admin::{ScopeDecision, ScopeEdgeList, ScopeExplanation, ScopeList, ScopeTarget};
use clap::Subcommand;

use crate::{
    client::{Server, encode},
    environment::Environment,
    output::{Exit, Format, Role, Screen},
};

use self::{
    export::Export,
    fences::Fences,
    import::Import,
    plan::Plan,
    switch::{Disable, Enable},
};

const FORMATS: &[Format] = &[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name];

/// Show whom workloads were seen to call, and decide about it.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  meltemi scope
  meltemi scope shop/web
  meltemi scope shop/web -o json
  meltemi scope explain shop/web pay.bank.svc.cluster.local
  meltemi scope pin shop/web pay.bank.svc.cluster.local

Exit codes: 0 done, 1 failed, 64 wrong usage, 69 no control plane"
)]
pub(crate) struct Scope {
    #[command(subcommand)]
    verb: Option<ScopeVerb>,
    /// Its dependencies (`namespace/name`); all workloads if absent, those first that need a look.
    workload: Option<String>,
    #[arg(short, long, default_value = "table", value_parser = Format::among(FORMATS))]
    output: Format,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScopeVerb {
    /// All workloads, those first that need a look, and whose fences are off.
    List(List),
    /// Why a host is in a scope, or is not.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Keep a dependency until it is unpinned; it need not have been seen.
    #[command(after_help = PIN_EXAMPLES)]
    Pin(Decide),
    /// Let a dependency age again.
    #[command(after_help = UNPIN_EXAMPLES)]
    Unpin(Decide),
    /// Forget what was learned, but what is pinned.
    Reset(Reset),
    /// Show what fences would cut, from what is known; nothing is changed.
    Plan(Plan),
    /// Send workloads everything, whatever fences and labels say, and wait until they have it.
    Disable(Disable),
    /// Let fences and labels count again.
    Enable(Enable),
    /// Show fences with their dependencies, as Slime's status has them.
    Fences(Fences),
    /// Take in call graphs: CSV and JSON, Jaeger, SkyWalking, Kiali.
    Import(Import),
    /// Print fences, with what was learned, as ordinary Sidecar objects.
    Export(Export),
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  meltemi scope explain shop/web pay.bank.svc.cluster.local

Exit codes: 0 it is in the scope, 1 it is not, 64 wrong usage, 69 no control plane";

const PIN_EXAMPLES: &str = "\
Examples:
  meltemi scope pin shop/web pay.bank.svc.cluster.local

Exit codes: 0 done, 1 failed, 64 wrong usage, 69 no control plane, 77 not allowed from here";

const UNPIN_EXAMPLES: &str = "\
Examples:
  meltemi scope unpin shop/web pay.bank.svc.cluster.local

Exit codes: 0 done, 1 it is not pinned, 64 wrong usage, 69 no control plane, 77 not allowed from here";

/// All workloads, those first that need a look, and whose fences are off.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi scope list
  meltemi scope list -o json

Exit codes: 0 done, 64 wrong usage, 69 no control plane")]
pub(crate) struct List {
    #[arg(short, long, default_value = "table", value_parser = Format::among(FORMATS))]
    output: Format,
    #[command(flatten)]
    server: Server,
}

/// Why a host is in a scope, or is not.
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// `namespace/name`.
    workload: String,
    /// Host of the service, such as `pay.bank.svc.cluster.local`, or as the workload writes it.
    host: String,
    #[arg(short, long, default_value = "table", value_parser = Format::among(&[Format::Table, Format::Json, Format::Yaml]))]
    output: Format,
    #[command(flatten)]
    server: Server,
}

/// Which dependency.
#[derive(Debug, clap::Args)]
pub(crate) struct Decide {
    /// `namespace/name`.
    workload: String,
    /// Host of the service, such as `pay.bank.svc.cluster.local`, or as the workload writes it.
    host: String,
    #[command(flatten)]
    server: Server,
}

/// What is decided about a dependency.
#[derive(Clone, Copy, Debug)]
enum Decision {
    Pin,
    Unpin,
}

/// Forget what was learned, but what is pinned.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi scope reset shop/web
  meltemi scope reset shop/web pay.bank.svc.cluster.local

Exit codes: 0 done, 1 failed, 64 wrong usage, 69 no control plane, 77 not allowed from here")]
pub(crate) struct Reset {
    /// `namespace/name`.
    workload: String,
    /// Only this host.
    host: Option<String>,
    #[command(flatten)]
    server: Server,
}

impl Scope {
    /// Errors take the form of the output.
    pub(crate) fn format(&self) -> Format {
        match &self.verb {
            None => self.output,
            Some(ScopeVerb::Explain(args)) => args.output,
            Some(ScopeVerb::Import(args)) => args.output,
            Some(ScopeVerb::List(args)) => args.output,
            Some(ScopeVerb::Plan(args)) => args.output,
            Some(ScopeVerb::Fences(args)) => args.output,
            Some(ScopeVerb::Disable(args)) => args.output,
            Some(
                ScopeVerb::Pin(_)
                | ScopeVerb::Unpin(_)
                | ScopeVerb::Reset(_)
                | ScopeVerb::Enable(_)
                | ScopeVerb::Export(_),
            ) => Format::Table,
        }
    }

    pub(crate) async fn run(
        self,
        environment: &Environment,
        screen: &mut Screen<'_>,
    ) -> anyhow::Result<Exit> {
        let Self { verb, workload, output, server } = self;
        match (verb, workload) {
            (Some(ScopeVerb::Explain(args)), _) => args.run(screen).await,
            (Some(ScopeVerb::Pin(args)), _) => args.run(Decision::Pin, screen).await,
            (Some(ScopeVerb::Unpin(args)), _) => args.run(Decision::Unpin, screen).await,
            (Some(ScopeVerb::Reset(args)), _) => args.run(screen).await,
            (Some(ScopeVerb::Plan(args)), _) => args.run(environment, screen).await,
            (Some(ScopeVerb::Fences(args)), _) => args.run(screen).await,
            (Some(ScopeVerb::Disable(args)), _) => args.run(screen).await,
            (Some(ScopeVerb::Enable(args)), _) => args.run(screen).await,
            (Some(ScopeVerb::Import(args)), _) => args.run(screen).await,
            (Some(ScopeVerb::List(args)), _) => args.run(screen).await,
            (Some(ScopeVerb::Export(args)), _) => args.run(screen).await,
            (None, Some(workload)) => {
                let path = format!("/debug/scope/edges?workload={}", encode(&workload));
                let edges: ScopeEdgeList = server.get(&path, screen.catalogue()).await?;
                let is_known = edges.fenced.is_some() || !edges.items.is_empty();
                print::edges(&workload, edges, output, screen)?;
                match is_known {
                    true => Ok(Exit::Done),
                    false => known::exit_of_query(&workload, &server, screen).await,
                }
            }
            (None, None) => List { output, server }.run(screen).await,
        }
    }
}

impl List {
    async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { output, server } = self;
        let list: ScopeList = server.get("/debug/scope", screen.catalogue()).await?;
        print::list(list, output, screen)?;
        Ok(Exit::Done)
    }
}

impl Explain {
    async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { workload, host, output, server } = self;
        let query = format!("workload={}&host={}", encode(&workload), encode(&host));
        let path = format!("/debug/scope/explain?{query}");
        let explanation: ScopeExplanation = server.get(&path, screen.catalogue()).await?;
        print::explanation(&explanation, output, screen)?;
        let is_in = explanation.in_scope.unwrap_or(explanation.edge.is_some());
        Ok(if is_in { Exit::Done } else { Exit::Failed })
    }
}

impl Decide {
    async fn run(self, decision: Decision, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { workload, host, server } = self;
        let target = ScopeTarget { workload: workload.clone(), host: host.clone() };
        let (path, key) = match decision {
            Decision::Pin => ("/api/scope/pin", "scope-pin"),
            Decision::Unpin => ("/api/scope/unpin", "scope-unpin"),
        };
        let decision: ScopeDecision = server.post(path, &target, screen.catalogue()).await?;
        let meant = if decision.host.is_empty() { &host } else { &decision.host };
        let near = decision.near.as_deref().unwrap_or_default();
        let words = [
            ("workload", workload.as_str().into()),
            ("host", meant.as_str().into()),
            ("near", near.into()),
            ("by", decision.barred_by.as_deref().unwrap_or_default().into()),
        ];
        screen.say(key, &words)?;
        for (key, is_so) in [
            ("scope-pin-undefined", decision.undefined),
            ("scope-pin-near", decision.near.is_some()),
            ("scope-pin-unknown-workload", decision.unknown_workload),
            ("scope-pin-barred", decision.barred_by.is_some()),
        ] {
            if is_so {
                let text = screen.text(key, &words);
                screen.mark(Role::Warning, &text)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Reset {
    async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { workload, host, server } = self;
        let target = ScopeTarget { workload: workload.clone(), host: host.unwrap_or_default() };
        let catalogue = screen.catalogue();
        let decision: ScopeDecision = server.post("/api/scope/reset", &target, catalogue).await?;
        let words = [("workload", workload.into()), ("count", decision.changed.into())];
        screen.say("scope-reset", &words)?;
        Ok(Exit::Done)
    }
}
