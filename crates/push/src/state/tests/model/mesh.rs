//! What a mesh may say, and what may happen to it and to a proxy.

use std::{collections::BTreeSet, fmt::Write};

use proptest::{collection::vec, prelude::*};

use super::super::language::{Content, parse_content};

const CLUSTERS: usize = 4;
const ROUTES: usize = 2;
const HOSTS: usize = 3;

/// How a resource differs from others of its name; the last one is refused.
const TAGS: [&str; 4] = ["", ".1", ".2", ".bad"];

#[derive(Clone, Debug)]
pub(super) enum Move {
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
    /// Clusters that are not acknowledged are waited for no longer.
    SetAside,
    /// One response goes out.
    Send,
    /// The proxy takes one response.
    Receive,
    /// The stream takes one request.
    Hear,
    Reconnect,
    /// The proxy's workload is fenced, or not.
    Fence(bool),
    /// A virtual host of a fenced workload: its tag, and the clusters that it names.
    LazyHost(usize, Option<(usize, BTreeSet<usize>)>),
    /// The proxy asks for a virtual host. If there is none, it comes because of that, with these clusters, which
    /// are there from then on.
    Ask(usize, BTreeSet<usize>),
}

pub(super) fn moves() -> impl Strategy<Value = Vec<Move>> {
    vec(one_move(), 1..80)
}

pub(super) fn one_move() -> impl Strategy<Value = Move> {
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
        1 => Just(Move::SetAside),
        8 => Just(Move::Send),
        8 => Just(Move::Receive),
        8 => Just(Move::Hear),
        1 => Just(Move::Reconnect),
    ]
}

/// Of a proxy that may be fenced.
pub(super) fn lazy_moves() -> impl Strategy<Value = Vec<Move>> {
    let named = prop::collection::btree_set(0..CLUSTERS, 1..3);
    let lazy = prop_oneof![
        1 => any::<bool>().prop_map(Move::Fence),
        4 => (0..HOSTS, prop::option::of((0..TAGS.len(), named.clone())))
            .prop_map(|(host, it)| Move::LazyHost(host, it)),
        3 => (0..HOSTS, named).prop_map(|(host, it)| Move::Ask(host, it)),
    ];
    vec(prop_oneof![2 => one_move(), 1 => lazy], 1..100)
}

/// Tag and clusters.
type Host = Option<(&'static str, BTreeSet<usize>)>;

#[derive(Clone, Debug)]
pub(super) struct Mesh {
    /// `!` for one without assignment.
    clusters: [Option<&'static str>; CLUSTERS],
    assignments: [&'static str; CLUSTERS],
    hosts: [[Host; HOSTS]; ROUTES],
    pub(super) listeners: [Option<&'static str>; ROUTES],
    tcp: Option<(&'static str, usize)>,
    /// Whether there is a listener whose virtual hosts are asked for.
    is_fenced: bool,
    lazy: [Host; HOSTS],
}

impl Mesh {
    pub(super) fn new() -> Self {
        Self {
            clusters: [Some(""); CLUSTERS],
            assignments: [""; CLUSTERS],
            hosts: Default::default(),
            listeners: [Some(""); ROUTES],
            tcp: None,
            is_fenced: false,
            lazy: Default::default(),
        }
    }

    /// Whether the move changed the mesh.
    pub(super) fn apply(&mut self, step: &Move) -> bool {
        match step {
            Move::Cluster(cluster, tag) => self.clusters[*cluster] = tag.map(|it| TAGS[it]),
            Move::Fixed(cluster) => self.clusters[*cluster] = Some("!"),
            Move::Assignment(cluster, tag) => self.assignments[*cluster] = TAGS[*tag],
            Move::Host(route, host, it) => {
                self.hosts[*route][*host] = it.as_ref().map(|it| (TAGS[it.0], it.1.clone()));
            }
            Move::Listener(route, tag) => self.listeners[*route] = tag.map(|it| TAGS[it]),
            Move::Tcp(it) => self.tcp = it.map(|(tag, cluster)| (TAGS[tag], cluster)),
            Move::Fence(is_fenced) => self.is_fenced = *is_fenced,
            Move::LazyHost(host, it) => {
                self.lazy[*host] = it.as_ref().map(|it| (TAGS[it.0], it.1.clone()));
            }
            Move::Ask(..)
            | Move::Tell
            | Move::Compare
            | Move::SetAside
            | Move::Send
            | Move::Receive
            | Move::Hear
            | Move::Reconnect => {
                return false;
            }
        }
        true
    }

    /// The workload has called a host of its fence.
    pub(super) fn call(&mut self, host: usize, named: &BTreeSet<usize>) {
        if self.lazy[host].is_none() {
            self.lazy[host] = Some((TAGS[0], named.clone()));
            for cluster in named {
                self.clusters[*cluster].get_or_insert(TAGS[0]);
            }
        }
    }

    /// Nothing is refused, and every cluster that is named is defined.
    pub(super) fn heal(&mut self) {
        let mend = |tag: &mut &'static str| *tag = if *tag == ".bad" { ".9" } else { *tag };
        self.clusters.iter_mut().flatten().chain(&mut self.assignments).for_each(mend);
        self.listeners.iter_mut().flatten().for_each(mend);
        let hosts = self.hosts.iter_mut().flatten().chain(&mut self.lazy).flatten();
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
    pub(super) fn seen_by(&self, class: usize) -> Self {
        let mut seen = self.clone();
        if class > 0 {
            (seen.listeners[1], seen.tcp) = (None, None);
        }
        seen
    }

    pub(super) fn content(&self) -> Content {
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
        text.push_str(if self.is_fenced { " ld(d) rds d()" } else { " rds" });
        for (route, hosts) in self.hosts.iter().enumerate() {
            let hosts =
                words(hosts).map(|(number, tag, clusters)| format!("h{number}{tag}={clusters}"));
            let _ = write!(text, " r{route}({})", hosts.collect::<Vec<_>>().join(","));
        }
        if self.is_fenced {
            text.push_str(" vhds d/any");
            for (number, tag, clusters) in words(&self.lazy) {
                let _ = write!(text, " d/h{number}{tag}(={clusters})");
            }
        }
        parse_content(&text)
    }
}

/// Number, tag and clusters.
fn words(hosts: &[Host]) -> impl Iterator<Item = (usize, &'static str, String)> {
    hosts.iter().enumerate().filter_map(|(number, it)| {
        let (tag, clusters) = it.as_ref()?;
        let clusters: Vec<String> = clusters.iter().map(|it| format!("c{it}")).collect();
        Some((number, *tag, clusters.join("+")))
    })
}
