//! More streams than a machine has sockets: the real engine and the real service, in one process
//! with as many proxies, over memory.
//!
//! Everything is counted: who was told of what, and that nothing is sent twice. Times say nothing
//! about a network. Not here: the figures of a server with sockets (`scenario`).

mod crowd;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use api::istio::mesh_config::MeshConfig;
use push::{Engine, EngineHandle, PushService};
use snapshot::{Change as MeshChange, Features, Index};
use tokio::time;
use xds::{Metrics, Protocol, Settings, memory::MemoryServer};

use self::crowd::Crowd;
use crate::{
    client::{Kind, node_field},
    mesh::{MeshSize, RouteScope},
    proc,
    progress::Progress,
    report::{Case, Unit},
    statistics::{as_float, from_count, milliseconds},
};

/// How many streams of which mesh.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Simulation {
    #[arg(long, default_value_t = 100_000)]
    pub(crate) streams: usize,
    #[arg(long, default_value_t = 1_000)]
    pub(crate) services: usize,
    /// Of each service.
    #[arg(long, default_value_t = 10)]
    pub(crate) endpoints: usize,
    /// Workloads that the streams are replicas of, each in a namespace of its own.
    #[arg(long, default_value_t = 20)]
    pub(crate) workloads: usize,
}

const POLL: Duration = Duration::from_millis(5);
/// What a server that has read everything is given to decide.
const QUIET: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(600);
/// Of all streams one in so many comes back in the end.
const BACK: usize = 100;

impl Simulation {
    /// Connects everybody, changes an endpoint and a route, and has some proxies come back.
    pub(crate) async fn run(&self, progress: &Progress) -> Result<Case> {
        let mut plane = MemoryPlane::start(*self)?;
        let Self { streams, workloads, .. } = *self;
        let mut case = Case::new(format!("{streams} streams, {} services", self.services));
        plane.open(0..workloads).await?;
        let (one_each, begun, cpu) = (resident()?, Instant::now(), proc::cpu("self")?);
        plane.crowd.counts.reset();
        plane.open(workloads..streams).await?;
        progress.say(format_args!("{streams} streams are in sync after {:?}", begun.elapsed()));
        let rest = as_float(streams - workloads).max(1.0);
        case.add("all in sync", begun.elapsed().as_secs_f64(), Unit::Seconds);
        case.add("CPU a stream", (proc::cpu("self")? - cpu) * 1e3 / rest, Unit::CpuMilliseconds);
        let bytes = plane.crowd.counts.bytes.load(Ordering::Acquire);
        case.add("sent a stream", from_count(bytes) / 1e3 / rest, Unit::Kilobytes);
        let memory = resident()?.saturating_sub(one_each);
        case.add("memory a stream", from_count(memory) / rest, Unit::Kilobytes);
        case.add("streams not complete", as_float(plane.incomplete()), Unit::Count);
        let mut again = plane.sent_again();

        let seen = plane.change(Kind::Endpoint, streams, progress, &mut case).await?;
        again += seen;
        let dependants = (0..streams).filter(|stream| stream % workloads == 0).count();
        again += plane.change(Kind::Route, dependants, progress, &mut case).await?;
        case.add("resources sent twice", from_count(again), Unit::Count);
        plane.come_back(streams / BACK, &mut case).await?;
        let (states, responses) = plane.crowd.distinct();
        progress.say(format_args!("{responses} different responses led to {states} states"));
        case.add("memory", from_count(resident()?) / 1e3, Unit::Megabytes);
        Ok(case)
    }
}

/// A control plane and its proxies.
struct MemoryPlane {
    simulation: Simulation,
    mesh: MeshSize,
    index: Index,
    engine: EngineHandle,
    metrics: Metrics,
    server: MemoryServer<PushService>,
    crowd: Arc<Crowd>,
    /// Streams that are open.
    open: usize,
}

impl MemoryPlane {
    fn start(simulation: Simulation) -> Result<Self> {
        let Simulation { streams, services, endpoints, workloads } = simulation;
        ensure!(services > 0 && workloads > 0 && streams >= workloads, "too few of something");
        let route_scope = RouteScope::Namespace;
        let mesh = MeshSize { services, endpoints, workloads, route_scope, backends: None };
        let config = Arc::new(MeshConfig::default());
        let mut index = Index::new(config, Features::default(), "cluster.local");
        index.apply(mesh.documents().iter().flat_map(|text| changes(text)));
        let engine = Engine::start(index.snapshot());
        let service = PushService::new(engine.clone());
        let metrics = Metrics::default();
        let server = MemoryServer::new(service, Settings::default(), metrics.clone());
        let crowd = Arc::new(Crowd::new(streams + streams / BACK));
        Ok(Self { simulation, mesh, index, engine, metrics, server, crowd, open: 0 })
    }

    /// Opens streams that hold nothing, and waits until they have everything.
    async fn open(&mut self, streams: std::ops::Range<usize>) -> Result<()> {
        for stream in streams {
            self.open_one(stream, stream, 0);
        }
        self.settle().await
    }

    /// A stream of the proxy `proxy`, that says that it holds what is in `state`.
    fn open_one(&mut self, stream: usize, proxy: usize, state: u32) {
        let node = node_field(&self.mesh.proxy(proxy), Protocol::Delta);
        let client = self.server.connect(Protocol::Delta);
        tokio::spawn(self.crowd.clone().run(stream, state, node, client));
        self.open += 1;
    }

    /// Waits until every stream is in sync, and nothing is on its way: the server has read all
    /// that was sent to it, the streams all that it has sent, and so it stays for a while.
    async fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut quiet_since = Instant::now();
        let mut before = (0, 0);
        loop {
            ensure!(self.crowd.ended() == 0, "{} streams have ended", self.crowd.ended());
            if Instant::now() > deadline {
                bail!("{} of {} streams are in sync", self.crowd.synced(), self.open);
            }
            let (sent, received) = self.crowd.messages();
            let read = self.metrics.requests.get() == sent;
            let is_still = read && self.metrics.responses.get() == received;
            if !is_still || before != (sent, received) {
                quiet_since = Instant::now();
            }
            if self.crowd.synced() >= self.open && quiet_since.elapsed() > QUIET {
                return Ok(());
            }
            before = (sent, received);
            time::sleep(POLL).await;
        }
    }

    /// Changes an object, and says who was told. Gives how many resources were sent twice.
    async fn change(
        &mut self,
        kind: Kind,
        dependants: usize,
        progress: &Progress,
        case: &mut Case,
    ) -> Result<u64> {
        let (name, text) = match kind {
            Kind::Endpoint => ("endpoint", self.mesh.changed_service()),
            Kind::Route => ("route", self.mesh.changed_route()),
            Kind::Cluster | Kind::Listener | Kind::VirtualHost => bail!("no such change"),
        };
        self.crowd.counts.reset();
        let (begun, cpu) = (Instant::now(), proc::cpu("self")?);
        let compiled = self.engine.counters().compiled.get();
        let changed = self.index.apply(changes(&text));
        let snapshot = self.index.snapshot();
        let revision = snapshot.revision;
        self.engine.publish(snapshot, changed, begun).await;
        self.engine.settled(revision).await;
        while self.crowd.counts.responses(kind) < dependants as u64 {
            ensure!(begun.elapsed() < PATIENCE, "the change does not reach everybody");
            time::sleep(POLL).await;
        }
        let (took, cpu) = (begun.elapsed(), proc::cpu("self")? - cpu);
        self.settle().await?;
        progress.say(format_args!("one {name} reached {dependants} streams after {took:?}"));
        let counts = &self.crowd.counts;
        let mut add = |what: &str, value: f64, unit: Unit| {
            case.add(&format!("{name}: {what}"), value, unit);
        };
        add("last", milliseconds(took), Unit::Milliseconds);
        add("CPU", cpu, Unit::CpuSeconds);
        add("compiled", from_count(self.engine.counters().compiled.get() - compiled), Unit::Count);
        let told = from_count(counts.responses(kind));
        add("streams missed", (as_float(dependants) - told).max(0.0), Unit::Count);
        // Each dependant is sent one resource in one response, and nobody anything else.
        let responses = from_count(counts.all_responses());
        add("responses too many", (responses - as_float(dependants)).max(0.0), Unit::Count);
        let resources = from_count(counts.resources.load(Ordering::Acquire));
        add("resources too many", (resources - as_float(dependants)).max(0.0), Unit::Count);
        add("streams not complete", as_float(self.incomplete()), Unit::Count);
        Ok(self.sent_again())
    }

    /// Further streams that say they hold what some others hold: they are sent nothing.
    async fn come_back(&mut self, count: usize, case: &mut Case) -> Result<()> {
        self.crowd.counts.reset();
        for offset in 0..count {
            let (stream, state) = (self.simulation.streams + offset, self.crowd.state_of(offset));
            self.open_one(stream, offset, state);
        }
        self.settle().await?;
        let resources = self.crowd.counts.resources.load(Ordering::Acquire);
        case.add("resources sent to who comes back", from_count(resources), Unit::Count);
        Ok(())
    }

    fn sent_again(&self) -> u64 {
        self.crowd.counts.again.load(Ordering::Acquire)
    }

    /// Streams that hold something else than the first one of their workload, or nothing of a type.
    fn incomplete(&self) -> usize {
        let workloads = self.simulation.workloads;
        let first: Vec<_> = (0..workloads).map(|it| self.crowd.fingerprint(it)).collect();
        let is_incomplete = |stream: &usize| {
            let held = self.crowd.fingerprint(*stream);
            let lacks = |kind: &Kind| held[*kind as usize] == 0;
            held != first[stream % workloads] || Kind::ALWAYS.iter().any(lacks)
        };
        (0..self.open.min(self.simulation.streams)).filter(is_incomplete).count()
    }
}

fn changes(text: &str) -> Vec<MeshChange> {
    let (objects, _) = api::parse_documents("simulation.yaml", text.as_bytes());
    objects.into_iter().map(MeshChange::Put).collect()
}

/// In kB.
fn resident() -> Result<u64> {
    Ok(proc::resident("self")?.now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_depends_on_a_change_is_told_once_and_nobody_else() {
        let simulation = Simulation { streams: 200, services: 20, endpoints: 2, workloads: 5 };
        let case = simulation.run(&Progress::new()).await.unwrap();
        for name in [
            "streams not complete",
            "endpoint: streams missed",
            "endpoint: responses too many",
            "endpoint: resources too many",
            "endpoint: streams not complete",
            "route: streams missed",
            "route: responses too many",
            "route: resources too many",
            "route: streams not complete",
            "resources sent twice",
            "resources sent to who comes back",
        ] {
            assert_eq!(case.get(name), Some(0.0), "{name}");
        }
        assert!(case.get("sent a stream").unwrap() > 20.0, "{case:?}");
        // One assignment for all, and one route configuration for the only class that sees the rule.
        assert_eq!(case.get("endpoint: compiled"), Some(1.0));
        assert_eq!(case.get("route: compiled"), Some(1.0));
    }
}
