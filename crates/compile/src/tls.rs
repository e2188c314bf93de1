//! What every TLS context is made of: files, names and parameters, and what workloads of the
//! mesh ask of each other.
//!
//! - A secret that is missing closes connections; it never opens them.
//! - Not here: where secrets come from (`sds`), when TLS is spoken (`inbound`, `cluster`, `gateway`).

use std::{net::IpAddr, sync::Arc};

use api::{
    istio::mesh_config::MeshTlsProtocol,
    tls::{CIPHER_SUITES, ECDH_CURVES},
};
use envoy::{
    Any,
    config::core::v3::{
        DataSource, TransportSocket, data_source::Specifier, transport_socket::ConfigType,
    },
    extensions::transport_sockets::{
        raw_buffer::v3::RawBuffer,
        tls::v3::{
            CertificateValidationContext, CommonTlsContext, SubjectAltNameMatcher, TlsParameters,
            common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
            subject_alt_name_matcher::SanType,
            tls_parameters::TlsProtocol,
        },
    },
    types::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};
use prost::{Message, Name};
use snapshot::Mesh;

use crate::sds::{MESH_AUTHORITIES, OWN_CERTIFICATE, SdsSource};

/// The protocols by which sidecars mean HTTP to each other.
pub(crate) const MESH_HTTP: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// The same for bytes. `istio-peer-exchange` is offered by Istio's own proxies.
pub(crate) const MESH_TCP: [&str; 2] = ["istio-peer-exchange", "istio"];
/// All that sidecars offer when they mean each other.
pub(crate) const MESH_PROTOCOLS: [&str; 5] =
    ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// The suites between workloads below TLS 1.3, where the mesh names none.
const MESH_CIPHER_SUITES: [&str; 6] = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
];
pub(crate) fn file(path: &str) -> DataSource {
    DataSource { specifier: Some(Specifier::Filename(path.to_owned())), ..DataSource::default() }
}

/// A name that a certificate must be for. Istio's names have no type: it follows from their form.
pub(crate) fn san_matcher(name: &str) -> SubjectAltNameMatcher {
    let kind = match name {
        _ if name.contains("://") => SanType::Uri,
        _ if name.contains('@') => SanType::Email,
        _ if name.parse::<IpAddr>().is_ok() => SanType::IpAddress,
        _ => SanType::Dns,
    };
    matcher(kind, MatchPattern::Exact(name.to_owned()))
}

/// Any workload of a trust domain.
pub(crate) fn workload_matcher(domain: &str) -> SubjectAltNameMatcher {
    matcher(SanType::Uri, MatchPattern::Prefix(format!("spiffe://{domain}/")))
}

fn matcher(kind: SanType, pattern: MatchPattern) -> SubjectAltNameMatcher {
    SubjectAltNameMatcher {
        san_type: kind.into(),
        matcher: Some(StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }),
        ..SubjectAltNameMatcher::default()
    }
}

pub(crate) fn transport_socket<M: Message + Name>(name: &str, config: &M) -> TransportSocket {
    TransportSocket {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(Any::pack(config))),
    }
}

pub(crate) const TLS_SOCKET: &str = "envoy.transport_sockets.tls";

pub(crate) fn raw_buffer() -> TransportSocket {
    transport_socket("envoy.transport_sockets.raw_buffer", &RawBuffer {})
}

/// What workloads of the mesh ask of each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeshTls {
    /// Whose identities are believed: the mesh's own domain first.
    pub trust_domains: Vec<Arc<str>>,
    pub min_version: MeshTlsProtocol,
    pub cipher_suites: Vec<Arc<str>>,
    /// Empty is Envoy's choice.
    pub ecdh_curves: Vec<Arc<str>>,
    pub source: SdsSource,
}

impl MeshTls {
    pub fn new(mesh: &Mesh, source: SdsSource) -> Self {
        let written = mesh.config.mesh_mtls.as_ref();
        let texts = |list: Option<&Vec<String>>| -> Vec<Arc<str>> {
            list.into_iter().flatten().map(|text| text.as_str().into()).collect()
        };
        let known = written.map(|it| &it.cipher_suites);
        // Envoy refuses a listener that names a suite or a curve it does not know.
        let mut suites = texts(known);
        suites.retain(|suite| CIPHER_SUITES.contains(&&**suite));
        if suites.is_empty() {
            suites = MESH_CIPHER_SUITES.map(Arc::from).to_vec();
        }
        let mut curves = texts(written.map(|it| &it.ecdh_curves));
        curves.retain(|curve| ECDH_CURVES.contains(&&**curve));
        Self {
            trust_domains: trust_domains(mesh).map(Arc::from).collect(),
            min_version: written.map(|it| it.min_protocol_version).unwrap_or_default(),
            cipher_suites: suites,
            ecdh_curves: curves,
            source,
        }
    }

    /// Names of every workload that is believed.
    pub(crate) fn any_workload(&self) -> Vec<SubjectAltNameMatcher> {
        self.trust_domains.iter().map(|domain| workload_matcher(domain)).collect()
    }

    /// Own certificate, and a check that the peer's is for one of `names`.
    pub(crate) fn common(
        &self,
        names: Vec<SubjectAltNameMatcher>,
        offered: &[&str],
    ) -> CommonTlsContext {
        let strings = |list: &[Arc<str>]| list.iter().map(ToString::to_string).collect();
        let checks = CertificateValidationContext {
            match_typed_subject_alt_names: names,
            ..CertificateValidationContext::default()
        };
        let combined = CombinedCertificateValidationContext {
            default_validation_context: Some(checks),
            validation_context_sds_secret_config: Some(self.source.secret(MESH_AUTHORITIES)),
            ..CombinedCertificateValidationContext::default()
        };
        let min_version = match self.min_version {
            MeshTlsProtocol::TlsAuto | MeshTlsProtocol::Tlsv1_2 => TlsProtocol::TlSv12,
            MeshTlsProtocol::Tlsv1_3 => TlsProtocol::TlSv13,
        };
        CommonTlsContext {
            tls_params: Some(TlsParameters {
                tls_minimum_protocol_version: min_version.into(),
                tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
                cipher_suites: strings(&self.cipher_suites),
                ecdh_curves: strings(&self.ecdh_curves),
                ..TlsParameters::default()
            }),
            alpn_protocols: offered.iter().map(|it| (*it).to_owned()).collect(),
            tls_certificate_sds_secret_configs: vec![self.source.secret(OWN_CERTIFICATE)],
            validation_context_type: Some(ValidationContextType::CombinedValidationContext(
                combined,
            )),
            ..CommonTlsContext::default()
        }
    }
}

/// The domains whose identities are the mesh's own, each once.
pub(crate) fn trust_domains(mesh: &Mesh) -> impl Iterator<Item = &str> {
    let aliases = mesh.config.trust_domain_aliases.iter().map(String::as_str);
    let own = &*mesh.trust_domain;
    std::iter::once(own).chain(aliases.filter(move |alias| *alias != own && !alias.is_empty()))
}
