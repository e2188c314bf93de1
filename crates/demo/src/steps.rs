//! The changes that are made while load runs.

mod broken;
mod instances;
mod lazy;
mod restart;
mod routes;
mod security;

use anyhow::Result;

use crate::run::Demo;

pub(crate) async fn run(demo: &mut Demo) -> Result<()> {
    security::identities(demo).await?;
    security::refused_callers(demo).await?;
    routes::steady(demo).await?;
    routes::shift_weights(demo).await?;
    routes::add_subset(demo).await?;
    routes::remove_subset(demo).await?;
    instances::kill(demo).await?;
    instances::bring_back(demo).await?;
    broken::break_file(demo).await?;
    broken::mend_file(demo).await?;
    security::rotate_root(demo).await?;
    restart::kill_plane(demo).await?;
    lazy::fence(demo).await
}
