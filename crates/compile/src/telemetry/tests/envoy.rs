//! What the real Envoy takes.

use serde_json::{Value, json};
use snapshot::Reader;

use super::{
    super::{cel::check_expression, format},
    mesh,
    metrics::SERVICE,
    proxy,
    traces::TRACES,
};
use crate::{
    Client, fixture,
    inbound::{compile_inbound_clusters, compile_inbound_listeners, select_inbound},
};

#[test]
fn envoy_takes_every_log_and_every_tracer() {
    let log = "accessLogging: [{providers: [{name: envoy}], filter: {expression: 'true'}}]";
    for tracer in ["zipkin", "skywalking", "otel"] {
        let both = format!("  {log}{}", TRACES.replace("zipkin", tracer));
        let yaml = mesh("{metrics: [prometheus]}", &[("shop", "both", &both)]) + SERVICE;
        let snapshot = fixture::snapshot(&yaml);
        let reader = Reader::new(&snapshot);
        let proxy = proxy(true);
        let client = Client::reduce(&proxy, &reader);
        let input = select_inbound(&proxy, &client, &reader);
        assert!(input.telemetry.tracing.is_some() && input.telemetry.metrics.is_some());
        crate::filters::testing::validate(
            &compile_inbound_listeners(&input),
            &compile_inbound_clusters(&input),
        );
    }
}

/// Asks Envoy whether it takes a connection manager with these access logs.
fn envoy_takes(logs: &[Value]) -> bool {
    let http = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let bootstrap = json!({"static_resources": {"listeners": [{
        "name": "l",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": http, "stat_prefix": "x", "access_log": logs, "route_config": {},
                "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
            },
        }]}],
    }]}});
    testkit::envoy_process::validate(&bootstrap.to_string()).is_ok()
}

fn file_log(format: &str) -> Value {
    let file = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
    let query =
        "type.googleapis.com/envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery";
    json!({"name": "envoy.access_loggers.file", "typed_config": {
        "@type": file, "path": "/dev/null",
        "log_format": {
            "text_format_source": {"inline_string": format},
            "formatters": [{"name": "envoy.formatter.req_without_query", "typed_config": {"@type": query}}],
        },
    }})
}

#[test]
fn envoy_knows_every_operator_that_we_let_pass() {
    let logs: Vec<Value> = format::operators().iter().map(|it| file_log(it)).collect();
    assert!(envoy_takes(&logs));
    for bad in ["%NOPE%", "%REQ%", "%REQ(a%", "%START_TIME", "%CEL(a +)%", "%RESPONSE_CODE(x)%"] {
        assert!(format::check_format(bad).is_err(), "{bad}");
        assert!(!envoy_takes(&[file_log(bad)]), "{bad}");
    }
    for good in ["100%% %REQ(:PATH):10%", "%START_TIME(%Y/%m/%d)%", "%CEL(request.path + ')')%"] {
        assert_eq!(format::check_format(good).is_ok(), envoy_takes(&[file_log(good)]), "{good}");
    }
}

const GOOD: &[&str] = &[
    "response.code >= 400",
    "response.code >= 400 || (connection.mtls && request.headers['x-a'] == \"b\")",
    "!('x' in request.headers) ? true : request.path.startsWith('/a')",
    "request.path.matches(r'^/a\\d+$') && size(request.headers) > 1u - 0u",
    "size([1, 2]) == 2 && {'a': 1.5e-3}['a'] < 0x10",
    "xds.route_metadata.filter_metadata['meltemi']['al'] == true",
    "has(request.headers.foo) && -1 < duration('1s').getSeconds()",
];

const BAD: &[&str] = &[
    "response.code >=",
    "a &&",
    "(a",
    "a)",
    "a b",
    "'open",
    "foo(1)",
    "a.foo()",
    "1.2.3",
    "a[",
    "{1}",
    "99999999999999999999",
    "a ? b",
    "[1].all(x, x > 0)",
    "'\\q'",
    "",
];

#[test]
fn envoy_takes_the_expressions_that_we_let_pass_and_no_other() {
    let log = |expression: &str| {
        let cel =
            "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter";
        let mut log = file_log("x");
        log["filter"] = json!({"extension_filter": {"name": "cel", "typed_config":
            {"@type": cel, "expression": expression}}});
        log
    };
    for good in GOOD {
        assert_eq!(check_expression(good), Ok(()), "{good}");
    }
    let logs: Vec<Value> = GOOD.iter().map(|it| log(it)).collect();
    assert!(envoy_takes(&logs));
    for bad in BAD {
        assert!(check_expression(bad).is_err(), "{bad}");
        assert!(!envoy_takes(&[log(bad)]), "{bad}");
    }
}
