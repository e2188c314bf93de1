//! mTLS between two sidecars with certificates of the built-in authority.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::Result;
use identity::{Authority, AuthoritySettings};
use model::Identity;
use testkit::{
    EnvoyProcess, Mesh,
    certs::{CertificateAuthority, Leaf},
    http::{
        Backend, BackendSettings, Client, GrpcBackend, Load, LoadSettings, Request, Response,
        TcpBackend, TlsSettings,
    },
    mesh::{MeshSettings, ProxySettings},
    ports,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::{
    fence,
    shop::{
        BINARY, Instance, Shop, ShopSettings, destination_rule, egress, eventually, require, send,
        service_on,
    },
};

/// The ports of `web`. What is spoken on the last three must be found out.
pub(crate) const HTTP: u16 = 7080;
pub(crate) const TCP: u16 = 9000;
pub(crate) const ANY_HTTP: u16 = 7081;
pub(crate) const ANY_GRPC: u16 = 7082;
pub(crate) const ANY_TCP: u16 = 9001;
/// Nothing that could be the beginning of a request.
const HELLO: &[u8] = b"\0hello";
pub(crate) const GREETED: &str = "bytes\n\0hello";
/// What callers are called in the header that tells of them.
pub(crate) const CALLER: &str = "x-forwarded-client-cert";

/// A client and the workload `web`, each behind a sidecar with an identity.
pub(crate) struct Pair {
    pub(crate) mesh: Mesh,
    pub(crate) server: EnvoyProcess,
    pub(crate) sidecar: EnvoyProcess,
    /// Where the client reaches `web` through its sidecar.
    pub(crate) client: IpAddr,
    /// Where the sidecar of `web` listens.
    pub(crate) web: IpAddr,
    pub(crate) http: Backend,
    bytes: TcpBackend,
    _grpc: GrpcBackend,
}

/// How a pair differs from the plainest one.
pub(crate) struct PairSettings<'a> {
    /// Further objects.
    pub(crate) yaml: &'a str,
    pub(crate) mesh_config: &'a str,
    /// Of the authority; without one, nobody has an identity.
    pub(crate) trust_domain: Option<&'a str>,
    /// The account that the sidecar of `web` proves to be; its pod is of the account `web`.
    pub(crate) account: &'a str,
    /// The label by which the pod says that its sidecar ends mTLS.
    pub(crate) label: &'a str,
    /// Where Prometheus reads the metrics of the client's sidecar, and of the server's.
    pub(crate) stats_ports: Option<(u16, u16)>,
    /// Whether the namespace is fenced: of the client's ports, those of HTTP are there.
    pub(crate) is_fenced: bool,
}

impl Default for PairSettings<'_> {
    fn default() -> Self {
        Self {
            yaml: "",
            mesh_config: "",
            trust_domain: Some("cluster.local"),
            account: "web",
            label: ", security.istio.io/tlsMode: istio",
            stats_ports: None,
            is_fenced: false,
        }
    }
}

impl Pair {
    pub(crate) async fn start(peers: &str) -> Self {
        Self::start_with(PairSettings { yaml: peers, ..PairSettings::default() }).await
    }

    pub(crate) async fn start_with(settings: PairSettings<'_>) -> Self {
        let PairSettings { yaml, mesh_config, trust_domain, account, label, .. } = settings;
        let PairSettings { stats_ports, is_fenced, .. } = settings;
        let http = Backend::start("web").await.unwrap();
        let local = || SocketAddr::from(([127, 0, 0, 1], 0));
        let bytes = TcpBackend::start("bytes", local()).await.unwrap();
        let grpc = GrpcBackend::start("grpc", local()).await.unwrap();
        let (client, web) = (ports::loopback_address(), ports::loopback_address());
        let behind = [
            (HTTP, "HTTP", http.address().port()),
            (TCP, "TCP", bytes.address().port()),
            (ANY_HTTP, "", http.address().port()),
            (ANY_GRPC, "", grpc.address().port()),
            (ANY_TCP, "", bytes.address().port()),
        ];
        let yaml = format!(
            "{}---\n{}---\n{}{}---\n{yaml}",
            service(web, label),
            server_sidecar(web, &behind),
            client_sidecar(client),
            if is_fenced { fence::namespace("on-demand") } else { String::new() }
        );
        let files = [("mesh.yaml", yaml.as_str())];
        let settings =
            MeshSettings { mesh_config, trust_domain, ..MeshSettings::new(BINARY, &files) };
        let mesh = Mesh::start(&settings).await.unwrap();
        mesh.expect_no_errors().await.unwrap();
        let proxy = |name: &str, account: &str| {
            let proxy = ProxySettings::sidecar(&format!("{name}.shop"));
            let proxy = proxy.metadata(&format!("WORKLOAD_NAME={name}-1"));
            match trust_domain {
                Some(_) => proxy.identity(account),
                None => proxy,
            }
        };
        let (of_client, of_server) = stats_ports.unzip();
        let server = proxy("web", account);
        let server = ProxySettings { address: web, stats_port: of_server, ..server };
        let server = mesh.proxy(&server).await.unwrap();
        let sidecar = ProxySettings { stats_port: of_client, ..proxy("client", "client") };
        let sidecar = mesh.proxy(&sidecar).await.unwrap();
        let pair = Self { mesh, server, sidecar, client, web, http, bytes, _grpc: grpc };
        let ports = [client, web].into_iter().flat_map(|ip| behind.map(|it| (ip, it.0)));
        let is_there =
            |ip: IpAddr, port: u16| !is_fenced || ip == web || [HTTP, ANY_HTTP].contains(&port);
        for (ip, port) in ports.filter(|(ip, port)| is_there(*ip, *port)) {
            let address = SocketAddr::new(ip, port);
            eventually(async || TcpStream::connect(address).await).await;
        }
        pair
    }

    /// A request through the client's sidecar.
    pub(crate) fn request(&self, port: u16) -> Request {
        Request::get(SocketAddr::new(self.client, port), "web", "/")
    }

    /// The caller as the server's sidecar tells of it, if the connection was mTLS.
    pub(crate) async fn caller(&self, request: &Request) -> Option<String> {
        let echo = send(request).await.echo().unwrap();
        echo.headers.get(CALLER).cloned()
    }

    /// A request to the server's sidecar by somebody without one.
    pub(crate) async fn outside(&self, port: u16, tls: Option<TlsSettings>) -> Result<Response> {
        let request = Request::get(SocketAddr::new(self.web, port), "web", "/");
        let request = tls.into_iter().fold(request, Request::tls);
        Client::new().send(&request.timeout(Duration::from_secs(5))).await
    }

    pub(crate) async fn bytes_through(&self, ip: IpAddr, port: u16) -> Result<String> {
        greet(SocketAddr::new(ip, port)).await
    }

    /// How many requests, and how many connections of bytes, a port of the server has seen.
    async fn seen(&self, port: u16) -> (u64, u64) {
        let sum = async |filter: String| -> u64 {
            self.server.stats(&filter).await.unwrap().values().sum()
        };
        let http = sum(format!(r"^http\.inbound_.*_{port};?\.downstream_rq_total$")).await;
        let tcp = sum(format!(r"^tcp\.inbound.{port}..\.downstream_cx_total$")).await;
        (http, tcp)
    }

    /// Everybody says hello to every port, encrypted or not.
    async fn expect_all_reach(&self, encrypted: bool) {
        for port in [HTTP, ANY_HTTP] {
            for request in [self.request(port), self.request(port).http2()] {
                let caller = self.caller(&request).await;
                let expected = encrypted.then_some("URI=spiffe://cluster.local/ns/shop/sa/client");
                let told = caller.as_deref().is_some_and(|it| it.contains(expected.unwrap_or("")));
                assert_eq!(told, encrypted, "{port}: {caller:?}");
            }
        }
        let address = SocketAddr::new(self.client, ANY_GRPC);
        let answer = send(&Request::grpc(address, "web", "/shop.Web/Say", b"hello")).await;
        assert_eq!(answer.grpc_status(), Some(0), "{answer:?}");
        for port in [TCP, ANY_TCP] {
            let said = self.bytes_through(self.client, port).await.unwrap();
            assert_eq!(said, GREETED, "{port}");
        }
        // Each found the chain that speaks its protocol.
        assert_eq!(self.seen(HTTP).await, (2, 0));
        assert_eq!(self.seen(ANY_HTTP).await, (2, 0));
        assert_eq!(self.seen(ANY_GRPC).await, (1, 0));
        for port in [TCP, ANY_TCP] {
            let (requests, connections) = self.seen(port).await;
            // One may be more: somebody has waited for the listener.
            assert!(requests == 0 && connections > 0, "{port}: {requests}, {connections}");
        }
    }
}

/// What a server of bytes answers to [`HELLO`].
pub(crate) async fn greet(address: SocketAddr) -> Result<String> {
    // A caller that ends its side at once is reset where the first bytes are inspected: Envoy
    // takes the end for a caller that has gone.
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(HELLO).await?;
    let mut answer = vec![0; GREETED.len()];
    time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await??;
    Ok(String::from_utf8(answer)?)
}

pub(crate) fn service(web: IpAddr, label: &str) -> String {
    let ports = [
        ("http", HTTP),
        ("tcp", TCP),
        ("any-http", ANY_HTTP),
        ("any-grpc", ANY_GRPC),
        ("any-tcp", ANY_TCP),
    ];
    let list = |text: fn((&str, u16)) -> String| ports.map(text).join(", ");
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{selector: {{app: web}}, ports: [{}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{}]
endpoints: [{{addresses: [{web}], conditions: {{ready: true}}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: web-1, namespace: shop, labels: {{app: web{label}}}}}
spec: {{serviceAccountName: web}}
status: {{phase: Running, podIP: {web}}}
",
        list(|(name, port)| format!("{{name: {name}, port: {port}, targetPort: {port}}}")),
        list(|(name, port)| format!("{{name: {name}, port: {port}, protocol: TCP}}")),
    )
}

pub(crate) fn server_sidecar(web: IpAddr, behind: &[(u16, &str, u16)]) -> String {
    let listeners: String = behind
        .iter()
        .map(|(port, protocol, application)| {
            format!(
                "  - port: {{number: {port}, protocol: '{protocol}', name: p{port}}}
    bind: {web}
    captureMode: NONE
    defaultEndpoint: 127.0.0.1:{application}
"
            )
        })
        .collect();
    format!(
        "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: web, namespace: shop}}
spec:
  workloadSelector: {{labels: {{app: web}}}}
  egress: [{{hosts: ['~/*']}}]
  ingress:
{listeners}"
    )
}

pub(crate) fn client_sidecar(client: IpAddr) -> String {
    let ports =
        [(HTTP, "HTTP"), (TCP, "TCP"), (ANY_HTTP, "HTTP"), (ANY_GRPC, "HTTP"), (ANY_TCP, "TCP")];
    let listeners = ports.map(|(port, protocol)| {
        format!(
            "  - {{port: {{number: {port}, protocol: {protocol}, name: p{port}}}, bind: {client}, \
             captureMode: NONE, hosts: [shop/web.shop.svc.cluster.local]}}\n"
        )
    });
    format!(
        "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: client, namespace: shop}}
spec:
  workloadSelector: {{labels: {{app: client}}}}
  egress:
{}",
        listeners.concat()
    )
}

/// What workloads of `shop` accept, by this text below `spec`.
pub(crate) fn peers(spec: &str) -> String {
    format!(
        "---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: web, namespace: shop}}
spec: {spec}
"
    )
}

pub(crate) fn mode(mode: &str) -> String {
    peers(&format!("{{mtls: {{mode: {mode}}}}}"))
}

#[tokio::test]
async fn strict_takes_sidecars_and_nobody_else() {
    let pair = Pair::start(&mode("STRICT")).await;
    pair.expect_all_reach(true).await;
    for port in [HTTP, ANY_HTTP] {
        assert!(pair.outside(port, None).await.is_err());
        assert!(pair.outside(port, Some(TlsSettings::new("web"))).await.is_err());
    }
    let connections = pair.bytes.connections();
    for port in [TCP, ANY_TCP] {
        assert!(pair.bytes_through(pair.web, port).await.is_err());
    }
    assert_eq!(pair.bytes.connections(), connections);
}

#[tokio::test]
async fn strict_without_an_authority_takes_nobody() {
    let strict = mode("STRICT");
    let settings = PairSettings { yaml: &strict, trust_domain: None, ..PairSettings::default() };
    let pair = Pair::start_with(settings).await;
    for port in [HTTP, ANY_HTTP] {
        assert_eq!(send(&pair.request(port)).await.status, 503, "{port}: its own neighbour");
        assert!(pair.outside(port, None).await.is_err(), "{port}: plain text");
        assert!(pair.outside(port, Some(TlsSettings::new("web"))).await.is_err(), "{port}");
    }
    for port in [TCP, ANY_TCP] {
        for ip in [pair.client, pair.web] {
            assert!(pair.bytes_through(ip, port).await.is_err(), "{ip}:{port}");
        }
    }
    assert_eq!((pair.http.requests(), pair.bytes.connections()), (0, 0));
}

#[tokio::test]
async fn permissive_takes_both() {
    let pair = Pair::start("").await;
    pair.expect_all_reach(true).await;
    for port in [HTTP, ANY_HTTP] {
        let echo = pair.outside(port, None).await.unwrap().echo().unwrap();
        assert!(!echo.headers.contains_key(CALLER));
    }
    for port in [TCP, ANY_TCP] {
        assert_eq!(pair.bytes_through(pair.web, port).await.unwrap(), GREETED);
    }
}

#[tokio::test]
async fn who_takes_plain_text_only_is_called_so() {
    let pair = Pair::start(&mode("DISABLE")).await;
    pair.expect_all_reach(false).await;
    assert!(pair.outside(HTTP, None).await.is_ok());
}

#[tokio::test]
async fn who_says_nothing_of_mtls_is_called_in_plain_text() {
    let pair = Pair::start_with(PairSettings { label: "", ..PairSettings::default() }).await;
    pair.expect_all_reach(false).await;
}

#[tokio::test]
async fn a_port_may_differ_from_its_workload() {
    let spec = format!(
        "{{selector: {{matchLabels: {{app: web}}}}, mtls: {{mode: STRICT}}, portLevelMtls: {{{HTTP}: {{mode: DISABLE}}}}}}"
    );
    let pair = Pair::start(&peers(&spec)).await;
    assert_eq!(pair.caller(&pair.request(HTTP)).await, None);
    assert!(pair.outside(HTTP, None).await.is_ok());
    assert!(pair.caller(&pair.request(ANY_HTTP)).await.is_some());
    assert!(pair.outside(ANY_HTTP, None).await.is_err());
}

#[tokio::test]
async fn from_permissive_to_strict_and_back_no_call_fails() {
    let pair = Pair::start("").await;
    for port in [HTTP, ANY_HTTP] {
        let settings = LoadSettings::new(pair.request(port), 200);
        let load = Load::start(LoadSettings { client: Client::keep_alive(), ..settings });
        pair.mesh.write("peers.yaml", &mode("STRICT")).unwrap();
        eventually(async || {
            require(pair.outside(port, None).await.is_err(), "plain text is still taken")
        })
        .await;
        pair.mesh.write("peers.yaml", &mode("PERMISSIVE")).unwrap();
        eventually(async || pair.outside(port, None).await).await;
        load.stop().await.expect_no_failure().unwrap();
    }
    assert!(pair.http.requests() > 0);
}

#[tokio::test]
async fn a_server_of_another_identity_is_refused() {
    let settings = PairSettings { account: "thief", ..PairSettings::default() };
    let pair = Pair::start_with(settings).await;
    assert_eq!(send(&pair.request(HTTP)).await.status, 503);
    assert!(pair.bytes_through(pair.client, TCP).await.is_err());
    assert_eq!(pair.http.requests(), 0);
}

#[tokio::test]
async fn callers_of_another_trust_domain_or_authority_are_refused() {
    let settings = PairSettings {
        yaml: &mode("STRICT"),
        mesh_config: "trustDomain: own.example\ntrustDomainAliases: [old.example]\n",
        trust_domain: Some("own.example"),
        ..PairSettings::default()
    };
    let pair = Pair::start_with(settings).await;
    let refuses = async |leaf: &Leaf| {
        let tls = TlsSettings { identity: Some(leaf.clone()), ..TlsSettings::new("web") };
        pair.outside(HTTP, Some(tls)).await.is_err()
    };
    let own = pair.mesh.identity_files("shop", "caller").unwrap();
    assert!(!refuses(&own.leaf().unwrap()).await);
    let foreign = CertificateAuthority::new("foreign").unwrap();
    assert!(refuses(&foreign.leaf(&["spiffe://own.example/ns/shop/sa/caller"]).unwrap()).await);
    // The authority that everybody trusts signs for an alias, and for a domain that is none.
    let folder = own.certificate.ancestors().nth(2).unwrap();
    for (domain, refused) in [("old.example", false), ("other.example", true)] {
        let settings = AuthoritySettings::new(folder.join("identity"), domain, "Kubernetes");
        let identity = Identity {
            trust_domain: domain.into(),
            namespace: "shop".into(),
            service_account: "caller".into(),
        };
        let issued = Authority::open(settings).unwrap().issue(&identity).unwrap();
        let leaf = Leaf {
            certificate_pem: issued.chain_pem.to_string(),
            key_pem: issued.key_pem.expose().to_owned(),
            ..own.leaf().unwrap()
        };
        assert_eq!(refuses(&leaf).await, refused, "{domain}");
    }
}

#[tokio::test]
async fn an_expired_certificate_of_a_server_is_refused() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let name = "spiffe://cluster.local/ns/shop/sa/web";
    for (leaf, status) in
        [(authority.leaf(&[name]).unwrap(), 200), (authority.expired_leaf(&[name]).unwrap(), 503)]
    {
        let tls = Some(authority.server_config(&leaf).unwrap());
        let address = ports::loopback_socket(8443);
        let backend = BackendSettings { tls, address, ..BackendSettings::new("web") };
        let backend = Backend::start_with(backend).await.unwrap();
        let instance = Instance { version: "v1", address: backend.address(), node: None };
        let yaml = service_on("pay", ("http", 8443), &[instance]);
        let rule = destination_rule("").replace(
            "host: web",
            &format!(
                "host: pay\n  trafficPolicy: {{tls: {{mode: SIMPLE, caCertificates: {}, subjectAltNames: ['{name}']}}}}",
                authority.path.display()
            ),
        );
        let at = ports::loopback_socket(8443);
        let shop = Shop::start_with(ShopSettings {
            yaml: &(yaml + &rule),
            egress: &egress(at, "HTTP", "pay.shop.svc.cluster.local"),
            ..ShopSettings::default()
        })
        .await;
        shop.wait_listening(at).await;
        assert_eq!(send(&Request::get(at, "pay", "/")).await.status, status);
    }
}

#[tokio::test]
async fn a_rule_may_demand_mtls_and_forbid_it() {
    let rule = |mode: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: web, namespace: shop}}
spec: {{host: web, trafficPolicy: {{tls: {{mode: {mode}}}}}}}
"
        )
    };
    // The pod does not say that it ends mTLS; the rule does.
    let yaml = rule("ISTIO_MUTUAL");
    let settings = PairSettings { yaml: &yaml, label: "", ..PairSettings::default() };
    Pair::start_with(settings).await.expect_all_reach(true).await;
    Pair::start(&rule("DISABLE")).await.expect_all_reach(false).await;
}

/// The called side counts callers by what their certificates say, and itself by what it is.
#[tokio::test]
async fn requests_are_counted_with_the_names_of_both_ends() {
    let metrics = "defaultProviders: {metrics: [prometheus]}";
    let pair = Pair::start_with(PairSettings { mesh_config: metrics, ..PairSettings::default() });
    let pair = pair.await;
    pair.expect_all_reach(true).await;
    let wanted = [
        "reporter=\"destination\"",
        "connection_security_policy=\"mutual_tls\"",
        "source_workload_namespace=\"shop\"",
        "source_principal=\"spiffe://cluster.local/ns/shop/sa/client\"",
        "destination_workload_namespace=\"shop\"",
    ];
    eventually(async || {
        let text = pair.server.admin_get("/stats/prometheus").await?.text();
        let mut lines = text.lines().filter(|line| line.starts_with("istio_requests_total{"));
        require(lines.any(|line| wanted.iter().all(|label| line.contains(label))), &text)
    })
    .await;
}
