//! A call that a fenced workload makes ends where the same call ends without a fence.

use proptest::{collection::vec, prelude::*};
use snapshot::Change;
use verify::{Call, Outcome, Protocol, Resources, Tls, WalkError, WalkOptions, walk};

use super::{
    incremental::{Edit, HOSTS, detoured, edits, lazy, lazy_gateway, question},
    stage::{Stage, puts},
};

const FENCE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: edge, labels: {meltemi.io/scope: on-demand}}
";

/// Where a call ends.
#[derive(Debug, PartialEq)]
struct End {
    error: Option<verify::WalkError>,
    answer: Option<verify::Answer>,
    clusters: Vec<String>,
    upstreams: Vec<verify::Upstream>,
}

impl End {
    fn of(outcome: Outcome) -> Self {
        let clusters = outcome.cluster.names().into_iter().map(str::to_owned).collect();
        Self {
            error: outcome.error,
            answer: outcome.answer,
            clusters,
            upstreams: outcome.upstreams,
        }
    }
}

/// Rules of the pool tell them apart: by prefixes, by whole paths and by expressions.
const PATHS: [&str; 4] = ["/", "/v2/x", "/api/v1", "/api/x"];

fn call(host: &str, path: &str) -> Call {
    Call {
        port: 80,
        protocol: Protocol::Http,
        host_header: host.to_owned(),
        path: path.to_owned(),
        ..Call::default()
    }
}

/// A connection of TLS that is the caller's own.
fn tls(host: &str) -> Call {
    Call { port: 443, tls: Tls::Tls, host_header: host.to_owned(), ..Call::default() }
}

/// Where a call ends, through the lazy gateway if it goes there, which is said as well.
fn detour(caller: &Resources, gateway: &Resources, call: &Call) -> (End, bool) {
    let outcome = walk(caller, call, &WalkOptions::FULL);
    if outcome.cluster.single() != "LazyGatewayCluster" {
        return (End::of(outcome), false);
    }
    let added = outcome.effects.iter().find(|it| it.field == "request_headers_to_add");
    let route = added.and_then(|it| it.value.strip_prefix("x-meltemi-route="));
    let route = route.expect("the caller names a route configuration");
    // The gateway finds the route as the caller would who had all of this.
    let mut relayed = Resources { listeners: caller.listeners.clone(), ..gateway.clone() };
    let routes = gateway.routes.get(route).cloned().unwrap_or_default();
    relayed.routes.insert(outcome.route_config.clone(), routes);
    let outcome = walk(&relayed, call, &WalkOptions::FULL);
    let is_refused = outcome.route == "meltemi.no-match";
    let end = End::of(outcome);
    match is_refused {
        // The gateway says what Envoy would say.
        true => (End { error: Some(WalkError::NoRoute), answer: None, ..end }, true),
        false => (end, true),
    }
}

const GATEWAY: &str = "
apiVersion: v1
kind: Service
metadata: {name: lazy-gateway, namespace: tools}
spec: {clusterIP: 10.9.0.1, ports: [{name: lazy, port: 15080}]}
";

/// Otherwise the test below says less than it seems to.
#[test]
fn calls_of_what_is_not_told_take_the_detour() {
    let mesh = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---";
    let mut stage = Stage::new(puts(&format!("{mesh}{GATEWAY}")));
    let caller = stage.connect(detoured("10.4.0.3"));
    let gateway = stage.connect(lazy_gateway());
    let [caller, gateway] = [caller, gateway].map(|it| stage.resources(it));
    let (end, is_detoured) = detour(&caller, &gateway, &call("cart.shop", "/"));
    assert!(is_detoured);
    assert_eq!(end.clusters, ["outbound|80||cart.shop.svc.cluster.local"]);
}

fn service(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{spec}, ports: [{{name: http, port: 80}}]}}
---"
    )
}

/// A rule for `web.web`; `condition` is of its only route.
fn rule(namespace: &str, name: &str, condition: &str, destination: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [web.web.svc.cluster.local]
  http: [{{match: [{{{condition}}}], route: [{{destination: {{host: {destination}}}}}]}}]
---"
    )
}

const WEB: &str = "web.web.svc.cluster.local";

/// Where calls of [`WEB`] end, which has to be where they end without a fence.
#[track_caller]
fn end_of_web(mesh: &str) -> End {
    let mut stage = Stage::new(puts(&format!("{mesh}{GATEWAY}")));
    let fenced = stage.connect(detoured("10.4.0.3"));
    let open = stage.connect(lazy("10.4.0.4", "meltemi.io/scope=full"));
    let gateway = stage.connect(lazy_gateway());
    let [fenced, open, gateway] = [fenced, open, gateway].map(|it| stage.resources(it));
    let call = call(WEB, "/");
    let expected = End::of(walk(&open, &call, &WalkOptions::FULL));
    assert_eq!(detour(&fenced, &gateway, &call).0, expected);
    expected
}

#[test]
fn a_rule_that_leads_to_the_other_name_of_a_headless_service_is_told() {
    let cart = service("shop", "cart", "clusterIP: None");
    let db = "type: ExternalName, externalName: cart.shop.svc.cluster.local";
    let db = service("data", "db", db);
    let web = service("web", "web", "clusterIP: 10.0.0.1");
    let rule = rule("data", "web", "uri: {prefix: /}", "db.data.svc.cluster.local");
    let end = end_of_web(&[cart, db, web, rule].concat());
    assert!(
        matches!(&*end.upstreams, [verify::Upstream::OriginalDestination { .. }]),
        "the caller's own address is used: {end:?}"
    );
}

#[test]
fn of_two_rules_for_a_host_the_first_decides_also_where_only_the_other_asks_who_calls() {
    let services = ["cart", "pay", "web"].map(|name| service("web", name, "clusterIP: 10.0.0.1"));
    let for_all = rule("web", "a", "uri: {prefix: /}", "cart");
    let for_some = rule("web", "b", "sourceLabels: {app: detoured}", "pay");
    let end = end_of_web(&(services.concat() + &for_all + &for_some));
    assert_eq!(end.clusters, ["outbound|80||cart.web.svc.cluster.local"]);
}

/// A rule that leads where the gateway cannot go is told, also for a host that no service has.
#[test]
fn a_host_of_a_rule_alone_that_leads_to_a_headless_service_takes_no_detour() {
    let web = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: data}
spec:
  hosts: [web.web.svc.cluster.local]
  http: [{route: [{destination: {host: cart.shop.svc.cluster.local}}]}]
---";
    let end = end_of_web(&(service("shop", "cart", "clusterIP: None") + web));
    assert_eq!(end.clusters, ["outbound|80||cart.shop.svc.cluster.local"]);
    assert!(
        matches!(&*end.upstreams, [verify::Upstream::OriginalDestination { .. }]),
        "the caller's own address is used: {end:?}"
    );
}

/// What a rule says of the other hosts that it has is told when these are called: another rule may come
/// before it.
#[test]
fn a_rule_is_told_for_the_hosts_that_are_called_and_for_no_others() {
    let services = ["cart", "pay", "web"].map(|name| service("web", name, "clusterIP: 10.0.0.1"));
    let first = rule("web", "a", "uri: {prefix: /}", "cart");
    let both = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: both, namespace: web}
spec:
  hosts: [web.web.svc.cluster.local, pay.web.svc.cluster.local]
  http: [{route: [{destination: {host: pay}}]}]
---";
    let mut stage = Stage::new(puts(&(services.concat() + &first + both + FENCE)));
    let fenced = stage.connect(lazy("10.4.0.2", "app=other"));
    stage.ask(fenced, &question("pay.web"));
    for host in ["web.web", WEB] {
        let held = walk(&stage.resources(fenced), &call(host, "/"), &WalkOptions::FULL);
        assert_eq!(held.error, Some(WalkError::NoVirtualHost), "{host} is asked for");
    }
    stage.ask(fenced, &question("web.web"));
    let end = walk(&stage.resources(fenced), &call("web.web", "/"), &WalkOptions::FULL);
    assert_eq!(End::of(end).clusters, ["outbound|80||cart.web.svc.cluster.local"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_detour_changes_no_call(start in vec(edits(), 5..60), later in vec(edits(), 0..4)) {
        let changes = |edits: &[Edit]| edits.iter().map(Edit::change).collect::<Vec<Change>>();
        let mut stage = Stage::new(changes(&start));
        let fenced = stage.connect(detoured("10.4.0.3"));
        let open = stage.connect(lazy("10.4.0.4", "meltemi.io/scope=full"));
        let gateway = stage.connect(lazy_gateway());
        stage.apply(changes(&later));
        stage.apply(puts(GATEWAY));
        let [fenced, open, gateway] = [fenced, open, gateway].map(|it| stage.resources(it));
        // A dispatch is for fenced workloads alone, and an address is not told to lead to the gateway.
        let is_comparable = |host: &&str| !host.ends_with(".org") && !host.starts_with("10.");
        for host in HOSTS.into_iter().filter(is_comparable) {
            for path in PATHS {
                let call = call(host, path);
                let (end, is_detoured) = detour(&fenced, &gateway, &call);
                let expected = End::of(walk(&open, &call, &WalkOptions::FULL));
                // What the gateway does not know goes where it would go without a fence.
                let is_unknown = end.answer == Some(verify::Answer::Direct { status: 502 });
                let leaves = expected.clusters == ["PassthroughCluster"];
                let is_passed_on = is_detoured && is_unknown && leaves;
                prop_assert!(
                    is_passed_on || end == expected,
                    "{host}{path}: {end:#?} and not {expected:#?}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_fence_changes_no_call(
        start in vec(edits(), 5..60),
        asked_at_once in any::<bool>(),
        later in vec(edits(), 0..4),
    ) {
        let changes = |edits: &[Edit]| edits.iter().map(Edit::change).collect::<Vec<Change>>();
        let mut stage = Stage::new(changes(&start));
        stage.put(FENCE);
        let fenced = stage.connect(lazy("10.4.0.2", "app=other"));
        let open = stage.connect(lazy("10.4.0.3", "meltemi.io/scope=full"));
        if asked_at_once {
            HOSTS.iter().for_each(|host| drop(stage.ask(fenced, &question(host))));
        }
        stage.apply(changes(&later));
        stage.apply(puts(FENCE));
        // A dispatch is for fenced workloads alone.
        for host in HOSTS.into_iter().filter(|host| !host.ends_with(".org")) {
            // A proxy asks for what it has no virtual host for, and for nothing else.
            let held = walk(&stage.resources(fenced), &call(host, "/"), &WalkOptions::FULL);
            if held.error == Some(WalkError::NoVirtualHost) {
                stage.ask(fenced, &question(host));
            }
            let [fenced, open] = [fenced, open].map(|stream| stage.resources(stream));
            for path in PATHS {
                let ends = [&fenced, &open].map(|resources| {
                    End::of(walk(resources, &call(host, path), &WalkOptions::FULL))
                });
                prop_assert_eq!(&ends[0], &ends[1], "{}{}", host, path);
            }
        }
        for host in ["ext.example.com", "other.example.com", "cart.example.com"] {
            let held = walk(&stage.resources(fenced), &tls(host), &WalkOptions::FULL);
            // A proxy asks for a cluster that it lacks.
            if let [verify::Upstream::Missing { cluster }] = &*held.upstreams {
                stage.ask(fenced, cluster);
            }
            let [end, expected] = [fenced, open].map(|stream| {
                End::of(walk(&stage.resources(stream), &tls(host), &WalkOptions::FULL))
            });
            // What does not wait is learned, and told with the next connection.
            let leaves = ["PassthroughCluster", "BlackHoleCluster"].iter().any(|it| end.clusters == [*it]);
            prop_assert!(leaves || end == expected, "{host}: {end:#?} and not {expected:#?}");
        }
    }
}
