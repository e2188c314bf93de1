//! `scope import`.

use std::collections::BTreeSet;

use admin::{ScopeImportReport, ScopeImportRequest};

use crate::{
    client::Server,
    input::InputFiles,
    output::{Exit, Format, Role, Screen, Table},
};

/// Take in call graphs: CSV and JSON, Jaeger, SkyWalking, Kiali.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi scope import -f calls.csv --dry-run
  curl -s jaeger:16686/api/dependencies?endTs=… | meltemi scope import -f - -n shop
  meltemi scope import -f kiali-graph.json -o json

A line of CSV is workload,host,count, such as shop/web,pay.bank.svc.cluster.local,12, unless the
first line names other columns, such as source,destination,calls; JSON is a list of {workload,
host, count}, or what /api/dependencies of Jaeger, a topology query of SkyWalking, or
/api/namespaces/graph of Kiali answers. The form is told by the content.

Exit codes: 0 done, 64 wrong usage, 65 a file is no call graph, 69 no control plane, 77 not allowed
from here, 79 something was left out")]
pub(crate) struct Import {
    #[command(flatten)]
    files: InputFiles,
    /// Namespace of names that have none.
    #[arg(short, long, default_value = "")]
    namespace: String,
    /// Only show what would be learned.
    #[arg(long)]
    dry_run: bool,
    #[arg(short, long, default_value = "table", value_parser = Format::among(&[Format::Table, Format::Json, Format::Yaml]))]
    pub(super) output: Format,
    #[command(flatten)]
    server: Server,
}

impl Import {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { files, namespace, dry_run, output, server } = self;
        let request = ScopeImportRequest { files: files.read(screen)?, namespace, dry_run };
        let report: ScopeImportReport =
            server.post("/api/scope/import", &request, screen.catalogue()).await?;
        print(&report, output, screen)?;
        Ok(if report.findings.is_empty() { Exit::Done } else { Exit::Findings })
    }
}

fn print(
    report: &ScopeImportReport,
    output: Format,
    screen: &mut Screen<'_>,
) -> anyhow::Result<()> {
    if output != Format::Table {
        return screen.structured(output, report);
    }
    for finding in &report.findings {
        eprintln!("{finding}");
    }
    let new = report.calls.iter().filter(|call| !call.known).count();
    if report.dry_run {
        let mut table = Table::new(["WORKLOAD", "DEPENDENCY", "COUNT", "KNOWN"]);
        for call in &report.calls {
            let known = if call.known { "yes" } else { "no" };
            let cells = [&call.workload, &call.host, &call.count.to_string(), known];
            table.row(cells.map(Into::into));
        }
        screen.table(&table)?;
    }
    let words = [
        ("total", report.calls.len().into()),
        ("new", new.into()),
        ("left", report.findings.len().into()),
    ];
    let key = if report.dry_run { "scope-import-dry-run" } else { "scope-import" };
    screen.say(key, &words)?;
    let undefined = report.calls.iter().filter(|call| call.undefined).map(|call| &*call.host);
    let undefined: BTreeSet<&str> = undefined.collect();
    if let Some(first) = undefined.first() {
        let words = [("count", undefined.len().into()), ("host", (*first).into())];
        let text = screen.text("scope-import-undefined", &words);
        screen.mark(Role::Warning, &text)?;
    }
    Ok(())
}
