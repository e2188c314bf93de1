//! What a filter chain does with the connection: ends TLS, or not, and which protocol it serves.

use envoy::{
    config::{
        core::v3::{DataSource, data_source::Specifier, transport_socket::ConfigType},
        listener::v3::FilterChain,
    },
    extensions::{
        filters::network::http_connection_manager::v3::HttpConnectionManager,
        transport_sockets::{raw_buffer::v3::RawBuffer, tls::v3::DownstreamTlsContext},
    },
};

use crate::{Fidelity, Stage, Tls, WalkError};

use super::{Walker, network_filters, unpack};

/// The decoded parts of a chain that decide what it can serve.
pub(super) struct Connection {
    pub(super) http: Option<HttpConnectionManager>,
    /// The chain has a transport socket.
    pub(super) socket: Option<Socket>,
}

/// A transport socket of a filter chain.
pub(super) enum Socket {
    Tls(Box<DownstreamTlsContext>),
    /// Passes bytes as they are.
    Raw,
    /// Of a type that is not followed here.
    Other,
}

impl Connection {
    pub(super) fn of(chain: &FilterChain) -> Self {
        let socket = chain.transport_socket.as_ref().map(|socket| match &socket.config_type {
            Some(ConfigType::TypedConfig(any)) => match unpack::<DownstreamTlsContext>(any) {
                Some(context) => Socket::Tls(Box::new(context)),
                None if unpack::<RawBuffer>(any).is_some() => Socket::Raw,
                None => Socket::Other,
            },
            None => Socket::Other,
        });
        Self { http: network_filters(chain).next(), socket }
    }

    /// Whether what the filters see is no longer TLS.
    pub(super) fn ends_tls(&self, fidelity: Fidelity) -> bool {
        match (&self.socket, fidelity) {
            (None, _) | (Some(Socket::Raw), Fidelity::Full) => false,
            (Some(Socket::Raw), Fidelity::Simulation)
            | (Some(Socket::Tls(_) | Socket::Other), _) => true,
        }
    }

    fn tls(&self) -> Option<&DownstreamTlsContext> {
        match &self.socket {
            Some(Socket::Tls(context)) => Some(context),
            Some(Socket::Raw | Socket::Other) | None => None,
        }
    }
}

impl Walker<'_> {
    /// Whether the connection gets through the chain's transport socket.
    pub(super) fn pass_tls(&mut self, connection: &Connection) -> bool {
        if !connection.ends_tls(self.fidelity) {
            self.note(Stage::Tls, "the chain takes the bytes as they come");
            return true;
        }
        if self.call.tls == Tls::Plaintext {
            let text = "the chain ends TLS and the call is plaintext";
            self.outcome.fail(Stage::Tls, WalkError::Tls, text);
            return false;
        }
        let demands = demands_certificate(connection.tls());
        let shown = certificate_name(connection.tls());
        let demands_mesh = demands && shown == self.call.mtls_secret();
        let has_certificate = self.call.tls == Tls::Mtls;
        let fits = match self.fidelity {
            Fidelity::Simulation => demands_mesh == has_certificate,
            // Envoy does not mind a caller that could show a certificate and is not asked to.
            Fidelity::Full => !demands || has_certificate,
        };
        match (fits, has_certificate) {
            (true, _) => {
                self.choose(Stage::Tls, format!("the chain ends TLS with the secret `{shown}`"));
            }
            (false, true) => {
                let text = "the call has a mesh certificate and the chain does not ask for it";
                self.outcome.fail(Stage::Tls, WalkError::Mtls, text);
            }
            (false, false) => {
                let text = "the chain demands a client certificate and the call has none";
                self.outcome.fail(Stage::Tls, WalkError::Mtls, text);
            }
        }
        fits
    }
}

fn demands_certificate(context: Option<&DownstreamTlsContext>) -> bool {
    context.and_then(|context| context.require_client_certificate).unwrap_or(false)
}

/// The first certificate: the name of its secret, or for files the one that Istio gives them.
fn certificate_name(context: Option<&DownstreamTlsContext>) -> String {
    let Some(common) = context.and_then(|it| it.common_tls_context.as_ref()) else {
        return String::new();
    };
    let path = |source: &Option<DataSource>| match source.as_ref().map(|it| &it.specifier) {
        Some(Some(Specifier::Filename(path))) => path.clone(),
        _ => String::new(),
    };
    let files = || {
        let files = common.tls_certificates.first()?;
        let (certificate, key) = (path(&files.certificate_chain), path(&files.private_key));
        Some(format!("file-cert:{certificate}~{key}"))
    };
    let secret = common.tls_certificate_sds_secret_configs.first();
    secret.map(|it| it.name.clone()).or_else(files).unwrap_or_default()
}
