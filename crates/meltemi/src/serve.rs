//! `serve`: joins sources, store, push and the two servers.

mod access;
mod learning;
mod load;
mod places;
mod prometheus;
mod queries;
mod reports;
mod state;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use admin::{Admin, MeshMetrics};
use anyhow::Context;
use api::{istio::mesh_config::MeshConfig, slime::lazyload::LazyloadSettings};
use clap::ArgMatches;
use jwks::{HttpsClient, KeyMetrics, KeySettings, KeyStage};
use model::ObjectKey;
use prometheus_client::registry::Registry;
use push::{Access, Engine, EngineHandle, PushService};
use runtime::Readiness;
use scope::ScopeHandle;
use snapshot::{Features, FenceWaits, FencingSettings, Index, Snapshot};
use source::{ExpiryStage, Source, SourceStatuses, SuperviseSettings, supervise};
use source_directory::{
    DirectoryHandle, DirectorySettings, DirectorySource, WriteMode, directory_control,
};
use store::{Publication, SnapshotSink, Writer};
use tokio::{
    net::TcpListener,
    sync::{mpsc::UnboundedReceiver, watch},
};
use tokio_util::sync::CancellationToken;
use xds::{Control, Server};

use self::{
    access::{ServerCertificate, Signer},
    places::NewestPlaces,
    prometheus::PrometheusSensor,
    queries::QueryService,
    reports::ReportService,
    state::Keeper,
};
use crate::{
    command,
    environment::Environment,
    output::{Exit, Failure, Screen},
    path::require_readable,
    settings::{
        IdentityArguments, IdentitySettings, LearnSettings, LimitArguments, LimitSettings,
        Resolver, SettingsFile, XdsAuthentication, istiod,
    },
};

/// Serve xDS from folders of YAML.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi serve --config ./mesh
  meltemi serve --config base --config overlay --mesh-config mesh.yaml
  meltemi serve --settings /etc/meltemi.yaml --log debug
  meltemi serve --config ./mesh --identity-directory /var/lib/meltemi/identity

Flags beat the environment, that beats the file of --settings, and that the defaults.
Exit codes: 0 ended by a signal, 1 an address cannot be listened on, 64 wrong usage,
65 a path cannot be read")]
pub(crate) struct Serve {
    /// File with settings (YAML): the flags' names in camel case, such as `xdsAddress`.
    #[arg(long, env = "MELTEMI_SETTINGS")]
    settings: Option<PathBuf>,
    /// Folder (or file) with Istio and Kubernetes objects; may be given several times.
    #[arg(long = "config", num_args = 1.., env = "MELTEMI_CONFIG", value_delimiter = ',')]
    config: Option<Vec<PathBuf>>,
    /// File with a `MeshConfig`; wins over a ConfigMap called `istio`.
    #[arg(long, env = "MELTEMI_MESH_CONFIG")]
    mesh_config: Option<PathBuf>,
    /// Where proxies connect; 127.0.0.1:15010 unless set.
    #[arg(long, env = "MELTEMI_XDS_ADDRESS")]
    xds_address: Option<SocketAddr>,
    /// Where `/ready`, `/metrics` and `/debug` are served; 127.0.0.1:15014 unless set.
    #[arg(long, env = "MELTEMI_ADMIN_ADDRESS")]
    admin_address: Option<SocketAddr>,
    /// Certificate (PEM) of the xDS port; with it, TLS and plain text share the port.
    #[arg(long, env = "MELTEMI_TLS_CERTIFICATE")]
    tls_certificate: Option<PathBuf>,
    /// Key (PEM) of the certificate.
    #[arg(long, env = "MELTEMI_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Suffix of Kubernetes service names; `cluster.local` unless set.
    #[arg(long, env = "MELTEMI_DOMAIN")]
    domain: Option<String>,
    /// Folder in which the state of the mesh is kept, so that a new process answers at once and reads
    /// its sources meanwhile. It holds Secrets.
    #[arg(long, env = "MELTEMI_STATE_DIRECTORY")]
    state_directory: Option<PathBuf>,
    /// Folder in which learned dependencies are kept; `scope` in the folder of the state unless set.
    /// Without either they end with the process.
    #[arg(long, env = "MELTEMI_SCOPE_DIRECTORY")]
    scope_directory: Option<PathBuf>,
    /// What is logged: a level, or levels per module such as `info,push=debug`; `info` unless set.
    #[arg(long, env = "MELTEMI_LOG")]
    log: Option<String>,
    #[command(flatten)]
    identity: IdentityArguments,
    #[command(flatten)]
    limits: LimitArguments,
}

/// What the server runs with.
#[derive(Clone, Debug)]
struct Settings {
    config: Vec<PathBuf>,
    mesh_config: Option<PathBuf>,
    xds_address: SocketAddr,
    admin_address: SocketAddr,
    /// Certificate and key.
    tls: Option<(PathBuf, PathBuf)>,
    identity: IdentitySettings,
    limits: LimitSettings,
    domain: String,
    state_directory: Option<PathBuf>,
    learning: LearnSettings,
    log: String,
    features: Features,
    lazyload: LazyloadSettings,
}

const XDS_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15010);
const ADMIN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15014);

/// Events of sources that may wait for the writer.
const QUEUE: usize = 256;

struct EngineSink {
    engine: EngineHandle,
    mesh: MeshMetrics,
    /// The other names of the trust domain.
    aliases: watch::Sender<Arc<[Arc<str>]>>,
    /// What reports of calls are read with.
    newest: watch::Sender<Option<Arc<Snapshot>>>,
    /// What waits in fences, for whoever keeps it.
    waits: watch::Sender<Option<FenceWaits>>,
    /// Who writes the state down.
    state: Option<watch::Sender<Option<Arc<Snapshot>>>>,
}

impl SnapshotSink for EngineSink {
    async fn publish(&mut self, publication: Publication) {
        let Publication { snapshot, changes, noticed } = publication;
        let aliases = snapshot.mesh().config.trust_domain_aliases.iter();
        let aliases: Arc<[Arc<str>]> = aliases.map(|alias| alias.as_str().into()).collect();
        self.aliases.send_if_modified(|known| {
            let is_new = *known != aliases;
            *known = aliases;
            is_new
        });
        self.newest.send_replace(Some(snapshot.clone()));
        let waits = snapshot.fence_waits();
        self.waits.send_if_modified(|known| {
            let is_new = !known.as_ref().is_some_and(|known| known.is(waits));
            *known = Some(waits.clone());
            is_new
        });
        if let Some(state) = &self.state {
            state.send_replace(Some(snapshot.clone()));
        }
        self.mesh.published(&changes);
        self.engine.publish(snapshot, changes, noticed).await;
    }
}

impl Serve {
    /// `command` and `matches` are those of this subcommand.
    pub(crate) async fn run(
        self,
        command: &clap::Command,
        matches: &ArgMatches,
        environment: &Environment,
        screen: &Screen<'_>,
    ) -> anyhow::Result<Exit> {
        let mut resolver = Resolver::new(matches, command);
        let settings = self.resolve(&mut resolver, environment, screen)?;
        for path in settings.config.iter().chain(&settings.mesh_config) {
            require_readable(path, "serve-unreadable-hint", screen)?;
        }
        runtime::start_logs(&settings.log);
        // The table is for people who read the log; nothing is secret in it but the place of keys.
        eprint!("{}", anstream::adapter::strip_str(&resolver.table().render(None)));
        warn_of_variables(environment);
        if settings.serves_nobody_elsewhere() {
            tracing::warn!(
                "Proxies on other machines are refused: they can prove nothing without \
                 --identity-directory or --cacerts (or set --xds-authentication optional)"
            );
        }
        settings.serve().await
    }

    fn resolve(
        self,
        resolver: &mut Resolver<'_>,
        environment: &Environment,
        screen: &Screen<'_>,
    ) -> Result<Settings, Failure> {
        let Self { settings, config, mesh_config, xds_address, admin_address, .. } = self;
        let Self { tls_certificate, tls_key, domain, state_directory, log, .. } = self;
        let Self { identity, limits, scope_directory, .. } = self;
        let path = resolver.pick_optional("settings", settings, None, None);
        let file = path.map(|path| SettingsFile::read(&path, screen)).transpose()?;
        let file = file.unwrap_or_default();
        let config = resolver.pick("config", config, file.config, Vec::new());
        let mesh_config =
            resolver.pick_optional("mesh_config", mesh_config, file.mesh_config, None);
        let xds_address = resolver.pick("xds_address", xds_address, file.xds_address, XDS_ADDRESS);
        let admin_address =
            resolver.pick("admin_address", admin_address, file.admin_address, ADMIN_ADDRESS);
        let certificate =
            resolver.pick_optional("tls_certificate", tls_certificate, file.tls_certificate, None);
        let key = resolver.pick_optional("tls_key", tls_key, file.tls_key, None);
        let identity = IdentitySettings::resolve(identity, file.identity, resolver, environment);
        let limits = LimitSettings::resolve(limits, file.limits, resolver, environment);
        let domain = resolver.pick("domain", domain, file.domain, "cluster.local".to_owned());
        let state_directory =
            resolver.pick_optional("state_directory", state_directory, file.state_directory, None);
        let scope_directory =
            resolver.pick_optional("scope_directory", scope_directory, file.scope_directory, None);
        let state = state_directory.as_deref();
        let learning = LearnSettings::resolve(scope_directory, state, file.scope, resolver);
        let log = resolver.pick("log", log, file.log, "info".to_owned());
        let features = istiod::features(environment);
        resolver.add_lazyload(&file.lazyload);
        resolver.add_switches(&features);
        let usage = |key: &str| Failure::new(Exit::Usage, screen.text(key, &[]));
        if config.is_empty() {
            return Err(usage("serve-no-config").hint(screen.text("serve-no-config-hint", &[])));
        }
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(usage("serve-half-tls")),
        };
        let identity = identity.map_err(usage)?;
        Ok(Settings {
            config,
            mesh_config,
            xds_address,
            admin_address,
            tls,
            identity,
            limits,
            domain,
            state_directory,
            learning,
            log,
            features,
            lazyload: file.lazyload,
        })
    }
}

/// Deletes the files of policies that have ended, as far as a command of ours wrote them.
async fn delete_ended(mut ended: UnboundedReceiver<ObjectKey>, directory: DirectoryHandle) {
    while let Some(key) = ended.recv().await {
        match directory.remove(vec![key.clone()], WriteMode::Write).await {
            Ok(_) => tracing::info!(object = %key, "A policy has expired and was deleted"),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(object = %key, error, "An expired policy could not be deleted");
            }
        }
    }
}

/// Names what is set and has no effect, in one line each.
fn warn_of_variables(environment: &Environment) {
    let ignored = istiod::ignored(environment);
    if !ignored.is_empty() {
        let names = ignored.join(" ");
        tracing::warn!(names, "Switches of istiod are set that have no meaning here");
    }
    let known = command::variables();
    let unknown = istiod::unknown(environment, &known);
    if !unknown.is_empty() {
        let names = unknown.join(" ");
        tracing::warn!(names, "Variables are set that nothing reads; are they mistyped?");
    }
}

impl Settings {
    /// Whether other machines are listened to in vain.
    fn serves_nobody_elsewhere(&self) -> bool {
        let elsewhere = !self.xds_address.ip().is_loopback();
        let IdentitySettings { authority, authentication, .. } = &self.identity;
        elsewhere && authority.is_none() && *authentication != XdsAuthentication::Optional
    }

    /// istiod's switches about keys.
    fn keys(&self) -> KeySettings {
        let length = |name: &str| self.features.0.get(name)?.parse::<api::Duration>().ok();
        let refresh = length(KeySettings::REFRESH_SWITCH).filter(|it| !it.is_zero());
        let settings = KeySettings::default();
        KeySettings { refresh: refresh.map_or(settings.refresh, |it| it.to_std()), ..settings }
    }

    async fn serve(self) -> anyhow::Result<Exit> {
        let shutdown = CancellationToken::new();
        tokio::spawn(runtime::wait_for_signal(shutdown.clone()));
        let readiness = Readiness::default();
        let block = readiness.block();

        let (index, expire_wait) = self.empty_index();
        let engine = Engine::start(index.snapshot());
        let settings = DirectorySettings {
            paths: self.config.clone(),
            mesh_config: self.mesh_config.clone(),
            rescan: Duration::from_secs(10),
        };
        let (directory, commands) = directory_control();
        let make = move || DirectorySource::new(settings.clone()).listen_to(commands.clone());
        let name: Arc<str> = make().name().into();
        let statuses = SourceStatuses::default();
        // The ends of policies and the keys of token issuers come in between.
        let (events, incoming) = source::channel(QUEUE);
        let (timed, keyed) = source::channel(QUEUE);
        let (outgoing, receiver) = source::channel(QUEUE);
        let file = self.state_file();
        let restored = state::restore(file.as_ref());
        let mut keeper = Keeper::start(file, &shutdown);
        let supervision = SuperviseSettings::default();
        let told = statuses.clone();
        tokio::spawn(supervise(make, restored, supervision, events, told, shutdown.clone()));

        let service = PushService::new(engine.clone());
        let mut metrics = Registry::default();
        let xds_metrics = xds::Metrics::register(metrics.sub_registry_with_prefix("meltemi_xds"));
        service.metrics().register(&mut metrics);
        engine.log().register(&mut metrics);
        let signing = identity::Metrics::register(&mut metrics);
        let mesh = MeshMetrics::register(&mut metrics, engine.clone());
        let keys = KeyMetrics::register(&mut metrics);
        let mut learning = learning::start(&self.learning, outgoing.clone(), &shutdown).await?;
        let learned = learning.handle.clone();
        learned.register(metrics.sub_registry_with_prefix("meltemi_scope"));
        let prometheus = PrometheusSensor::new(
            self.lazyload.prometheus.as_ref(),
            &self.learning.scope,
            metrics.sub_registry_with_prefix("meltemi_scope_prometheus"),
        );
        let service = service.with_learner(Arc::new(learning::Calls(learned.clone())));
        let keys = KeyStage::new(self.keys(), HttpsClient::default(), keys, statuses.clone());
        tokio::spawn(keys.run(keyed, outgoing, shutdown.clone()));
        let (expiry, ended) = ExpiryStage::new(statuses.clone());
        let expiry = expiry.with_expire_wait(expire_wait).with_waits(learning.ends());
        tokio::spawn(expiry.run(incoming, timed, shutdown.clone()));
        tokio::spawn(delete_ended(ended, directory.clone()));
        let index = index.with_fence_waits(learning.take_waited());
        let writer = Writer::new(index, [name, scope::SOURCE.into()]);
        let control = Control::default();
        let load = self.limits.load(&xds_metrics, &control);
        load::watch_memory(&self.limits, control.clone(), shutdown.clone());
        let peers = self.limits.peers.clone();
        tokio::spawn(load::balance(peers, load.clone(), control.clone(), shutdown.clone()));
        let admin = Admin {
            ready: Box::new(move || readiness.is_ready()),
            metrics,
            mesh: mesh.clone(),
            statuses,
            directory,
            writer: writer.handle(),
            engine: engine.clone(),
            streams: service.registry().clone(),
            scope: self.learning.part(&learned, prometheus.as_ref().map(PrometheusSensor::status)),
            load: Box::new(load.clone()),
        };
        let admin = serve_admin(self.admin_address, admin, shutdown.clone()).await?;
        let xds = self.xds_listener()?;
        // Proxies wait in the listen queue until the first snapshot is compiled: an empty mesh
        // that is merely unread must not be served.
        let (synced, first) = tokio::sync::oneshot::channel();
        let first_engine = engine.clone();
        let on_sync = move || {
            // Ready is who has compiled the first snapshot, not who has merely read it: the engine
            // takes its commands in order.
            tokio::spawn(async move {
                first_engine.settled(0).await;
                let _ = synced.send(block);
            });
        };
        let (aliases, known_aliases) = watch::channel(Arc::from([]));
        let state = keeper.snapshots.take();
        let (newest, snapshots) = watch::channel(None);
        let places = NewestPlaces::new(snapshots);
        let waits = learning.keep_waits(&shutdown);
        let sink = EngineSink { engine: engine.clone(), mesh, aliases, newest, waits, state };
        tokio::spawn(writer.run(receiver, sink, on_sync, shutdown.clone()));
        tracing::info!(xds = %self.xds_address, admin = %self.admin_address, "Meltemi serves");
        tokio::select! {
            synced = first => {
                // The trust domain stands in the configuration.
                let signer = self.open_authority(&engine, &shutdown).await?;
                let tls = self.certificate().serve(signer.clone(), &shutdown)?;
                let trust = signer.as_ref().map(|signer| (signer, known_aliases));
                let granting = access::grant(&self.identity, trust, &signing, &shutdown)?;
                if let Some(sensor) = prometheus {
                    let asking = sensor.run(places.clone(), learned.clone(), shutdown.clone());
                    tokio::spawn(asking);
                }
                let service = service.with_access(granting.access.clone());
                let settings = xds::Settings { tls, ..self.limits.xds() };
                let server = Server::new(settings, xds_metrics).steered_by(control);
                let server = granting.method.into_iter().fold(server, Server::mount);
                let server = with_sensors(server, &granting.access, places, &learned, &engine);
                drop(synced);
                server.run(xds, Arc::new(service), shutdown.clone()).await;
            }
            () = shutdown.cancelled() => (),
        }
        shutdown.cancel();
        keeper.end().await;
        learning.ended().await;
        let _ = admin.await;
        Ok(Exit::Done)
    }

    /// An index without objects, and how many seconds what a fence does not name any more stays in scopes.
    fn empty_index(&self) -> (Index, i64) {
        let (fencing, findings) = FencingSettings::convert(&self.lazyload);
        for finding in findings.iter() {
            tracing::warn!("{finding}");
        }
        let expire_wait = fencing.expire_wait;
        let index =
            Index::new(Arc::new(MeshConfig::default()), self.features.clone(), &self.domain);
        (index.with_fencing(fencing), expire_wait)
    }

    fn xds_listener(&self) -> anyhow::Result<TcpListener> {
        xds::listen(self.xds_address).with_context(|| {
            format!("failed to listen on {} (see --xds-address)", self.xds_address)
        })
    }

    async fn open_authority(
        &self,
        engine: &EngineHandle,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Option<Signer>> {
        let Some(place) = &self.identity.authority else { return Ok(None) };
        let mesh = engine.mesh().await.context("the engine has ended")?;
        Ok(Some(Signer::open(place, &mesh.trust_domain, shutdown)?))
    }

    fn certificate(&self) -> ServerCertificate {
        ServerCertificate {
            files: self.tls.clone(),
            names: self.identity.server_names.clone(),
            address: self.xds_address,
        }
    }
}

/// What tells of calls on the port of the ADS streams.
fn with_sensors(
    server: Server,
    access: &Access,
    mesh: NewestPlaces,
    scope: &ScopeHandle,
    engine: &EngineHandle,
) -> Server {
    let reports = ReportService::new(access.clone(), mesh.clone(), scope.clone());
    let (access, scope, engine) = (access.clone(), scope.clone(), engine.clone());
    let queries = QueryService { access, mesh, scope, engine };
    server.mount(Arc::new(queries)).mount_sink(Arc::new(reports))
}

async fn serve_admin(
    address: SocketAddr,
    admin: Admin,
    shutdown: CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<std::io::Result<()>>> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address} (see --admin-address)"))?;
    Ok(tokio::spawn(admin::serve(listener, admin, shutdown)))
}
