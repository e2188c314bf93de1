//! What PeerAuthentication and a Sidecar's own TLS make of the listeners.

use expect_test::expect;
use serde_json::json;

use crate::{
    filters::testing::render_listener,
    fixture,
    inbound::{compile_inbound_listeners, tests::Case, tests::SERVICE},
};

fn peers(spec: &str) -> String {
    format!(
        "{SERVICE}---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: web, namespace: shop}}
spec: {spec}
"
    )
}

/// A policy for the workload, and a Sidecar with this listener.
fn ingress(spec: &str, listener: &str) -> String {
    peers(spec)
        + &format!(
            "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: web, namespace: shop}}
spec:
  ingress:
  - {listener}
"
        )
}

fn case(mesh: &str) -> Case<'_> {
    let mut case = Case::new(mesh);
    case.proxy.labels = [("app", "web")].into_iter().collect();
    case
}

/// The listeners as text, after Envoy has judged them.
fn render(case: &Case<'_>) -> String {
    let input = case.select();
    let listeners = compile_inbound_listeners(&input);
    crate::filters::testing::validate(&listeners, &[]);
    listeners.iter().map(render_listener).collect()
}

#[test]
fn strict_ports_take_nothing_but_mtls() {
    expect![[r#"
        virtualInbound 0.0.0.0:15006 bound original_dst tls_inspector(off for 15006)
          [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
          [virtualInbound-catchall-http] tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline InboundPassthroughCluster inbound|http|0
          [virtualInbound] tls mutual(default) -> tcp InboundPassthroughCluster
          [0.0.0.0_10080] :10080 tls mutual(default) -> http inline inbound|10080|| inbound|http|80
          [0.0.0.0_10081] :10081 tls mutual(default) -> http inline inbound|10081|| inbound|http|81
          [0.0.0.0_10090] :10090 tls mutual(default) -> tcp inbound|10090||
          [0.0.0.0_10091] :10091 tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline inbound|10091|| inbound|http|91
          [0.0.0.0_10091] :10091 tls mutual(default) -> tcp inbound|10091||
    "#]].assert_eq(&render(&case(&peers("{mtls: {mode: STRICT}}"))));
}

#[test]
fn ports_have_their_own_mode_also_without_a_service() {
    let spec = "{selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}, portLevelMtls: \
                {10090: {mode: STRICT}, 7777: {mode: PERMISSIVE}, 8888: {mode: DISABLE}, 15006: {mode: STRICT}}}";
    expect![[r#"
        virtualInbound 0.0.0.0:15006 bound original_dst tls_inspector(off for all but 7777,10090) http_inspector(off for 10080,10081,10090,15006)
          [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
          [virtualInbound-catchall-http] raw_buffer http/1.1,h2c -> http inline InboundPassthroughCluster inbound|http|0
          [virtualInbound] raw_buffer -> tcp InboundPassthroughCluster
          [virtualInbound-catchall-http] :7777 tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline InboundPassthroughCluster inbound|http|0
          [virtualInbound-catchall-http] :7777 raw_buffer http/1.1,h2c -> http inline InboundPassthroughCluster inbound|http|0
          [virtualInbound] :7777 tls istio-peer-exchange,istio mutual(default) -> tcp InboundPassthroughCluster
          [virtualInbound] :7777 raw_buffer -> tcp InboundPassthroughCluster
          [virtualInbound] :7777 tls -> tcp InboundPassthroughCluster
          [0.0.0.0_10080] :10080 raw_buffer -> http inline inbound|10080|| inbound|http|80
          [0.0.0.0_10081] :10081 raw_buffer -> http inline inbound|10081|| inbound|http|81
          [0.0.0.0_10090] :10090 tls mutual(default) -> tcp inbound|10090||
          [0.0.0.0_10091] :10091 raw_buffer http/1.1,h2c -> http inline inbound|10091|| inbound|http|91
          [0.0.0.0_10091] :10091 raw_buffer -> tcp inbound|10091||
    "#]].assert_eq(&render(&case(&peers(spec))));
}

const OFF: &str = "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {9080: {mode: DISABLE}}}";
const FILES: &str = "serverCertificate: /etc/c.pem, privateKey: /etc/k.pem";

#[test]
fn a_listener_of_a_sidecar_ends_tls_itself_where_the_mesh_does_not() {
    let listener = |protocol: &str, tls: &str| {
        format!(
            "{{port: {{number: 9080, protocol: {protocol}, name: p}}, defaultEndpoint: '127.0.0.1:1', tls: {{{tls}}}}}"
        )
    };
    let render = |spec: &str, listener: &str| {
        let mesh = ingress(spec, listener);
        let case = case(&mesh);
        // The files do not exist here, so that Envoy is not asked.
        let listeners = compile_inbound_listeners(&case.select());
        let text: String = listeners.iter().map(render_listener).collect();
        let own = text.lines().filter(|line| line.contains("9080"));
        own.map(|line| format!("{}\n", line.trim())).collect::<String>()
    };
    let simple = format!("mode: SIMPLE, {FILES}");
    expect![[r#"
        [10.9.9.9_9080] :9080 tls tls(files) -> tcp inbound|9080||
    "#]]
    .assert_eq(&render(OFF, &listener("HTTPS", &simple)));
    let mutual = format!("mode: MUTUAL, {FILES}, caCertificates: /etc/ca.pem");
    expect![[r#"
        [10.9.9.9_9080] :9080 tls mutual(files) -> http inline inbound|9080|| inbound|http|9080
    "#]]
    .assert_eq(&render(OFF, &listener("HTTP", &mutual)));
    expect![[r#"
        [10.9.9.9_9080] :9080 tls mutual(default) -> tcp inbound|9080||
        warning[MEL0240] Sidecar shop/web spec.ingress[0].tls: `tls` has no effect: port 9080 takes mTLS of the mesh (set `portLevelMtls` of a PeerAuthentication to `DISABLE` for the port)
    "#]].assert_eq(&render("{mtls: {mode: STRICT}}", &listener("TLS", &simple)));
}

#[test]
fn a_port_whose_encryption_cannot_be_set_up_takes_nothing() {
    let listener = "{port: {number: 9080, protocol: TLS, name: p}, defaultEndpoint: '127.0.0.1:1', tls: {mode: ISTIO_MUTUAL}}";
    let mesh = ingress(OFF, listener);
    expect![[r#"
        virtualInbound 0.0.0.0:15006 bound original_dst tls_inspector(off for 9080,15006)
          [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
          [virtualInbound-blackhole] :9080 -> tcp BlackHoleCluster
          [virtualInbound-catchall-http] tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline InboundPassthroughCluster inbound|http|0
          [virtualInbound] tls mutual(default) -> tcp InboundPassthroughCluster
          error[MEL0241] Sidecar shop/web spec.ingress[0].tls: the mode is one of gateways only (use `SIMPLE` or `MUTUAL` with the paths of the files)
    "#]].assert_eq(&render(&case(&mesh)));
}

#[test]
fn the_mesh_says_how_workloads_encrypt_and_the_agent_has_the_secrets() {
    let config = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomain: own.example
    trustDomainAliases: [old.example]
    meshMTLS: {minProtocolVersion: TLSV1_3, cipherSuites: [AES128-SHA, WRONG], ecdhCurves: [P-256, WRONG]}
";
    let mesh = peers("{mtls: {mode: STRICT}}") + "---" + config;
    let mut case = case(&mesh);
    let mut metadata = (*case.proxy.metadata).clone();
    metadata.insert("PROXY_CONFIG".to_owned(), json!({}));
    case.proxy.metadata = metadata.into();
    let text = fixture::render(&compile_inbound_listeners(&case.select())[0].resource);
    let start = text.find("transport_socket:").unwrap();
    let end = text[start..].find("transport_socket_connect_timeout").unwrap();
    expect![[r#"
        transport_socket:
              name: envoy.transport_sockets.tls
              typed_config:
                @type: type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
                common_tls_context:
                  alpn_protocols:
                    - h2
                    - http/1.1
                  combined_validation_context:
                    default_validation_context:
                      match_typed_subject_alt_names:
                        - matcher:
                            prefix: spiffe://own.example/
                          san_type: URI
                        - matcher:
                            prefix: spiffe://old.example/
                          san_type: URI
                    validation_context_sds_secret_config:
                      name: ROOTCA
                      sds_config:
                        api_config_source:
                          api_type: GRPC
                          grpc_services:
                            - envoy_grpc:
                                cluster_name: sds-grpc
                          set_node_on_first_message_only: true
                          transport_api_version: V3
                        initial_fetch_timeout: 0s
                        resource_api_version: V3
                  tls_certificate_sds_secret_configs:
                    - name: default
                      sds_config:
                        api_config_source:
                          api_type: GRPC
                          grpc_services:
                            - envoy_grpc:
                                cluster_name: sds-grpc
                          set_node_on_first_message_only: true
                          transport_api_version: V3
                        initial_fetch_timeout: 0s
                        resource_api_version: V3
                  tls_params:
                    cipher_suites:
                      - AES128-SHA
                    ecdh_curves:
                      - P-256
                    tls_maximum_protocol_version: TLSv1_3
                    tls_minimum_protocol_version: TLSv1_3
                require_client_certificate: true
    "#]].assert_eq(&format!("{}\n", text[start..start + end].trim_end()));
}
