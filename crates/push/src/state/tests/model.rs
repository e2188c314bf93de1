//! Random meshes, delays, refusals and reconnects, and a proxy that behaves like Envoy.
//!
//! At every step, no listener or route of the proxy names a cluster that cannot be used; at the
//! end, the proxy holds exactly what the mesh says.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Write,
    sync::Arc,
};

use proptest::{collection::vec, prelude::*};
use xds::{Protocol, Request};

use super::{
    language::{Content, is_bad, parse_content, render, views},
    proxy::{ModelProxy, Names},
    talk::{differences, state_with},
};
use crate::{
    FacetView, ResourceKind,
    facet::unknown_route,
    parcels::Parcels,
    state::{Outgoing, StreamState},
};

const CLUSTERS: usize = 4;
const ROUTES: usize = 2;
const HOSTS: usize = 3;

/// How a resource differs from others of its name; the last one is refused.
const TAGS: [&str; 4] = ["", ".1", ".2", ".bad"];

#[derive(Clone, Debug)]
enum Move {
    /// A cluster is gone, or has this tag.
    Cluster(usize, Option<usize>),
    /// A cluster without assignment.
    Fixed(usize),
    Assignment(usize, usize),
    /// A host of a route: its tag, and the clusters that it names.
    Host(usize, usize, Option<(usize, BTreeSet<usize>)>),
    /// A listener for a route.
    Listener(usize, Option<usize>),
    /// A listener that names a cluster itself.
    Tcp(Option<(usize, usize)>),
    /// The streams are told of all that has changed since they were told last.
    Tell,
    /// Everything is looked at, as when changes were too many to list.
    Compare,
    /// One response goes out.
    Send,
    /// The proxy takes one response.
    Receive,
    /// The stream takes one request.
    Hear,
    Reconnect,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    vec(one_move(), 1..80)
}

fn one_move() -> impl Strategy<Value = Move> {
    let (cluster, tag) = (0..CLUSTERS, 0..TAGS.len());
    let named = prop::collection::btree_set(cluster.clone(), 1..3);
    prop_oneof![
        3 => (cluster.clone(), prop::option::of(tag.clone())).prop_map(|(a, b)| Move::Cluster(a, b)),
        1 => cluster.clone().prop_map(Move::Fixed),
        2 => (cluster.clone(), tag.clone()).prop_map(|(a, b)| Move::Assignment(a, b)),
        4 => (0..ROUTES, 0..HOSTS, prop::option::of((tag.clone(), named)))
            .prop_map(|(route, host, it)| Move::Host(route, host, it)),
        1 => (0..ROUTES, prop::option::of(tag.clone())).prop_map(|(a, b)| Move::Listener(a, b)),
        1 => prop::option::of((tag, cluster)).prop_map(Move::Tcp),
        1 => Just(Move::Compare),
        8 => Just(Move::Send),
        8 => Just(Move::Receive),
        8 => Just(Move::Hear),
        1 => Just(Move::Reconnect),
    ]
}

/// Tag and clusters.
type Host = Option<(&'static str, BTreeSet<usize>)>;

#[derive(Clone, Debug)]
struct Mesh {
    /// `!` for one without assignment.
    clusters: [Option<&'static str>; CLUSTERS],
    assignments: [&'static str; CLUSTERS],
    hosts: [[Host; HOSTS]; ROUTES],
    listeners: [Option<&'static str>; ROUTES],
    tcp: Option<(&'static str, usize)>,
}

impl Mesh {
    fn new() -> Self {
        Self {
            clusters: [Some(""); CLUSTERS],
            assignments: [""; CLUSTERS],
            hosts: Default::default(),
            listeners: [Some(""); ROUTES],
            tcp: None,
        }
    }

    /// Whether the move changed the mesh.
    fn apply(&mut self, step: &Move) -> bool {
        match step {
            Move::Cluster(cluster, tag) => self.clusters[*cluster] = tag.map(|it| TAGS[it]),
            Move::Fixed(cluster) => self.clusters[*cluster] = Some("!"),
            Move::Assignment(cluster, tag) => self.assignments[*cluster] = TAGS[*tag],
            Move::Host(route, host, it) => {
                self.hosts[*route][*host] = it.as_ref().map(|it| (TAGS[it.0], it.1.clone()));
            }
            Move::Listener(route, tag) => self.listeners[*route] = tag.map(|it| TAGS[it]),
            Move::Tcp(it) => self.tcp = it.map(|(tag, cluster)| (TAGS[tag], cluster)),
            Move::Tell
            | Move::Compare
            | Move::Send
            | Move::Receive
            | Move::Hear
            | Move::Reconnect => {
                return false;
            }
        }
        true
    }

    /// Nothing is refused, and every cluster that is named is defined.
    fn heal(&mut self) {
        let mend = |tag: &mut &'static str| *tag = if *tag == ".bad" { ".9" } else { *tag };
        self.clusters.iter_mut().flatten().chain(&mut self.assignments).for_each(mend);
        self.listeners.iter_mut().flatten().for_each(mend);
        let hosts = self.hosts.iter_mut().flatten().flatten();
        let mut named: BTreeSet<usize> = BTreeSet::new();
        for (tag, clusters) in hosts {
            mend(tag);
            named.extend(&*clusters);
        }
        if let Some((tag, cluster)) = &mut self.tcp {
            mend(tag);
            named.insert(*cluster);
        }
        for cluster in named {
            self.clusters[cluster].get_or_insert("");
        }
    }

    /// What proxies of a class see: all of it, or one listener less and no other.
    fn seen_by(&self, class: usize) -> Self {
        let mut seen = self.clone();
        if class > 0 {
            (seen.listeners[1], seen.tcp) = (None, None);
        }
        seen
    }

    fn content(&self) -> Content {
        let mut text = "cds".to_owned();
        for (number, tag) in self.clusters.iter().enumerate() {
            let _ = tag.map(|tag| write!(text, " c{number}{tag}"));
        }
        text.push_str(" eds");
        for (number, tag) in self.assignments.iter().enumerate() {
            if self.clusters[number].is_some_and(|it| it != "!") {
                let _ = write!(text, " c{number}{tag}");
            }
        }
        text.push_str(" lds");
        for (route, tag) in self.listeners.iter().enumerate() {
            let _ = tag.map(|tag| write!(text, " l{route}{tag}(r{route})"));
        }
        let _ = self.tcp.map(|(tag, cluster)| write!(text, " t{tag}(=c{cluster})"));
        text.push_str(" rds");
        for (route, hosts) in self.hosts.iter().enumerate() {
            let hosts = hosts.iter().enumerate().filter_map(|(number, it)| {
                let (tag, clusters) = it.as_ref()?;
                let clusters: Vec<String> = clusters.iter().map(|it| format!("c{it}")).collect();
                Some(format!("h{number}{tag}={}", clusters.join("+")))
            });
            let _ = write!(text, " r{route}({})", hosts.collect::<Vec<_>>().join(","));
        }
        parse_content(&text)
    }
}

/// A stream and a proxy with a slow line between them.
struct Line {
    protocol: Protocol,
    mesh: Mesh,
    content: Content,
    state: StreamState,
    parcels: Arc<Parcels>,
    proxy: ModelProxy,
    /// Beside each response, the clusters that could be waited for when it was sent.
    responses: VecDeque<(Outgoing, Names)>,
    requests: VecDeque<Request>,
    /// SotW: nobody knows what a reconnecting proxy holds, until it holds what it is sent.
    lenient: bool,
    /// Listeners and routes that were not sent since a reconnect: all that is known of them is a
    /// version, and so they are replaced as if they were new.
    forgotten: BTreeSet<(ResourceKind, Arc<str>)>,
    /// Clusters that were sent, and whose assignment was not sent since.
    changed: Names,
    log: Vec<String>,
}

impl Line {
    fn new(protocol: Protocol, mesh: Mesh, parcels: Arc<Parcels>) -> Self {
        let content = mesh.content();
        let state = state_with(protocol, &content, parcels.clone());
        let mut proxy = ModelProxy::new(protocol);
        let requests = proxy.start().into();
        let (responses, forgotten, log) = (VecDeque::new(), BTreeSet::new(), Vec::new());
        Self {
            protocol,
            mesh,
            content,
            state,
            parcels,
            proxy,
            responses,
            requests,
            lenient: false,
            forgotten,
            changed: Names::new(),
            log,
        }
    }

    fn step(&mut self, step: &Move) -> Result<(), TestCaseError> {
        match step {
            Move::Compare => self.state.update(views(&self.content, 1), None),
            Move::Send => self.send()?,
            Move::Receive => self.receive()?,
            Move::Hear => self.hear(),
            // The protocol has no words for "my cluster waits for an assignment that I have": one
            // that is cut off then waits until its endpoints change.
            Move::Reconnect if !self.proxy.warming().is_empty() => {}
            Move::Reconnect if !self.proxy.can_say_what_it_holds() => {}
            Move::Reconnect => {
                self.state = state_with(self.protocol, &self.content, self.parcels.clone());
                self.responses.clear();
                self.requests = self.proxy.start().into();
                self.lenient = self.protocol == Protocol::Sotw;
                for kind in [ResourceKind::Listener, ResourceKind::Route] {
                    let held = self.proxy.held(kind).keys();
                    self.forgotten.extend(held.map(|name| (kind, name.clone())));
                }
                self.log.push("reconnect".to_owned());
            }
            change => {
                if self.mesh.apply(change) {
                    self.show();
                }
            }
        }
        Ok(())
    }

    /// The stream is shown the mesh as it is now.
    fn show(&mut self) {
        let facets = views(&self.mesh.content(), 1);
        self.show_views(facets);
    }

    /// The same, in views that streams share.
    fn show_views(&mut self, facets: Vec<Arc<FacetView>>) {
        let content = self.mesh.content();
        let changed = differences(&self.content, &content);
        let words: Vec<String> = content.values().map(|it| render(it)).collect();
        self.log.push(format!("mesh: {}", words.join(" ")));
        self.state.update(facets, Some(&[Arc::new(changed)]));
        self.content = content;
    }

    fn send(&mut self) -> Result<(), TestCaseError> {
        let Some(response) = self.state.next_response() else { return Ok(()) };
        let words: Vec<String> = response.resources.iter().map(|it| render(it)).collect();
        let kind = response.kind;
        self.log.push(format!("sent {kind:?} {} -{:?}", words.join(" "), response.removed));
        let open = self.responses.iter().any(|(it, _)| it.kind == kind);
        prop_assert!(!open, "two open responses\n{}", self.log.join("\n"));
        if self.protocol == Protocol::Delta {
            self.check_news(&response)?;
        }
        let expected = self.clusters_to_come();
        self.responses.push_back((response, expected));
        Ok(())
    }

    /// The clusters that are defined, and that the proxy has not refused.
    fn clusters_to_come(&self) -> Names {
        let refused = |name: &Arc<str>| {
            let kinds = [ResourceKind::Cluster, ResourceKind::Endpoint];
            kinds.into_iter().any(|kind| self.state.rejections(kind).contains_key(name))
        };
        let clusters = self.content.keys().filter(|(kind, _)| *kind == ResourceKind::Cluster);
        clusters.map(|(_, name)| name).filter(|name| !refused(name)).cloned().collect()
    }

    fn hear(&mut self) {
        if let Some(request) = self.requests.pop_front() {
            self.state.on_request(&request);
        }
        if self.requests.is_empty() && self.responses.is_empty() && self.state.is_synced() {
            self.lenient = false;
        }
    }

    fn receive(&mut self) -> Result<(), TestCaseError> {
        let Some((response, expected)) = self.responses.pop_front() else { return Ok(()) };
        self.log.push(format!("received {:?}", response.kind));
        let usable = self.usable();
        let before = self.proxy.held(response.kind).clone();
        let resources = || response.resources.iter();
        if response.kind == ResourceKind::Endpoint && resources().any(|it| is_bad(it)) {
            // What was refused together is sent again.
            self.changed.extend(resources().map(|it| it.resource.name().clone()));
        }
        self.requests.extend(self.proxy.receive(&response));
        if self.lenient {
            return Ok(());
        }
        for cluster in self.proxy.named_clusters() {
            let lost = usable.contains(&cluster) && !self.proxy.is_usable(&cluster);
            prop_assert!(!lost, "{cluster} went while in use\n{}", self.log.join("\n"));
        }
        if !matches!(response.kind, ResourceKind::Listener | ResourceKind::Route) {
            return Ok(());
        }
        for resource in response.resources.iter() {
            let name = resource.resource.name();
            let old = before.get(name);
            let Some(held) = self.proxy.held(response.kind).get(name) else { continue };
            // It was refused, or it is nothing new.
            if old.is_some_and(|old| old.resource == held.resource) {
                continue;
            }
            let forgotten = self.forgotten.remove(&(response.kind, name.clone()));
            let old = old.filter(|_| !forgotten);
            for cluster in &held.clusters {
                // Only what held nothing, or named it already, may name what does not exist.
                let allowed = !expected.contains(cluster)
                    && old.is_none_or(|old| old.clusters.contains(cluster));
                prop_assert!(
                    self.proxy.is_usable(cluster) || allowed,
                    "{} came before {cluster}\n{}",
                    render(held),
                    self.log.join("\n")
                );
            }
        }
        Ok(())
    }

    /// Nothing is sent that the proxy has, but an assignment behind its cluster.
    fn check_news(&mut self, response: &Outgoing) -> Result<(), TestCaseError> {
        for resource in response.resources.iter() {
            let name = resource.resource.name();
            let follows = match response.kind {
                ResourceKind::Cluster => {
                    self.changed.insert(name.clone());
                    false
                }
                ResourceKind::Endpoint => self.changed.remove(name),
                ResourceKind::Listener
                | ResourceKind::Route
                | ResourceKind::VirtualHost
                | ResourceKind::Secret
                | ResourceKind::Runtime => false,
            };
            let held = self.proxy.held(response.kind).get(name);
            let again = held.is_some_and(|held| held.resource == resource.resource);
            prop_assert!(!again || follows, "{} twice\n{}", render(resource), self.log.join("\n"));
        }
        Ok(())
    }

    fn usable(&self) -> Names {
        let held = self.proxy.held(ResourceKind::Cluster).keys();
        held.filter(|name| self.proxy.is_usable(name)).cloned().collect()
    }

    /// Everything that is on its way arrives.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..1000 {
            let sent = self.responses.len();
            self.send()?;
            if self.responses.len() > sent {
                continue;
            }
            if self.responses.is_empty() && self.requests.is_empty() {
                return Ok(());
            }
            self.receive()?;
            while !self.requests.is_empty() {
                self.hear();
            }
        }
        prop_assert!(false, "it never ends\n{}", self.log.join("\n"));
        Ok(())
    }

    /// The proxy holds exactly what the mesh says.
    fn check_end(&self) -> Result<(), TestCaseError> {
        for kind in ResourceKind::ALL {
            let held: Vec<String> = self.proxy.held(kind).values().map(|it| render(it)).collect();
            let expected = self.expected(kind);
            prop_assert_eq!(held, expected, "{:?}\n{}", kind, self.log.join("\n"));
            let refused = self.state.rejections(kind);
            prop_assert!(refused.is_empty(), "{refused:?}\n{}", self.log.join("\n"));
        }
        let warming = self.proxy.warming();
        prop_assert!(warming.is_empty(), "{warming:?} warm\n{}", self.log.join("\n"));
        prop_assert!(self.state.is_synced(), "not synced\n{}", self.log.join("\n"));
        Ok(())
    }

    fn expected(&self, kind: ResourceKind) -> Vec<String> {
        let routes = self.mesh.listeners.iter().enumerate().filter(|(_, it)| it.is_some());
        let routes: Names = routes.map(|(number, _)| format!("r{number}").into()).collect();
        let entries = self.content.iter().filter(|((it, name), _)| {
            *it == kind && (kind != ResourceKind::Route || routes.contains(name))
        });
        entries.map(|(_, compiled)| render(compiled)).collect()
    }
}

fn check(protocol: Protocol, moves: &[Move]) -> Result<(), TestCaseError> {
    let mut line = Line::new(protocol, Mesh::new(), Arc::default());
    for step in moves {
        line.step(step)?;
    }
    line.mesh.heal();
    line.show();
    line.settle()?;
    line.check_end()
}

/// Proxies of two classes, told in rounds.
struct Crowd {
    mesh: Mesh,
    lines: Vec<Line>,
}

/// How many proxies there are, and how many classes.
const PROXIES: usize = 3;
const CLASSES: usize = 2;

impl Crowd {
    fn new(protocol: Protocol) -> Self {
        let (mesh, parcels) = (Mesh::new(), Arc::new(Parcels::default()));
        parcels.open();
        let line = |number| Line::new(protocol, mesh.seen_by(number % CLASSES), parcels.clone());
        let lines = (0..PROXIES).map(line).collect();
        Self { mesh, lines }
    }

    fn step(&mut self, proxy: usize, step: &Move) -> Result<(), TestCaseError> {
        match step {
            Move::Tell => self.tell(),
            change if self.mesh.apply(change) => {}
            other => self.lines[proxy].step(other)?,
        }
        Ok(())
    }

    fn tell(&mut self) {
        for class in 0..CLASSES {
            let mesh = self.mesh.seen_by(class);
            let facets = views(&mesh.content(), 1);
            for line in self.lines.iter_mut().skip(class).step_by(CLASSES) {
                line.mesh = mesh.clone();
                line.show_views(facets.clone());
            }
        }
    }
}

fn check_crowd(protocol: Protocol, moves: &[(usize, Move)]) -> Result<(), TestCaseError> {
    let mut crowd = Crowd::new(protocol);
    for (proxy, step) in moves {
        crowd.step(*proxy, step)?;
    }
    crowd.mesh.heal();
    crowd.tell();
    for line in &mut crowd.lines {
        line.settle()?;
        line.check_end()?;
    }
    Ok(())
}

fn crowd_moves() -> impl Strategy<Value = Vec<(usize, Move)>> {
    vec((0..PROXIES, prop_oneof![5 => one_move(), 1 => Just(Move::Tell)]), 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_delta_proxy_never_breaks_and_ends_up_with_everything(moves in moves()) {
        check(Protocol::Delta, &moves)?;
    }

    #[test]
    fn a_sotw_proxy_never_breaks_and_ends_up_with_everything(moves in moves()) {
        check(Protocol::Sotw, &moves)?;
    }

    #[test]
    fn delta_proxies_told_in_rounds_end_up_with_everything(moves in crowd_moves()) {
        check_crowd(Protocol::Delta, &moves)?;
    }

    #[test]
    fn sotw_proxies_told_in_rounds_end_up_with_everything(moves in crowd_moves()) {
        check_crowd(Protocol::Sotw, &moves)?;
    }
}

/// Found by the first test above: an assignment that followed its cluster was taken while others of
/// a refused response waited for a better version, and then sent with them again.
#[test]
fn what_is_on_its_way_is_not_sent_again_with_what_was_refused_beside_it() {
    use Move::{Assignment, Cluster, Hear, Receive, Send};
    let moves = [
        Cluster(0, Some(1)),
        Assignment(1, 3),
        Hear,
        Send,
        Receive,
        Hear,
        Cluster(0, Some(0)),
        Hear,
        Assignment(2, 0),
        Send,
        Receive,
        Hear,
        Hear,
        Send,
        Send,
    ];
    check(Protocol::Delta, &moves).unwrap();
}

/// Found by the second test above: a cluster was taken back before its proxy could ask for the
/// assignment, and counted as one that needs none.
#[test]
fn a_cluster_that_was_taken_back_before_its_assignment_came_is_not_used() {
    use Move::{Cluster, Fixed, Hear, Receive, Send, Tcp};
    let moves = [
        Hear,
        Cluster(1, None),
        Hear,
        Send,
        Receive,
        Hear,
        Send,
        Tcp(Some((0, 2))),
        Receive,
        Cluster(2, Some(1)),
        Hear,
        Send,
        Hear,
        Receive,
        Hear,
        Send,
        Fixed(2),
        Cluster(1, Some(0)),
        Send,
        Tcp(Some((0, 1))),
        Hear,
        Receive,
        Send,
        Receive,
        Cluster(1, None),
        Receive,
        Hear,
        Hear,
        Send,
        Hear,
        Hear,
        Hear,
        Send,
    ];
    check(Protocol::Sotw, &moves).unwrap();
}

/// Found by the same test: a cluster came, and before its assignment was asked for another one came and
/// went. The proxy counted as holding the first.
#[test]
fn an_assignment_that_nobody_asked_for_yet_is_not_held() {
    use Move::{Cluster, Hear, Receive, Send};
    let moves = [
        Hear,
        Cluster(0, None),
        Cluster(1, None),
        Send,
        Hear,
        Receive,
        Hear,
        Hear,
        Send,
        Receive,
        Hear,
        Cluster(0, Some(0)),
        Send,
        Send,
        Cluster(1, Some(0)),
        Cluster(1, None),
        Send,
    ];
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        check(protocol, &moves).unwrap();
    }
}

#[test]
fn the_answer_to_an_unknown_route_is_empty() {
    assert_eq!(render(&unknown_route(&"r".into())), "r()");
}
