//! Each form, with its mistakes.

use expect_test::{Expect, expect};

use super::*;
use crate::target::tests::FakePlaces;

#[track_caller]
fn check(text: &str, expected: Expect) {
    let input = ImportInput { text, namespace: None, places: &FakePlaces };
    let shown = match parse_import(input) {
        Err(error) => format!("error: {error}\n"),
        Ok(import) => {
            let calls = import.calls.iter().map(|call| {
                let ImportedCall { workload, host, count } = call;
                format!("{workload} -> {host} {count}\n")
            });
            let findings =
                import.findings.iter().map(|it| format!("{}: {}\n", it.place, it.message));
            format!("{}\n{}", import.form, calls.chain(findings).collect::<String>())
        }
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_list_in_csv() {
    check(
        "workload,host,count\n\
         # by hand\n\
         shop/web,cart,3\n\
         shop/web, \"pay.bank\"\n\
         shop/web;api.example.com;1\n\
         shop/web\n\
         web,cart\n\
         shop/web,a b\n\
         shop/web,cart,many\n\
         \n\
         shop/web,cart.shop.svc.cluster.local\n",
        expect![[r#"
            csv
            shop/web -> cart.shop.svc.cluster.local 3
            shop/web -> pay.bank.svc.cluster.local 1
            shop/web -> api.example.com 1
            shop/web -> cart.shop.svc.cluster.local 1
            line 6: write workload,host or workload,host,count
            line 7: `web` has no namespace: write namespace/name, or name one with --namespace
            line 8: `a b` is no host
            line 9: `many` is no count: write a whole number
        "#]],
    );
}

#[test]
fn a_host_is_completed_as_for_a_caller_of_the_mesh() {
    check(
        "shop/web,example.com\n\
         shop/web,a.example.net\n\
         shop/web,CART:80\n\
         shop/web,cart.shop.svc.cluster.local.\n\
         shop/web,10.0.0.1:9080\n\
         shop/web,10.0.0.1:80\n\
         shop/web,[fd00::9]:80\n\
         shop/web,new\n\
         shop/web,new.bank:80\n\
         shop/web,new.bank.svc\n\
         shop/web,new.later\n",
        expect![[r#"
            csv
            shop/web -> example.com 1
            shop/web -> *.example.net 1
            shop/web -> cart.shop.svc.cluster.local 1
            shop/web -> cart.shop.svc.cluster.local 1
            shop/web -> cart.shop.svc.cluster.local 1
            shop/web -> new.shop.svc.cluster.local 1
            shop/web -> new.bank.svc.cluster.local 1
            shop/web -> new.bank.svc.cluster.local 1
            shop/web -> new.later 1
            line 6: no service has the address `10.0.0.1`
            line 7: no service has the address `[fd00::9]`
        "#]],
    );
}

#[test]
fn counts_of_json_are_whole_numbers_also_as_texts() {
    check(
        r#"[{"workload": "shop/web", "host": "cart", "count": "7"},
            {"workload": "shop/web", "host": "cart", "count": null},
            {"workload": "shop/web", "host": "cart", "count": -5},
            {"workload": "shop/web", "host": "cart", "count": 0.4},
            {"workload": "shop/web", "host": "cart", "count": "many"},
            {"workload": "shop/web", "host": "cart", "count": [1]}]"#,
        expect![[r#"
            json
            shop/web -> cart.shop.svc.cluster.local 7
            shop/web -> cart.shop.svc.cluster.local 1
            [2].count: `-5` is no count: write a whole number
            [3].count: `0.4` is no count: write a whole number
            [4].count: `many` is no count: write a whole number
            [5].count: `[1]` is no count: write a whole number
        "#]],
    );
}

#[test]
fn a_head_names_the_columns() {
    check(
        "# of last week\n\
         Protocol;Destination;Source;Calls\n\
         http;cart;shop/web;1e3\n\
         http;pay.bank;shop/web;\n\
         http;pay.bank\n\
         http;pay.bank;shop/web;-1\n\
         source;destination;shop/web;1\n",
        expect![[r#"
            csv
            shop/web -> cart.shop.svc.cluster.local 1000
            shop/web -> pay.bank.svc.cluster.local 1
            shop/web -> destination.shop.svc.cluster.local 1
            line 5: write workload,host or workload,host,count
            line 6: `-1` is no count: write a whole number
        "#]],
    );
    check(
        "caller,callee\nshop/web,cart\n",
        expect![[r#"
        csv
        shop/web -> cart.shop.svc.cluster.local 1
    "#]],
    );
}

#[test]
fn a_list_in_json() {
    check(
        r#"[{"workload": "shop/web", "host": "cart", "count": 3}, {"workload": "shop/web"}, 7]"#,
        expect![[r#"
            json
            shop/web -> cart.shop.svc.cluster.local 3
            [1].host: it must be a name
            [2].workload: it must be a name
        "#]],
    );
}

#[test]
fn dependencies_of_jaeger() {
    check(
        r#"{"data": [
            {"parent": "web.shop", "child": "cart.shop", "callCount": 12},
            {"parent": "web.shop", "child": "cart", "callCount": 99999999999},
            {"parent": "web.shop", "child": "cart", "callCount": 1e3},
            {"parent": "frontend", "child": "cart.shop", "callCount": 1},
            {"parent": "web.shop.svc.cluster.local", "child": "pay.bank.svc", "callCount": 1},
            {"parent": "web.shop", "child": ""}
        ], "total": 0, "errors": null}"#,
        expect![[r#"
            jaeger
            shop/web -> cart.shop.svc.cluster.local 12
            shop/web -> cart.shop.svc.cluster.local 4294967295
            shop/web -> cart.shop.svc.cluster.local 1000
            shop/web -> pay.bank.svc.cluster.local 1
            data[3].parent: `frontend` has no namespace: write namespace/name, or name one with --namespace
            data[5].child: it must be a name
        "#]],
    );
}

#[test]
fn a_topology_of_skywalking() {
    check(
        r#"{"data": {"topology": {
            "nodes": [
                {"id": "1", "name": "mesh::web.shop", "isReal": true},
                {"id": "2", "name": "cart.shop", "isReal": true},
                {"id": "3", "name": "db.shop:3306", "isReal": false},
                {"id": "4", "name": "User", "isReal": false}
            ],
            "calls": [
                {"id": "a", "source": "1", "target": "2"},
                {"id": "b", "source": "1", "target": "3"},
                {"id": "c", "source": "4", "target": "1"},
                {"id": "d", "source": "1", "target": "9"}
            ]
        }}}"#,
        expect![[r#"
            skywalking
            shop/web -> cart.shop.svc.cluster.local 1
            shop/web -> db.shop.svc.cluster.local 1
            calls[3].target: it names no node
        "#]],
    );
}

#[test]
fn a_graph_of_kiali_with_service_nodes_or_without() {
    check(
        r#"{"timestamp": 1, "graphType": "workload", "elements": {
            "nodes": [
                {"data": {"id": "w", "nodeType": "workload", "namespace": "shop",
                          "workload": "web-v1", "app": "web"}},
                {"data": {"id": "s", "nodeType": "service", "namespace": "shop",
                          "service": "cart"}},
                {"data": {"id": "c", "nodeType": "workload", "namespace": "shop",
                          "workload": "cart-v1", "destServices":
                          [{"cluster": "k", "namespace": "shop", "name": "cart"}]}},
                {"data": {"id": "e", "nodeType": "service", "namespace": "shop",
                          "service": "api.example.com"}},
                {"data": {"id": "u", "nodeType": "unknown", "namespace": "unknown",
                          "workload": "unknown", "app": "unknown"}},
                {"data": {"id": "p", "nodeType": "service", "namespace": "unknown",
                          "service": "PassthroughCluster"}}
            ],
            "edges": [
                {"data": {"id": "1", "source": "w", "target": "s"}},
                {"data": {"id": "2", "source": "s", "target": "c"}},
                {"data": {"id": "3", "source": "w", "target": "c"}},
                {"data": {"id": "4", "source": "w", "target": "e"}},
                {"data": {"id": "5", "source": "u", "target": "w"}},
                {"data": {"id": "6", "source": "w", "target": "p"}},
                {"data": {"id": "7", "source": "w"}}
            ]
        }}"#,
        expect![[r#"
            kiali
            shop/web-v1 -> cart.shop.svc.cluster.local 1
            shop/web-v1 -> cart.shop.svc.cluster.local 1
            shop/web-v1 -> api.example.com 1
            elements.edges[4].data.source: its node is no workload of the mesh
            elements.edges[5].data.target: its node names no service
            elements.edges[6].data.target: it names no node
        "#]],
    );
}

#[test]
fn a_graph_of_kiali_without_workloads_says_which_one_to_take() {
    check(
        r#"{"graphType": "service", "elements": {
            "nodes": [
                {"data": {"id": "a", "nodeType": "service", "namespace": "shop", "service": "web"}},
                {"data": {"id": "b", "nodeType": "service", "namespace": "shop", "service": "cart"}}
            ],
            "edges": [{"data": {"id": "1", "source": "a", "target": "b"}}]
        }}"#,
        expect![[r#"
            kiali
            elements.edges: no workload is in it: ask for the graph with graphType=workload
        "#]],
    );
}

#[test]
fn what_is_no_call_graph_is_said_to_be_none() {
    check(
        "<!DOCTYPE html>\n<html></html>",
        expect![[r#"
            error: it is a page of HTML or XML, and no call graph: see what was saved
        "#]],
    );
    check(
        r#"{"data": [{"traceID": "1", "spans": []}]}"#,
        expect![[r#"
            error: these are traces of Jaeger: save what its /api/dependencies answers
        "#]],
    );
    check(
        "{\n  \"a\": ",
        expect![[r#"
            error: line 2, column 7: it is no JSON: EOF while parsing a value
        "#]],
    );
    check(
        r#"{"kind": "Service"}"#,
        expect![[r#"
        error: it is JSON, but no call graph: neither a list of {workload, host}, nor Jaeger's /api/dependencies, nor a topology of SkyWalking, nor Kiali's graph
    "#]],
    );
    check(
        "",
        expect![[r#"
        csv
    "#]],
    );
}

#[test]
fn a_namespace_is_given_to_names_that_have_none() {
    let namespace = Namespace::from("shop");
    let text = r#"{"data": [{"parent": "web", "child": "cart", "callCount": 1}]}"#;
    let input = ImportInput { text, namespace: Some(&namespace), places: &FakePlaces };
    let call = &parse_import(input).unwrap().calls[0];
    assert_eq!(format!("{} {}", call.workload, call.host), "shop/web cart.shop.svc.cluster.local");
}
