//! Encryption towards the endpoints, and the PROXY protocol in front of it.

use std::net::IpAddr;

use api::istio::traffic_policy::{ClientTlsMode, ClientTlsSettings, ProxyProtocolVersion};
use envoy::{
    Any,
    config::core::v3::{
        DataSource, ProxyProtocolConfig, TransportSocket, data_source::Specifier,
        proxy_protocol_config::Version, transport_socket::ConfigType,
    },
    extensions::transport_sockets::{
        proxy_protocol::v3::ProxyProtocolUpstreamTransport,
        raw_buffer::v3::RawBuffer,
        tls::v3::{
            CertificateValidationContext, CommonTlsContext, SubjectAltNameMatcher, TlsCertificate,
            UpstreamTlsContext,
            common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
            subject_alt_name_matcher::SanType,
        },
    },
    types::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};
use model::{ProxyKind, Service};
use prost::{Message, Name};

use super::Draft;
use crate::{
    codes,
    sds::{AUTHORITIES_SUFFIX, KUBERNETES, ads_secret},
};

/// The authorities that Linux images trust, where no others are named.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whether these settings start TLS with what is written in them.
pub(crate) fn originates(tls: &ClientTlsSettings) -> bool {
    match tls.mode {
        ClientTlsMode::Simple | ClientTlsMode::Mutual => true,
        ClientTlsMode::Disable | ClientTlsMode::IstioMutual => false,
    }
}

pub(super) fn skips_verification(tls: &ClientTlsSettings) -> bool {
    tls.insecure_skip_verify == Some(true)
}

/// The names of which the server's certificate must hold one: the rule's, else the service's.
pub(super) fn subject_alt_names<'a>(
    tls: &'a ClientTlsSettings,
    service: &'a Service,
) -> Vec<&'a str> {
    match tls.subject_alt_names.is_empty() {
        true => service.subject_alt_names.iter().map(|name| &**name).collect(),
        false => tls.subject_alt_names.iter().map(String::as_str).collect(),
    }
}

impl Draft<'_> {
    pub(super) fn transport_socket(&mut self) -> Option<TransportSocket> {
        let inner = self.tls_socket();
        let Some(settings) = self.policy.proxy_protocol else { return inner };
        let version = match settings.version {
            ProxyProtocolVersion::V1 => Version::V1,
            ProxyProtocolVersion::V2 => Version::V2,
        };
        let raw = || socket("envoy.transport_sockets.raw_buffer", &RawBuffer {});
        let config = ProxyProtocolUpstreamTransport {
            config: Some(ProxyProtocolConfig {
                version: version.into(),
                ..ProxyProtocolConfig::default()
            }),
            transport_socket: Some(inner.unwrap_or_else(raw)),
            ..ProxyProtocolUpstreamTransport::default()
        };
        Some(socket("envoy.transport_sockets.upstream_proxy_protocol", &config))
    }

    fn tls_socket(&mut self) -> Option<TransportSocket> {
        let tls = self.policy.tls?;
        match tls.mode {
            ClientTlsMode::Disable => None,
            ClientTlsMode::IstioMutual => {
                let message = format!(
                    "`ISTIO_MUTUAL` for `{}` is not carried out: identities are not served yet, \
                     and the traffic is not encrypted",
                    self.input.service.hostname()
                );
                self.warn(
                    &codes::NO_IDENTITY,
                    message,
                    "use `MUTUAL` with certificates of your own",
                );
                None
            }
            ClientTlsMode::Simple | ClientTlsMode::Mutual => {
                let mut common = self.certificates(tls);
                if self.is_http2() {
                    common.alpn_protocols.push("h2".to_owned());
                }
                let context = UpstreamTlsContext {
                    common_tls_context: Some(common),
                    sni: tls.sni.clone(),
                    ..UpstreamTlsContext::default()
                };
                Some(socket("envoy.transport_sockets.tls", &context))
            }
        }
    }

    /// Own certificate and trusted authorities, out of a secret or out of files.
    fn certificates(&mut self, tls: &ClientTlsSettings) -> CommonTlsContext {
        let mutual = tls.mode == ClientTlsMode::Mutual;
        let mut context = CommonTlsContext::default();
        let validation = (!skips_verification(tls)).then(|| CertificateValidationContext {
            match_typed_subject_alt_names: subject_alt_names(tls, &self.input.service)
                .into_iter()
                .map(san_matcher)
                .collect(),
            ..CertificateValidationContext::default()
        });
        if !tls.credential_name.is_empty() && self.may_read_secrets() {
            let name = format!("{KUBERNETES}{}", tls.credential_name);
            context.validation_context_type = validation.map(|validation| {
                ValidationContextType::CombinedValidationContext(
                    CombinedCertificateValidationContext {
                        default_validation_context: Some(validation),
                        validation_context_sds_secret_config: Some(ads_secret(&format!(
                            "{name}{AUTHORITIES_SUFFIX}"
                        ))),
                        ..CombinedCertificateValidationContext::default()
                    },
                )
            });
            if mutual {
                context.tls_certificate_sds_secret_configs.push(ads_secret(&name));
            }
            return context;
        }
        self.report_missing(tls);
        if mutual && !tls.client_certificate.is_empty() && !tls.private_key.is_empty() {
            context.tls_certificates.push(TlsCertificate {
                certificate_chain: Some(file(&tls.client_certificate)),
                private_key: Some(file(&tls.private_key)),
                ..TlsCertificate::default()
            });
        }
        let authorities = match tls.ca_certificates.as_str() {
            "" | "system" => SYSTEM_AUTHORITIES,
            path => path,
        };
        context.validation_context_type = validation.map(|validation| {
            ValidationContextType::ValidationContext(CertificateValidationContext {
                trusted_ca: Some(file(authorities)),
                crl: (!tls.ca_crl.is_empty()).then(|| file(&tls.ca_crl)),
                ..validation
            })
        });
        context
    }

    /// A sidecar gets the secrets of its namespace only where a rule names the workloads.
    fn may_read_secrets(&self) -> bool {
        match self.input.client.kind {
            ProxyKind::Router => true,
            ProxyKind::Sidecar => {
                self.input.rules.records.first().is_some_and(|rule| rule.selector.is_some())
            }
        }
    }

    fn report_missing(&mut self, tls: &ClientTlsSettings) {
        if !tls.credential_name.is_empty() {
            let name = &tls.credential_name;
            let message = format!("`credentialName: {name}` has no effect on sidecars");
            self.warn(&codes::NO_CERTIFICATE, message, "add a `workloadSelector` to the rule");
        } else if tls.mode == ClientTlsMode::Mutual
            && (tls.client_certificate.is_empty() || tls.private_key.is_empty())
        {
            let host = self.input.service.hostname();
            let message = format!("`MUTUAL` for `{host}` has no client certificate");
            self.warn(&codes::NO_CERTIFICATE, message, "set `clientCertificate` and `privateKey`");
        }
    }
}

fn socket<M: Message + Name>(name: &str, config: &M) -> TransportSocket {
    TransportSocket {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(Any::pack(config))),
    }
}

fn file(path: &str) -> DataSource {
    DataSource { specifier: Some(Specifier::Filename(path.to_owned())), ..DataSource::default() }
}

/// Istio's names have no type: it follows from their form.
fn san_matcher(name: &str) -> SubjectAltNameMatcher {
    let kind = match name {
        _ if name.contains("://") => SanType::Uri,
        _ if name.parse::<IpAddr>().is_ok() => SanType::IpAddress,
        _ => SanType::Dns,
    };
    SubjectAltNameMatcher {
        san_type: kind.into(),
        matcher: Some(StringMatcher {
            match_pattern: Some(MatchPattern::Exact(name.to_owned())),
            ..StringMatcher::default()
        }),
        ..SubjectAltNameMatcher::default()
    }
}
