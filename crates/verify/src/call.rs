//! A call as the proxy sees it arrive, and what it says of itself by default.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The address of a call that does not care where it goes.
const ANY_ADDRESS: &str = "1.3.3.7";

/// Which of the proxy's doors a call arrives at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Captured on its way into the workload.
    Inbound,
    /// Captured on its way out of the workload.
    #[default]
    #[serde(alias = "")]
    Outbound,
    /// Sent to a gateway.
    Gateway,
}

/// What is spoken inside TLS, if there is TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.
    Http,
    /// HTTP/2.
    Http2,
    /// Bytes that no inspector knows.
    #[default]
    #[serde(alias = "")]
    Tcp,
}

/// What the caller wraps the connection in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Nothing.
    #[default]
    #[serde(alias = "")]
    Plaintext,
    /// TLS without a certificate of the mesh.
    Tls,
    /// TLS with a certificate of the mesh.
    Mtls,
}

/// One connection with, if it is HTTP, one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Original destination; empty: one that no listener has.
    pub address: String,
    pub port: u16,
    pub mode: Mode,
    pub protocol: Protocol,
    pub tls: Tls,
    /// `Host` or `:authority`.
    pub host_header: String,
    /// Further headers, in order, as name and value.
    pub headers: Vec<(String, String)>,
    /// Path with query; empty: `/`.
    pub path: String,
    /// Empty: `GET`.
    pub method: String,
    /// `None`: the host header where `tls` is [`Tls::Tls`], else nothing.
    pub sni: Option<String>,
    /// `None`: what callers of that kind offer.
    pub alpn: Option<String>,
    /// Name of the SDS secret that stands for mTLS; empty: `default`.
    pub mtls_secret: String,
}

impl Call {
    /// The original destination.
    pub fn address(&self) -> &str {
        or(&self.address, ANY_ADDRESS)
    }

    /// The original destination, unless it is a path or no address.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address().parse().ok()
    }

    /// `Host` or `:authority`, from wherever it was given.
    pub fn host(&self) -> &str {
        let named = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        or(&self.host_header, named.map_or("", |(_, value)| value))
    }

    /// Path with query.
    pub fn path(&self) -> &str {
        or(&self.path, "/")
    }

    /// Request method.
    pub fn method(&self) -> &str {
        or(&self.method, "GET")
    }

    /// Name of the SDS secret that stands for mTLS.
    pub fn mtls_secret(&self) -> &str {
        or(&self.mtls_secret, "default")
    }

    /// Server name of the handshake; empty: none.
    pub fn sni(&self) -> &str {
        match (&self.sni, self.tls) {
            (Some(sni), _) if !sni.is_empty() => sni,
            (_, Tls::Tls) => self.host(),
            (_, Tls::Mtls | Tls::Plaintext) => "",
        }
    }

    /// The application protocols offered in the handshake, best first, with commas; empty: none.
    pub fn alpn(&self) -> &str {
        match (&self.alpn, self.tls, self.protocol) {
            (_, Tls::Plaintext, _) => "",
            (Some(alpn), _, _) if !alpn.is_empty() => alpn,
            (_, Tls::Mtls, Protocol::Http) => "istio-http/1.1",
            (_, Tls::Mtls, Protocol::Http2) => "istio-h2",
            (_, Tls::Mtls, Protocol::Tcp) => "istio",
            (_, Tls::Tls, Protocol::Http) => "http/1.1",
            (_, Tls::Tls, Protocol::Http2) => "h2",
            (_, Tls::Tls, Protocol::Tcp) => "",
        }
    }

    /// What the HTTP inspector reports; empty: nothing it knows, or TLS that it cannot read.
    pub(crate) fn inspected_protocol(&self) -> &'static str {
        match (self.tls, self.protocol) {
            (Tls::Plaintext, Protocol::Http) => "http/1.1",
            (Tls::Plaintext, Protocol::Http2) => "h2c",
            (Tls::Plaintext, Protocol::Tcp) | (Tls::Tls | Tls::Mtls, _) => "",
        }
    }
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}
