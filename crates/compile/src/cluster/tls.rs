//! Encryption towards the endpoints, and the PROXY protocol in front of it.

use api::istio::traffic_policy::{ClientTlsMode, ClientTlsSettings, ProxyProtocolVersion};
use envoy::{
    config::core::v3::{ProxyProtocolConfig, TransportSocket, proxy_protocol_config::Version},
    extensions::transport_sockets::{
        proxy_protocol::v3::ProxyProtocolUpstreamTransport,
        tls::v3::{
            CertificateValidationContext, CommonTlsContext, TlsCertificate, UpstreamTlsContext,
            common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
        },
    },
};
use model::{ProxyKind, Service};

use super::{Draft, Mutual};
use crate::{
    codes,
    sds::{AUTHORITIES_SUFFIX, KUBERNETES, ads_secret},
    tls::{TLS_SOCKET, file, raw_buffer, san_matcher, transport_socket},
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
    /// The socket for every endpoint; where endpoints differ, that is said by
    /// [`Draft::socket_matches`].
    pub(super) fn transport_socket(&mut self) -> Option<TransportSocket> {
        if matches!(self.input.mutual, Mutual::Detected(_)) {
            return None;
        }
        let inner = self.tls_socket();
        match self.policy.proxy_protocol {
            Some(_) => Some(self.behind_proxy_protocol(inner.unwrap_or_else(raw_buffer))),
            None => inner,
        }
    }

    /// The socket with the PROXY protocol in front of it, if a rule wants that.
    pub(super) fn behind_proxy_protocol(&self, inner: TransportSocket) -> TransportSocket {
        let Some(settings) = self.policy.proxy_protocol else { return inner };
        let version = match settings.version {
            ProxyProtocolVersion::V1 => Version::V1,
            ProxyProtocolVersion::V2 => Version::V2,
        };
        let config = ProxyProtocolUpstreamTransport {
            config: Some(ProxyProtocolConfig {
                version: version.into(),
                ..ProxyProtocolConfig::default()
            }),
            transport_socket: Some(inner),
            ..ProxyProtocolUpstreamTransport::default()
        };
        transport_socket("envoy.transport_sockets.upstream_proxy_protocol", &config)
    }

    fn tls_socket(&mut self) -> Option<TransportSocket> {
        if let Mutual::Always(peers) = &self.input.mutual {
            return Some(self.mutual_socket(peers));
        }
        let tls = self.policy.tls.filter(|tls| originates(tls))?;
        let mut common = self.certificates(tls);
        if self.is_http2() {
            common.alpn_protocols.push("h2".to_owned());
        }
        let context = UpstreamTlsContext {
            common_tls_context: Some(common),
            sni: tls.sni.clone(),
            ..UpstreamTlsContext::default()
        };
        Some(transport_socket(TLS_SOCKET, &context))
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
