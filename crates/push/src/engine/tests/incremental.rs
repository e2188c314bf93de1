//! Any sequence of changes gives what a fresh start gives, byte for byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, LazyLock},
};

use api::Object;
use model::{ObjectKey, Proxy};
use proptest::{collection::vec, prelude::*, sample::Index as Pick};
use serde_json::{Value, json};
use snapshot::Change;

use super::stage::{Stage, differences, proxy, sidecar};
use crate::{ResourceKind, engine::StreamId};

const OBJECTS: &str = include_str!("../../../testdata/objects.yaml");

/// The forms of each object.
static FORMS: LazyLock<Vec<(ObjectKey, Vec<Object>)>> = LazyLock::new(|| {
    let (objects, findings) = api::parse_documents("objects.yaml", OBJECTS.as_bytes());
    let errors = findings.iter().filter(|it| it.severity == model::Severity::Error);
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    let mut forms: BTreeMap<ObjectKey, Vec<Object>> = BTreeMap::new();
    for object in objects {
        forms.entry(object.key.clone()).or_default().push(object);
    }
    forms.into_iter().collect()
});

/// An object gets a form, or goes. Prints itself as the object that it is about.
#[derive(Clone)]
pub(super) struct Edit {
    key: ObjectKey,
    form: Option<(usize, Object)>,
}

impl fmt::Debug for Edit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Some((number, _)) => write!(out, "put form {number} of {}", self.key),
            None => write!(out, "delete {}", self.key),
        }
    }
}

impl Edit {
    pub(super) fn change(&self) -> Change {
        match &self.form {
            Some((_, object)) => Change::Put(object.clone()),
            None => Change::Delete(self.key.clone()),
        }
    }
}

pub(super) fn edits() -> impl Strategy<Value = Edit> {
    (any::<Pick>(), prop::option::weighted(0.8, any::<Pick>())).prop_map(|(object, form)| {
        let (key, forms) = &FORMS[object.index(FORMS.len())];
        let form = form.map(|form| form.index(forms.len()));
        Edit { key: key.clone(), form: form.map(|it| (it, forms[it].clone())) }
    })
}

/// Something that happens, and after which everything is compared.
#[derive(Clone, Debug)]
enum Event {
    Batch(Vec<Edit>),
    /// One of [`proxies`] comes, if it is not there.
    Connect(usize),
    Disconnect(usize),
    /// One of [`LAZY`] calls one of [`HOSTS`].
    Call(usize, usize),
}

/// The proxies that may be fenced.
const LAZY: std::ops::Range<usize> = 9..11;

/// The route configuration of port 80, where hosts are asked for.
const ON_DEMAND: &str = "on-demand-80";

/// Hosts as callers write them.
pub(super) const HOSTS: [&str; 9] = [
    "cart.shop",
    "cart.shop.svc.cluster.local:80",
    "cart.example.com",
    "ext.example.com",
    "web.web",
    "web.web.svc.cluster.local",
    "db.data",
    "10.96.0.1",
    "nobody.example.org",
];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let proxies = 0..proxies().len();
    let event = prop_oneof![
        8 => vec(edits(), 1..4).prop_map(Event::Batch),
        1 => proxies.clone().prop_map(Event::Connect),
        1 => proxies.prop_map(Event::Disconnect),
        3 => (LAZY, 0..HOSTS.len()).prop_map(|(proxy, host)| Event::Call(proxy, host)),
    ];
    vec(event, 1..14)
}

fn proxies() -> Vec<Proxy> {
    let gateway = "router~10.5.0.1~gw.shop~shop.svc.cluster.local";
    let grpc = "sidecar~10.1.0.7~app.web~web.svc.cluster.local";
    vec![
        sidecar("10.1.0.1", "web", &["app=web", "tier=front"], "r1/z1"),
        sidecar("10.1.0.2", "web", &["app=web"], "r1/z2"),
        sidecar("10.1.0.3", "web", &["app=web"], "r2/z1"),
        sidecar("10.0.1.1", "shop", &["app=cart", "version=v1"], "r1/z1"),
        sidecar("10.0.1.2", "shop", &["app=cart", "version=v2"], "r1/z1"),
        sidecar("10.2.0.1", "data", &["app=db"], ""),
        proxy(gateway, &["istio=ingress"], "r1/z1", Value::Null),
        proxy(grpc, &["app=web"], "r1/z1", json!({"GENERATOR": "grpc"})),
        proxy(grpc, &["app=web"], "r1/z1", json!({"INTERCEPTION_MODE": "NONE"})),
        lazy("10.4.0.1", "app=lazy"),
        lazy("10.4.0.2", "app=other"),
        lazy_gateway(),
        detoured("10.4.0.3"),
    ]
}

/// The gateway that others call what they are not told of through.
pub(super) fn lazy_gateway() -> Proxy {
    let id = "router~10.9.0.2~lazy.tools~tools.svc.cluster.local";
    proxy(id, &["meltemi.io/role=lazy-gateway"], "r1/z1", Value::Null)
}

/// A proxy that calls what it is not told of through the lazy gateway.
pub(super) fn detoured(address: &str) -> Proxy {
    let labels = ["app=detoured", "meltemi.io/scope=gateway"];
    Proxy { retries_elsewhere: true, ..sidecar(address, "edge", &labels, "r1/z1") }
}

/// A proxy that can ask for virtual hosts, and reports what it calls.
pub(super) fn lazy(address: &str, label: &str) -> Proxy {
    let id = format!("sidecar~{address}~app.edge~edge.svc.cluster.local");
    let reports = json!({"MELTEMI_REPORTS": "xds-grpc"});
    Proxy { loads_on_demand: true, ..proxy(&id, &[label], "r1/z1", reports) }
}

/// Whether it answers for hosts that nothing defines. Which of these have such an answer depends on
/// what was called.
fn is_for_unknown(kind: ResourceKind, name: &str) -> bool {
    kind == ResourceKind::VirtualHost && !name.contains(':')
}

/// An engine with some proxies, by their place in [`proxies`].
struct Mesh {
    stage: Stage,
    streams: BTreeMap<usize, StreamId>,
}

impl Mesh {
    fn new(objects: Vec<Change>, connected: impl IntoIterator<Item = usize>) -> Self {
        let mut mesh = Self { stage: Stage::new(objects), streams: BTreeMap::new() };
        connected.into_iter().for_each(|number| mesh.connect(number));
        mesh
    }

    fn connect(&mut self, number: usize) {
        if !self.streams.contains_key(&number) {
            let stream = self.stage.connect(proxies().swap_remove(number));
            self.streams.insert(number, stream);
        }
    }

    fn disconnect(&mut self, number: usize) {
        if let Some(stream) = self.streams.remove(&number) {
            self.stage.disconnect(stream);
        }
    }

    fn happen(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::Connect(number) => self.connect(*number),
            Event::Disconnect(number) => self.disconnect(*number),
            Event::Call(number, host) => {
                if let Some(stream) = self.streams.get(number).copied().filter(|it| self.asks(*it))
                {
                    self.stage.ask(stream, &question(HOSTS[*host]));
                }
            }
            Event::Batch(edits) => {
                let changes = || edits.iter().map(Edit::change).collect();
                let expected = self.stage.preview(changes());
                let streams: Vec<StreamId> = self.streams.values().copied().collect();
                let before: Vec<_> = streams.iter().map(|it| self.stage.contents(*it)).collect();
                self.stage.apply(changes());
                for (stream, before) in streams.into_iter().zip(before) {
                    let changed = differences(&before, &self.stage.contents(stream));
                    let said = expected.get(&stream).cloned().unwrap_or_default();
                    prop_assert_eq!(changed, said, "the preview for stream {} is wrong", stream);
                }
            }
        }
        Ok(())
    }

    /// Whether a listener of the proxy asks for hosts.
    fn asks(&self, stream: StreamId) -> bool {
        self.stage.names(stream, ResourceKind::Route).iter().any(|it| it == ON_DEMAND)
    }

    /// Everything is as a fresh start would have it.
    fn check(&mut self) -> Result<(), TestCaseError> {
        self.stage.learn_late();
        let objects = self.stage.index.objects().values().cloned().map(Change::Put);
        let objects = objects.chain(self.stage.learned()).collect();
        let mut fresh = Self::new(objects, self.streams.keys().copied());
        fresh.stage.remember(&self.stage);
        for (number, stream) in &self.streams {
            let (held, expected) =
                (self.stage.contents(*stream), fresh.stage.contents(fresh.streams[number]));
            let mut wrong: Vec<_> = differences(&held, &expected).into_iter().collect();
            wrong.retain(|(kind, name)| !is_for_unknown(*kind, name));
            let first = wrong.first().map(|key| self.explain(*stream, &fresh, *number, key));
            prop_assert!(wrong.is_empty(), "proxy {number}: {wrong:?}\n{}", first.unwrap());
        }
        self.check_calls(&mut fresh)
    }

    /// Callers mean what they would mean after a fresh start.
    fn check_calls(&mut self, fresh: &mut Self) -> Result<(), TestCaseError> {
        for number in LAZY {
            let Some(stream) = self.streams.get(&number).copied() else { continue };
            // A proxy asks for what its listeners name.
            if !self.asks(stream) {
                continue;
            }
            for host in HOSTS {
                let question = question(host);
                let found = [&mut *self, &mut *fresh].map(|mesh| {
                    let stream = mesh.streams[&number];
                    let found = mesh.stage.ask(stream, &question)?;
                    Some(match is_for_unknown(ResourceKind::VirtualHost, &found) {
                        true => "unknown".to_owned(),
                        false => mesh.stage.render(stream, ResourceKind::VirtualHost, &found),
                    })
                });
                let [found, expected] = found;
                prop_assert_eq!(found, expected, "stream {} calls {}", stream, host);
            }
        }
        Ok(())
    }

    fn explain(
        &self,
        stream: StreamId,
        fresh: &Self,
        number: usize,
        (kind, name): &(ResourceKind, Arc<str>),
    ) -> String {
        let old = self.stage.render(stream, *kind, name);
        let new = fresh.stage.render(fresh.streams[&number], *kind, name);
        format!("incremental: {old}\n\nfresh: {new}")
    }
}

pub(super) fn question(host: &str) -> String {
    format!("{ON_DEMAND}/{host}")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sequence_of_changes_gives_what_a_fresh_start_gives(
        start in vec(edits(), 0..40),
        events in events(),
    ) {
        let mut mesh = Mesh::new(start.iter().map(Edit::change).collect(), 0..proxies().len());
        mesh.check()?;
        for event in &events {
            mesh.happen(event)?;
        }
        mesh.check()?;
    }
}

/// An object that never matters would make the test above say less than it seems to.
#[test]
fn every_object_of_the_pool_changes_what_somebody_sees() {
    let mut idle: BTreeSet<(&ObjectKey, usize)> =
        FORMS.iter().flat_map(|(key, forms)| (0..forms.len()).map(move |it| (key, it))).collect();
    for base in 0..4 {
        let others = FORMS.iter().map(|(_, forms)| forms[base % forms.len()].clone());
        let mut mesh = Mesh::new(others.map(Change::Put).collect(), 0..proxies().len());
        for (key, forms) in FORMS.iter() {
            for (number, form) in forms.iter().enumerate() {
                mesh.stage.apply(vec![Change::Delete(key.clone())]);
                if mesh.stage.apply(vec![Change::Put(form.clone())]).notified > 0 {
                    idle.remove(&(key, number));
                }
            }
            mesh.stage.apply(vec![Change::Put(forms[base % forms.len()].clone())]);
        }
    }
    assert!(idle.is_empty(), "{idle:#?}");
}
