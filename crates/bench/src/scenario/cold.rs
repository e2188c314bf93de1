//! All streams connect at once and hold nothing.

use anyhow::Result;

use super::{
    Context,
    plane::{Plane, PlaneSettings, temporary_folder},
};
use crate::{
    mesh::MeshFiles,
    replay::{self, Recording},
    report::{Case, Unit},
    server::MeasuredServer,
};

pub(super) async fn run(context: &Context) -> Result<Vec<Case>> {
    let settings = PlaneSettings::delta(context.pick(200, 20), context.pick(10, 2));
    let count = context.streams(1_000, 10);
    let mut case = Case::new(format!("{count} streams"));
    Plane::start(context, &settings).await?.cold(count, &mut case).await?;
    Ok(vec![case])
}

/// The plane, and then a server that sends the same bytes without knowing what they are.
pub(super) async fn run_large(context: &Context) -> Result<Vec<Case>> {
    let settings = PlaneSettings::delta(context.pick(2_000, 20), context.pick(50, 2));
    let mut cases = Vec::new();
    for count in context.pick([100, 1_000], [5, 10]) {
        let count = context.streams(count, count);
        let mut case = Case::new(format!("{count} streams"));
        let recording = {
            let mut plane = Plane::start(context, &settings).await?;
            plane.cold(count, &mut case).await?;
            replay::record(plane.server.xds, settings.mesh.proxy(0).node()).await?
        };
        let mut floor = Case::new(format!("{count}: replay"));
        measure_replay(context, &settings, &recording, (count, &mut floor)).await?;
        let get = |case: &Case, name: &str| case.get(name).unwrap_or_default();
        for (name, value, against) in [
            ("CPU against replay", get(&case, "server CPU"), get(&floor, "server CPU")),
            ("first against last", get(&case, "first"), get(&case, "last")),
        ] {
            // A tiny mesh takes less than a tick of the clock.
            if against > 0.0 {
                case.add(name, value / against, Unit::Times);
            }
        }
        cases.extend([case, floor]);
    }
    Ok(cases)
}

async fn measure_replay(
    context: &Context,
    settings: &PlaneSettings,
    recording: &Recording,
    (count, case): (usize, &mut Case),
) -> Result<()> {
    let folder = temporary_folder()?;
    let file = folder.path().join("recording");
    recording.save(&file)?;
    let megabytes = recording.len() / 1_000_000;
    context.progress.say(format_args!("a server that replays {megabytes} MB for each stream"));
    let mut server = MeasuredServer::start_replay(&file, &folder.path().join("server.log"))?;
    server.wait_ready().await?;
    let files = MeshFiles::none(settings.mesh, folder.path());
    Plane::on(context, settings, server, files, folder)?.cold(count, case).await
}
