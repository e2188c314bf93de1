//! `why`: a request's way through what a proxy has acknowledged, and which objects made each part.
//!
//! - The way is found by `verify`, which knows Envoy and nothing of how resources are made here.
//! - What the proxy has not acknowledged yet is not on the way; where that matters it is said.

mod print;
mod report;
mod request;

use admin::ProxyConfig;
use envoy::{json::to_any, type_url};
use serde::Deserialize;
use verify::{Resources, WalkError, WalkOptions, walk};

use self::{report::WhyReport, request::RequestArgs};
use crate::{
    client::{Server, encode},
    output::{Exit, Format, Screen},
};

/// Show a request's way through a proxy, and which objects made it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meltemi why cart.shop --host pay --port 80 --path /v1/charge --header x-user=42\n  meltemi why edge.istio-system --host shop.example --port 8443 --tls\n  meltemi why cart.shop --port 8080 --inbound -o json\n\nExit codes: 0 explained, 1 no such proxy, 64 usage, 69 no control plane."
)]
pub(crate) struct Why {
    /// The proxy (`name.namespace`).
    proxy: String,
    #[command(flatten)]
    request: RequestArgs,
    #[arg(short, long, default_value = "table", value_parser = Format::among(&[Format::Table, Format::Json, Format::Yaml]))]
    pub(crate) output: Format,
    #[command(flatten)]
    server: Server,
}

/// The part of `/debug/registryz` that is needed here.
#[derive(Debug, Deserialize)]
pub(crate) struct ServiceList {
    pub(crate) items: Vec<ServiceAddresses>,
}

/// Where a service is reached.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ServiceAddresses {
    pub(crate) hostname: String,
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
    #[serde(default)]
    pub(crate) allocated: Vec<String>,
}

impl Why {
    pub(crate) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { proxy, request, output, server } = self;
        let path = format!("/debug/config_dump?proxy={}", encode(&proxy));
        let config: ProxyConfig = server.get(&path, screen.catalogue()).await?;
        let services = match request.lookup() {
            Some(host) => {
                let path = format!("/debug/registryz?service={}", encode(host));
                server.get::<ServiceList>(&path, screen.catalogue()).await?.items
            }
            None => Vec::new(),
        };
        let mut call = request.call(&config.status, &services)?;
        let resources = decode(&config);
        let mut outcome = walk(&resources, &call, &WalkOptions::FULL);
        // Without interception the application calls a local address: it is found by the port.
        if outcome.error == Some(WalkError::NoListener)
            && !request.says_address()
            && let Some(address) = only_bound(&config, call.port)
        {
            call.address = address;
            outcome = walk(&resources, &call, &WalkOptions::FULL);
        }
        let report = WhyReport::new(&config, &resources, &call, outcome);
        match output {
            Format::Table => print::print(&report, screen)?,
            _ => screen.structured(output, &report)?,
        }
        Ok(Exit::Done)
    }
}

/// The address of the listener with a socket on this port, if there is exactly one.
fn only_bound(config: &ProxyConfig, port: u16) -> Option<String> {
    let listeners = config.resources.iter().filter(|it| it.kind == "listener");
    let mut bound = listeners.filter_map(|listener| {
        let socket = &listener.resource["address"]["socket_address"];
        let here = socket["port_value"] == port && listener.resource["bind_to_port"] != false;
        here.then(|| socket["address"].as_str().map(str::to_owned)).flatten()
    });
    bound.next().filter(|_| bound.next().is_none())
}

/// What the proxy holds, decoded anew from the form in which people see it. Virtual hosts that were
/// loaded one by one are where Envoy puts them.
pub(crate) fn decode(config: &ProxyConfig) -> Resources {
    let held = config.resources.iter().filter(|it| !it.resource.is_null());
    let decoded = held.filter_map(|resource| {
        let url = match resource.kind.as_str() {
            "cluster" => type_url::CLUSTER,
            "endpoint" => type_url::ENDPOINT,
            "listener" => type_url::LISTENER,
            "route" => type_url::ROUTE,
            "virtualhost" => type_url::VIRTUAL_HOST,
            _ => return None,
        };
        Some((url, resource.name.as_str(), to_any(url, &resource.resource).ok()?))
    });
    let decoded: Vec<_> = decoded.collect();
    Resources::from_any(decoded.iter().map(|(url, name, any)| (*url, *name, any)))
}
