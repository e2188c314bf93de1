//! How the rows are measured. Each starts what it needs and ends it again.

mod base;
mod change;
mod check;
mod churn;
mod cold;
mod growth;
mod lazy;
mod plane;
mod reconnect;
mod scale;
mod simulated;
mod slow;
mod soak;
mod start;
mod versus;

use std::path::PathBuf;

use anyhow::Result;

pub(crate) use self::{lazy::soak as soak_lazy, soak::soak, versus::versus};
use crate::{progress::Progress, report::Case, rows::RowId};

/// What all rows need.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The control plane's binary.
    pub(crate) meltemi: PathBuf,
    /// A small run that only shows that the bench works.
    pub(crate) quick: bool,
    /// So many streams fit into the limit of open files, here and in the server.
    pub(crate) most_streams: usize,
    pub(crate) progress: Progress,
}

impl Context {
    /// The size for figures, or the one for a quick run.
    fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// As many streams as wanted, or as can be.
    fn streams(&self, full: usize, quick: usize) -> usize {
        let wanted = self.pick(full, quick);
        if wanted > self.most_streams {
            let most = self.most_streams;
            self.progress.say(format_args!(
                "only {most} of {wanted} streams: `ulimit -n` allows no more open files"
            ));
        }
        wanted.min(self.most_streams)
    }
}

/// Measures one row.
pub(crate) async fn run(row: RowId, context: &Context) -> Result<Vec<Case>> {
    match row {
        RowId::Base => base::run(context).await,
        RowId::Cold => cold::run(context).await,
        RowId::ColdLarge => cold::run_large(context).await,
        RowId::Endpoint => change::run_endpoint(context).await,
        RowId::Route => change::run_route(context).await,
        RowId::RouteSome => change::run_route_some(context).await,
        RowId::Churn => churn::run(context).await,
        RowId::Reconnect => reconnect::run(context).await,
        RowId::Check => check::run(context).await,
        RowId::Start => start::run(context).await,
        RowId::StartEntries => start::run_entries(context).await,
        RowId::SlowReader => slow::run(context).await,
        RowId::Memory => scale::run_memory(context).await,
        RowId::Many => scale::run_many(context).await,
        RowId::GrowthServices => growth::run_services(context).await,
        RowId::GrowthStreams => growth::run_streams(context).await,
        RowId::GrowthClasses => growth::run_classes(context).await,
        RowId::Simulated => simulated::run(context).await,
        RowId::LazyFirst => lazy::run_first(context).await,
        RowId::LazyGateway => lazy::run_gateway(context).await,
        RowId::LazyMany => lazy::run_many(context).await,
        RowId::LazyEnvoy => lazy::run_envoy(context).await,
        RowId::LazyConnect => lazy::run_connect(context).await,
        RowId::LazyRestart => lazy::run_restart(context).await,
        RowId::LazyJunk => lazy::run_junk(context).await,
    }
}
