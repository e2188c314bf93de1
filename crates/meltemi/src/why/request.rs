//! What was typed → the call that is followed.

use std::net::IpAddr;

use admin::ProxyStatus;
use verify::{Call, Mode, Protocol, Tls};

use super::ServiceAddresses;
use crate::output::{Exit, Failure};

/// The request that is asked about.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct RequestArgs {
    /// Host that the caller names (`Host` or `:authority`, and the address that it resolves to).
    #[arg(long, default_value = "")]
    host: String,
    /// Port that the caller connects to; of an inbound call, the workload's own port.
    #[arg(long)]
    port: u16,
    /// Address that the caller connects to, where it is not that of the host.
    #[arg(long = "address", value_name = "ADDRESS")]
    dialed: Option<String>,
    /// Path, with the query if there is one.
    #[arg(long, default_value = "/")]
    path: String,
    #[arg(long, default_value = "GET")]
    method: String,
    /// A header; may be given several times.
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// The caller speaks TLS.
    #[arg(long)]
    tls: bool,
    /// The caller speaks TLS with a certificate of the mesh.
    #[arg(long, conflicts_with = "tls")]
    mtls: bool,
    /// Server name of the handshake; by default the host.
    #[arg(long)]
    sni: Option<String>,
    /// HTTP/2 instead of HTTP/1.1.
    #[arg(long, conflicts_with = "tcp")]
    http2: bool,
    /// Bytes that are not HTTP.
    #[arg(long)]
    tcp: bool,
    /// A call that arrives at the workload, not one that it makes.
    #[arg(long)]
    inbound: bool,
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = match (text.split_once('='), text.split_once(':')) {
        (Some((name, value)), _) => (name, value),
        (None, Some((name, value))) => (name, value.trim_start()),
        (None, None) => return Err("write it as NAME=VALUE".to_owned()),
    };
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

impl RequestArgs {
    /// Whether the address was typed.
    pub(crate) fn says_address(&self) -> bool {
        self.dialed.is_some()
    }

    /// The host whose address must be looked up.
    pub(crate) fn lookup(&self) -> Option<&str> {
        let is_needed = !self.inbound && self.dialed.is_none();
        let host = self.host_name();
        (is_needed && !host.is_empty() && host.parse::<IpAddr>().is_err()).then_some(host)
    }

    /// The host without a port.
    fn host_name(&self) -> &str {
        match self.host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() && !name.contains(':') => name,
            _ => &self.host,
        }
    }

    pub(crate) fn call(
        &self,
        proxy: &ProxyStatus,
        services: &[ServiceAddresses],
    ) -> Result<Call, Failure> {
        let mode = match (self.inbound, proxy.kind.as_str()) {
            (true, "router") => {
                let message = "a gateway has no inbound calls of its own";
                return Err(Failure::new(Exit::Usage, message).hint("leave `--inbound` out"));
            }
            (true, _) => Mode::Inbound,
            (false, "router") => Mode::Gateway,
            (false, _) => Mode::Outbound,
        };
        let tls = match (self.mtls, self.tls || self.sni.is_some()) {
            (true, _) => Tls::Mtls,
            (false, true) => Tls::Tls,
            (false, false) => Tls::Plaintext,
        };
        let protocol = match (self.tcp, self.http2) {
            (true, _) => Protocol::Tcp,
            (false, true) => Protocol::Http2,
            (false, false) => Protocol::Http,
        };
        Ok(Call {
            address: self.destination(mode, proxy, services),
            port: self.port,
            mode,
            protocol,
            tls,
            host_header: self.host.clone(),
            headers: self.headers.clone(),
            path: self.path.clone(),
            method: self.method.to_ascii_uppercase(),
            sni: self
                .sni
                .clone()
                .or_else(|| (tls == Tls::Tls).then(|| self.host_name().to_owned())),
            alpn: None,
            mtls_secret: String::new(),
        })
    }

    /// The address that the caller connects to; empty where it is not known.
    fn destination(
        &self,
        mode: Mode,
        proxy: &ProxyStatus,
        services: &[ServiceAddresses],
    ) -> String {
        if let Some(address) = &self.dialed {
            return address.clone();
        }
        let own = || proxy.id.split('~').nth(1).unwrap_or_default().to_owned();
        match mode {
            Mode::Inbound => own(),
            Mode::Outbound | Mode::Gateway if self.host_name().parse::<IpAddr>().is_ok() => {
                self.host_name().to_owned()
            }
            Mode::Gateway => String::new(),
            Mode::Outbound => self.resolve(proxy, services).unwrap_or_default(),
        }
    }

    /// The first address of the service that the host means to a caller in the proxy's namespace.
    fn resolve(&self, proxy: &ProxyStatus, services: &[ServiceAddresses]) -> Option<String> {
        let host = self.host_name();
        let namespace = proxy.proxy.rsplit_once('.').map_or("", |(_, namespace)| namespace);
        let exact = services.iter().find(|service| service.hostname == host);
        let starts = |prefix: String| {
            services.iter().find(move |service| service.hostname.starts_with(&prefix))
        };
        let service = exact
            .or_else(|| starts(format!("{host}.{namespace}.svc.")))
            .or_else(|| starts(format!("{host}.svc.")))
            .or_else(|| starts(format!("{host}.")))?;
        let address = service.addresses.first().or(service.allocated.first())?;
        // A range stands for its first address.
        address.split('/').next().map(str::to_owned)
    }
}
