//! What the server runs with: flags beat the environment, that beats the file, and that the defaults.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use api::slime::lazyload::LazyloadSettings;
use clap::ArgMatches;
use snapshot::Features;

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
pub(super) struct Settings {
    pub(super) config: Vec<PathBuf>,
    pub(super) mesh_config: Option<PathBuf>,
    pub(super) xds_address: SocketAddr,
    pub(super) admin_address: SocketAddr,
    /// Certificate and key.
    pub(super) tls: Option<(PathBuf, PathBuf)>,
    pub(super) identity: IdentitySettings,
    pub(super) limits: LimitSettings,
    pub(super) domain: String,
    pub(super) state_directory: Option<PathBuf>,
    pub(super) learning: LearnSettings,
    pub(super) log: String,
    pub(super) features: Features,
    pub(super) lazyload: LazyloadSettings,
}

const XDS_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15010);
/// Where people and tools ask, unless a control plane is told otherwise.
pub(crate) const ADMIN_ADDRESS: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15014);

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

impl Settings {
    /// Whether other machines are listened to in vain.
    fn serves_nobody_elsewhere(&self) -> bool {
        let elsewhere = !self.xds_address.ip().is_loopback();
        let IdentitySettings { authority, authentication, .. } = &self.identity;
        elsewhere && authority.is_none() && *authentication != XdsAuthentication::Optional
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
