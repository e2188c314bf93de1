//! Numbers of the mesh and of the process, under the names of istiod where the meaning is the same.
//!
//! - What changes with every event is counted when it happens; sizes are read when somebody asks.

mod process;

use std::{fmt, sync::Arc, time::Instant};

use model::Kind;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use push::{EngineHandle, Sizes};
use runtime::Tally;
use snapshot::{ChangeSet, Happening};

use self::process::Process;
use crate::{
    Admin, finding,
    savings::{ClassSavings, Savings},
};

type Label = [(&'static str, String); 1];
type EventLabel = [(&'static str, String); 2];

/// What the API adds to the metrics of the other parts. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct MeshMetrics {
    begun: Instant,
    /// Connected proxies by the version that they say they have.
    proxies: Family<Label, Gauge>,
    services: Gauge,
    virtual_services: Gauge,
    objects: Family<Label, Gauge>,
    findings: Family<Label, Gauge>,
    revision: Gauge,
    uptime: Gauge,
    /// Streams whose scope a fence limits, what they are not sent, and the classes that have asked
    /// for so much that a fence does not fit them.
    fenced: Gauge,
    resources_saved: Gauge,
    bytes_saved: Gauge,
    capped: Gauge,
    /// Changes by what they are about, and snapshots by what caused them.
    updates: Family<Label, Tally>,
    triggers: Family<Label, Tally>,
    /// Objects by what happened to them: of configuration, and of what runs.
    config_events: Family<EventLabel, Tally>,
    registry_events: Family<EventLabel, Tally>,
}

impl MeshMetrics {
    /// Registers all of them under their own names.
    pub fn register(registry: &mut Registry, engine: EngineHandle) -> Self {
        let metrics = Self {
            begun: Instant::now(),
            proxies: Family::default(),
            services: Gauge::default(),
            virtual_services: Gauge::default(),
            objects: Family::default(),
            findings: Family::default(),
            revision: Gauge::default(),
            uptime: Gauge::default(),
            fenced: Gauge::default(),
            resources_saved: Gauge::default(),
            bytes_saved: Gauge::default(),
            capped: Gauge::default(),
            updates: Family::default(),
            triggers: Family::default(),
            config_events: Family::default(),
            registry_events: Family::default(),
        };
        let version = env!("CARGO_PKG_VERSION");
        let build = [("component", "pilot"), ("tag", version)];
        let one = Family::<[(&str, &str); 2], Gauge>::default();
        one.get_or_create(&build).set(1);
        registry.register("istio_build", "The build, as istiod names it", one);
        registry.register("meltemi", "The build", Info::new([("version", version)]));
        let info = Family::<[(&str, &str); 1], Gauge>::default();
        info.get_or_create(&[("version", version)]).set(1);
        registry.register("pilot_info", "The version", info);
        registry.register("pilot_xds", "Connected proxies", metrics.proxies.clone());
        registry.register("pilot_services", "Services", metrics.services.clone());
        registry.register(
            "pilot_virt_services",
            "VirtualServices",
            metrics.virtual_services.clone(),
        );
        registry.register("meltemi_objects", "Objects in effect", metrics.objects.clone());
        registry.register("meltemi_findings", "What is wrong now", metrics.findings.clone());
        registry.register("meltemi_revision", "Revision of the mesh", metrics.revision.clone());
        registry.register("istiod_uptime_seconds", "Time since the start", metrics.uptime.clone());
        registry.register(
            "pilot_inbound_updates",
            "Objects that changed, by what they are about",
            metrics.updates.clone(),
        );
        registry.register(
            "pilot_push_triggers",
            "Snapshots published, by what caused them",
            metrics.triggers.clone(),
        );
        registry.register(
            "pilot_k8s_cfg_events",
            "Objects of configuration that changed",
            metrics.config_events.clone(),
        );
        registry.register(
            "pilot_k8s_reg_events",
            "Services, endpoints, pods and nodes that changed",
            metrics.registry_events.clone(),
        );
        for (name, help, gauge) in [
            (
                "fenced_proxies",
                "Proxies that are sent a part of what they may see",
                &metrics.fenced,
            ),
            (
                "resources_not_sent",
                "Resources that fences keep from proxies, over all of them, as last reckoned",
                &metrics.resources_saved,
            ),
            (
                "bytes_not_sent",
                "Bytes of these resources, over all proxies, as last reckoned",
                &metrics.bytes_saved,
            ),
            (
                "capped_classes",
                "Kinds of proxies that have asked for more hosts than a fence fits, or named too many \
                 that nothing defines",
                &metrics.capped,
            ),
        ] {
            registry.register(format!("meltemi_on_demand_{name}"), help, gauge.clone());
        }
        registry.register_collector(Box::new(EngineCollector(engine)));
        registry.register_collector(Box::new(Process::new()));
        metrics
    }

    /// A snapshot was published.
    pub fn published(&self, changes: &ChangeSet) {
        let mut triggers: Vec<&str> = Vec::new();
        for (cause, happening) in &changes.causes {
            self.event(cause.kind, *happening);
            let (update, trigger) = subject(cause.kind);
            self.updates.get_or_create(&[("type", update.to_owned())]).inc();
            if !triggers.contains(&trigger) {
                triggers.push(trigger);
            }
        }
        for trigger in triggers {
            self.triggers.get_or_create(&[("type", trigger.to_owned())]).inc();
        }
    }

    fn look_at_fences(&self, classes: &[ClassSavings]) {
        let (mut fenced, mut capped, mut saved) = (0, 0, Sizes::default());
        for it in classes {
            fenced += it.class.streams;
            capped += usize::from(it.class.told.is_capped());
            if let Some(Sizes { resources, bytes }) = it.saved() {
                saved.resources += resources * it.class.streams;
                saved.bytes += bytes * it.class.streams;
            }
        }
        let gauges = [
            (&self.fenced, fenced),
            (&self.capped, capped),
            (&self.resources_saved, saved.resources),
            (&self.bytes_saved, saved.bytes),
        ];
        for (gauge, value) in gauges {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    fn event(&self, kind: Kind, happening: Happening) {
        let events = match kind {
            Kind::Service
            | Kind::EndpointSlice
            | Kind::Endpoints
            | Kind::Pod
            | Kind::Node
            | Kind::Namespace => &self.registry_events,
            _ => &self.config_events,
        };
        let event = match happening {
            Happening::Added => "add",
            Happening::Updated => "update",
            Happening::Deleted => "delete",
        };
        events.get_or_create(&[("type", kind.to_string()), ("event", event.to_owned())]).inc();
    }

    /// Reads the sizes.
    pub(crate) async fn look(&self, admin: &Arc<Admin>, savings: &Arc<Savings>) {
        self.look_at_fences(&savings.look(admin).await.unwrap_or_default());
        self.proxies.clear();
        for proxy in admin.streams.proxies() {
            let version = proxy.istio_version.to_string();
            self.proxies.get_or_create(&[("version", version)]).inc();
        }
        let counts = admin.writer.read(|index| {
            let mut kinds = std::collections::BTreeMap::<Kind, i64>::new();
            for key in index.objects().keys() {
                *kinds.entry(key.kind).or_default() += 1;
            }
            let snapshot = index.snapshot();
            (kinds, snapshot.service_count(), snapshot.revision)
        });
        if let Some((kinds, services, revision)) = counts.await {
            self.services.set(i64::try_from(services).unwrap_or(i64::MAX));
            self.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
            self.virtual_services.set(kinds.get(&Kind::VirtualService).copied().unwrap_or(0));
            self.objects.clear();
            for (kind, count) in kinds {
                self.objects.get_or_create(&[("kind", kind.to_string())]).set(count);
            }
        }
        self.findings.clear();
        for finding in finding::current(&admin.statuses) {
            self.findings.get_or_create(&[("severity", finding.severity)]).inc();
        }
        self.uptime.set(i64::try_from(self.begun.elapsed().as_secs()).unwrap_or(i64::MAX));
    }
}

/// What istiod calls a change of such an object, and the push that it leads to.
fn subject(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::EndpointSlice | Kind::Endpoints | Kind::Pod | Kind::WorkloadEntry => {
            ("eds", "endpoint")
        }
        Kind::Service | Kind::ServiceEntry => ("svc", "service"),
        Kind::MeshConfig => ("config", "global"),
        Kind::Secret => ("config", "secret"),
        Kind::VirtualService
        | Kind::DestinationRule
        | Kind::WorkloadGroup
        | Kind::Sidecar
        | Kind::Gateway
        | Kind::ProxyConfig
        | Kind::EnvoyFilter
        | Kind::PeerAuthentication
        | Kind::RequestAuthentication
        | Kind::AuthorizationPolicy
        | Kind::Telemetry
        | Kind::WasmPlugin
        | Kind::ServiceFence
        | Kind::Node
        | Kind::Namespace
        | Kind::ConfigMap => ("config", "config"),
    }
}

/// The work of the engine.
#[derive(Debug)]
struct EngineCollector(EngineHandle);

impl Collector for EngineCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counters = self.0.counters();
        let all = [
            ("meltemi_engine_jobs", "Jobs run", &counters.jobs),
            ("meltemi_engine_compiled", "Resources compiled", &counters.compiled),
            ("meltemi_engine_hosts", "Virtual hosts encoded", &counters.hosts),
            ("meltemi_engine_notified", "Streams told of a change", &counters.notified),
            ("meltemi_engine_rounds", "Rounds in which streams were told", &counters.rounds),
            ("meltemi_engine_snapshots", "Snapshots taken in", &counters.snapshots),
            (
                "meltemi_on_demand_questions",
                "Hosts that proxies have asked for at a first call",
                &counters.questions,
            ),
            ("meltemi_on_demand_known", "Of these, hosts that may be called", &counters.known),
            ("meltemi_on_demand_unknown", "Hosts that nothing defines", &counters.unknown),
            (
                "meltemi_on_demand_closed",
                "Such hosts on ports on which too many were named",
                &counters.closed,
            ),
            ("meltemi_on_demand_dropped", "Questions without an answer", &counters.dropped),
        ];
        for (name, help, count) in all {
            let counter = ConstCounter::new(count.get());
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        let panics = Tally::from(counters.panics.get());
        let help = "Jobs that failed by a defect";
        let name = "pilot_total_xds_internal_errors";
        panics.encode(encoder.encode_descriptor(name, help, None, panics.metric_type())?)
    }
}
