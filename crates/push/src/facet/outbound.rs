//! A sidecar's way to others, and that of the lazy gateway.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::{
    Client, CompiledVirtualHost, RouteInput, RouteName, Scope, VirtualHostInput,
    compile_detour_cluster, compile_route, compile_virtual_host, grpc, host_resources,
    lazy_gateway::{LazyGatewayPlan, compile_lazy_gateway, plan_lazy_gateway},
    outbound::{compile_listener, plan_outbound},
    select_route,
    telemetry::{Collectors, select_collectors},
};
use model::{Diagnostics, Generator, Map, Shared};

use super::{
    Job, Jobs, Made, Work,
    clusters::{Clusters, Wanted},
    on_demand::OnDemand,
    runtime, special,
};
use crate::{Counters, FacetView, ResourceKind, memo::Memo};

#[derive(Clone, Debug)]
pub(super) struct Outbound {
    pub(super) client: Client,
    pub(super) scope: Option<Arc<Scope>>,
    pub(super) on_demand: OnDemand,
    /// The route configurations that listeners ask for, as far as they were selected.
    pub(super) routes: Map<Arc<str>, Option<RouteInput>>,
    pub(super) clusters: Clusters,
    collectors: Collectors,
    /// Who logs calls to services of the scope.
    marks: BTreeSet<Arc<str>>,
    /// Of the newest plan.
    pub(super) findings: Diagnostics,
}

impl Outbound {
    pub(super) fn new(client: Client) -> Self {
        let (routes, clusters) = (Map::default(), Clusters::default());
        let (collectors, findings) = (Collectors::new(), Diagnostics::default());
        let marks = BTreeSet::new();
        let (scope, on_demand) = (None, OnDemand::default());
        Self { client, scope, on_demand, routes, clusters, collectors, marks, findings }
    }

    fn run_scope(&mut self, work: &mut Work<'_>) -> Option<Made> {
        let fenced = self.on_demand.narrow(&self.client, work);
        let scope = fenced.unwrap_or_else(|| Arc::new(Scope::select(&self.client, work.reader)));
        let mesh = work.reader.mesh();
        let mut made = special(&self.client, mesh, scope.outbound_policy, work.memos);
        let detour = scope.detour.as_ref().map(|it| Arc::new(compile_detour_cluster(it, mesh)));
        made.extend(detour.map(|it| (ResourceKind::Cluster, it)));
        if self.scope.as_ref().is_none_or(|old| *old != scope) {
            work.dirty.insert(Job::Listeners);
            work.dirty.extend(self.routes.keys().cloned().map(Job::Route));
            let marks =
                scope.services.iter().flat_map(|it| it.access_log.iter().cloned()).collect();
            if self.marks != marks {
                self.marks = marks;
                work.dirty.insert(Job::Telemetry);
            }
            self.scope = Some(scope);
            self.set_services(work);
        }
        Some(made)
    }

    /// What the class sees, and where its reports go.
    fn set_services(&mut self, work: &mut Work<'_>) {
        let seen = self.scope.iter().flat_map(|scope| &scope.services);
        let mut services: BTreeMap<_, _> =
            seen.map(|it| (it.key.clone(), (it.clone(), Wanted::All))).collect();
        for (key, (service, clusters)) in &self.collectors {
            let entry = services.entry(key.clone());
            entry.or_insert_with(|| (service.clone(), Wanted::Only(clusters.clone())));
        }
        self.clusters.set_services(services, work);
    }

    fn run_telemetry(&mut self, work: &mut Work<'_>) -> Made {
        let collectors = select_collectors(&self.client, work.reader);
        if self.collectors != collectors {
            self.collectors = collectors;
            self.set_services(work);
        }
        runtime(&self.client, &self.marks, work)
    }

    fn run_listeners(&mut self, work: &mut Work<'_>) -> Option<Made> {
        let scope = self.scope.clone()?;
        if self.client.generator == Generator::Grpc {
            return Some(self.run_grpc_listeners(&scope, work));
        }
        if let Some(plan) = plan_lazy_gateway(&scope, &self.client, work.reader) {
            return Some(self.run_lazy_gateway(plan, work));
        }
        let plan = plan_outbound(&scope, &self.client, work.reader);
        self.findings = plan.diagnostics;
        let routes: BTreeSet<Arc<str>> =
            plan.routes.iter().map(|name| Arc::from(name.as_str())).collect();
        set_routes(&mut self.routes, &routes, work);
        let counters = work.counters;
        let compile = |input| {
            let compiled = work.memos.listeners.get_or_compile(input, |input| {
                counters.compiled.inc();
                compile_listener(input)
            });
            (ResourceKind::Listener, compiled)
        };
        Some(plan.listeners.iter().map(compile).collect())
    }

    /// One listener, and a route configuration for each port.
    fn run_lazy_gateway(&mut self, plan: LazyGatewayPlan, work: &mut Work<'_>) -> Made {
        set_routes(&mut self.routes, &plan.routes().collect(), work);
        work.counters.compiled.inc();
        let listener = (ResourceKind::Listener, Arc::new(compile_lazy_gateway(&plan.listener)));
        let scopes = plan.scopes().map(|it| (ResourceKind::ScopedRoute, Arc::new(it)));
        let made = scopes.chain([listener]).collect();
        self.findings = plan.findings.into_iter().collect();
        made
    }

    /// A gRPC library dials by name: there is a listener for every name.
    fn run_grpc_listeners(&mut self, scope: &Scope, work: &mut Work<'_>) -> Made {
        let inputs = grpc::plan_listeners(scope, &self.client);
        let routes: BTreeSet<Arc<str>> = inputs.iter().map(|it| it.route_name().into()).collect();
        set_routes(&mut self.routes, &routes, work);
        let compile = |input| {
            work.counters.compiled.inc();
            (ResourceKind::Listener, Arc::new(grpc::compile_listener(input)))
        };
        inputs.iter().map(compile).collect()
    }

    fn run_route(
        &mut self,
        name: &Arc<str>,
        view: &FacetView,
        work: &mut Work<'_>,
    ) -> Option<Made> {
        let scope = self.scope.clone()?;
        let input = match RouteName::parse(name) {
            Some(parsed) => select_route(&parsed, &scope, &self.client, work.reader),
            None => RouteInput::empty(name),
        };
        let known = self.routes.get_mut(name)?;
        if known.as_ref() == Some(&input) {
            return None;
        }
        let (counters, hosts) = (work.counters, &work.memos.hosts);
        let compiled = work.memos.routes.get_or_compile(&input, |input| {
            counters.compiled.inc();
            compile_route(input, &mut |it| host(it, hosts, counters))
        });
        let on_demand = input.on_demand;
        if on_demand {
            // Where such requests go is a part of the input.
            work.dirty.insert(Job::Unknown(name.clone()));
        }
        *known = Some(input);
        let mut made: Made = vec![(ResourceKind::Route, compiled.clone())];
        if let Some(parts) = compiled.parts.as_ref().filter(|_| on_demand) {
            let before = view.get(ResourceKind::Route, name).and_then(|it| it.parts.as_deref());
            let known = |host: &str| view.get(ResourceKind::VirtualHost, host).cloned();
            let hosts = host_resources(parts, before, known).into_iter();
            made.extend(hosts.map(|it| (ResourceKind::VirtualHost, it)));
        }
        Some(made)
    }
}

/// A virtual host, encoded if nobody has it.
fn host(
    input: &Shared<VirtualHostInput>,
    hosts: &Memo<Shared<VirtualHostInput>, CompiledVirtualHost>,
    counters: &Counters,
) -> Arc<CompiledVirtualHost> {
    hosts.get_or_compile(input, |input| {
        counters.hosts.inc();
        compile_virtual_host(input)
    })
}

/// Replaces the names of the route configurations. Jobs follow for new ones, and end for others.
pub(super) fn set_routes<I>(
    routes: &mut Map<Arc<str>, Option<I>>,
    names: &BTreeSet<Arc<str>>,
    work: &mut Work<'_>,
) {
    let gone: Vec<Arc<str>> = routes.keys().filter(|it| !names.contains(*it)).cloned().collect();
    for name in gone {
        routes.remove(&name);
        work.drop_job(Job::Unknown(name.clone()));
        work.drop_job(Job::Route(name));
    }
    for name in names {
        if !routes.contains_key(name) {
            routes.insert(name.clone(), None);
            work.dirty.insert(Job::Route(name.clone()));
        }
    }
}

impl Jobs for Outbound {
    fn run(&mut self, job: &Job, view: &FacetView, work: &mut Work<'_>) -> Option<Made> {
        match job {
            Job::Called => {
                if self.on_demand.note_called(&self.client, work) {
                    work.dirty.insert(Job::Scope);
                }
                None
            }
            Job::Scope => self.run_scope(work),
            Job::Telemetry => Some(self.run_telemetry(work)),
            Job::Listeners => self.run_listeners(work),
            Job::Route(name) => self.run_route(name, view, work),
            Job::Unknown(route) => Some(self.run_unknown(route, view)),
            Job::Clusters(_) | Job::Assignments(_) => self.clusters.run(job, &self.client, work),
            Job::Wanted | Job::Inbound | Job::Secret(_) => None,
        }
    }
}
