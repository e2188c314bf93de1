//! Gateway: the ports and certificates of proxies at the edge.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::is_default;

/// Servers of the selected proxies.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    #[serde(skip_serializing_if = "is_default")]
    pub servers: Vec<Server>,
    #[serde(skip_serializing_if = "is_default")]
    pub selector: BTreeMap<String, String>,
}

/// One port for a set of hosts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<Port>,
    #[serde(skip_serializing_if = "is_default")]
    pub bind: String,
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Option<ServerTlsSettings>,
    #[serde(alias = "default_endpoint", skip_serializing_if = "is_default")]
    pub default_endpoint: String,
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// A port of the proxy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    #[serde(skip_serializing_if = "is_default")]
    pub number: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(alias = "target_port", skip_serializing_if = "is_default")]
    pub target_port: u32,
}

/// How the server encrypts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerTlsSettings {
    #[serde(alias = "https_redirect", skip_serializing_if = "is_default")]
    pub https_redirect: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub mode: ServerTlsMode,
    #[serde(alias = "server_certificate", skip_serializing_if = "is_default")]
    pub server_certificate: String,
    #[serde(alias = "private_key", skip_serializing_if = "is_default")]
    pub private_key: String,
    #[serde(alias = "ca_certificates", skip_serializing_if = "is_default")]
    pub ca_certificates: String,
    #[serde(alias = "ca_crl", skip_serializing_if = "is_default")]
    pub ca_crl: String,
    #[serde(alias = "credential_name", skip_serializing_if = "is_default")]
    pub credential_name: String,
    #[serde(alias = "credential_names", skip_serializing_if = "is_default")]
    pub credential_names: Vec<String>,
    #[serde(alias = "ca_cert_credential_name", skip_serializing_if = "is_default")]
    pub ca_cert_credential_name: String,
    #[serde(alias = "tls_certificates", skip_serializing_if = "is_default")]
    pub tls_certificates: Vec<TlsCertificate>,
    #[serde(alias = "subject_alt_names", skip_serializing_if = "is_default")]
    pub subject_alt_names: Vec<String>,
    #[serde(alias = "verify_certificate_spki", skip_serializing_if = "is_default")]
    pub verify_certificate_spki: Vec<String>,
    #[serde(alias = "verify_certificate_hash", skip_serializing_if = "is_default")]
    pub verify_certificate_hash: Vec<String>,
    #[serde(alias = "min_protocol_version", skip_serializing_if = "is_default")]
    pub min_protocol_version: TlsProtocol,
    #[serde(alias = "max_protocol_version", skip_serializing_if = "is_default")]
    pub max_protocol_version: TlsProtocol,
    #[serde(alias = "cipher_suites", skip_serializing_if = "is_default")]
    pub cipher_suites: Vec<String>,
    #[serde(alias = "insecure_skip_verify", skip_serializing_if = "is_default")]
    pub insecure_skip_verify: Option<bool>,
}

/// Paths of a certificate and its key.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsCertificate {
    #[serde(alias = "server_certificate", skip_serializing_if = "is_default")]
    pub server_certificate: String,
    #[serde(alias = "private_key", skip_serializing_if = "is_default")]
    pub private_key: String,
    #[serde(alias = "ca_certificates", skip_serializing_if = "is_default")]
    pub ca_certificates: String,
}

/// Who proves an identity to whom, or who ends the encryption.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum ServerTlsMode {
    #[default]
    #[serde(rename = "PASSTHROUGH")]
    Passthrough,
    #[serde(rename = "SIMPLE")]
    Simple,
    #[serde(rename = "MUTUAL")]
    Mutual,
    #[serde(rename = "AUTO_PASSTHROUGH")]
    AutoPassthrough,
    #[serde(rename = "ISTIO_MUTUAL")]
    IstioMutual,
    #[serde(rename = "OPTIONAL_MUTUAL")]
    OptionalMutual,
}

/// Version of TLS.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum TlsProtocol {
    #[default]
    #[serde(rename = "TLS_AUTO")]
    TlsAuto,
    #[serde(rename = "TLSV1_0")]
    Tlsv1_0,
    #[serde(rename = "TLSV1_1")]
    Tlsv1_1,
    #[serde(rename = "TLSV1_2")]
    Tlsv1_2,
    #[serde(rename = "TLSV1_3")]
    Tlsv1_3,
}
