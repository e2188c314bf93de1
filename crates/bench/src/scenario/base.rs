//! The figures of the README: cold sync, changes and a reconnect on one mesh, with both protocols.

use anyhow::Result;
use xds::Protocol;

use super::{
    Context,
    change::Change,
    plane::{Plane, PlaneSettings},
};
use crate::report::Case;

pub(super) async fn run(context: &Context) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for count in context.pick([100, 1_000], [5, 10]) {
        for (protocol, name) in [(Protocol::Delta, "delta"), (Protocol::Sotw, "sotw")] {
            let settings = PlaneSettings::delta(context.pick(200, 20), context.pick(10, 2));
            let settings = PlaneSettings { protocol, ..settings };
            let mut plane = Plane::start(context, &settings).await?;
            let case = |what: &str| Case::new(format!("{count} {name}: {what}"));
            let mut cold = case("cold");
            plane.cold(count, &mut cold).await?;
            let mut endpoint = case("endpoint");
            let rounds = (context.pick(5, 2), count);
            plane.change(Change::Endpoint, rounds, &mut endpoint).await?;
            let mut route = case("route");
            plane.change(Change::Route, rounds, &mut route).await?;
            let mut reconnect = case("reconnect");
            plane.reconnect(&mut reconnect).await?;
            cases.extend([cold, endpoint, route, reconnect]);
        }
    }
    Ok(cases)
}
