//! What a filter chain does with the connection: ends TLS, or not, and which protocol it serves.

use envoy::{
    config::{core::v3::transport_socket::ConfigType, listener::v3::FilterChain},
    extensions::{
        filters::network::http_connection_manager::v3::HttpConnectionManager,
        transport_sockets::{raw_buffer::v3::RawBuffer, tls::v3::DownstreamTlsContext},
    },
};

use crate::{Fidelity, Stage, Tls, WalkError};

use super::{Walker, network_filter, unpack};

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
        Self { http: network_filter(chain), socket }
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
        let demands_mesh = demands && first_secret(connection.tls()) == self.call.mtls_secret();
        let has_certificate = self.call.tls == Tls::Mtls;
        let fits = match self.fidelity {
            Fidelity::Simulation => demands_mesh == has_certificate,
            // Envoy does not mind a caller that could show a certificate and is not asked to.
            Fidelity::Full => !demands || has_certificate,
        };
        match (fits, has_certificate) {
            (true, _) => {
                let secret = first_secret(connection.tls());
                self.choose(Stage::Tls, format!("the chain ends TLS with the secret `{secret}`"));
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

fn first_secret(context: Option<&DownstreamTlsContext>) -> &str {
    context
        .and_then(|context| context.common_tls_context.as_ref())
        .and_then(|common| common.tls_certificate_sds_secret_configs.first())
        .map_or("", |secret| &secret.name)
}
