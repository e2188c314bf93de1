//! A whole mesh for a test: the real binary serving a folder of YAML, and real Envoys beside it.
//!
//! - Each mesh has a folder, ports and processes of its own; all go when it is dropped.
//! - Nothing redirects traffic here: proxies are reached at listeners that a Sidecar or Gateway
//!   binds to an address of the test's choice.

mod control_plane;
mod proxy;

use std::{
    fmt::Write,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use identity::{Authority, AuthoritySettings};
use model::Identity;
use serde_json::Value;
use tempfile::TempDir;

pub use self::{
    control_plane::{ControlPlane, ControlPlaneSettings},
    proxy::{ProxyKind, ProxyProtocol, ProxySettings},
};
use crate::{EnvoyProcess, certs::Leaf};

/// A control plane with its folder.
#[derive(Debug)]
pub struct Mesh {
    settings: ControlPlaneSettings,
    control_plane: Option<ControlPlane>,
    authority: Option<Authority>,
    folder: TempDir,
}

/// The cluster whose intermediate signs: the default of the binary.
const CLUSTER: &str = "Kubernetes";

/// By what a workload proves who it is, and whom it believes.
#[derive(Clone, Debug)]
pub struct IdentityFiles {
    /// Leaf and intermediates.
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub roots: PathBuf,
}

impl IdentityFiles {
    /// The same for clients of a test.
    pub fn leaf(&self) -> Result<Leaf> {
        Leaf::read(&self.certificate, &self.key)
    }
}

/// What a mesh begins with.
#[derive(Clone, Copy, Debug)]
pub struct MeshSettings<'a> {
    /// The path of the binary.
    pub binary: &'a str,
    /// Names and contents.
    pub files: &'a [(&'a str, &'a str)],
    /// YAML; empty for none.
    pub mesh_config: &'a str,
    /// The control plane's own, as YAML; empty for none.
    pub settings: &'a str,
    pub environment: &'a [(&'a str, &'a str)],
    /// Of the authority, if there is to be one: what the MeshConfig says, or `cluster.local`.
    pub trust_domain: Option<&'a str>,
    /// Where proxies connect.
    pub xds_ip: IpAddr,
}

impl<'a> MeshSettings<'a> {
    #[must_use]
    pub fn new(binary: &'a str, files: &'a [(&'a str, &'a str)]) -> Self {
        let xds_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (mesh_config, settings, environment) = ("", "", &[]);
        Self { binary, files, mesh_config, settings, environment, trust_domain: None, xds_ip }
    }

    /// With an authority: proxies may prove who they are ([`ProxySettings::identity`]).
    #[must_use]
    pub fn with_identities(self) -> Self {
        Self { trust_domain: Some("cluster.local"), ..self }
    }
}

impl Mesh {
    /// Serves the files.
    pub async fn start(settings: &MeshSettings<'_>) -> Result<Self> {
        let MeshSettings { binary, files, mesh_config, environment, .. } = *settings;
        let MeshSettings { trust_domain, xds_ip, settings: own, .. } = *settings;
        let folder = tempfile::Builder::new().prefix("meltemi-mesh-").tempdir()?;
        let objects = folder.path().join("objects");
        fs::create_dir(&objects)?;
        let mut settings = ControlPlaneSettings::new(binary, &objects, folder.path());
        settings.xds_address.set_ip(xds_ip);
        if !mesh_config.is_empty() {
            let path = folder.path().join("mesh-config.yaml");
            fs::write(&path, mesh_config)?;
            settings.mesh_config = Some(path);
        }
        if !own.is_empty() {
            let path = folder.path().join("settings.yaml");
            fs::write(&path, own)?;
            settings.settings = Some(path);
        }
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        settings.environment = environment.iter().map(own).collect();
        let authority = match trust_domain {
            Some(trust_domain) => {
                let directory = folder.path().join("identity");
                settings.identity = Some(directory.clone());
                Some(Authority::open(AuthoritySettings::new(directory, trust_domain, CLUSTER))?)
            }
            None => None,
        };
        let mut mesh = Self { settings, control_plane: None, authority, folder };
        for (name, content) in files {
            mesh.write(name, content)?;
        }
        mesh.restart().await?;
        Ok(mesh)
    }

    /// The folder that is served.
    #[must_use]
    pub fn objects(&self) -> &Path {
        &self.settings.objects
    }

    /// Where proxies find the control plane, also after a restart.
    #[must_use]
    pub fn xds_address(&self) -> SocketAddr {
        self.settings.xds_address
    }

    /// Where the command line finds the control plane, also after a restart.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.settings.admin_address
    }

    /// Puts a file into the served folder in one go.
    pub fn write(&self, name: &str, yaml: &str) -> Result<()> {
        // Outside of the served folder, so that it is never read half written.
        let draft = self.folder.path().join("draft");
        fs::write(&draft, yaml)?;
        let path = self.path(name);
        fs::rename(&draft, &path).with_context(|| format!("failed to place {}", path.display()))
    }

    /// The content of a file of the served folder.
    pub fn read(&self, name: &str) -> Result<String> {
        let path = self.path(name);
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
    }

    /// Takes a file away.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.objects().join(name)
    }

    /// The running control plane.
    ///
    /// # Panics
    ///
    /// While it is killed.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        self.control_plane.as_ref().expect("the control plane runs")
    }

    /// Ends the control plane as `kill -9` does.
    pub fn kill(&mut self) {
        self.control_plane = None;
    }

    /// Starts the control plane anew on the same ports, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        self.control_plane = Some(self.settings.start().await?);
        Ok(())
    }

    /// Starts an Envoy with the bootstrap that the binary prints for it, and waits until it has
    /// its configuration.
    pub async fn proxy(&self, settings: &ProxySettings) -> Result<EnvoyProcess> {
        let files = match &settings.identity {
            Some(account) => {
                let namespace = settings.workload.rsplit('.').next().unwrap_or_default();
                Some(self.identity_files(namespace, account)?)
            }
            None => None,
        };
        settings.start(&self.settings.binary, self.settings.xds_address, files.as_ref()).await
    }

    /// The authority of [`MeshSettings::with_identities`], which the control plane shares.
    ///
    /// # Panics
    ///
    /// Without one.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        self.authority.as_ref().expect("the mesh has an authority")
    }

    /// A new certificate of a workload, by which it can prove who it is, as files.
    pub fn identity_files(&self, namespace: &str, service_account: &str) -> Result<IdentityFiles> {
        let authority = self.authority();
        let identity = Identity {
            trust_domain: authority.trust_domain().clone(),
            namespace: namespace.into(),
            service_account: service_account.into(),
        };
        let issued = authority.issue(&identity)?;
        let folder = tempfile::tempdir_in(self.folder.path())?.keep();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map(|()| path)
        };
        Ok(IdentityFiles {
            certificate: write("certificate.pem", &issued.chain_pem)?,
            key: write("key.pem", issued.key_pem.expose())?,
            roots: write("roots.pem", &authority.roots())?,
        })
    }

    /// An error with Envoy's words if a proxy has refused something, or with the list if there are
    /// not `count` proxies that have acknowledged everything.
    pub async fn expect_synced(&self, count: usize) -> Result<()> {
        let list = self.control_plane().get("/debug/proxies").await?;
        let proxies = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        let mut refusals = String::new();
        for proxy in proxies {
            for refused in proxy["refused"].as_array().into_iter().flatten() {
                writeln!(refusals, "{}: {refused}", proxy["proxy"])?;
            }
        }
        if !refusals.is_empty() {
            bail!("refused: {refusals}");
        }
        let synced = proxies.iter().filter(|proxy| proxy["state"] == "SYNCED").count();
        ensure!(synced == count, "{synced} of {count} proxies are in sync: {list}");
        Ok(())
    }

    /// An error with the findings about the objects that make one of them void.
    pub async fn expect_no_errors(&self) -> Result<()> {
        let findings = self.control_plane().get("/debug/findings").await?;
        let items = findings["items"].as_array().map_or(&[][..], Vec::as_slice);
        let errors: Vec<&Value> = items.iter().filter(|it| it["severity"] == "error").collect();
        ensure!(errors.is_empty(), "the objects have errors: {errors:?}");
        Ok(())
    }

    /// What a proxy (`name.namespace`) was sent and has acknowledged.
    pub async fn proxy_config(&self, proxy: &str) -> Result<Value> {
        self.control_plane().get(&format!("/debug/config_dump?proxy={proxy}")).await
    }
}
