//! The other end of the transport: an xDS client for tests, load and checks.
//!
//! - [`AdsClient`] speaks the protocol and leaves every decision to its caller.
//! - [`SyncedProxy`] decides as Envoy does: it follows references, acknowledges and reconnects.
//! - A client that is not polled does not read, and so holds up the server: a slow proxy.

mod connection;
mod error;
mod message;
mod references;
mod synced;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use bytes::Bytes;
use envoy::config::core::v3::Node;
use rustls::{ClientConfig, pki_types::ServerName};

use self::connection::Connection;
pub use self::{
    error::ClientError,
    message::{AdsResource, AdsResponse},
    references::{Reference, references, secrets_over_ads},
    synced::{HeldResource, SyncedProxy, TypeCounts},
};
use crate::Protocol;

/// Settings of an [`AdsClient`].
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Where the server is.
    pub address: SocketAddr,
    /// Which method to call.
    pub protocol: Protocol,
    /// Who the client is; sent in the first request only.
    pub node: Node,
    /// Encrypts the connection, and the name that the server's certificate must have.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// The `authorization` header.
    pub authorization: Option<String>,
    /// HTTP/2 windows of stream and connection, in bytes: what a client that is not polled takes.
    pub window: u32,
    /// Longest accepted response, in bytes.
    pub max_response_len: usize,
}

impl ClientSettings {
    /// Plaintext, with windows like a default gRPC client's.
    pub fn new(address: SocketAddr, protocol: Protocol, node: Node) -> Self {
        Self {
            address,
            protocol,
            node,
            tls: None,
            authorization: None,
            window: 1 << 20,
            max_response_len: 1 << 30,
        }
    }
}

/// One ADS stream on a connection of its own.
#[derive(Debug)]
pub struct AdsClient {
    protocol: Protocol,
    /// Taken by the first request.
    node: Option<Node>,
    subscriptions: BTreeMap<String, Subscription>,
    connection: Connection,
}

/// What a SotW request repeats. Delta keeps the names only.
#[derive(Debug, Default)]
struct Subscription {
    names: BTreeSet<String>,
    version: String,
    nonce: String,
}

impl AdsClient {
    /// Connects in plaintext.
    pub async fn connect(
        address: SocketAddr,
        protocol: Protocol,
        node: Node,
    ) -> Result<Self, ClientError> {
        Self::connect_with(&ClientSettings::new(address, protocol, node)).await
    }

    /// Connects and opens the stream. Nothing is sent before the first subscription.
    pub async fn connect_with(settings: &ClientSettings) -> Result<Self, ClientError> {
        Ok(Self {
            protocol: settings.protocol,
            node: Some(settings.node.clone()),
            subscriptions: BTreeMap::new(),
            connection: Connection::open(settings).await?,
        })
    }

    /// Adds names to a subscription; none at first is a subscription to everything.
    /// `initial_versions`: what the client has already. On SotW it is read as the version of the
    /// type if it has a value, whatever the key.
    pub async fn subscribe(
        &mut self,
        type_url: &str,
        names: impl IntoIterator<Item = String>,
        initial_versions: BTreeMap<String, String>,
    ) -> Result<(), ClientError> {
        let added: Vec<_> = names.into_iter().collect();
        let held = self.subscriptions.entry(type_url.to_owned()).or_default();
        held.names.extend(added.iter().cloned());
        let request = match self.protocol {
            Protocol::Delta => message::subscribe(type_url, added, initial_versions),
            Protocol::Sotw => {
                if let Some(version) = initial_versions.into_values().next_back() {
                    held.version = version;
                }
                message::repeat(type_url, held)
            }
        };
        self.send(request).await
    }

    /// Takes names out of a subscription.
    pub async fn unsubscribe(
        &mut self,
        type_url: &str,
        names: impl IntoIterator<Item = String>,
    ) -> Result<(), ClientError> {
        let removed: Vec<_> = names.into_iter().collect();
        let held = self.subscriptions.entry(type_url.to_owned()).or_default();
        held.names.retain(|name| !removed.contains(name));
        let request = match self.protocol {
            Protocol::Delta => message::unsubscribe(type_url, removed),
            Protocol::Sotw => message::repeat(type_url, held),
        };
        self.send(request).await
    }

    /// Asks again for what is subscribed to, as Envoy does on SotW when a cluster has changed.
    /// On Delta there is no such request and nothing is sent.
    pub async fn ask_again(&mut self, type_url: &str) -> Result<(), ClientError> {
        match (self.protocol, self.subscriptions.get(type_url)) {
            (Protocol::Sotw, Some(held)) => self.send(message::repeat(type_url, held)).await,
            (Protocol::Sotw, None) | (Protocol::Delta, _) => Ok(()),
        }
    }

    /// The next response; `None` when the server ended the stream with `OK`. Cancelling the wait
    /// loses nothing.
    pub async fn next_response(&mut self) -> Result<Option<AdsResponse>, ClientError> {
        let message = self.connection.next_message().await?;
        message.map(|message| message::decode(self.protocol, message)).transpose()
    }

    /// Accepts a response.
    pub async fn ack(&mut self, response: &AdsResponse) -> Result<(), ClientError> {
        self.answer(response, None).await
    }

    /// Rejects a response: what it says is not applied.
    pub async fn nack(&mut self, response: &AdsResponse, reason: &str) -> Result<(), ClientError> {
        self.answer(response, Some(reason)).await
    }

    async fn answer(
        &mut self,
        response: &AdsResponse,
        rejected: Option<&str>,
    ) -> Result<(), ClientError> {
        let held = self.subscriptions.entry(response.type_url.clone()).or_default();
        held.nonce.clone_from(&response.nonce);
        if rejected.is_none() {
            held.version.clone_from(&response.version);
        }
        let request = match self.protocol {
            Protocol::Delta => message::acknowledge(&response.type_url, &response.nonce),
            Protocol::Sotw => message::repeat(&response.type_url, held),
        };
        self.send(message::with_error(request, rejected)).await
    }

    async fn send(&mut self, request: crate::Request) -> Result<(), ClientError> {
        let request = message::with_node(request, self.node.take());
        self.connection.send(message::encode(&request)).await
    }

    /// Sends bytes as they are, for tests of what a server does with them.
    pub async fn send_raw(&mut self, data: Bytes) -> Result<(), ClientError> {
        self.connection.send(data).await
    }

    /// Ends the sending side; responses can still be read.
    pub fn finish(&mut self) {
        self.connection.finish();
    }
}
