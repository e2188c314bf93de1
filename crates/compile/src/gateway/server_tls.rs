//! How a server proves itself and whom it believes: settings as written → a `DownstreamTlsContext`.

use std::{collections::BTreeSet, sync::Arc};

use api::{
    istio::{
        gateway::{ServerTlsMode, ServerTlsSettings, TlsProtocol as WrittenVersion},
        mesh_config::MeshTlsProtocol,
    },
    tls::{CIPHER_SUITES, ECDH_CURVES},
};
use envoy::{
    config::core::v3::TransportSocket,
    extensions::transport_sockets::tls::v3::{
        CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, TlsCertificate,
        TlsParameters,
        certificate_validation_context::TrustChainVerification,
        common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
        tls_parameters::TlsProtocol,
    },
};
use snapshot::Mesh;

use crate::{
    sds::{AUTHORITIES_SUFFIX, KUBERNETES, MESH_AUTHORITIES, OWN_CERTIFICATE, SdsSource},
    tls::{TLS_SOCKET, file, san_matcher, transport_socket, trust_domains, workload_matcher},
};

/// Names with these beginnings are complete; others are names of Kubernetes Secrets.
const COMPLETE: [&str; 3] = [KUBERNETES, "kubernetes-gateway://", "configmap://"];
const BUILT_IN: &str = "builtin://";

/// How a server ends TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Termination {
    pub certificates: Certificates,
    pub client: ClientCheck,
    pub min_version: WrittenVersion,
    pub max_version: WrittenVersion,
    /// Empty is Envoy's choice.
    pub cipher_suites: Vec<Arc<str>>,
    pub ecdh_curves: Vec<Arc<str>>,
    /// Of the proxy's own identity, where that is what the server shows or believes.
    pub identity: SdsSource,
}

/// Where the server's certificates come from. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Certificates {
    /// Names of secrets, served over ADS.
    Secrets(Vec<Arc<str>>),
    /// Paths of a certificate and its key.
    Files(Vec<(Arc<str>, Arc<str>)>),
}

/// What is asked of callers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientCheck {
    Nothing,
    /// A certificate is checked if there is one.
    Optional(Authorities),
    Required(Authorities),
}

/// Which certificates of callers are believed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authorities {
    pub source: AuthoritySource,
    /// If not empty, the certificate must be for one of these names.
    pub subject_alt_names: Vec<Arc<str>>,
    /// The same for identities: one of any workload of these domains is enough.
    pub trust_domains: Vec<Arc<str>>,
    pub spki: Vec<Arc<str>>,
    pub hashes: Vec<Arc<str>>,
    /// Believe a certificate whoever has signed it.
    pub accept_untrusted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AuthoritySource {
    Secret(Arc<str>),
    /// Paths of the authorities and of a list of revoked certificates.
    Files {
        authorities: Arc<str>,
        revoked: Option<Arc<str>>,
    },
}

/// Reads the settings of a server that ends TLS. An error says what is missing; `notes` what is
/// left out.
pub(crate) fn parse_termination(
    tls: &ServerTlsSettings,
    mesh: &Mesh,
    identity: SdsSource,
    notes: &mut Vec<String>,
) -> Result<Termination, String> {
    let defaults = mesh.config.tls_defaults.as_ref();
    let default_suites = defaults.map(|it| it.cipher_suites.as_slice()).unwrap_or_default();
    let suites = match tls.cipher_suites.is_empty() {
        true => default_suites,
        false => &tls.cipher_suites,
    };
    let curves = defaults.map(|it| it.ecdh_curves.as_slice()).unwrap_or_default();
    let min_version = match (tls.min_protocol_version, defaults.map(|it| it.min_protocol_version)) {
        (WrittenVersion::TlsAuto, Some(MeshTlsProtocol::Tlsv1_2)) => WrittenVersion::Tlsv1_2,
        (WrittenVersion::TlsAuto, Some(MeshTlsProtocol::Tlsv1_3)) => WrittenVersion::Tlsv1_3,
        (written, _) => written,
    };
    Ok(Termination {
        certificates: certificates(tls)?,
        client: match tls.mode {
            ServerTlsMode::Mutual | ServerTlsMode::IstioMutual => {
                ClientCheck::Required(authorities(tls, mesh)?)
            }
            ServerTlsMode::OptionalMutual => ClientCheck::Optional(authorities(tls, mesh)?),
            ServerTlsMode::Simple | ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => {
                ClientCheck::Nothing
            }
        },
        min_version,
        max_version: tls.max_protocol_version,
        cipher_suites: known_suites(suites, notes),
        ecdh_curves: known_curves(curves, notes),
        identity,
    })
}

fn certificates(tls: &ServerTlsSettings) -> Result<Certificates, String> {
    if tls.mode == ServerTlsMode::IstioMutual {
        return Ok(Certificates::Secrets(vec![OWN_CERTIFICATE.into()]));
    }
    let credentials = std::iter::once(&tls.credential_name).chain(&tls.credential_names);
    let secrets: Vec<Arc<str>> =
        credentials.filter(|name| !name.is_empty()).map(|name| secret_name(name)).collect();
    if !secrets.is_empty() {
        return Ok(Certificates::Secrets(secrets));
    }
    let single = (&tls.server_certificate, &tls.private_key);
    let several = tls.tls_certificates.iter().map(|it| (&it.server_certificate, &it.private_key));
    let files: Vec<(Arc<str>, Arc<str>)> = std::iter::once(single)
        .chain(several)
        .filter(|(certificate, key)| !certificate.is_empty() && !key.is_empty())
        .map(|(certificate, key)| (certificate.as_str().into(), key.as_str().into()))
        .collect();
    match files.is_empty() {
        true => Err("the server has no certificate".to_owned()),
        false => Ok(Certificates::Files(files)),
    }
}

fn authorities(tls: &ServerTlsSettings, mesh: &Mesh) -> Result<Authorities, String> {
    let revoked = (!tls.ca_crl.is_empty()).then(|| tls.ca_crl.as_str().into());
    let of_certificate = tls.tls_certificates.iter().map(|it| it.ca_certificates.as_str());
    let file = std::iter::once(tls.ca_certificates.as_str()).chain(of_certificate);
    let file = file.into_iter().find(|path| !path.is_empty());
    let credential = std::iter::once(&tls.credential_name).chain(&tls.credential_names);
    let credential = credential.into_iter().find(|name| !name.is_empty());
    let source = if tls.mode == ServerTlsMode::IstioMutual {
        AuthoritySource::Secret(MESH_AUTHORITIES.into())
    } else if !tls.ca_cert_credential_name.is_empty() {
        AuthoritySource::Secret(authorities_secret(&tls.ca_cert_credential_name))
    } else if let Some(name) = credential {
        AuthoritySource::Secret(authorities_secret(name))
    } else if let Some(path) = file {
        AuthoritySource::Files { authorities: path.into(), revoked }
    } else {
        return Err("the server has no authorities to check its callers by".to_owned());
    };
    // A trusted authority may sign for other meshes too; the mesh's own domains are believed.
    let own = AuthoritySource::Secret(MESH_AUTHORITIES.into());
    let trust_domains = match source == own && tls.subject_alt_names.is_empty() {
        true => trust_domains(mesh).map(Arc::from).collect(),
        false => Vec::new(),
    };
    Ok(Authorities {
        source,
        trust_domains,
        subject_alt_names: texts(&tls.subject_alt_names),
        spki: texts(&tls.verify_certificate_spki),
        hashes: texts(&tls.verify_certificate_hash),
        accept_untrusted: tls.insecure_skip_verify == Some(true),
    })
}

/// `shop-cert` is `kubernetes://shop-cert`.
fn secret_name(written: &str) -> Arc<str> {
    if written.starts_with(BUILT_IN) {
        return OWN_CERTIFICATE.into();
    }
    match COMPLETE.iter().any(|prefix| written.starts_with(prefix)) {
        true => written.into(),
        false => format!("{KUBERNETES}{written}").into(),
    }
}

/// The authorities that belong to a credential.
fn authorities_secret(written: &str) -> Arc<str> {
    if written.starts_with(BUILT_IN) {
        return MESH_AUTHORITIES.into();
    }
    format!("{}{AUTHORITIES_SUFFIX}", secret_name(written)).into()
}

fn known_suites(written: &[String], notes: &mut Vec<String>) -> Vec<Arc<str>> {
    let mut seen = BTreeSet::new();
    let mut known = Vec::new();
    for suite in written {
        match CIPHER_SUITES.contains(&suite.as_str()) {
            true if seen.insert(suite) => known.push(suite.as_str().into()),
            true => {}
            false => notes.push(format!("the cipher suite `{suite}` is not known")),
        }
    }
    known
}

fn known_curves(written: &[String], notes: &mut Vec<String>) -> Vec<Arc<str>> {
    let (known, unknown): (Vec<&String>, Vec<&String>) =
        written.iter().partition(|curve| ECDH_CURVES.contains(&curve.as_str()));
    notes.extend(unknown.iter().map(|curve| format!("the curve `{curve}` is not known")));
    known.into_iter().map(|curve| curve.as_str().into()).collect()
}

fn texts(list: &[String]) -> Vec<Arc<str>> {
    list.iter().map(|text| text.as_str().into()).collect()
}

impl Termination {
    /// The transport socket of a chain. HTTP is offered in both versions.
    pub(crate) fn compile(&self) -> TransportSocket {
        let strings = |list: &[Arc<str>]| list.iter().map(ToString::to_string).collect();
        let parameters = TlsParameters {
            tls_minimum_protocol_version: version(self.min_version).into(),
            tls_maximum_protocol_version: version(self.max_version).into(),
            cipher_suites: strings(&self.cipher_suites),
            ecdh_curves: strings(&self.ecdh_curves),
            ..TlsParameters::default()
        };
        let mut common = CommonTlsContext {
            tls_params: (parameters != TlsParameters::default()).then_some(parameters),
            alpn_protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
            ..CommonTlsContext::default()
        };
        match &self.certificates {
            Certificates::Secrets(names) => {
                common.tls_certificate_sds_secret_configs =
                    names.iter().map(|name| self.identity.secret(name)).collect();
            }
            Certificates::Files(files) => {
                let files = files.iter().map(|(certificate, key)| TlsCertificate {
                    certificate_chain: Some(file(certificate)),
                    private_key: Some(file(key)),
                    ..TlsCertificate::default()
                });
                common.tls_certificates = files.collect();
            }
        }
        let (required, checked) = match &self.client {
            ClientCheck::Nothing => (false, None),
            ClientCheck::Optional(authorities) => (false, Some(authorities)),
            ClientCheck::Required(authorities) => (true, Some(authorities)),
        };
        common.validation_context_type = checked.map(|it| it.compile(self.identity));
        let context = DownstreamTlsContext {
            common_tls_context: Some(common),
            require_client_certificate: Some(required),
            ..DownstreamTlsContext::default()
        };
        transport_socket(TLS_SOCKET, &context)
    }
}

impl Authorities {
    fn compile(&self, identity: SdsSource) -> ValidationContextType {
        let strings = |list: &[Arc<str>]| list.iter().map(ToString::to_string).collect();
        let trust = match self.accept_untrusted {
            true => TrustChainVerification::AcceptUntrusted,
            false => TrustChainVerification::VerifyTrustChain,
        };
        let checks = CertificateValidationContext {
            match_typed_subject_alt_names: self
                .subject_alt_names
                .iter()
                .map(|name| san_matcher(name))
                .chain(self.trust_domains.iter().map(|domain| workload_matcher(domain)))
                .collect(),
            verify_certificate_spki: strings(&self.spki),
            verify_certificate_hash: strings(&self.hashes),
            trust_chain_verification: trust.into(),
            ..CertificateValidationContext::default()
        };
        match &self.source {
            AuthoritySource::Secret(name) => ValidationContextType::CombinedValidationContext(
                CombinedCertificateValidationContext {
                    default_validation_context: Some(checks),
                    validation_context_sds_secret_config: Some(identity.secret(name)),
                    ..CombinedCertificateValidationContext::default()
                },
            ),
            AuthoritySource::Files { authorities, revoked } => {
                ValidationContextType::ValidationContext(CertificateValidationContext {
                    trusted_ca: Some(file(authorities)),
                    crl: revoked.as_ref().map(|path| file(path)),
                    ..checks
                })
            }
        }
    }
}

fn version(written: WrittenVersion) -> TlsProtocol {
    match written {
        WrittenVersion::TlsAuto => TlsProtocol::TlsAuto,
        WrittenVersion::Tlsv1_0 => TlsProtocol::TlSv10,
        WrittenVersion::Tlsv1_1 => TlsProtocol::TlSv11,
        WrittenVersion::Tlsv1_2 => TlsProtocol::TlSv12,
        WrittenVersion::Tlsv1_3 => TlsProtocol::TlSv13,
    }
}
