//! Lazy loading, with real Envoys on a mesh whose endpoints answer.
//!
//! - All endpoints of the mesh are addresses of loopback, behind which the bench itself answers.
//! - A caller's Envoy is reached where its Sidecar binds the port of all services; whatever else it holds
//!   is what a redirected sidecar holds.

mod calls;
mod connect;
mod detour;
mod junk;
mod restart;
mod weight;

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use bytes::Bytes;
use tempfile::TempDir;
use testkit::{
    EnvoyProcess,
    http::{Backend, BackendSettings, Behaviour, Client, GrpcBackend, Request, Response, mix},
    mesh::{ProxyKind, ProxySettings},
    ports,
};
use tokio::{net::TcpStream, time};

pub(crate) use self::junk::soak;
pub(super) use self::{
    calls::{run_first, run_many},
    connect::run as run_connect,
    detour::run as run_gateway,
    junk::run as run_junk,
    restart::run as run_restart,
    weight::run as run_envoy,
};
use super::{Context, plane::temporary_folder};
use crate::{
    mesh::{Backends, Caller, MeshFiles, MeshSize, RouteScope, gateway_settings},
    server::MeasuredServer,
};

const ON_DEMAND: &str = "on-demand";
const FULL: &str = "full";
const GATEWAY: &str = "gateway";
/// A loaded machine starts an Envoy with everything in well under this.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);
/// What each workload calls.
const CALLED: usize = 5;

/// A mesh that answers, and its control plane. Everything ends in the order of the fields.
struct World<'a> {
    context: &'a Context,
    server: MeasuredServer,
    mesh: MeshSize,
    callers: Vec<Caller>,
    /// Where callers of mode `gateway` find the gateway.
    gateway: SocketAddr,
    _http: Backend,
    _grpc: GrpcBackend,
    _folder: TempDir,
}

/// A caller's proxy.
struct Sidecar {
    envoy: EnvoyProcess,
    caller: Caller,
    /// From the start of its process until it was live.
    start: Duration,
}

/// Names for `count` callers of a mode.
fn callers(mode: &'static str, count: usize) -> impl Iterator<Item = Caller> {
    (0..count).map(move |index| Caller {
        name: format!("caller-{index}"),
        address: ports::loopback_address(),
        mode,
    })
}

impl<'a> World<'a> {
    /// 2,000 services with 50 endpoints each.
    async fn start(
        context: &'a Context,
        callers: impl IntoIterator<Item = Caller>,
    ) -> Result<Self> {
        let [http, grpc] = [(); 2].map(|()| ports::free_port());
        // Each endpoint has an address of its own, as in a real mesh.
        let everywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let behaviour = Behaviour { body: Some(Bytes::from_static(b"ok")), ..Behaviour::answer() };
        let settings = BackendSettings {
            address: everywhere(http),
            behaviour,
            ..BackendSettings::new("mesh")
        };
        let (services, endpoints) = context.pick((2_000, 50), (40, 2));
        let route_scope = RouteScope::Everybody;
        let backends = Some(Backends { http, grpc });
        let mesh = MeshSize { services, endpoints, workloads: 1, route_scope, backends };
        let folder = temporary_folder()?;
        let files = MeshFiles::write(mesh, folder.path())?;
        let callers: Vec<Caller> = callers.into_iter().collect();
        files.write_callers(&callers)?;
        let mut further: Vec<OsString> =
            vec!["--scope-directory".into(), folder.path().join("scope").into()];
        let gateway = SocketAddr::new(ports::loopback_address(), ports::free_port());
        if callers.iter().any(|caller| caller.mode == GATEWAY) {
            files.write_gateway(gateway)?;
            let settings = folder.path().join("settings.yaml");
            fs::write(&settings, gateway_settings(gateway.port()))?;
            further.extend(["--settings".into(), settings.into()]);
        }
        let log = folder.path().join("server.log");
        let mut server =
            MeasuredServer::start_with(&context.meltemi, &files.folder, &log, &further)?;
        server.wait_ready().await?;
        Ok(Self {
            context,
            server,
            mesh,
            callers,
            gateway,
            _http: Backend::start_with(settings).await?,
            _grpc: GrpcBackend::start("mesh", everywhere(grpc)).await?,
            _folder: folder,
        })
    }

    /// Starts the proxy of a caller and waits until it is live.
    async fn sidecar(&self, caller: &Caller) -> Result<Sidecar> {
        let proxy = ProxySettings {
            kind: ProxyKind::RedirectedSidecar,
            address: caller.address,
            // As usual, and not with all statistics that there can be.
            stats_port: Some(ports::free_port()),
            ..ProxySettings::sidecar(&format!("{}.{}", caller.name, caller.namespace()))
        };
        let (envoy, start) = self.envoy(&proxy, caller.socket()).await?;
        Ok(Sidecar { envoy, caller: caller.clone(), start })
    }

    /// Starts a proxy and waits until it is live and listens there; says when it was live.
    async fn envoy(
        &self,
        proxy: &ProxySettings,
        listens: SocketAddr,
    ) -> Result<(EnvoyProcess, Duration)> {
        let settings = proxy.envoy(&self.context.meltemi, self.server.xds, None)?;
        let begin = Instant::now();
        let mut envoy = settings.start().await?;
        envoy.wait_ready(PATIENCE).await?;
        let start = begin.elapsed();
        while TcpStream::connect(listens).await.is_err() {
            let (name, tail) = (&proxy.workload, envoy.log_tail());
            ensure!(begin.elapsed() < PATIENCE, "nobody listens for {name}:\n{tail}");
            time::sleep(POLL).await;
        }
        Ok((envoy, start))
    }

    /// All services in an order that looks random, another one for each `seed`.
    fn shuffled(&self, seed: u64) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.mesh.services).collect();
        all.sort_by_key(|service| mix(seed << 32 | *service as u64));
        all
    }

    /// Some services that speak HTTP.
    fn http_services(&self, seed: u64) -> impl Iterator<Item = usize> {
        let mesh = self.mesh;
        self.shuffled(seed).into_iter().filter(move |service| !mesh.is_grpc(*service))
    }

    /// A call of a service in its own language.
    fn request(&self, caller: &Caller, service: usize) -> Request {
        let (address, host) = (caller.socket(), MeshSize::host(service));
        let request = match self.mesh.is_grpc(service) {
            true => Request::grpc(address, &host, "/mesh.Mesh/Call", b"hello"),
            false => Request::get(address, &host, "/"),
        };
        request.timeout(PATIENCE)
    }

    /// Calls so many services one after the other; gives how long each took.
    async fn call_each(
        &self,
        caller: &Caller,
        services: impl IntoIterator<Item = usize>,
    ) -> Result<Vec<Duration>> {
        let client = Client::keep_alive();
        let mut times = Vec::new();
        for service in services {
            times.push(call(&client, &self.request(caller, service)).await?);
        }
        Ok(times)
    }
}

/// Sends a request; gives how long that took, or why it failed.
async fn call(client: &Client, request: &Request) -> Result<Duration> {
    let begin = Instant::now();
    let answer = client.send(request).await?;
    let took = begin.elapsed();
    ensure!(is_answered(&answer), "{}: {} {}", request.host, answer.status, answer.text());
    Ok(took)
}

/// Whether a service has answered, and without an error.
fn is_answered(answer: &Response) -> bool {
    let is_good = answer.grpc_status().is_none_or(|status| status == 0);
    answer.status.is_success() && answer.backend().is_some() && is_good
}
