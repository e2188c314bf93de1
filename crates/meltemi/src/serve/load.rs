//! Keeps the load of this replica in bounds: its memory, and its share of the streams.
//!
//! - Short memory: no new streams. Critical: a few connections at a time are sent elsewhere.
//! - Streams lie on replicas as they happened to connect, and after a restart nearly all on the
//!   others. Each replica asks its peers how many they have, and hands over half of what it has in
//!   excess, until little is left of it. Nobody tells another what to do: a peer that is wrong about
//!   itself, or does not answer, at worst leaves things as they are.

use std::{
    collections::{BTreeSet, hash_map::RandomState},
    hash::BuildHasher,
    net::SocketAddr,
    time::Duration,
};

use admin::LoadReport;
use anyhow::Context;
use runtime::Pressure;
use tokio::{net::lookup_host, time};
use tokio_util::sync::CancellationToken;
use xds::Control;

use crate::{client::fetch, settings::LimitSettings};

/// How often peers are asked.
const ROUND: Duration = Duration::from_secs(15);
/// Over how long connections of one round go.
const SPREAD: Duration = Duration::from_secs(10);
/// The part of the excess that is handed over in one round: peers that are compared at different
/// moments must not be made to swing.
const PART: f64 = 0.5;
/// What is no excess: a tenth, and a few streams.
const TOLERANCE: f64 = 0.1;
const FEW: f64 = 5.0;
/// What is let go in a second while memory is critical.
const SHED: f64 = 0.01;
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

impl LimitSettings {
    /// Tells at any time how much this replica has to do.
    pub(super) fn load(
        &self,
        metrics: &xds::Metrics,
        control: &Control,
    ) -> impl Fn() -> LoadReport + Clone + Send + Sync + 'static {
        let (metrics, control, weight) = (metrics.clone(), control.clone(), self.weight.get());
        let random = RandomState::new().hash_one(std::process::id());
        let instance = format!("{random:016x}");
        move || LoadReport {
            instance: instance.clone(),
            streams: metrics.streams_open.get().max(0) as u64,
            weight,
            accepts: !control.is_closed(),
        }
    }
}

/// Watches memory until `shutdown`.
pub(super) fn watch_memory(
    settings: &LimitSettings,
    control: Control,
    shutdown: CancellationToken,
) {
    let Some(limit) = settings.memory else { return };
    let act = move |pressure: Pressure| {
        control.close(pressure >= Pressure::Short);
        if pressure == Pressure::Critical {
            control.hand_over(SHED, Duration::from_secs(1));
        }
    };
    tokio::spawn(runtime::watch_memory(limit.0, act, shutdown));
}

/// Hands over streams to `peers` until `shutdown`. `own` tells how many this replica has.
pub(super) async fn balance(
    peers: Vec<String>,
    own: impl Fn() -> LoadReport + Send,
    control: Control,
    shutdown: CancellationToken,
) {
    if peers.is_empty() {
        return;
    }
    while shutdown.run_until_cancelled(time::sleep(ROUND)).await.is_some() {
        let own = own();
        let others = loads(&peers, &own).await;
        if let Some(share) = excess(&own, &others) {
            tracing::info!(streams = own.streams, share, "Streams are handed over to peers");
            control.hand_over(share, SPREAD);
        }
    }
}

/// The loads of all peers that answer, without this replica itself.
async fn loads(peers: &[String], own: &LoadReport) -> Vec<LoadReport> {
    let mut addresses: BTreeSet<SocketAddr> = BTreeSet::new();
    for peer in peers {
        match lookup_host(peer).await {
            Ok(found) => addresses.extend(found),
            Err(error) => tracing::warn!(peer, %error, "A peer's name is not found"),
        }
    }
    let mut loads = Vec::new();
    for address in addresses {
        let asked = time::timeout(ANSWER_LIMIT, fetch(address, "/debug/load"));
        let answer = asked.await.context("it did not answer in time").flatten();
        match answer {
            Ok(load) => loads.push(load),
            Err(error) => tracing::debug!(%address, %error, "A peer does not answer"),
        }
    }
    loads.retain(|load: &LoadReport| load.instance != own.instance);
    loads
}

/// The share of its own connections that a replica should hand over, if it has too many.
fn excess(own: &LoadReport, others: &[LoadReport]) -> Option<f64> {
    let takers: Vec<&LoadReport> = others.iter().filter(|it| it.accepts).collect();
    if takers.is_empty() {
        return None;
    }
    let all = || takers.iter().copied().chain([own]);
    let streams: f64 = all().map(|it| it.streams as f64).sum();
    let weights: f64 = all().map(|it| f64::from(it.weight)).sum();
    let fair = streams * f64::from(own.weight) / weights;
    let excess = own.streams as f64 - fair;
    (excess > FEW.max(fair * TOLERANCE)).then(|| PART * excess / own.streams as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(streams: u64, weight: u32) -> LoadReport {
        LoadReport { instance: String::new(), streams, weight, accepts: true }
    }

    #[test]
    fn half_of_the_excess_goes_until_little_is_left() {
        assert_eq!(excess(&load(1_000, 1), &[load(0, 1)]), Some(0.25));
        assert_eq!(excess(&load(0, 1), &[load(1_000, 1)]), None);
        let (mut one, mut other) = (1_000, 0);
        for _ in 0..10 {
            let share = excess(&load(one, 1), &[load(other, 1)]).unwrap_or_default();
            let gone = (one as f64 * share) as u64;
            (one, other) = (one - gone, other + gone);
        }
        assert!((500..=550).contains(&one), "{one} and {other}");
    }

    #[test]
    fn a_replica_of_twice_the_weight_has_twice_the_streams() {
        assert_eq!(excess(&load(600, 2), &[load(300, 1)]), None);
        assert_eq!(excess(&load(300, 1), &[load(300, 2)]), Some(0.5 / 3.0));
    }

    #[test]
    fn nothing_goes_where_nobody_takes_it() {
        assert_eq!(excess(&load(1_000, 1), &[]), None);
        let full = LoadReport { accepts: false, ..load(0, 1) };
        assert_eq!(excess(&load(1_000, 1), &[full]), None);
        // Little is left to chance.
        assert_eq!(excess(&load(8, 1), &[load(0, 1)]), None);
    }
}
