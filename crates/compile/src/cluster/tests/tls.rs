//! Encryption towards the endpoints.

use expect_test::expect;

use super::{HOST, check_policy, compile, difference, fixture, render, router, rule};

#[test]
fn simple_tls_takes_the_name_from_the_request() {
    check_policy(
        "{tls: {mode: SIMPLE}}",
        80,
        expect![[r#"
        +transport_socket:
        +  name: envoy.transport_sockets.tls
        +  typed_config:
        +    @type: type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        +    common_tls_context:
        +      validation_context:
        +        trusted_ca:
        +          filename: /etc/ssl/certs/ca-certificates.crt
        +typed_extension_protocol_options:
        +  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        +    @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        +    explicit_http_config:
        +      http_protocol_options: {}
        +    upstream_http_protocol_options:
        +      auto_san_validation: true
        +      auto_sni: true
    "#]],
    );
}

#[test]
fn simple_tls_checks_the_names_that_are_written() {
    let policy = "{tls: {mode: SIMPLE, sni: cart.example.com, caCertificates: /ca.pem, \
        subjectAltNames: [cart.example.com, 'spiffe://td/ns/shop/sa/cart', 10.0.0.1]}}";
    check_policy(
        policy,
        90,
        expect![[r#"
        +transport_socket:
        +  name: envoy.transport_sockets.tls
        +  typed_config:
        +    @type: type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        +    common_tls_context:
        +      alpn_protocols:
        +        - h2
        +      validation_context:
        +        match_typed_subject_alt_names:
        +          - matcher:
        +              exact: cart.example.com
        +            san_type: DNS
        +          - matcher:
        +              exact: spiffe://td/ns/shop/sa/cart
        +            san_type: URI
        +          - matcher:
        +              exact: 10.0.0.1
        +            san_type: IP_ADDRESS
        +        trusted_ca:
        +          filename: /ca.pem
        +    sni: cart.example.com
    "#]],
    );
}

#[test]
fn nothing_is_checked_when_verification_is_skipped() {
    check_policy(
        "{tls: {mode: SIMPLE, insecureSkipVerify: true}}",
        80,
        expect![[r#"
        +transport_socket:
        +  name: envoy.transport_sockets.tls
        +  typed_config:
        +    @type: type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        +    common_tls_context: {}
        +typed_extension_protocol_options:
        +  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        +    @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        +    explicit_http_config:
        +      http_protocol_options: {}
        +    upstream_http_protocol_options:
        +      auto_sni: true
    "#]],
    );
}

#[test]
fn mutual_tls_shows_a_certificate_from_files() {
    let policy = "{tls: {mode: MUTUAL, clientCertificate: /cert.pem, privateKey: /key.pem, \
        caCertificates: /ca.pem, sni: a.b}}";
    check_policy(
        policy,
        110,
        expect![[r#"
        +transport_socket:
        +  name: envoy.transport_sockets.tls
        +  typed_config:
        +    @type: type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        +    common_tls_context:
        +      tls_certificates:
        +        - certificate_chain:
        +            filename: /cert.pem
        +          private_key:
        +            filename: /key.pem
        +      validation_context:
        +        trusted_ca:
        +          filename: /ca.pem
        +    sni: a.b
    "#]],
    );
}

#[test]
fn a_gateway_takes_certificates_out_of_secrets_and_a_sidecar_is_warned() {
    let policy = "{tls: {mode: MUTUAL, credentialName: cart-cert}}";
    let snapshot = fixture::snapshot(&rule(policy));
    let sidecar = render(compile(&snapshot, &fixture::client("shop"), HOST, 80, ""));
    let gateway = render(compile(&snapshot, &router("shop"), HOST, 80, ""));
    expect![[r#"
        -      validation_context:
        -        trusted_ca:
        -          filename: /etc/ssl/certs/ca-certificates.crt
        -warning[MEL0322] DestinationRule shop/cart: `credentialName: cart-cert` has no effect on sidecars (add a `workloadSelector` to the rule)
        +      combined_validation_context:
        +        default_validation_context: {}
        +        validation_context_sds_secret_config:
        +          name: kubernetes://cart-cert-cacert
        +          sds_config:
        +            ads: {}
        +            initial_fetch_timeout: 2s
        +            resource_api_version: V3
        +      tls_certificate_sds_secret_configs:
        +        - name: kubernetes://cart-cert
        +          sds_config:
        +            ads: {}
        +            initial_fetch_timeout: 2s
        +            resource_api_version: V3
    "#]].assert_eq(&difference(&sidecar, &gateway));
}

#[test]
fn istio_mutual_is_not_carried_out_and_reported() {
    check_policy(
        "{tls: {mode: ISTIO_MUTUAL}}",
        80,
        expect![[r#"
            +    meltemi:
            +      http_alpn: istio-http/1.1,istio
            +transport_socket:
            +  name: envoy.transport_sockets.tls
            +  typed_config:
            +    @type: type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
            +    common_tls_context:
            +      alpn_protocols:
            +        - istio
            +      combined_validation_context:
            +        default_validation_context:
            +          match_typed_subject_alt_names:
            +            - matcher:
            +                prefix: spiffe://cluster.local/
            +              san_type: URI
            +        validation_context_sds_secret_config:
            +          name: ROOTCA
            +          sds_config:
            +            ads: {}
            +            initial_fetch_timeout: 2s
            +            resource_api_version: V3
            +      tls_certificate_sds_secret_configs:
            +        - name: default
            +          sds_config:
            +            ads: {}
            +            initial_fetch_timeout: 2s
            +            resource_api_version: V3
            +      tls_params:
            +        cipher_suites:
            +          - ECDHE-ECDSA-AES256-GCM-SHA384
            +          - ECDHE-RSA-AES256-GCM-SHA384
            +          - ECDHE-ECDSA-AES128-GCM-SHA256
            +          - ECDHE-RSA-AES128-GCM-SHA256
            +          - AES256-GCM-SHA384
            +          - AES128-GCM-SHA256
            +        tls_maximum_protocol_version: TLSv1_3
            +        tls_minimum_protocol_version: TLSv1_2
            +    sni: outbound_.80_._.cart.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn the_proxy_protocol_wraps_what_is_below() {
    check_policy(
        "{proxyProtocol: {version: V2}}",
        110,
        expect![[r#"
        +transport_socket:
        +  name: envoy.transport_sockets.upstream_proxy_protocol
        +  typed_config:
        +    @type: type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport
        +    config:
        +      version: V2
        +    transport_socket:
        +      name: envoy.transport_sockets.raw_buffer
        +      typed_config:
        +        @type: type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer
    "#]],
    );
}
