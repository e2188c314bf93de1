//! The control plane crashes and comes back; proxies go on with what they have.

use std::time::Duration;

use anyhow::Result;

use crate::{plane::Plane, run::Demo};

const DOWN: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(2);

pub(super) async fn kill_plane(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("kill -9 the control plane, and start it again");
    demo.plane.kill();
    demo.watch(DOWN).await;
    let mark = Plane::mark_of_nothing();
    let took = demo.plane.start().await?;
    demo.report.say(format_args!("ready again after {} ms", took.as_millis()));
    let count = demo.fleet.proxy_count();
    let live = demo.plane.wait_live(&mark, count).await?;
    demo.report.say(format_args!(
        "{count} proxies are back after {} ms, {} bytes sent",
        live.took.as_millis(),
        live.bytes
    ));
    let bytes = live.bytes;
    demo.report.check(bytes == 0, "nothing has changed, so nothing is sent");
    demo.watch(LOOK).await;
    demo.end(step, Some(live));
    Ok(())
}
