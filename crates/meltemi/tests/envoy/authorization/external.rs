//! External authorizers: real servers, over gRPC and HTTP.

use testkit::http::{Behaviour, GrpcBackend};

use super::*;

/// `envoy.service.auth.v3.CheckResponse` with the status OK, and with PERMISSION_DENIED.
const ALLOWED: &[u8] = &[0x0a, 0x00];
const DENIED: &[u8] = &[0x0a, 0x02, 0x08, 0x07];

const ASK: &str = "action: CUSTOM, provider: {name: guard}, \
                   rules: [{to: [{operation: {paths: [/ask*]}}]}]";

fn provider(kind: &str, fields: &str) -> String {
    format!(
        "extensionProviders:\n- name: guard\n  {kind}: {{service: guard.shop.svc.cluster.local, \
         port: {PORT}, {fields}}}\n"
    )
}

async fn gate(config: &str, yaml: &str) -> Gate {
    let settings =
        ShopSettings { versions: &["v1"], yaml, mesh_config: config, ..Default::default() };
    Gate::start(settings).await
}

#[tokio::test]
async fn an_authorizer_over_grpc_decides_about_what_the_policy_selects() {
    let guard = GrpcBackend::start("guard", ports::loopback_socket(PORT)).await.unwrap();
    let instance = Instance { version: "v1", address: guard.address(), node: None };
    let yaml = service_on("guard", ("grpc", PORT), &[instance]);
    let gate = gate(&provider("envoyExtAuthzGrpc", "timeout: 5s"), &yaml).await;
    gate.enforce("ask", ASK).await;
    guard.set_answer(DENIED);
    check_status("denied", &gate.get("/ask"), 403).await;
    check_status("not asked", &gate.get("/"), 200).await;
    assert_eq!(guard.requests(), 1);
    guard.set_answer(ALLOWED);
    check_status("allowed", &gate.get("/ask"), 200).await;
    let spec = format!(
        "action: CUSTOM, provider: {{name: guard}}, rules: [{{to: [{{operation: {{ports: ['{TCP}']}}}}]}}]"
    );
    gate.enforce("bytes", &spec).await;
    let exchange = async || tcp_exchange(gate.at(TCP), b"hello", Duration::from_secs(10)).await;
    assert_eq!(exchange().await.unwrap(), b"bytes\nhello");
    guard.set_answer(DENIED);
    assert!(!is_echoed(&exchange().await));
    drop(guard);
    gate.enforce("ask-nobody", ASK).await;
    check_status("nobody answers", &gate.get("/ask"), 403).await;
}

#[tokio::test]
async fn an_authorizer_over_http_decides_and_adds_headers() {
    let guard = backend("guard").await;
    let yaml = service("guard", &[Instance::new("v1", &guard)]);
    let fields = "pathPrefix: /check, headersToUpstreamOnAllow: [x-user], \
                  includeAdditionalHeadersInCheck: {x-from: gate}, statusOnError: '503'";
    let gate = gate(&provider("envoyExtAuthzHttp", fields), &yaml).await;
    gate.enforce("ask", ASK).await;
    guard.set_behaviour(Behaviour::answer().with_header("x-user", "anna"));
    let echo = send(&gate.get("/ask")).await.echo().unwrap();
    assert_eq!((echo.backend.as_str(), echo.headers["x-user"].as_str()), ("web-v1", "anna"));
    guard.set_behaviour(Behaviour::status(401));
    check_status("refused", &gate.get("/ask"), 401).await;
    check_status("not asked", &gate.get("/"), 200).await;
    guard.set_behaviour(Behaviour::fault(testkit::http::Fault::Close));
    check_status("the status of a failure", &gate.get("/ask"), 503).await;
}

#[tokio::test]
async fn what_an_unusable_authorizer_would_decide_is_denied() {
    let gate = gate("", "").await;
    gate.enforce("ask", ASK).await;
    check_status("refused", &gate.get("/ask"), 403).await;
    check_status("not selected", &gate.get("/"), 200).await;
}
