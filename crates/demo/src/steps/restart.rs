//! The control plane crashes and comes back; proxies go on with what they have.

use std::time::Duration;

use anyhow::Result;

use crate::{plane::Plane, run::Demo};

/// What a certificate, its issuer's and the key are smaller than.
const CERTIFICATE: u64 = 2_500;
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
    // Keys are never kept, so each gets a new one; everything else it has already.
    let each = live.bytes / u64::try_from(count)?;
    demo.report.check(each < CERTIFICATE, format!("only a new certificate is sent, {each} bytes"));
    demo.watch(LOOK).await;
    demo.end(step, Some(live));
    Ok(())
}
