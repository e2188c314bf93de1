//! The changes that are made while load runs.

mod broken;
mod instances;
mod restart;
mod routes;

use anyhow::Result;

use crate::run::Demo;

pub(crate) async fn run(demo: &mut Demo) -> Result<()> {
    routes::steady(demo).await?;
    routes::shift_weights(demo).await?;
    routes::add_subset(demo).await?;
    routes::remove_subset(demo).await?;
    instances::kill(demo).await?;
    instances::bring_back(demo).await?;
    broken::break_file(demo).await?;
    broken::mend_file(demo).await?;
    restart::kill_plane(demo).await
}
