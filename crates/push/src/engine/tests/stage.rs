//! An index, an engine and some streams, one step after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Instant,
};

use api::istio::mesh_config::MeshConfig;
use envoy::json::{FieldNames, bytes_to_json};
use model::{Hostname, Kind, Locality, ObjectKey, Proxy, Shared, WorkloadKey};
use serde_json::{Map, Value, json};
use snapshot::{Change, Dispatch, DispatchTarget, Features, FencingSettings, Index, LazyGateway};

use crate::{
    Counters, FacetView, Preview, ResourceKind,
    engine::{Engine, Mailbox, StreamId, facets::REST},
    state::OpenQuestions,
};

/// Versions by type and name.
pub(super) type Contents = BTreeMap<(ResourceKind, Arc<str>), u64>;

pub(super) struct Stage {
    pub(super) index: Index,
    pub(super) engine: Engine,
    streams: BTreeMap<StreamId, Stream>,
    /// What workloads have called.
    pub(super) learned: BTreeMap<WorkloadKey, BTreeSet<Hostname>>,
}

/// What a stream was told.
struct Stream {
    mailbox: Arc<Mailbox>,
    views: Vec<Arc<FacetView>>,
}

/// What one change cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) jobs: u64,
    pub(super) compiled: u64,
    pub(super) hosts: u64,
    pub(super) notified: u64,
}

pub(super) const NOTHING: Work = Work { jobs: 0, compiled: 0, hosts: 0, notified: 0 };

impl Work {
    fn of(counters: &Counters) -> Self {
        Self {
            jobs: counters.jobs.get(),
            compiled: counters.compiled.get(),
            hosts: counters.hosts.get(),
            notified: counters.notified.get(),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            jobs: self.jobs - before.jobs,
            compiled: self.compiled - before.compiled,
            hosts: self.hosts - before.hosts,
            notified: self.notified - before.notified,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { jobs, compiled, hosts, notified } = self;
        write!(out, "{jobs} jobs, {compiled} compiled, {hosts} hosts, {notified} notified")
    }
}

impl Stage {
    pub(super) fn new(objects: Vec<Change>) -> Self {
        let mesh = Arc::new(MeshConfig::default());
        let dispatch = Dispatch {
            name: "sites".to_owned(),
            target: DispatchTarget::Cluster("outbound|80||cart.shop.svc.cluster.local".to_owned()),
            domains: vec!["*.org".to_owned()],
            domain_regex: None,
        };
        let gateway = LazyGateway {
            host: "lazy-gateway.tools.svc.cluster.local".into(),
            port: LazyGateway::PORT,
            namespace: "tools".into(),
            service_account: "lazy-gateway".into(),
        };
        let fencing = FencingSettings {
            dispatches: vec![dispatch],
            gateway: Some(gateway),
            ..FencingSettings::default()
        };
        let index = Index::new(mesh, Features::default(), "cluster.local");
        let mut index = index.with_fencing(fencing);
        index.apply(objects);
        let engine = Engine::new(index.snapshot(), Arc::default());
        Self { index, engine, streams: BTreeMap::new(), learned: BTreeMap::new() }
    }

    /// Connects a proxy. Its stream is numbered from 1 on.
    pub(super) fn connect(&mut self, proxy: Proxy) -> StreamId {
        let id = self.streams.keys().last().map_or(1, |last| last + 1);
        let mailbox = self.engine.on_connect(id, Arc::new(proxy));
        let views = mailbox.try_take().expect("the first letter").views;
        self.streams.insert(id, Stream { mailbox, views });
        id
    }

    pub(super) fn disconnect(&mut self, stream: StreamId) {
        self.engine.on_disconnect(stream);
        self.streams.remove(&stream);
    }

    /// What connecting a proxy costs.
    pub(super) fn cost_of_connecting(&mut self, proxy: Proxy) -> Work {
        let before = Work::of(&self.engine.counters);
        self.connect(proxy);
        Work::of(&self.engine.counters).since(before)
    }

    /// What nobody sees, nobody has seen for long.
    pub(super) fn pass_rest(&mut self) {
        self.engine.end_unseen(Instant::now() + REST);
    }

    /// The stream sees these Secrets from now on.
    pub(super) fn ask_secrets(&mut self, id: StreamId, names: BTreeSet<Arc<str>>) {
        self.engine.on_secrets(id, Arc::new(names));
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.views = stream.mailbox.try_take().expect("a letter").views;
    }

    /// What a stream was told last.
    pub(super) fn views(&self, id: StreamId) -> &[Arc<FacetView>] {
        &self.streams[&id].views
    }

    /// A proxy asks for a virtual host. Gives the name of the one that answers, and what the class was
    /// not known to call is learned.
    pub(super) fn ask(&mut self, id: StreamId, question: &str) -> Option<Arc<str>> {
        let questions = OpenQuestions { new: vec![question.into()], ..OpenQuestions::default() };
        let called = self.engine.on_questions(id, questions);
        let stream = self.streams.get_mut(&id).expect("a stream");
        let letter = stream.mailbox.try_take().expect("an answer");
        stream.views = letter.views;
        let found = letter.found.into_iter().next().map(|(_, host)| host);
        self.learn(called);
        found
    }

    /// The same; gives what the question and what was learned with it cost.
    pub(super) fn cost_of_asking(&mut self, id: StreamId, question: &str) -> Work {
        let before = Work::of(&self.engine.counters);
        self.ask(id, question).expect("an answer");
        Work::of(&self.engine.counters).since(before)
    }

    /// What classes were found to have called when a host came to exist: streams tell it when they
    /// read a letter.
    pub(super) fn learn_late(&mut self) {
        let called = self.engine.late.take();
        self.learn(called);
    }

    fn learn(&mut self, called: Vec<(WorkloadKey, Hostname)>) {
        let news = called.into_iter().filter(|(workload, host)| {
            self.learned.entry(workload.clone()).or_default().insert(host.clone())
        });
        if news.count() > 0 {
            let changes = self.learned();
            self.apply(changes);
        }
    }

    /// Knows what the other has learned; otherwise the first thing that is learned would stand in its place.
    pub(super) fn remember(&mut self, other: &Self) {
        self.learned = other.learned.clone();
    }

    /// What was learned, as changes.
    pub(super) fn learned(&self) -> Vec<Change> {
        let learned = self.learned.iter();
        learned
            .map(|(workload, hosts)| {
                Change::Learned(workload.clone(), Some(Shared::new(hosts.clone())))
            })
            .collect()
    }

    /// What compiling has found, as text.
    pub(super) fn findings(&self) -> Vec<String> {
        let facets = self.engine.facets.values();
        let findings = facets.flat_map(|entry| entry.facet.findings());
        findings.map(|it| format!("{} {it}", it.code)).collect()
    }

    /// Applies a batch. Every stream reads its letter, which must name all that differs.
    pub(super) fn apply(&mut self, changes: Vec<Change>) -> Work {
        let changes = self.index.apply(changes);
        let before = Work::of(&self.engine.counters);
        self.engine.on_snapshot(self.index.snapshot(), &changes, Instant::now());
        self.engine.finish_due();
        self.engine.advance(Instant::now());
        for (id, stream) in &mut self.streams {
            let Some(letter) = stream.mailbox.try_take() else { continue };
            let (old, new) = (contents(&stream.views), contents(&letter.views));
            if let Some(changed) = letter.changed {
                let told: BTreeSet<_> = changed.iter().flat_map(|it| it.iter().cloned()).collect();
                let unsaid: Vec<_> = differences(&old, &new).difference(&told).cloned().collect();
                assert!(unsaid.is_empty(), "stream {id} was not told of {unsaid:?}");
            }
            stream.views = letter.views;
        }
        assert_eq!(self.engine.counters.panics.get(), 0, "a job panicked");
        let facets = self.engine.facets.values();
        let unanswered: Vec<_> = facets.flat_map(|entry| entry.facet.unanswered()).collect();
        assert!(unanswered.is_empty(), "proxies do not ask twice: {unanswered:?}");
        Work::of(&self.engine.counters).since(before)
    }

    pub(super) fn put(&mut self, yaml: &str) -> Work {
        self.apply(puts(yaml))
    }

    pub(super) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) -> Work {
        self.apply(vec![Change::Delete(ObjectKey::new(kind, namespace, name))])
    }

    /// What a batch would change, by stream.
    pub(super) fn preview(
        &mut self,
        changes: Vec<Change>,
    ) -> BTreeMap<StreamId, BTreeSet<(ResourceKind, Arc<str>)>> {
        let mut index = self.index.clone();
        let changes = index.apply(changes);
        let Preview { facets } = self.engine.preview(index.snapshot(), &changes);
        let mut by_stream: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for facet in facets {
            for stream in facet.streams {
                let names = facet.changes.iter().map(|it| (it.kind, it.name.clone()));
                by_stream.entry(stream).or_default().extend(names);
            }
        }
        by_stream
    }

    /// What a stream sees, as it was last told.
    pub(super) fn contents(&self, stream: StreamId) -> Contents {
        contents(&self.streams[&stream].views)
    }

    pub(super) fn names(&self, stream: StreamId, kind: ResourceKind) -> Vec<String> {
        let contents = self.contents(stream);
        let names = contents.keys().filter(|(it, _)| *it == kind);
        names.map(|(_, name)| name.to_string()).collect()
    }

    /// What a stream sees, decoded.
    pub(super) fn resources(&self, stream: StreamId) -> verify::Resources {
        let views = &self.streams[&stream].views;
        let held = views.iter().flat_map(|view| {
            ResourceKind::ALL.into_iter().flat_map(|kind| view.table(kind).values())
        });
        let held =
            held.map(|it| (it.resource.type_url(), it.resource.name(), it.resource.to_any()));
        let held: Vec<_> = held.collect();
        verify::Resources::from_any(held.iter().map(|(url, name, any)| (*url, &**name, any)))
    }

    /// A resource in Envoy's words.
    pub(super) fn render(&self, stream: StreamId, kind: ResourceKind, name: &str) -> String {
        let views = self.streams[&stream].views.iter();
        let found = views.filter_map(|view| view.get(kind, name)).next();
        let body = found.map(|it| it.resource.decode_bytes());
        let json = body.map(|it| bytes_to_json(kind.type_url(), it, FieldNames::Proto));
        json.map_or_else(|| "nothing".to_owned(), |it| it.to_string())
    }
}

pub(super) fn contents(views: &[Arc<FacetView>]) -> Contents {
    let mut contents = Contents::new();
    for kind in ResourceKind::ALL {
        for (name, compiled) in views.iter().flat_map(|view| view.table(kind).iter()) {
            let version = compiled.resource.version();
            let twice = contents.insert((kind, name.clone()), version);
            assert!(twice.is_none(), "{name} is in two facets");
        }
    }
    contents
}

pub(super) fn differences(old: &Contents, new: &Contents) -> BTreeSet<(ResourceKind, Arc<str>)> {
    let keys = old.keys().chain(new.keys());
    keys.filter(|key| old.get(*key) != new.get(*key)).cloned().collect()
}

/// The objects of some YAML, as changes. Panics on any that cannot be read.
pub(super) fn puts(yaml: &str) -> Vec<Change> {
    let (objects, findings) = api::parse_documents("test.yaml", yaml.as_bytes());
    let errors = findings.iter().filter(|it| it.severity == model::Severity::Error);
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    objects.into_iter().map(Change::Put).collect()
}

/// A proxy; `labels` are `key=value`, `place` is `region/zone`.
pub(super) fn proxy(id: &str, labels: &[&str], place: &str, more: Value) -> Proxy {
    let labels = labels.iter().map(|label| label.split_once('=').expect("`key=value`"));
    let labels: Map<String, Value> = labels.map(|(key, it)| (key.to_owned(), json!(it))).collect();
    let mut metadata = Map::new();
    metadata.insert("LABELS".to_owned(), labels.into());
    metadata.insert("CLUSTER_ID".to_owned(), json!("Kubernetes"));
    metadata.extend(more.as_object().cloned().unwrap_or_default());
    let (region, zone) = place.split_once('/').unwrap_or((place, ""));
    let locality = Locality { region: region.into(), zone: zone.into(), ..Locality::default() };
    Proxy::parse(id, metadata, locality).expect("the id is valid")
}

/// A sidecar of a namespace, with an address of its own.
pub(super) fn sidecar(address: &str, namespace: &str, labels: &[&str], place: &str) -> Proxy {
    let id = format!("sidecar~{address}~app.{namespace}~{namespace}.svc.cluster.local");
    proxy(&id, labels, place, Value::Null)
}
