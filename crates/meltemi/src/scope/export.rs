//! `scope export`: the bridge to a control plane that knows no fences.

use admin::ScopeExport;
use anyhow::Context;

use super::known;
use crate::{
    client::{Server, encode},
    output::{Exit, Screen},
};

/// Print fences, with what was learned, as ordinary Sidecar objects.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi scope export > sidecars.yaml
  meltemi scope export shop
  meltemi scope export shop/web | kubectl apply -f -

Exit codes: 0 done, 1 nobody knows such a namespace or workload, 64 wrong usage, 69 no control plane")]
pub(crate) struct Export {
    /// A namespace, or one workload or fence of it; everything if absent.
    #[arg(value_name = "NAMESPACE[/WORKLOAD]")]
    what: Option<String>,
    #[command(flatten)]
    server: Server,
}

impl Export {
    pub(crate) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { what, server } = self;
        let what = what.unwrap_or_default();
        let (namespace, workload) = what.split_once('/').unwrap_or((&what, ""));
        let path = format!(
            "/debug/scope_export?namespace={}&workload={}",
            encode(namespace),
            encode(workload)
        );
        let export: ScopeExport = server.get(&path, screen.catalogue()).await?;
        let mut exit = Exit::Done;
        if export.items.is_empty() && export.left_out.is_empty() {
            // The output stays YAML.
            screen.line(&format!("# {}", screen.text("scope-export-none", &[])))?;
            exit = known::exit_of_query(&what, &server, screen).await?;
        }
        for workload in &export.left_out {
            let words = [("workload", workload.as_str().into())];
            screen.line(&format!("# {}", screen.text("scope-export-left-out", &words)))?;
        }
        for it in &export.limited_too {
            let words =
                [("workload", it.workload.as_str().into()), ("by", it.sidecar.as_str().into())];
            screen.line(&format!("# {}", screen.text("scope-export-limited-too", &words)))?;
        }
        for it in &export.overlapping {
            let words = [
                ("namespace", it.namespace.as_str().into()),
                ("by", it.sidecars.join(", ").into()),
            ];
            screen.line(&format!("# {}", screen.text("scope-export-overlapping", &words)))?;
        }
        for object in &export.items {
            let text = serde_saphyr::to_string(object).context("failed to write a Sidecar")?;
            screen.line(&format!("---\n{}", text.trim_end()))?;
        }
        Ok(exit)
    }
}
