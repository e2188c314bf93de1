//! All of a gateway. It has only clusters that its listeners and routes name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::{
    Client, CompiledVirtualHost,
    gateway::{
        GatewayHostInput, GatewayRouteInput, GatewayScope, OwnPorts, compile_gateway_host,
        compile_gateway_listener, compile_gateway_route, find_service, gateway_clusters,
        plan_gateway, select_gateway_route, select_gateways,
    },
};

use model::{Diagnostics, Map, Shared};

use super::{
    Job, Jobs, Made, Work,
    clusters::{Clusters, Wanted},
    outbound::set_routes,
    runtime, special,
};
use crate::{Counters, FacetView, ResourceKind, memo::Memo};

#[derive(Clone, Debug)]
pub(super) struct Gateway {
    pub(super) client: Client,
    ports: OwnPorts,
    scope: Option<Arc<GatewayScope>>,
    routes: Map<Arc<str>, Option<GatewayRouteInput>>,
    pub(super) clusters: Clusters,
    /// Who logs calls to the services behind the clusters.
    marks: BTreeSet<Arc<str>>,
    /// Of the newest plan.
    pub(super) findings: Diagnostics,
}

impl Gateway {
    pub(super) fn new(client: Client, ports: OwnPorts) -> Self {
        let (scope, routes, clusters) = (None, Map::default(), Clusters::default());
        let (marks, findings) = (BTreeSet::new(), Diagnostics::default());
        Self { client, ports, scope, routes, clusters, marks, findings }
    }

    fn run_scope(&mut self, work: &mut Work<'_>) -> Option<Made> {
        let scope = select_gateways(&self.client, &self.ports, work.reader);
        let mesh = work.reader.mesh();
        let made = special(&self.client, mesh, mesh.outbound_policy, work.memos);
        if self.scope.as_ref().is_none_or(|old| **old != scope) {
            work.dirty.insert(Job::Listeners);
            work.dirty.extend(self.routes.keys().cloned().map(Job::Route));
            self.scope = Some(Arc::new(scope));
        }
        Some(made)
    }

    fn run_listeners(&mut self, work: &mut Work<'_>) -> Option<Made> {
        let scope = self.scope.clone()?;
        let plan = plan_gateway(&scope, &self.client, work.reader);
        self.findings = plan.diagnostics;
        let routes: BTreeSet<Arc<str>> = plan.routes.iter().cloned().collect();
        set_routes(&mut self.routes, &routes, work);
        work.dirty.insert(Job::Wanted);
        let counters = work.counters;
        let compile = |input| {
            let compiled = work.memos.gateway_listeners.get_or_compile(input, |input| {
                counters.compiled.inc();
                compile_gateway_listener(input)
            });
            (ResourceKind::Listener, compiled)
        };
        Some(plan.listeners.iter().map(compile).collect())
    }

    fn run_route(&mut self, name: &Arc<str>, work: &mut Work<'_>) -> Option<Made> {
        let scope = self.scope.clone()?;
        let input = select_gateway_route(name, &scope, &self.client, work.reader);
        let known = self.routes.get_mut(name)?;
        if known.as_ref() == Some(&input) {
            return None;
        }
        work.dirty.insert(Job::Wanted);
        let (counters, hosts) = (work.counters, &work.memos.gateway_hosts);
        let compiled = work.memos.gateway_routes.get_or_compile(&input, |input| {
            counters.compiled.inc();
            compile_gateway_route(input, &mut |it| host(it, hosts, counters))
        });
        *known = Some(input);
        Some(vec![(ResourceKind::Route, compiled)])
    }

    fn run_wanted(&mut self, view: &FacetView, work: &mut Work<'_>) -> Option<Made> {
        let naming = [ResourceKind::Listener, ResourceKind::Route];
        let naming = naming.into_iter().flat_map(|kind| view.table(kind).values());
        let (mut services, mut marks) = (BTreeMap::new(), BTreeSet::new());
        for (hostname, wanted) in gateway_clusters(naming.map(|compiled| &**compiled)) {
            let own = Some(&self.client.namespace);
            let Some(service) = find_service(&hostname, own, &self.client, work.reader) else {
                continue;
            };
            marks.extend(service.access_log.iter().cloned());
            services.insert(service.key.clone(), (service.clone(), Wanted::Only(wanted)));
        }
        if self.marks != marks {
            self.marks = marks;
            work.dirty.insert(Job::Telemetry);
        }
        self.clusters.set_services(services, work);
        None
    }
}

/// A virtual host, encoded if nobody has it.
fn host(
    input: &Shared<GatewayHostInput>,
    hosts: &Memo<Shared<GatewayHostInput>, CompiledVirtualHost>,
    counters: &Counters,
) -> Arc<CompiledVirtualHost> {
    hosts.get_or_compile(input, |input| {
        counters.hosts.inc();
        compile_gateway_host(input)
    })
}

impl Jobs for Gateway {
    fn run(&mut self, job: &Job, view: &FacetView, work: &mut Work<'_>) -> Option<Made> {
        match job {
            Job::Scope => self.run_scope(work),
            Job::Listeners => self.run_listeners(work),
            Job::Route(name) => self.run_route(name, work),
            Job::Wanted => self.run_wanted(view, work),
            Job::Clusters(_) | Job::Assignments(_) => self.clusters.run(job, &self.client, work),
            Job::Telemetry => Some(runtime(&self.client, &self.marks, work)),
            Job::Called | Job::Unknown(_) | Job::Inbound | Job::Secret(_) => None,
        }
    }
}
