use admin::{ProxyConfig, ProxyStatusList};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{
    config::{self, Filter, What},
    status,
};
use crate::{
    language::{Catalogue, Language},
    output::{Format, Look, Screen},
};

#[track_caller]
fn check(run: impl FnOnce(&mut Screen<'_>) -> anyhow::Result<()>, expected: Expect) {
    let catalogue = Catalogue::new(Language::En);
    let mut out = Vec::new();
    run(&mut Screen::new(&mut out, Look::PLAIN, &catalogue)).unwrap();
    let text = String::from_utf8(out).unwrap();
    expected.assert_eq(&anstream::adapter::strip_str(&text).to_string());
}

fn proxy(name: &str, state: &str) -> Value {
    json!({
        "id": format!("sidecar~10.0.0.1~{name}~shop.svc.cluster.local"), "proxy": name,
        "kind": "sidecar", "protocol": "delta", "version": "1.30.0", "state": state,
        "subscribed": ["cluster", "endpoint", "listener", "route", "runtime"],
        "pending": {}, "refused": [],
    })
}

fn statuses(items: Vec<Value>) -> ProxyStatusList {
    serde_json::from_value(json!({ "items": items })).unwrap()
}

#[test]
fn what_is_wrong_comes_first_with_envoys_words() {
    let mut stale = proxy("pay-1.shop", "STALE");
    stale["pending"] = json!({"cluster": 3});
    stale["heldBack"] = json!([
        "route `80` waits for `outbound|80|v2|pay`, which nothing defines or which is still warming"
    ]);
    let mut refused = proxy("web-1.shop", "NACK");
    refused["refused"] =
        json!([{"type": "listener", "name": "0.0.0.0_80", "refused": "no filter"}]);
    let list = statuses(vec![proxy("cart-1.shop", "SYNCED"), stale, refused]);
    check(
        |screen| status::print(list, false, Format::Table, screen),
        expect![[r#"
            × 3 proxies: 1 synced, 1 stale, 1 refused something
            PROXY        STATE   CDS     EDS  LDS        RDS  SDS  RTDS  KIND     PROTOCOL  VERSION
            web-1.shop   NACK    ok      ok   1 refused  ok   -    ok    sidecar  delta     1.30.0
            pay-1.shop   STALE   3 wait  ok   ok         ok   -    ok    sidecar  delta     1.30.0
            cart-1.shop  SYNCED  ok      ok   ok         ok   -    ok    sidecar  delta     1.30.0
            × web-1.shop listener `0.0.0.0_80`: no filter
            ‼ pay-1.shop route `80` waits for `outbound|80|v2|pay`, which nothing defines or which is still warming
        "#]],
    );
}

#[test]
fn a_long_list_is_a_summary_and_the_exceptions() {
    let mut items: Vec<Value> =
        (0..300).map(|number| proxy(&format!("p-{number}.shop"), "SYNCED")).collect();
    items.push(proxy("late.shop", "STALE"));
    check(
        |screen| status::print(statuses(items), false, Format::Table, screen),
        expect![[r#"
            ‼ 301 proxies: 300 synced, 1 stale, 0 refused something
            PROXY      STATE  CDS  EDS  LDS  RDS  SDS  RTDS  KIND     PROTOCOL  VERSION
            late.shop  STALE  ok   ok   ok   ok   -    ok    sidecar  delta     1.30.0
            300 synced proxies are not listed; `--all` lists all
        "#]],
    );
}

#[test]
fn a_state_from_before_is_called_so() {
    let mut list = statuses(vec![proxy("web-1.shop", "SYNCED")]);
    list.restored = Some(1_767_225_600);
    check(
        |screen| status::print(list, false, Format::Table, screen),
        expect![[r#"
            ‼ the sources are still being read: what proxies are given is the state of 2026-01-01T00:00:00Z
            √ 1 proxy: 1 synced, 0 stale, 0 refused something
            PROXY       STATE   CDS  EDS  LDS  RDS  SDS  RTDS  KIND     PROTOCOL  VERSION
            web-1.shop  SYNCED  ok   ok   ok   ok   -    ok    sidecar  delta     1.30.0
        "#]],
    );
}

fn dump() -> ProxyConfig {
    let cluster = json!({
        "type": "cluster", "name": "outbound|80|v1|cart.shop.svc.cluster.local",
        "acknowledged": "1", "origins": ["Service shop/cart", "DestinationRule shop/cart"],
        "resource": {"type": "EDS"},
    });
    let special = json!({
        "type": "cluster", "name": "PassthroughCluster", "sent": "2",
        "resource": {"type": "ORIGINAL_DST"},
    });
    let listener = json!({
        "type": "listener", "name": "10.0.0.9_443", "acknowledged": "1", "resource": {
            "address": {"socket_address": {"address": "10.0.0.9", "port_value": 443}},
            "filter_chains": [
                {"filter_chain_match": {"server_names": ["a.test"], "transport_protocol": "tls"},
                 "filters": [{"typed_config": {"cluster": "outbound|443||a.test"}}]},
                {"filters": [{"typed_config": {"rds": {"route_config_name": "443"}}}]},
            ],
        },
    });
    let route = json!({
        "type": "route", "name": "80", "acknowledged": "1", "resource": {"virtual_hosts": [{
            "name": "cart:80", "domains": ["cart", "cart.shop"], "routes": [
                {"match": {"prefix": "/v1"}, "metadata": {"filter_metadata": {"istio": {"config":
                    "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/cart"}}},
                 "route": {"weighted_clusters": {"clusters": [
                    {"name": "a", "weight": 90}, {"name": "b", "weight": 10}]}}},
                {"match": {"path": "/x", "headers": [{}]}, "direct_response": {"status": 404}},
            ],
        }]},
    });
    let endpoint = json!({
        "type": "endpoint", "name": "outbound|80||cart.shop.svc.cluster.local",
        "acknowledged": "1", "resource": {"endpoints": [{
            "locality": {"region": "r", "zone": "z"}, "lb_endpoints": [{
                "endpoint": {"address": {"socket_address":
                    {"address": "10.1.1.1", "port_value": 8080}}},
                "health_status": "UNHEALTHY",
            }],
        }]},
    });
    serde_json::from_value(json!({
        "status": proxy("cart-1.shop", "STALE"),
        "resources": [cluster, special, listener, route, endpoint],
    }))
    .unwrap()
}

#[test]
fn each_type_has_the_columns_that_istioctl_has() {
    check(
        |screen| config::print(dump(), What::All, &Filter::default(), Format::Table, screen),
        expect![[r#"
            ‼ cart-1.shop: 4 of 5 resources acknowledged, 1 wait, 0 refused

            SERVICE FQDN                 PORT  SUBSET  DIRECTION  TYPE          DESTINATION RULE  STATE
            PassthroughCluster           -     -       -          ORIGINAL_DST  -                 SENT
            cart.shop.svc.cluster.local  80    v1      outbound   EDS           cart.shop         ACK

            ADDRESS       LISTENER      MATCH                    DESTINATION                    STATE
            10.0.0.9:443  10.0.0.9_443  SNI: a.test; Trans: tls  Cluster: outbound|443||a.test  ACK
            10.0.0.9:443  10.0.0.9_443  ALL                      Route: 443                     ACK

            NAME  VHOST NAME  DOMAINS   MATCH              DESTINATION  VIRTUAL SERVICE  STATE
            80    cart:80     cart + 1  /v1*               90 a, 10 b   cart.shop        ACK
            80    cart:80     cart + 1  /x + 1 conditions  answer 404   -                ACK

            ENDPOINT       STATUS     LOCALITY  PRIORITY  WEIGHT  CLUSTER                                   STATE
            10.1.1.1:8080  UNHEALTHY  r/z       0         1       outbound|80||cart.shop.svc.cluster.local  ACK
        "#]],
    );
}

#[test]
fn short_shows_only_what_is_not_acknowledged() {
    check(
        |screen| config::print(dump(), What::Clusters, &Filter::default(), Format::Short, screen),
        expect![[r#"
            ‼ cart-1.shop: 0 of 1 resources acknowledged, 1 wait, 0 refused
            SERVICE FQDN        PORT  SUBSET  DIRECTION  TYPE          DESTINATION RULE  STATE
            PassthroughCluster  -     -       -          ORIGINAL_DST  -                 SENT
        "#]],
    );
}

#[test]
fn names_are_one_per_line() {
    check(
        |screen| config::print(dump(), What::Routes, &Filter::default(), Format::Name, screen),
        expect![[r#"
            route/80
        "#]],
    );
}

#[test]
fn virtual_hosts_that_were_loaded_one_by_one_are_in_their_route_configurations() {
    let mut config = dump();
    let status = |value| serde_json::from_value::<admin::ResourceStatus>(value).unwrap();
    for port in ["8080", "9090"] {
        let resource = json!({"vhds": {}});
        config.resources.push(status(
            json!({"type": "route", "name": port, "acknowledged": "1", "resource": resource}),
        ));
    }
    config.resources.push(status(json!({
        "type": "virtualhost", "name": "8080/pay.bank:8080", "acknowledged": "1", "resource": {
            "name": "8080/pay.bank:8080", "domains": ["pay.bank"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "a"}}],
        },
    })));
    let mut of_port = Filter::default();
    of_port.port = Some(8080);
    check(
        |screen| {
            let all = Filter::default();
            config::print(config.clone(), What::Routes, &all, Format::Table, screen)?;
            config::print(config, What::Routes, &of_port, Format::Name, screen)
        },
        expect![[r#"
            √ cart-1.shop: 4 of 4 resources acknowledged, 0 wait, 0 refused
            NAME  VHOST NAME     DOMAINS   MATCH              DESTINATION  VIRTUAL SERVICE  STATE
            80    cart:80        cart + 1  /v1*               90 a, 10 b   cart.shop        ACK
            80    cart:80        cart + 1  /x + 1 conditions  answer 404   -                ACK
            9090  -              -         -                  -            -                ACK
            8080  pay.bank:8080  pay.bank  /*                 a            -                ACK
            route/8080
            virtualhost/8080/pay.bank:8080
        "#]],
    );
}
