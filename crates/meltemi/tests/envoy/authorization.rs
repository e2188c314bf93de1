//! Who may do what: each field of AuthorizationPolicy allows one request and refuses another.

mod external;

use std::{io, net::SocketAddr, time::Duration};

use http::Method;
use testkit::{
    EnvoyProcess,
    certs::{CertificateAuthority, Leaf},
    http::{Backend, Request, TcpBackend, TlsSettings, tcp_exchange},
    mesh::ProxySettings,
    ports,
};

use crate::shop::{
    Instance, PORT, Shop, ShopSettings, backend, eventually, require, send, service, service_on,
};

const HTTP: u16 = 7081;
const TCP: u16 = 7082;
const HTTPS: u16 = 7443;
const POLICY: &str = "policy.yaml";
/// The host of the certificate and of the rule.
const HOST: &str = "www.example.com";

/// A gateway with one server in plain text, one for bytes, and one for callers with certificates.
struct Gate {
    shop: Shop,
    envoy: EnvoyProcess,
    address: std::net::IpAddr,
    authority: CertificateAuthority,
    _bytes: TcpBackend,
}

impl Gate {
    async fn start(settings: ShopSettings<'_>) -> Self {
        let address = ports::loopback_address();
        let authority = CertificateAuthority::new("authority").unwrap();
        let leaf = authority.leaf(&[HOST]).unwrap();
        let bytes = TcpBackend::start("bytes", ports::loopback_socket(TCP)).await.unwrap();
        let instance = Instance { version: "v1", address: bytes.address(), node: None };
        let yaml = format!(
            "{more}{bytes}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gate, namespace: shop}}
spec:
  selector: {{app: gate}}
  servers:
  - {{bind: {address}, port: {{number: {HTTP}, name: http, protocol: HTTP}}, hosts: ['*']}}
  - {{bind: {address}, port: {{number: {TCP}, name: tcp, protocol: TCP}}, hosts: ['*']}}
  - bind: {address}
    port: {{number: {HTTPS}, name: https, protocol: HTTPS}}
    hosts: ['*']
    tls:
      mode: MUTUAL
      serverCertificate: {certificate}
      privateKey: {key}
      caCertificates: {authority}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: gate, namespace: shop}}
spec:
  hosts: ['*']
  gateways: [gate]
  http: [{{route: [{{destination: {{host: web}}}}]}}]
  tcp: [{{match: [{{port: {TCP}}}], route: [{{destination: {{host: bytes}}}}]}}]
",
            more = settings.yaml,
            bytes = service_on("bytes", ("tcp", TCP), &[instance]),
            certificate = leaf.certificate_path.display(),
            key = leaf.key_path.display(),
            authority = authority.path.display(),
        );
        let shop = Shop::start_with(ShopSettings { yaml: &yaml, ..settings }).await;
        let envoy = shop.mesh.proxy(&ProxySettings::gateway("gate.shop")).await.unwrap();
        for port in [HTTP, TCP, HTTPS] {
            shop.wait_listening(SocketAddr::new(address, port)).await;
        }
        Self { shop, envoy, address, authority, _bytes: bytes }
    }

    async fn plain() -> Self {
        Self::start(ShopSettings { versions: &["v1"], ..ShopSettings::default() }).await
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    fn get(&self, path: &str) -> Request {
        Request::get(self.at(HTTP), HOST, path)
    }

    /// A request with a certificate of this name.
    fn identified(&self, name: &str) -> Request {
        let identity: Option<Leaf> = Some(self.authority.leaf(&[name]).unwrap());
        let tls = TlsSettings { identity, ..TlsSettings::new(HOST) };
        Request::get(self.at(HTTPS), HOST, "/").tls(tls)
    }

    /// Puts a policy of this name in force at the gateway, and waits until Envoy has it.
    async fn enforce(&self, name: &str, spec: &str) {
        let yaml = policy(name, spec);
        self.shop.mesh.write(POLICY, &yaml).unwrap();
        self.wait_for(&format!("policy[{name}]")).await;
    }

    /// Waits until the gateway's listeners hold a text.
    async fn wait_for(&self, text: &str) {
        eventually(async || {
            let dump = self.envoy.config_dump().await?.to_string();
            let said = format!("`{text}` is not there\n{}", self.envoy.log_tail());
            require(dump.contains(text), said)
        })
        .await;
        eventually(async || self.shop.mesh.expect_synced(2).await).await;
    }
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{name: {name}, namespace: shop}}\n\
         spec: {{selector: {{matchLabels: {{app: gate}}}}, {spec}}}\n"
    )
}

/// Whether what was sent has reached the backend. What a server says before it is asked passes
/// Envoy's network filters: they wait for the first byte of the caller.
fn is_echoed(answer: &io::Result<Vec<u8>>) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.ends_with(b"hello"))
}

async fn status(request: &Request) -> u16 {
    send(request).await.status.as_u16()
}

#[track_caller]
fn check_status<'a>(
    name: &'a str,
    request: &'a Request,
    expected: u16,
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move { assert_eq!(status(request).await, expected, "{caller}: {name}") }
}

#[tokio::test]
async fn each_attribute_of_requests_allows_and_refuses() {
    let gate = Gate::plain().await;
    let get = |path: &str| gate.get(path);
    let host = |host: &str| Request { host: host.to_owned(), ..gate.get("/") };
    let post = || gate.get("/").method(Method::POST);
    let cases = [
        ("methods", "to: [{operation: {methods: [GET]}}]", get("/"), post()),
        ("not-methods", "to: [{operation: {notMethods: [GET]}}]", post(), get("/")),
        ("path", "to: [{operation: {paths: [/a]}}]", get("/a?x=y"), get("/ab")),
        ("path-prefix", "to: [{operation: {paths: [/a/*]}}]", get("/a/b"), get("/b")),
        ("path-suffix", "to: [{operation: {paths: ['*.txt']}}]", get("/a.txt"), get("/a.pdf")),
        ("template", "to: [{operation: {paths: ['/u/{*}/x']}}]", get("/u/1/x"), get("/u/1/2/x")),
        ("template-rest", "to: [{operation: {paths: ['/u/{**}']}}]", get("/u/1/2"), get("/v/1")),
        ("template-first", "to: [{operation: {paths: ['/{**}/x']}}]", get("/u/1/x"), get("/u/1")),
        ("not-paths", "to: [{operation: {notPaths: [/admin*]}}]", get("/"), get("/admin/x")),
        ("hosts", "to: [{operation: {hosts: ['*.A.example']}}]", host("b.a.example"), host("a")),
        ("not-hosts", "to: [{operation: {notHosts: [a.example]}}]", host("b"), host("A.example")),
        (
            "header",
            "when: [{key: 'request.headers[x-role]', values: ['dev-*'], notValues: [dev-0]}]",
            get("/").header("x-role", "dev-1"),
            get("/").header("x-role", "dev-0"),
        ),
    ];
    for (name, rule, allowed, refused) in &cases {
        gate.enforce(name, &format!("rules: [{{{rule}}}]")).await;
        check_status(name, allowed, 200).await;
        check_status(name, refused, 403).await;
    }
}

#[tokio::test]
async fn each_attribute_of_connections_allows_and_refuses() {
    let gate = Gate::plain().await;
    let matching = [
        ("ports", format!("to: [{{operation: {{ports: ['{HTTP}']}}}}]")),
        ("not-ports", "to: [{operation: {notPorts: ['1']}}]".to_owned()),
        ("not-ip-blocks", "from: [{source: {notIpBlocks: [10.0.0.0/8]}}]".to_owned()),
        ("not-remote-blocks", "from: [{source: {notRemoteIpBlocks: [10.0.0.0/8]}}]".to_owned()),
        ("not-source-ip", "when: [{key: source.ip, notValues: [10.0.0.0/8]}]".to_owned()),
        ("not-remote-ip", "when: [{key: remote.ip, notValues: [10.0.0.0/8]}]".to_owned()),
        ("not-port", "when: [{key: destination.port, notValues: ['1']}]".to_owned()),
        ("not-ip", "when: [{key: destination.ip, notValues: [10.0.0.0/8]}]".to_owned()),
        ("ip-blocks", "from: [{source: {ipBlocks: [127.0.0.0/8]}}]".to_owned()),
        ("remote-ip-blocks", "from: [{source: {remoteIpBlocks: [127.0.0.0/8]}}]".to_owned()),
        ("source-ip", "when: [{key: source.ip, values: [127.0.0.0/8]}]".to_owned()),
        ("remote-ip", "when: [{key: remote.ip, values: [127.0.0.0/8]}]".to_owned()),
        ("port", format!("when: [{{key: destination.port, values: ['{HTTP}']}}]")),
        ("ip", format!("when: [{{key: destination.ip, values: [{}]}}]", gate.address)),
    ];
    for (name, rule) in &matching {
        gate.enforce(name, &format!("rules: [{{{rule}}}]")).await;
        check_status(name, &gate.get("/"), 200).await;
        let (name, rule) = (format!("deny-{name}"), rule);
        gate.enforce(&name, &format!("action: DENY, rules: [{{{rule}}}]")).await;
        check_status(&name, &gate.get("/"), 403).await;
    }
    let others = [
        ("other-ports", "to: [{operation: {ports: ['1']}}]"),
        ("other-ip-blocks", "from: [{source: {ipBlocks: [10.0.0.0/8, '::1']}}]"),
        ("other-port", "when: [{key: destination.port, values: ['1']}]"),
        ("other-ip", "when: [{key: destination.ip, values: [10.0.0.0/8]}]"),
        ("own-ip-blocks", "from: [{source: {notIpBlocks: [127.0.0.0/8]}}]"),
        ("own-remote-blocks", "from: [{source: {notRemoteIpBlocks: [127.0.0.0/8]}}]"),
        ("own-source-ip", "when: [{key: source.ip, notValues: [127.0.0.0/8]}]"),
        ("own-remote-ip", "when: [{key: remote.ip, notValues: [127.0.0.0/8]}]"),
        ("anybody", "from: [{source: {principals: ['*']}}]"),
        ("any-token", "from: [{source: {requestPrincipals: ['*']}}]"),
    ];
    for (name, rule) in &others {
        gate.enforce(name, &format!("rules: [{{{rule}}}]")).await;
        check_status(name, &gate.get("/"), 403).await;
    }
}

#[tokio::test]
async fn each_attribute_of_identities_allows_and_refuses() {
    let config = "trustDomain: new.domain\ntrustDomainAliases: [old.domain]\n";
    let settings =
        ShopSettings { versions: &["v1"], mesh_config: config, ..ShopSettings::default() };
    let gate = Gate::start(settings).await;
    let cart = "spiffe://new.domain/ns/shop/sa/cart";
    let cases = [
        ("principal", "from: [{source: {principals: [new.domain/ns/shop/sa/cart]}}]"),
        ("default-domain", "from: [{source: {principals: [cluster.local/ns/shop/sa/cart]}}]"),
        ("principal-prefix", "from: [{source: {principals: [new.domain/ns/shop/*]}}]"),
        ("principal-suffix", "from: [{source: {principals: ['*/sa/cart']}}]"),
        ("not-principal", "from: [{source: {notPrincipals: ['*/ns/web/sa/other']}}]"),
        ("namespace", "from: [{source: {namespaces: [shop]}}]"),
        ("not-namespace", "from: [{source: {notNamespaces: [web]}}]"),
        ("not-namespaces", "from: [{source: {notNamespaces: ['*eb', other]}}]"),
        ("account", "from: [{source: {serviceAccounts: [cart]}}]"),
        ("account-of", "from: [{source: {serviceAccounts: [shop/cart]}}]"),
        ("not-account", "from: [{source: {notServiceAccounts: [web/other]}}]"),
        ("when-principal", "when: [{key: source.principal, values: ['*/sa/cart']}]"),
        ("when-namespace", "when: [{key: source.namespace, values: ['sh*']}]"),
        ("when-account", "when: [{key: source.serviceAccount, values: [shop/cart]}]"),
        ("when-not-principal", "when: [{key: source.principal, notValues: ['*/sa/other']}]"),
        ("when-not-namespace", "when: [{key: source.namespace, notValues: [web]}]"),
        ("when-not-account", "when: [{key: source.serviceAccount, notValues: [web/other]}]"),
    ];
    let other = gate.identified("spiffe://new.domain/ns/web/sa/other");
    for (name, rule) in &cases {
        gate.enforce(name, &format!("rules: [{{{rule}}}]")).await;
        check_status(name, &gate.identified(cart), 200).await;
        check_status(name, &other, 403).await;
    }
    gate.enforce("alias", "rules: [{from: [{source: {principals: [old.domain/ns/a/sa/b]}}]}]")
        .await;
    check_status("alias", &gate.identified("spiffe://new.domain/ns/a/sa/b"), 200).await;
    check_status("alias", &gate.identified("spiffe://old.domain/ns/a/sa/b"), 200).await;
    check_status("alias", &gate.identified("spiffe://new.domains/ns/a/sa/b"), 403).await;
    let domains = [
        ("domain", "from: [{source: {trustDomains: [a.domain]}}]"),
        ("when-domain", "when: [{key: source.trustDomain, values: ['a.*']}]"),
        ("not-domain", "from: [{source: {notTrustDomains: ['*.other']}}]"),
        ("when-not-domain", "when: [{key: source.trustDomain, notValues: [x.other]}]"),
    ];
    for (name, rule) in &domains {
        gate.enforce(name, &format!("rules: [{{{rule}}}]")).await;
        check_status(name, &gate.identified("spiffe://a.domain/ns/a/sa/b"), 200).await;
        check_status(name, &gate.identified("spiffe://x.other/ns/a/sa/b"), 403).await;
    }
    gate.enforce("sni", &format!("rules: [{{when: [{{key: connection.sni, values: [{HOST}]}}]}}]"))
        .await;
    check_status("sni", &gate.identified(cart), 200).await;
    check_status("sni", &gate.get("/"), 403).await;
    let not_sni = format!("rules: [{{when: [{{key: connection.sni, notValues: [{HOST}]}}]}}]");
    gate.enforce("not-sni", &not_sni).await;
    check_status("not-sni", &gate.identified(cart), 403).await;
    check_status("not-sni", &gate.get("/"), 200).await;
}

/// The decision of a policy that is tried out is metadata of its filter; a later one asks for it.
#[tokio::test]
async fn metadata_of_filters_allow_and_refuse() {
    let gate = Gate::plain().await;
    let enforce = async |name: &str, tried: &str, key: &str, condition: &str| {
        let tried =
            policy("tried", &format!("action: DENY, rules: [{{to: [{{operation: {tried}}}]}}]"));
        let dry = "metadata: {annotations: {istio.io/dry-run: 'true'}, ";
        let tried = tried.replace("metadata: {", dry);
        let key =
            format!("experimental.envoy.filters.{key}[istio_dry_run_deny_shadow_engine_result]");
        let asking = policy(name, &format!("rules: [{{when: [{{key: '{key}', {condition}}}]}}]"));
        gate.shop.mesh.write(POLICY, &format!("{tried}---\n{asking}")).unwrap();
        gate.wait_for(&format!("policy[{name}]")).await;
    };
    for (name, condition) in [
        ("values", "values: [allowed]"),
        ("pattern", "values: [other, 'allow*']"),
        ("not-values", "notValues: [denied]"),
    ] {
        enforce(name, "{paths: [/no]}", "http.rbac", condition).await;
        check_status(name, &gate.get("/"), 200).await;
        check_status(name, &gate.get("/no"), 403).await;
    }
    let exchange = async || tcp_exchange(gate.at(TCP), b"hello", Duration::from_secs(10)).await;
    for (name, port, is_allowed) in [("bytes", HTTP, true), ("no-bytes", TCP, false)] {
        let tried = format!("{{ports: ['{port}']}}");
        enforce(name, &tried, "network.rbac", "values: [allowed]").await;
        assert_eq!(is_echoed(&exchange().await), is_allowed, "{name}");
    }
}

#[tokio::test]
async fn denials_beat_allowances_and_an_audit_is_none() {
    let gate = Gate::plain().await;
    gate.enforce("nothing", "action: ALLOW").await;
    check_status("nothing is allowed", &gate.get("/"), 403).await;
    gate.enforce("audit", "action: AUDIT, rules: [{}]").await;
    check_status("an audit", &gate.get("/"), 200).await;
    let allow = policy("allow", "rules: [{}]");
    let deny = policy("deny", "action: DENY, rules: [{to: [{operation: {paths: [/no]}}]}]");
    gate.shop.mesh.write(POLICY, &format!("{allow}---\n{deny}")).unwrap();
    gate.wait_for("policy[deny]").await;
    check_status("allowed", &gate.get("/"), 200).await;
    check_status("denied", &gate.get("/no"), 403).await;
}

#[tokio::test]
async fn a_policy_that_is_removed_has_no_effect() {
    let gate = Gate::plain().await;
    gate.enforce("nothing", "action: ALLOW").await;
    check_status("refused", &gate.get("/"), 403).await;
    gate.shop.mesh.remove(POLICY).unwrap();
    eventually(async || require(status(&gate.get("/")).await == 200, "still refused")).await;
}

#[tokio::test]
async fn a_dry_run_is_counted_and_refuses_nothing() {
    let gate = Gate::plain().await;
    let yaml = policy("try", "action: DENY, rules: [{to: [{operation: {paths: [/no]}}]}]");
    let dry = "metadata: {annotations: {istio.io/dry-run: 'true'}, ";
    gate.shop.mesh.write(POLICY, &yaml.replace("metadata: {", dry)).unwrap();
    gate.wait_for("policy[try]").await;
    check_status("would be denied", &gate.get("/no"), 200).await;
    let counted = r"istio_dry_run_deny_\.shadow_denied$";
    eventually(async || {
        let stats = gate.envoy.stats(counted).await?;
        require(stats.values().sum::<u64>() == 1, format!("{stats:?}"))
    })
    .await;
}

#[tokio::test]
async fn connections_are_refused_by_what_is_known_of_them() {
    let gate = Gate::plain().await;
    let exchange = async || tcp_exchange(gate.at(TCP), b"hello", Duration::from_secs(10)).await;
    assert_eq!(exchange().await.unwrap(), b"bytes\nhello");
    // What only requests have is no condition on bytes: so much more is denied.
    let spec = format!(
        "action: DENY, rules: [{{to: [{{operation: {{ports: ['{TCP}'], methods: [GET]}}}}]}}]"
    );
    gate.enforce("tcp", &spec).await;
    assert!(!is_echoed(&exchange().await));
    check_status("requests go on", &gate.get("/"), 200).await;
    // And an allowance of requests allows no bytes.
    gate.enforce("requests", "rules: [{to: [{operation: {methods: [GET]}}]}]").await;
    assert!(!is_echoed(&exchange().await));
    check_status("requests go on", &gate.get("/"), 200).await;
}

#[tokio::test]
async fn a_sidecar_guards_its_application() {
    let application = Backend::start("stock").await.unwrap();
    let address = ports::loopback_socket(PORT);
    let instance = Instance { version: "v1", address, node: None };
    let deny = policy("inner", "action: DENY, rules: [{to: [{operation: {paths: [/no]}}]}]");
    let yaml = format!(
        "{}{}---\n{}",
        service("stock", &[instance]),
        crate::inbound::ingress(address, application.address()),
        deny.replace("app: gate", "app: stock"),
    );
    let shop = Shop::start_with(ShopSettings { yaml: &yaml, ..ShopSettings::default() }).await;
    let settings = ProxySettings::sidecar("stock.shop");
    let settings = ProxySettings { address: address.ip(), ..settings };
    let _stock = shop.mesh.proxy(&settings).await.unwrap();
    shop.wait_listening(address).await;
    let request = |path: &str| Request::get(shop.address, "stock", path);
    assert_eq!(send(&request("/yes")).await.backend(), Some("stock"));
    check_status("denied", &request("/no"), 403).await;
}
