//! One facet of a class: the jobs that make its resources, and what each of them read.
//!
//! A job runs again only when something that it read has changed, and what comes out equal ends the
//! work there.

mod clusters;
mod found;
mod gateway;
mod inbound;
mod on_demand;
mod outbound;
mod placed;
mod run;
mod secrets;
mod shelf;
mod visible;

use std::{collections::BTreeSet, sync::Arc};

use compile::{
    Client, Compiled, RouteInput, ScopeKey,
    cluster::{SpecialCluster, special_clusters},
    compile_route, compile_virtual_host,
    endpoint::Place,
    gateway::OwnPorts,
    inbound::InboundInput,
    telemetry::{RuntimeInput, compile_runtime, select_runtime},
};
use model::{Diagnostic, Diagnostics, Hostname, Namespace, Proxy, ServiceKey, Shared, WorkloadKey};
use snapshot::{Mesh, OutboundPolicy, Reader, Reads};

pub(crate) use self::{
    found::Found,
    on_demand::Answer,
    shelf::{Changed, JobId},
};
use self::{
    gateway::Gateway, inbound::Inbound, outbound::Outbound, placed::Placed, secrets::Secrets,
    shelf::Shelf, visible::Seen,
};
use crate::{FacetView, ResourceKind, Told, counters::Counters, memo::Memos};

pub(crate) type FacetId = u64;

/// What makes two facets the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FacetKey {
    /// Towards others: all but what depends on where the proxy runs.
    Outbound(Box<Client>),
    /// All of a gateway, with the same exception.
    Gateway(Box<Client>, OwnPorts),
    /// The assignments of a facet's clusters that depend on where the proxy runs.
    Placed(FacetId, Box<Client>, Place),
    /// Listeners and clusters towards the proxy's own application.
    Inbound(Shared<InboundInput>),
    /// What classes may see, of which fences leave them a part.
    Visible(Box<ScopeKey>),
    /// Kubernetes Secrets that proxies of a namespace have asked for and may have.
    Secrets(Namespace, SecretNames),
}

/// Names of secrets.
pub(crate) type SecretNames = Arc<BTreeSet<Arc<str>>>;

/// A unit of work within a facet. In the order in which jobs depend on each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Job {
    /// What a fenced class was seen to call, and has asked for.
    Called,
    /// Which services and rules the class sees; the other jobs follow from it.
    Scope,
    /// What the proxies look up while they run, and the clusters that their reports go to.
    Telemetry,
    /// All listeners, and the names of the routes that they ask for.
    Listeners,
    /// One route configuration.
    Route(Arc<str>),
    /// What happens to requests for hosts that nothing defines, of a route configuration whose hosts
    /// are asked for one by one.
    Unknown(Arc<str>),
    /// Gateways: the clusters that listeners and routes name.
    Wanted,
    /// The clusters of one service.
    Clusters(ServiceKey),
    /// Their assignments.
    Assignments(ServiceKey),
    /// All of an inbound facet.
    Inbound,
    /// One Secret.
    Secret(Arc<str>),
}

/// The resources that a job made.
type Made = Vec<(ResourceKind, Arc<Compiled>)>;

/// The values that proxies of a class look up while they run, if they look anything up.
/// `marks` are those of the services that the class sees.
fn runtime(client: &Client, marks: &BTreeSet<Arc<str>>, work: &Work<'_>) -> Made {
    let input = select_runtime(client, marks, work.reader);
    let compile = |input: RuntimeInput| {
        work.counters.compiled.inc();
        (ResourceKind::Runtime, Arc::new(compile_runtime(&input)))
    };
    input.map(compile).into_iter().collect()
}

/// The clusters that belong to no service, made once for all classes.
fn special(client: &Client, mesh: &Mesh, policy: OutboundPolicy, memos: &Memos) -> Made {
    let clusters = special_clusters(client, mesh, policy);
    let made = clusters.map(|it| memos.special.get_or_compile(&it, SpecialCluster::compile));
    made.map(|it| (ResourceKind::Cluster, it)).collect()
}

/// What it takes to compile.
#[derive(Clone, Copy)]
struct Tools<'a> {
    reader: &'a Reader<'a>,
    memos: &'a Memos,
    counters: &'a Counters,
}

/// What a job has at hand.
struct Work<'a> {
    reader: &'a Reader<'a>,
    memos: &'a Memos,
    counters: &'a Counters,
    /// Jobs that are to run after this one.
    dirty: &'a mut BTreeSet<Job>,
    /// Jobs that are gone, with all that they made.
    dropped: Vec<Job>,
}

impl<'a> Work<'a> {
    fn tools(&self) -> Tools<'a> {
        Tools { reader: self.reader, memos: self.memos, counters: self.counters }
    }

    fn drop_job(&mut self, job: Job) {
        self.dirty.remove(&job);
        self.dropped.push(job);
    }
}

/// The jobs of one kind of facet. A job that finds its result unchanged says `None`.
trait Jobs {
    fn run(&mut self, job: &Job, view: &FacetView, work: &mut Work<'_>) -> Option<Made>;
}

#[derive(Clone, Debug)]
enum Kind {
    Outbound(Box<Outbound>),
    Gateway(Box<Gateway>),
    Placed(Box<Placed>),
    Inbound(Inbound),
    Secrets(Secrets),
    Visible(Seen),
}

/// A facet with everything needed to bring it up to date.
#[derive(Clone, Debug)]
pub(crate) struct Facet {
    shelf: Shelf,
    kind: Kind,
}

/// What one update of a facet did.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) changed: Changed,
    /// Jobs that ran, with what they read before. Jobs without reads now are gone.
    pub(crate) reads: Vec<(JobId, Reads)>,
}

/// The answer to a route name that nothing knows.
pub(crate) fn unknown_route(name: &Arc<str>) -> Arc<Compiled> {
    let empty = RouteInput::empty(name);
    Arc::new(compile_route(&empty, &mut |host| Arc::new(compile_virtual_host(host))))
}

impl Facet {
    /// A facet that was never compiled, and the jobs that do so. `parent` is what it adds to or
    /// follows.
    pub(crate) fn new(
        key: &FacetKey,
        parent: Option<&Self>,
        memos: &Memos,
    ) -> (Self, BTreeSet<Job>) {
        let (kind, first) = match key {
            FacetKey::Outbound(client) => {
                let outbound = Outbound::new((**client).clone());
                let mut first = BTreeSet::from([Job::Scope, Job::Telemetry]);
                first.extend(client.fence.is_some().then_some(Job::Called));
                (Kind::Outbound(Box::new(outbound)), first)
            }
            FacetKey::Gateway(client, ports) => {
                let gateway = Gateway::new((**client).clone(), ports.clone());
                (Kind::Gateway(Box::new(gateway)), [Job::Scope, Job::Telemetry].into())
            }
            FacetKey::Placed(_, client, place) => {
                let placed = Placed::new((**client).clone(), place.clone());
                (Kind::Placed(Box::new(placed)), BTreeSet::new())
            }
            FacetKey::Inbound(input) => {
                (Kind::Inbound(Inbound::new(input.clone())), [Job::Inbound].into())
            }
            FacetKey::Secrets(namespace, names) => {
                let jobs = names.iter().cloned().map(Job::Secret).collect();
                (Kind::Secrets(Secrets::new(namespace.clone())), jobs)
            }
            FacetKey::Visible(key) => {
                (Kind::Visible(Seen::new((**key).clone())), [Job::Scope].into())
            }
        };
        let mut facet = Self { shelf: Shelf::new(memos.wholes.clone()), kind };
        let found = parent.map(Self::found).unwrap_or_default();
        let jobs = &first | &facet.follow(found);
        (facet, jobs)
    }

    pub(crate) fn view(&self) -> &FacetView {
        &self.shelf.view
    }

    pub(crate) fn job(&self, id: JobId) -> Option<&Job> {
        self.shelf.job(id)
    }

    /// What a job read when it ran last.
    pub(crate) fn reads(&self, id: JobId) -> Option<&Reads> {
        self.shelf.reads(id)
    }

    pub(crate) fn all_reads(&self) -> impl Iterator<Item = (JobId, &Reads)> {
        self.shelf.all_reads()
    }

    /// The part of a proxy's place that assignments depend on; `None` if on nothing.
    pub(crate) fn place_of(&self, proxy: &Proxy) -> Option<Place> {
        match self.found() {
            Found::Placed(services) => services.place_of(proxy),
            Found::Nothing | Found::Visible(_) => None,
        }
    }

    /// What others follow.
    pub(crate) fn found(&self) -> Found {
        match &self.kind {
            Kind::Outbound(outbound) => Found::Placed(outbound.clusters.placed().clone()),
            Kind::Gateway(gateway) => Found::Placed(gateway.clusters.placed().clone()),
            Kind::Visible(seen) => seen.sight.clone().map_or(Found::Nothing, Found::Visible),
            Kind::Placed(_) | Kind::Inbound(_) | Kind::Secrets(_) => Found::Nothing,
        }
    }

    /// What was found wrong while its resources were made.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Diagnostic> {
        let plan: Vec<&Diagnostic> = match &self.kind {
            Kind::Outbound(outbound) => outbound.findings.iter().collect(),
            Kind::Gateway(gateway) => gateway.findings.iter().collect(),
            Kind::Inbound(inbound) => inbound.findings().iter().collect(),
            Kind::Secrets(secrets) => secrets.findings().collect(),
            Kind::Placed(_) | Kind::Visible(_) => Vec::new(),
        };
        let tables = ResourceKind::ALL.into_iter().map(|kind| self.view().table(kind));
        let made = tables.flat_map(|table| table.values()).map(|compiled| &compiled.diagnostics);
        plan.into_iter().chain(made.flat_map(Diagnostics::iter))
    }

    /// The facet that this one adds to or follows has found something else. Says which jobs follow.
    pub(crate) fn follow(&mut self, found: Found) -> BTreeSet<Job> {
        match (&mut self.kind, found) {
            (Kind::Placed(placed), Found::Placed(services)) => placed.follow(services),
            (Kind::Outbound(outbound), Found::Visible(sight)) => {
                outbound.on_demand.follow(sight, &outbound.client)
            }
            _ => BTreeSet::new(),
        }
    }

    /// What it does as a sidecar's way to others, which alone may be fenced.
    fn outbound(&self) -> Option<&Outbound> {
        let Kind::Outbound(outbound) = &self.kind else { return None };
        Some(outbound)
    }

    fn outbound_mut(&mut self) -> Option<&mut Outbound> {
        let Kind::Outbound(outbound) = &mut self.kind else { return None };
        Some(outbound)
    }

    /// Proxies of the class ask for virtual hosts. Says which jobs follow.
    pub(crate) fn ask(&mut self, questions: &[Arc<str>]) -> BTreeSet<Job> {
        self.outbound_mut().map(|outbound| outbound.ask(questions)).unwrap_or_default()
    }

    /// How much the class is told, if a fence limits it.
    pub(crate) fn told(&self) -> Option<Told> {
        self.outbound()?.told()
    }

    /// What a resource is as the answer to a question.
    pub(crate) fn judge(&self, answer: &str) -> Answer {
        self.outbound().map_or(Answer::Known, |outbound| outbound.judge(answer))
    }

    /// The virtual host that answers a question now.
    pub(crate) fn answer(&self, question: &str) -> Option<Arc<str>> {
        self.outbound()?.answer(question, self.view())
    }

    /// Nothing answers these questions: requests for these hosts are for unknown ones. Says which
    /// jobs follow.
    pub(crate) fn refuse(&mut self, questions: &[Arc<str>]) -> BTreeSet<Job> {
        self.outbound_mut().map(|outbound| outbound.refuse(questions)).unwrap_or_default()
    }

    /// Whether the class has called something that nobody was told of.
    pub(crate) fn has_called(&self) -> bool {
        self.outbound().is_some_and(Outbound::has_called)
    }

    /// What the class has called since this was asked last, for those who learn it.
    pub(crate) fn take_called(&mut self) -> Vec<(WorkloadKey, Hostname)> {
        self.outbound_mut().map(Outbound::take_called).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn unanswered(&self) -> Vec<Arc<str>> {
        self.outbound().map(|outbound| outbound.unanswered(self.view())).unwrap_or_default()
    }
}
