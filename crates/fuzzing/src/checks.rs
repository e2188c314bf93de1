//! The checks. Each takes any bytes.

mod mesh;

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use envoy::service::accesslog::v3::StreamAccessLogsMessage;
use identity::{ClaimMapping, TokenRules};
use model::{Diagnostic, Diagnostics, Hostname};
use prost::Message;
use scope::{CallLog, ImportInput, Places, called_hosts, parse_import};
use xds::{Frames, Protocol, decode_request};

pub use mesh::{accepted, mesh};

use crate::seeds;

const FILE: &str = "fuzz.yaml";
/// Largest message that the frames may hold; small, so that the limit is reached.
const MESSAGE_LIMIT: usize = 4096;

/// Reads a file and judges its objects: every finding says where it is.
pub fn documents(data: &[u8]) {
    let (objects, findings) = api::parse_documents(FILE, data);
    // In YAML a carriage return alone ends a line as well.
    let lines = data.split(|byte| matches!(byte, b'\n' | b'\r')).count();
    check_places(&findings, lines);
    for object in &objects {
        assert!(!object.key.name.as_str().is_empty(), "an object without a name is no object");
        check_places(&api::validate(object), lines);
    }
    let (mesh, findings) = api::parse_mesh_config(FILE, data);
    check_places(&findings, lines);
    if let Some(mesh) = mesh {
        check_places(&api::validate(&mesh), lines);
    }
}

fn check_places(findings: &Diagnostics, lines: usize) {
    for finding in findings.iter() {
        check_place(finding, lines);
    }
}

fn check_place(finding: &Diagnostic, lines: usize) {
    let Some(location) = &finding.location else { panic!("nobody knows where: {finding}") };
    assert_eq!(&*location.file, FILE);
    let inside = usize::try_from(location.line).is_ok_and(|line| line <= lines);
    assert!(inside, "behind the end of {lines} lines: {finding}");
}

/// Reads a signing request, and a certificate that a client might show. What is taken is taken the
/// same way again, and is not longer than what may be sent.
pub fn certificates(data: &[u8]) {
    if identity::parse_request(data).is_ok() {
        assert!(data.len() <= identity::LONGEST_REQUEST);
        assert!(identity::parse_request(data).is_ok());
    }
    if let Ok(facts) = identity::parse_certificate(data) {
        assert_eq!(Ok(&facts), identity::parse_certificate(data).as_ref());
    }
}

/// Reads a set of keys, and a token: no token is believed but the one that was signed.
pub fn tokens(data: &[u8]) {
    if let Ok(keys) = identity::parse_key_set(data) {
        assert_eq!(Ok(&keys), identity::parse_key_set(data).as_ref());
    }
    let keys = identity::parse_key_set(seeds::KEYS.as_bytes()).expect("the seed is a set of keys");
    let rules = TokenRules {
        issuer: "https://issuer.test".to_owned(),
        audiences: vec!["istio-ca".to_owned()],
        claims: ClaimMapping::Subject,
    };
    let Ok(text) = str::from_utf8(data) else { return };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    if identity::verify_token(text, [(&rules, &keys)], now).is_ok() {
        assert_eq!(text, seeds::TOKEN.trim_end());
    }
}

/// Cuts the data of a stream into messages and decodes them. The first byte says how.
pub fn requests(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    let protocol = if mode & 1 == 0 { Protocol::Delta } else { Protocol::Sotw };
    let step = usize::from(mode >> 1) + 1;
    let mut frames = Frames::new(MESSAGE_LIMIT);
    for piece in data.chunks(step) {
        for message in frames.push(Bytes::copy_from_slice(piece)) {
            let Ok(message) = message else { return };
            assert!(message.len() <= MESSAGE_LIMIT);
            if let Ok(request) = decode_request(protocol, &message) {
                assert_eq!(Ok(&request), decode_request(protocol, &message).as_ref());
            }
        }
    }
    assert!(frames.retained() <= 2 * (MESSAGE_LIMIT + 5));
}

/// Reads a call graph, and a report of calls. What is taken has names that can be kept and shown;
/// what is left out says where.
pub fn graphs(data: &[u8]) {
    if let Ok(report) = StreamAccessLogsMessage::decode(data) {
        for log in [CallLog::All, CallLog::Unknown] {
            let called = called_hosts(&report, &"shop".into(), log, &Everything);
            assert!(called.keys().all(|host| !host.as_str().is_empty()));
        }
    }
    let Ok(text) = str::from_utf8(data) else { return };
    let namespace = "shop".into();
    let input = ImportInput { text, namespace: Some(&namespace), places: &Everything };
    let Ok(import) = parse_import(input) else { return };
    assert_eq!(Ok(&import), parse_import(input).as_ref());
    for call in &import.calls {
        assert!(!call.host.as_str().is_empty() && !call.workload.name.as_str().is_empty());
        assert!(!call.host.as_str().contains(['/', ' ', '\n']), "{call:?}");
    }
    assert!(import.findings.iter().all(|it| !it.place.is_empty() && !it.message.is_empty()));
}

/// A mesh in which every name is a service.
struct Everything;

impl Places for Everything {
    fn domain(&self) -> &str {
        "cluster.local"
    }

    fn is_gateway(&self, _host: &Hostname) -> bool {
        false
    }

    fn has(&self, host: &Hostname) -> bool {
        !host.as_str().is_empty()
    }

    fn has_pods(&self, host: &Hostname) -> bool {
        self.has(host)
    }

    fn has_namespace(&self, _name: &str) -> bool {
        true
    }

    fn at(&self, address: IpAddr, _port: Option<u16>) -> Option<Hostname> {
        Some(Hostname::new(&address.to_string()))
    }
}
