//! mTLS with others than our own: callers whose time is over, and proxies that an istiod has
//! configured.
//!
//! Those proxies are stock Envoys with listeners and clusters of the shape that istiod gives them,
//! but for its private filters, which a stock Envoy does not have. What its `istio.alpn` filter
//! offers for each protocol of requests is a cluster for each here.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use identity::{Authority, AuthoritySettings};
use model::Identity;
use serde_json::{Value, json};
use testkit::{
    EnvoyProcess, Mesh,
    certs::Leaf,
    http::{Backend, GrpcBackend, Request, TcpBackend, TlsSettings},
    mesh::{IdentityFiles, MeshSettings, ProxySettings},
    ports,
};
use tokio::{net::TcpStream, time};

use crate::{
    mtls::{
        ANY_GRPC, ANY_HTTP, ANY_TCP, CALLER, GREETED, HTTP, Pair, TCP, client_sidecar, greet, mode,
        service,
    },
    shop::{BINARY, eventually, send},
};

#[tokio::test]
async fn an_expired_certificate_of_a_caller_is_refused() {
    let pair = Pair::start(&mode("STRICT")).await;
    let directory = pair.mesh.objects().parent().unwrap().join("identity");
    let own = pair.mesh.identity_files("shop", "caller").unwrap();
    let identity: Identity = "spiffe://cluster.local/ns/shop/sa/caller".parse().unwrap();
    let issue = |lifetime| {
        let settings = AuthoritySettings::new(directory.clone(), "cluster.local", "Kubernetes");
        let authority = Authority::open(AuthoritySettings { lifetime, ..settings }).unwrap();
        let issued = authority.issue(&identity).unwrap();
        let leaf = Leaf {
            certificate_pem: issued.chain_pem.to_string(),
            key_pem: issued.key_pem.expose().to_owned(),
            ..own.leaf().unwrap()
        };
        (leaf, issued.not_after)
    };
    // The two differ in nothing but how long they are good.
    let (good, _) = issue(Duration::from_secs(3600));
    let (short, not_after) = issue(Duration::from_secs(1));
    let left = not_after.duration_since(SystemTime::now()).unwrap_or_default();
    time::sleep(left + Duration::from_secs(1)).await;
    for port in [HTTP, ANY_HTTP] {
        let get = async |leaf: &Leaf| {
            let alpn = ["istio-http/1.1", "istio"].map(str::to_owned).to_vec();
            let identity = Some(leaf.clone());
            let tls = TlsSettings { identity, alpn, ..TlsSettings::new("web") };
            pair.outside(port, Some(tls)).await
        };
        assert_eq!(get(&good).await.unwrap().status, 200, "{port}");
        assert!(get(&short).await.is_err(), "{port}");
    }
    let refused = pair.server.stats(r"\.ssl\.(fail_verify_error|connection_error)$").await.unwrap();
    assert!(refused.values().sum::<u64>() > 0, "{refused:?}");
}

const TLS_V3: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
const HCM: &str = "type.googleapis.com/envoy.extensions.filters.network.\
                   http_connection_manager.v3.HttpConnectionManager";

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip(), "port_value": address.port()}})
}

/// Certificate, key and roots as istiod's proxies have them, and who must be at the other end.
fn common_tls(files: &IdentityFiles, peer: &Value, alpn: &[&str]) -> Value {
    json!({
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2",
            "tls_maximum_protocol_version": "TLSv1_3",
        },
        "alpn_protocols": alpn,
        "tls_certificates": [{
            "certificate_chain": {"filename": files.certificate},
            "private_key": {"filename": files.key},
        }],
        "validation_context": {
            "trusted_ca": {"filename": files.roots},
            "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": peer}],
        },
    })
}

fn cluster(name: &str, address: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(address)}}]}],
        },
    })
}

fn tcp_proxy(cluster: &str) -> Value {
    json!({"name": "tcp", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": cluster,
        "cluster": cluster,
    }})
}

/// `more` are further fields of the connection manager.
fn http_proxy(cluster: &str, more: &Value) -> Value {
    let mut config = json!({
        "@type": HCM,
        "stat_prefix": cluster,
        "route_config": {"virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}],
        }]},
        "http_filters": [{"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        }}],
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        config[field] = value.clone();
    }
    json!({"name": "http", "typed_config": config})
}

fn http2_options() -> Value {
    json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }})
}

fn bootstrap(listeners: &[Value], clusters: &[Value]) -> String {
    json!({
        "node": {"id": "sidecar~10.0.0.1~peer.shop~shop.svc.cluster.local", "cluster": "peer.shop"},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    })
    .to_string()
}

async fn start(listeners: &[Value], clusters: &[Value]) -> EnvoyProcess {
    EnvoyProcess::start(&bootstrap(listeners, clusters)).await.unwrap()
}

/// How a caller of istiod's calls one port of `web`.
struct Call {
    port: u16,
    http: bool,
    http2: bool,
    alpn: &'static [&'static str],
}

const HTTP1_ALPN: &[&str] = &["istio-http/1.1", "istio", "http/1.1"];
const HTTP2_ALPN: &[&str] = &["istio-h2", "istio", "h2"];
const TCP_ALPN: &[&str] = &["istio-peer-exchange", "istio"];

const CALLS: [Call; 6] = [
    Call { port: HTTP, http: true, http2: false, alpn: HTTP1_ALPN },
    Call { port: HTTP, http: true, http2: true, alpn: HTTP2_ALPN },
    Call { port: ANY_HTTP, http: true, http2: false, alpn: HTTP1_ALPN },
    Call { port: ANY_HTTP, http: true, http2: true, alpn: HTTP2_ALPN },
    Call { port: TCP, http: false, http2: false, alpn: TCP_ALPN },
    Call { port: ANY_TCP, http: false, http2: false, alpn: TCP_ALPN },
];

/// A caller's proxy with a listener in plain text for each of the calls.
async fn istiods_caller(files: &IdentityFiles, web: IpAddr) -> (EnvoyProcess, Vec<SocketAddr>) {
    let (mut listeners, mut clusters, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    for (index, Call { port, http, http2, alpn }) in CALLS.iter().enumerate() {
        let name = format!("outbound|{port}||web.shop.svc.cluster.local;{index}");
        let address = ports::loopback_socket(*port);
        addresses.push(address);
        let mut upstream = cluster(&name, SocketAddr::new(web, *port));
        let exact = json!({"exact": "spiffe://cluster.local/ns/shop/sa/web"});
        upstream["transport_socket"] = json!({"name": "tls", "typed_config": {
            "@type": format!("{TLS_V3}.UpstreamTlsContext"),
            "sni": format!("outbound_.{port}_._.web.shop.svc.cluster.local"),
            "common_tls_context": common_tls(files, &exact, alpn),
        }});
        if *http2 {
            upstream["typed_extension_protocol_options"] = http2_options();
        }
        clusters.push(upstream);
        let filter = if *http { http_proxy(&name, &json!({})) } else { tcp_proxy(&name) };
        listeners.push(json!({
            "name": name,
            "address": socket_address(address),
            "filter_chains": [{"filters": [filter]}],
        }));
    }
    (start(&listeners, &clusters).await, addresses)
}

#[tokio::test]
async fn callers_that_an_istiod_configures_reach_our_sidecars() {
    for mode_name in ["STRICT", "PERMISSIVE"] {
        let pair = Pair::start(&mode(mode_name)).await;
        let files = pair.mesh.identity_files("shop", "theirs").unwrap();
        let (_theirs, addresses) = istiods_caller(&files, pair.web).await;
        for (call, address) in CALLS.iter().zip(addresses) {
            eventually(async || TcpStream::connect(address).await).await;
            let what = format!("{mode_name} {} {:?}", call.port, call.alpn);
            if call.http {
                let answer = send(&Request::get(address, "web", "/")).await;
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                let caller = &answer.echo().unwrap().headers[CALLER];
                let theirs = "URI=spiffe://cluster.local/ns/shop/sa/theirs";
                assert!(caller.contains(theirs), "{what}: {caller}");
            } else {
                assert_eq!(greet(address).await.unwrap(), GREETED, "{what}");
            }
        }
    }
}

/// The chains of a port, as istiod's table has them for STRICT.
fn istiods_chains(port: u16, files: &IdentityFiles) -> Vec<Value> {
    let chain = |protocols: &[&str], alpn: &[&str], filter: Value| {
        let prefix = json!({"prefix": "spiffe://cluster.local/"});
        let mut chain_match = json!({"transport_protocol": "tls"});
        if !protocols.is_empty() {
            chain_match["application_protocols"] = json!(protocols);
        }
        json!({
            "filter_chain_match": chain_match,
            "transport_socket": {"name": "tls", "typed_config": {
                "@type": format!("{TLS_V3}.DownstreamTlsContext"),
                "require_client_certificate": true,
                "common_tls_context": common_tls(files, &prefix, alpn),
            }},
            "filters": [filter],
        })
    };
    let requests = || {
        let application = if port == ANY_GRPC { "grpc" } else { "web" };
        let certificates = json!({
            "forward_client_cert_details": "APPEND_FORWARD",
            "set_current_client_cert_details": {"subject": true, "dns": true, "uri": true},
        });
        http_proxy(application, &certificates)
    };
    const WEB: [&str; 2] = ["h2", "http/1.1"];
    const BYTES: [&str; 3] = ["istio-peer-exchange", "h2", "http/1.1"];
    const REQUESTS: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
    // Their proxies begin with metadata where this is agreed on: ours must not offer it.
    let exchange = chain(&["istio-peer-exchange"], &BYTES, tcp_proxy("nobody"));
    match port {
        HTTP => vec![exchange, chain(&[], &WEB, requests())],
        TCP => vec![exchange, chain(&[], &BYTES, tcp_proxy("bytes"))],
        _ => vec![
            exchange,
            chain(&REQUESTS, &WEB, requests()),
            chain(&[], &BYTES, tcp_proxy("bytes")),
        ],
    }
}

/// The proxy of `web`, with each of its ports.
async fn istiods_server(
    files: &IdentityFiles,
    web: IpAddr,
    applications: [(&str, SocketAddr); 3],
) -> EnvoyProcess {
    let listeners = [HTTP, TCP, ANY_HTTP, ANY_GRPC, ANY_TCP].map(|port| {
        json!({
            "name": format!("{web}_{port}"),
            "address": socket_address(SocketAddr::new(web, port)),
            "listener_filters": [{"name": "envoy.filters.listener.tls_inspector", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
            }}],
            "filter_chains": istiods_chains(port, files),
        })
    });
    let mut clusters = applications.map(|(name, address)| cluster(name, address)).to_vec();
    for cluster in clusters.iter_mut().filter(|it| it["name"] == "grpc") {
        cluster["typed_extension_protocol_options"] = http2_options();
    }
    clusters.push(cluster("nobody", ports::loopback_socket(7099)));
    start(&listeners, &clusters).await
}

#[tokio::test]
async fn our_sidecars_reach_servers_that_an_istiod_configures() {
    let local = || SocketAddr::from(([127, 0, 0, 1], 0));
    let application = Backend::start("web").await.unwrap();
    let bytes = TcpBackend::start("bytes", local()).await.unwrap();
    let grpc = GrpcBackend::start("grpc", local()).await.unwrap();
    let (client, web) = (ports::loopback_address(), ports::loopback_address());
    let yaml =
        service(web, ", security.istio.io/tlsMode: istio") + "---\n" + &client_sidecar(client);
    let files = [("mesh.yaml", yaml.as_str())];
    let mesh = Mesh::start(&MeshSettings::new(BINARY, &files).with_identities()).await.unwrap();
    let applications =
        [("web", application.address()), ("bytes", bytes.address()), ("grpc", grpc.address())];
    let own = mesh.identity_files("shop", "web").unwrap();
    let _theirs = istiods_server(&own, web, applications).await;
    let proxy = ProxySettings::sidecar("client.shop").identity("client");
    let _sidecar = mesh.proxy(&proxy).await.unwrap();
    let at = |port: u16| SocketAddr::new(client, port);
    for port in [HTTP, TCP, ANY_HTTP, ANY_GRPC, ANY_TCP] {
        eventually(async || TcpStream::connect(at(port)).await).await;
    }
    for port in [HTTP, ANY_HTTP] {
        let request = Request::get(at(port), "web", "/");
        for request in [request.clone(), request.http2()] {
            let answer = send(&request).await;
            assert_eq!(answer.status, 200, "{port}: {}", answer.text());
            let caller = &answer.echo().unwrap().headers[CALLER];
            let ours = "URI=spiffe://cluster.local/ns/shop/sa/client";
            assert!(caller.contains(ours), "{port}: {caller}");
        }
    }
    let answer = send(&Request::grpc(at(ANY_GRPC), "web", "/shop.Web/Say", b"hello")).await;
    assert_eq!(answer.grpc_status(), Some(0), "{answer:?}");
    for port in [TCP, ANY_TCP] {
        assert_eq!(greet(at(port)).await.unwrap(), GREETED, "{port}");
    }
}
