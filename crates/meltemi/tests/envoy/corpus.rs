//! A real Envoy takes all that comes of Istio's samples and test cases, and of our own collection.
//!
//! - Each sample loads without an error, beside its application.
//! - Of the cases, those of sidecars: the gateways among them listen on privileged ports.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde_json::Map;
use testkit::{
    EnvoyProcess, Mesh,
    certs::{CertificateAuthority, Leaf},
    corpus,
    mesh::{MeshSettings, ProxyKind, ProxySettings},
    ports,
};

use verify::corpus::{Case, parse_cases};

use crate::shop::{BINARY, eventually};

/// The applications, which the other files of their folders belong to.
const APPLICATIONS: [&str; 3] =
    ["bookinfo/bookinfo.yaml", "httpbin/httpbin.yaml", "helloworld/helloworld.yaml"];

/// Every file below a folder whose name ends so.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The Service of the ingress gateway: it leads the ports of the samples to free ones.
fn ingress_service(address: IpAddr) -> String {
    let ports = [80, 443, 8080].map(|port| (port, ports::free_port()));
    let list = |own: fn(&(u16, u16)) -> String| -> String { ports.iter().map(own).collect() };
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: istio-ingressgateway, namespace: istio-system}}
spec:
  selector: {{istio: ingressgateway}}
  ports:
{}---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: istio-ingressgateway-1
  namespace: istio-system
  labels: {{kubernetes.io/service-name: istio-ingressgateway}}
addressType: IPv4
endpoints: [{{addresses: [{address}]}}]
ports:
{}",
        list(|(port, target)| format!(
            "  - {{name: p{port}, port: {port}, targetPort: {target}}}\n"
        )),
        list(|(port, target)| format!("- {{name: p{port}, port: {target}}}\n")),
    )
}

/// Serves the files to a sidecar and an ingress gateway.
async fn load(paths: &[&Path]) {
    let shown = format!("{paths:?}");
    let texts: Vec<String> = paths.iter().map(|it| fs::read_to_string(it).unwrap()).collect();
    let gateway = ProxySettings::gateway("ingress.istio-system").label("istio=ingressgateway");
    let ingress = ingress_service(gateway.address);
    let names: Vec<String> = (0..texts.len()).map(|index| format!("{index}.yaml")).collect();
    let files: Vec<(&str, &str)> =
        names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    let files = [files, vec![("ingress.yaml", &ingress)]].concat();
    let mesh = Mesh::start(&MeshSettings::new(BINARY, &files)).await.unwrap();
    if let Err(error) = mesh.expect_no_errors().await {
        panic!("{shown}: {error:#}");
    }
    let sidecar = ProxySettings::sidecar("productpage-1.default");
    let sidecar = ProxySettings { kind: ProxyKind::RedirectedSidecar, ..sidecar };
    let sidecar = mesh.proxy(&sidecar).await.unwrap();
    let gateway = mesh.proxy(&gateway).await.unwrap();
    eventually(async || mesh.expect_synced(2).await).await;
    for envoy in [&sidecar, &gateway] {
        expect_nothing_refused(envoy, &shown).await;
    }
}

async fn expect_nothing_refused(envoy: &EnvoyProcess, what: &str) {
    let stats = envoy.stats(r"update_rejected$").await.unwrap();
    assert!(!stats.is_empty(), "the statistics have these names");
    let refused: Vec<_> = stats.iter().filter(|(_, value)| **value > 0).collect();
    assert!(refused.is_empty(), "{what}: {refused:?}\n{}", envoy.log_tail());
}

#[tokio::test]
async fn every_sample_is_taken_by_envoy() {
    let Some(corpus) = corpus::require_corpus("every sample is taken by Envoy") else { return };
    let samples = corpus.join("samples");
    for application in APPLICATIONS {
        let application = samples.join(application);
        let folder = application.parent().unwrap();
        let others = files(folder, "yaml").into_iter().filter(|path| *path != application);
        load(&[&application]).await;
        for rule in others {
            load(&[&application, &rule]).await;
        }
    }
}

/// The files of certificates that a case names are on no disk: Envoy is given others.
fn with_files(yaml: &str, authority: &CertificateAuthority, leaf: &Leaf) -> String {
    let files = [
        ("serverCertificate:", &leaf.certificate_path),
        ("privateKey:", &leaf.key_path),
        ("caCertificates:", &authority.path),
    ];
    let lines = yaml.lines().map(|line| {
        let named = files.iter().find(|(field, _)| line.trim_start().starts_with(field));
        match named {
            Some((field, path)) => {
                let indentation = &line[..line.len() - line.trim_start().len()];
                format!("{indentation}{field} {}\n", path.display())
            }
            None => format!("{line}\n"),
        }
    });
    lines.collect()
}

/// Serves a case's configuration to its proxy.
async fn load_case(case: &Case) {
    let authority = CertificateAuthority::new("case").unwrap();
    let leaf = authority.leaf(&["case.example"]).unwrap();
    let yaml = format!("{}\n---\n{}", case.istio, case.kubernetes);
    let yaml = with_files(&yaml, &authority, &leaf);
    let features: Vec<(&str, &str)> =
        case.features.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let files = [("mesh.yaml", yaml.as_str())];
    let settings = MeshSettings {
        mesh_config: &case.mesh_config,
        environment: &features,
        ..MeshSettings::new(BINARY, &files)
    };
    let mesh = Mesh::start(&settings).await.unwrap();
    let mut node = Map::new();
    node.insert("id".to_owned(), case.proxy.node_id().into());
    node.insert("metadata".to_owned(), case.proxy.node_metadata().into());
    let sidecar = ProxySettings::sidecar("case.default");
    let envoy = mesh.proxy(&ProxySettings { node, ..sidecar }).await.unwrap();
    eventually(async || mesh.expect_synced(1).await).await;
    expect_nothing_refused(&envoy, &case.name).await;
}

#[tokio::test]
async fn every_case_of_a_sidecar_is_taken_by_envoy() {
    let Some(corpus) = corpus::require_corpus("every case is taken by Envoy") else { return };
    let mut taken = 0;
    for path in files(&corpus.join("simulation"), "json") {
        let cases = parse_cases(&fs::read_to_string(path).unwrap()).unwrap();
        for case in cases.iter().filter(|case| case.proxy.kind == "sidecar") {
            load_case(case).await;
            taken += 1;
        }
    }
    assert!(taken > 0, "the corpus has cases of sidecars");
}

#[tokio::test]
async fn every_field_is_taken_by_envoy() {
    let files = [("wide.yaml", include_str!("wide.yaml"))];
    let mesh = Mesh::start(&MeshSettings::new(BINARY, &files)).await.unwrap();
    mesh.expect_no_errors().await.unwrap();
    let sidecar = ProxySettings::sidecar("client.shop").locality("r1/a");
    let sidecar = ProxySettings { kind: ProxyKind::RedirectedSidecar, ..sidecar };
    let envoy = mesh.proxy(&sidecar).await.unwrap();
    eventually(async || mesh.expect_synced(1).await).await;
    expect_nothing_refused(&envoy, "wide.yaml").await;
    // Traffic comes as soon as a proxy says that it is ready: every listener must be there then.
    let log = envoy.log();
    let late = log.split_once("starting workers").expect("it is ready").1;
    assert!(!late.contains("add/update listener"), "{late}");
    let config = mesh.proxy_config("client.shop").await.unwrap().to_string();
    for name in ["outbound|7080|v4|web.shop.svc.cluster.local", "outbound|7204||*.dyn.example"] {
        assert!(config.contains(name), "{name} is not there");
    }
}
