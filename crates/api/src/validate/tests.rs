//! Golden tests of findings, and Istio's own good and bad objects.

use expect_test::{Expect, expect};

use crate::{parse_documents, validate};

/// Everything that is said about the objects of a file.
fn findings(text: &str) -> String {
    let (objects, diagnostics) = parse_documents("test.yaml", text.as_bytes());
    let mut lines: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    for object in &objects {
        lines.extend(validate(object).iter().map(ToString::to_string));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[track_caller]
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&findings(text));
}

fn object(kind: &str, spec: &str) -> String {
    let spec = spec.trim_end().replace('\n', "\n  ");
    format!(
        "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata:\n  name: test\nspec:\n  {spec}\n"
    )
}

#[test]
fn bad_fields_of_a_virtual_service_are_named() {
    let spec = "hosts: [shop.example.com, '*.example.com']
http:
- match:
  - uri: {regex: '(('}
  - statPrefix: x
  route:
  - destination: {host: cart, port: {number: 70000}}
    weight: -1
  - destination: {host: '*'}
  timeout: 10us
  retries: {retryOn: 'never, 5xx'}
- redirect: {redirectCode: 200}
  rewrite: {}
- route: [{destination: {host: a}}]
";
    check(
        &object("VirtualService", spec),
        expect![[r#"
            test.yaml:1: error[MEL0152] VirtualService default/test spec.hosts[1]: the host `*.example.com` overlaps `shop.example.com` of the same object
            test.yaml:1: error[MEL0135] VirtualService default/test spec.http[0].match[0].uri.regex: `((` is not a valid regular expression: unclosed group (the syntax is RE2's)
            test.yaml:1: error[MEL0155] VirtualService default/test spec.http[0].retries: retries are set up but `attempts` is 0 (set `attempts`, or leave the rest out)
            test.yaml:1: error[MEL0155] VirtualService default/test spec.http[0].retries.retryOn: `never` is not a condition for retries (use names such as `5xx` or `connect-failure`, without spaces)
            test.yaml:1: error[MEL0155] VirtualService default/test spec.http[0].retries.retryOn: ` 5xx` is not a condition for retries (use names such as `5xx` or `connect-failure`, without spaces)
            test.yaml:1: error[MEL0123] VirtualService default/test spec.http[0].route[0].destination.port.number: the port 70000 is not in the range 1 to 65535
            test.yaml:1: error[MEL0126] VirtualService default/test spec.http[0].route[1].destination.host: a destination cannot be `*` (name one service)
            test.yaml:1: error[MEL0154] VirtualService default/test spec.http[0].route[0].weight: the weight -1 is negative
            test.yaml:1: error[MEL0128] VirtualService default/test spec.http[0].timeout: the duration 0.00001s is shorter than 1ms (leave it out for the default)
            test.yaml:1: error[MEL0153] VirtualService default/test spec.http[1].rewrite: a rule cannot have both `redirect` and `rewrite`
            test.yaml:1: error[MEL0156] VirtualService default/test spec.http[1].redirect: a redirect changes the path, the authority, the scheme or the port
            test.yaml:1: error[MEL0156] VirtualService default/test spec.http[1].redirect.redirectCode: 200 is not a redirect code (use 301 or 302)
            test.yaml:1: error[MEL0157] VirtualService default/test spec.http[1].rewrite: one of `uri`, `uriRegexRewrite` and `authority` must be set
            test.yaml:1: warning[MEL0163] VirtualService default/test spec.http[2]: the rule is never used, because rule 1 matches everything (put the rule without `match` last)
        "#]],
    );
}

#[test]
fn contradictions_of_a_destination_rule_are_named() {
    let spec = "host: cart
trafficPolicy:
  loadBalancer:
    simple: RANDOM
    consistentHash: {httpHeaderName: x, useSourceIp: true, maglev: {tableSize: 10}}
    warmup: {duration: 10s}
  tls: {mode: MUTUAL}
subsets:
- name: v1
- name: v1
  trafficPolicy: {}
exportTo: ['.', default]
";
    check(
        &object("DestinationRule", spec),
        expect![[r#"
            test.yaml:1: error[MEL0122] DestinationRule default/test spec.trafficPolicy.loadBalancer: only one of `simple` and `consistentHash` may be set
            test.yaml:1: error[MEL0122] DestinationRule default/test spec.trafficPolicy.loadBalancer.consistentHash: only one thing to hash may be set
            test.yaml:1: error[MEL0172] DestinationRule default/test spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: the table size 10 is not a prime below 5000011 (65537 is one)
            test.yaml:1: error[MEL0174] DestinationRule default/test spec.trafficPolicy.tls.clientCertificate: the mode MUTUAL needs `clientCertificate` (set it, or `credentialName`)
            test.yaml:1: error[MEL0174] DestinationRule default/test spec.trafficPolicy.tls.privateKey: the mode MUTUAL needs `privateKey` (set it, or `credentialName`)
            test.yaml:1: error[MEL0121] DestinationRule default/test spec.subsets[1].name: there is already a subset `v1`
            test.yaml:1: error[MEL0170] DestinationRule default/test spec.subsets[1].trafficPolicy: a traffic policy must have at least one field (leave it out)
            test.yaml:1: error[MEL0134] DestinationRule default/test spec.exportTo[1]: `default` is already in the list
        "#]],
    );
}

#[test]
fn the_host_of_a_service_entry_and_its_ports_are_checked() {
    let spec = "hosts: ['*', a.example.com, 'x*.example.com']
ports:
- {number: 0, name: tcp_1, protocol: XYZ}
resolution: DNS
addresses: [10.0.0.0/33]
";
    check(
        &object("ServiceEntry", spec),
        expect![[r#"
        test.yaml:1: error[MEL0180] ServiceEntry default/test spec.hosts[0]: a ServiceEntry cannot stand for every host (name the hosts)
        test.yaml:1: error[MEL0126] ServiceEntry default/test spec.hosts[2]: the host `x*.example.com` has a label that is not valid
        test.yaml:1: warning[MEL0185] ServiceEntry default/test spec.hosts[2]: the wildcard of `x*.example.com` stands for a part of a label (use `*.` and a domain)
        test.yaml:1: error[MEL0127] ServiceEntry default/test spec.addresses[0]: `10.0.0.0/33` is not an IP address or a range of them (write it as `10.0.0.0/8` or `2001:db8::/32`)
        test.yaml:1: error[MEL0181] ServiceEntry default/test spec.addresses: address ranges are only possible with the resolution NONE or STATIC
        test.yaml:1: error[MEL0124] ServiceEntry default/test spec.ports[0].name: `tcp_1` is not a valid name of a port (use up to 63 letters, digits and dashes)
        test.yaml:1: error[MEL0125] ServiceEntry default/test spec.ports[0].protocol: the protocol `XYZ` is not known (use HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL)
        test.yaml:1: error[MEL0123] ServiceEntry default/test spec.ports[0].number: the port 0 is not in the range 1 to 65535
        test.yaml:1: error[MEL0182] ServiceEntry default/test spec.hosts[0]: the host `*` cannot be resolved (name a host without wildcard, or set `endpoints`)
        test.yaml:1: error[MEL0182] ServiceEntry default/test spec.hosts[2]: the host `x*.example.com` cannot be resolved (name a host without wildcard, or set `endpoints`)
        test.yaml:1: error[MEL0184] ServiceEntry default/test spec.ports[0]: several hosts cannot be told apart on a port without HTTP or TLS (use one ServiceEntry per host)
    "#]],
    );
}

#[test]
fn listeners_of_a_sidecar_are_checked() {
    let spec = "egress:
- hosts: ['./*', reviews, 'bad_ns/a.b']
- port: {number: 80}
  hosts: ['*/*']
ingress:
- port: {number: 80, protocol: HTTP}
  defaultEndpoint: 10.0.0.1:80
";
    check(
        &object("Sidecar", spec),
        expect![[r#"
        test.yaml:1: error[MEL0193] Sidecar default/test spec.ingress[0].defaultEndpoint: `10.0.0.1:80` is not an endpoint of the workload (use `127.0.0.1:PORT`, `0.0.0.0:PORT`, `[::1]:PORT`, `[::]:PORT` or `unix://PATH`)
        test.yaml:1: error[MEL0192] Sidecar default/test spec.egress[0]: a listener without a port must be the last one
        test.yaml:1: error[MEL0195] Sidecar default/test spec.egress[0].hosts[1]: `reviews` is not of the form `namespace/host` (write `./reviews` or `*/reviews`)
        test.yaml:1: error[MEL0195] Sidecar default/test spec.egress[0].hosts[2]: `bad_ns` is not a namespace (use a namespace, `*`, `.` or `~`)
    "#]],
    );
}

#[test]
fn servers_of_a_gateway_are_checked() {
    let spec = "servers:
- port: {number: 443, name: https, protocol: HTTPS}
  hosts: [shop]
- port: {number: 80, name: https, protocol: HTTP}
  hosts: ['*']
  tls: {mode: SIMPLE}
  bind: 10.0.0.1
";
    check(
        &object("Gateway", spec),
        expect![[r#"
            test.yaml:1: error[MEL0202] Gateway default/test spec.servers[0].hosts[0]: `shop` is a short name (write the full name, such as `shop.example.com`)
            test.yaml:1: error[MEL0200] Gateway default/test spec.servers[0].tls: the protocol HTTPS needs `tls`
            test.yaml:1: error[MEL0200] Gateway default/test spec.servers[1].tls.serverCertificate: this TLS mode needs `serverCertificate` (set it, or `credentialName`)
            test.yaml:1: error[MEL0200] Gateway default/test spec.servers[1].tls.privateKey: this TLS mode needs `privateKey` (set it, or `credentialName`)
            test.yaml:1: error[MEL0200] Gateway default/test spec.servers[1].tls: a port with plain HTTP can only have `httpsRedirect` (use HTTPS for encryption)
            test.yaml:1: error[MEL0121] Gateway default/test spec.servers[1].port.name: the names of the ports must be unique
        "#]],
    );
}

#[test]
fn a_denial_of_requests_denies_all_of_tcp() {
    let text = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: shop}
spec:
  action: DENY
  rules: [{to: [{operation: {methods: [GET]}}]}]
";
    check(
        text,
        expect![[r#"
            test.yaml:1: warning[MEL0216] AuthorizationPolicy shop/deny spec.rules[0]: on TCP ports this rule denies everything, because it has only HTTP attributes (name the ports that it is meant for)
        "#]],
    );
}

/// Documents of Istio's validation tests, with `_err` where they must be refused.
#[test]
fn istios_good_and_bad_objects_are_told_apart() {
    let Some(root) = crate::tests::corpus() else { return };
    let mut failures = Vec::new();
    let mut count = 0;
    for file in crate::tests::yaml_files(&root.join("validation")) {
        let text = std::fs::read_to_string(&file).unwrap();
        for document in text.split("\n---") {
            let is_err = |line: &&str| line.starts_with("_err:");
            let must_fail = document.lines().any(|line| is_err(&line));
            let rest: Vec<&str> = document.lines().filter(|line| !is_err(line)).collect();
            if !rest.iter().any(|line| line.starts_with("kind:")) {
                continue;
            }
            count += 1;
            let found = findings(&rest.join("\n"));
            let fails = found.lines().any(|line| line.contains(": error["));
            // Who is refused is told where; a document that cannot be read as its kind has a line.
            let is_placed = |line: &str| {
                let after = line.split_once("] ").map_or("", |(_, rest)| rest);
                let place = after.split_once(": ").map_or("", |(place, _)| place);
                place.split(' ').nth(2).is_some_and(|field| !field.is_empty())
            };
            let errors: Vec<&str> =
                found.lines().filter(|line| line.contains(": error[")).collect();
            if let Some(line) = errors.iter().find(|line| !is_placed(line)) {
                failures.push(format!("{}: no field is named: {line}", file.display()));
            }
            if fails != must_fail {
                failures.push(format!("{}: {document}\n=> {found}", file.display()));
            }
        }
    }
    assert!(count > 80, "only {count} documents");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn hosts_may_be_kept_out_of_a_sidecar() {
    let hosts =
        "hosts: ['*/*', '~shop/*', '~./a.example.com', '~/b.example.com', '~*/c.example.com']";
    check(&object("Sidecar", &format!("egress:\n- {hosts}")), expect![[""]]);
    let hosts = "hosts: ['~Bad_/a.example.com', '~shop', '~/']";
    check(
        &object("Sidecar", &format!("egress:\n- {hosts}")),
        expect![[r#"
        test.yaml:1: error[MEL0195] Sidecar default/test spec.egress[0].hosts[0]: `Bad_` is not a namespace (use a namespace, `*`, `.` or `~`)
        test.yaml:1: error[MEL0195] Sidecar default/test spec.egress[0].hosts[1]: `~shop` is not of the form `namespace/host` (write `~./shop` or `~*/shop`)
        test.yaml:1: error[MEL0195] Sidecar default/test spec.egress[0].hosts[2]: `` is a short name (write the full name, such as `reviews.shop.svc.cluster.local`)
    "#]],
    );
}

#[test]
fn what_a_telemetry_cannot_have_yet_is_named() {
    let text = "apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: test}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: front}]
  metrics: [{providers: [{name: prometheus}], reportingInterval: 5s}]
  accessLogging: [{providers: [{name: envoy}]}]
";
    check(
        text,
        expect![[r#"
            test.yaml:1: warning[MEL0110] Telemetry default/test spec.metrics[0].reportingInterval: the field `reportingInterval` is not supported yet and has no effect
        "#]],
    );
}

#[test]
fn what_has_no_effect_of_a_meshs_reports_is_named() {
    let mesh = "enableEnvoyAccessLogService: true
defaultConfig:
  envoyAccessLogService: {address: 'als:1'}
  tracing: {datadog: {address: 'dog:1'}}
defaultProviders: {tracing: [a, b]}
extensionProviders:
- {name: typo, zipkins: {service: a, port: 1}}
- {name: both, zipkin: {service: a, port: 1, traceContextOption: W3C}, envoyFileAccessLog: {}}
- name: headers
  opentelemetry:
    service: a
    port: 1
    http: {path: /, headers: [{name: good, value: x}, {name: key, envName: KEY}, {name: none}]}
    resourceDetectors: {dynatrace: {}}
";
    let indented = mesh.replace('\n', "\n    ");
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\n\
         data:\n  mesh: |\n    {indented}\n"
    );
    check(
        &map,
        expect![[r#"
            test.yaml:12: warning[MEL0003] MeshConfig istio-system/istio extensionProviders[0].zipkins: the field `zipkins` is not known and has no effect (did you mean `zipkin`?)
            test.yaml:6: warning[MEL0223] MeshConfig istio-system/istio extensionProviders[0]: the provider `typo` has no kind that is known, and does nothing (set one such as `envoyFileAccessLog`, `opentelemetry` or `zipkin`)
            test.yaml:6: warning[MEL0223] MeshConfig istio-system/istio extensionProviders[1]: the provider `both` has several kinds: zipkin, envoyFileAccessLog (write a provider for each)
            test.yaml:6: warning[MEL0223] MeshConfig istio-system/istio extensionProviders[1].zipkin.traceContextOption: `W3C` is not known, and `USE_B3` is used (write `USE_B3` or `USE_B3_WITH_W3C_PROPAGATION`)
            test.yaml:6: warning[MEL0223] MeshConfig istio-system/istio extensionProviders[2].opentelemetry.http.headers[1].envName: the header `key` is left out: no environment is read (write its `value`)
            test.yaml:6: warning[MEL0223] MeshConfig istio-system/istio extensionProviders[2].opentelemetry.http.headers[2].value: the header `none` is left out: it has no value (write its `value`)
            test.yaml:6: warning[MEL0110] MeshConfig istio-system/istio extensionProviders[2].opentelemetry.resourceDetectors.dynatrace: the field `dynatrace` is not supported yet and has no effect
            test.yaml:6: warning[MEL0222] MeshConfig istio-system/istio defaultProviders.tracing: only the first tracing provider has an effect
            test.yaml:6: warning[MEL0110] MeshConfig istio-system/istio defaultConfig.tracing.datadog: the field `datadog` is not supported yet and has no effect
            test.yaml:6: warning[MEL0110] MeshConfig istio-system/istio enableEnvoyAccessLogService: the access log service is a provider, and this field has no effect (add a provider with `envoyHttpAls`, and name it in `defaultProviders.accessLogging`)
            test.yaml:6: warning[MEL0110] MeshConfig istio-system/istio defaultConfig.envoyAccessLogService: the access log service is a provider, and this field has no effect (add a provider with `envoyHttpAls`, and name it in `defaultProviders.accessLogging`)
        "#]],
    );
}
