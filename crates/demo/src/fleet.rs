//! The applications and their Envoys as processes.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use testkit::{
    child::{ChildProcess, ChildSettings},
    http::{Client, Request},
    ports, tools,
};
use tokio::time;

use crate::{
    apps::AppKind,
    plane::{PATIENCE, Plane},
    shop::{GATEWAY, INSTANCES, Instance, NAMESPACE, Shop},
};

const POLL: Duration = Duration::from_millis(10);

/// All processes but the control plane.
#[derive(Debug)]
pub(crate) struct Fleet {
    envoy: PathBuf,
    applications: BTreeMap<&'static str, ChildProcess>,
    proxies: BTreeMap<&'static str, Proxy>,
}

#[derive(Debug)]
struct Proxy {
    child: ChildProcess,
    admin_port: u16,
    /// Its service account.
    account: String,
}

impl Fleet {
    /// Starts every instance of the shop and its gateway. They are not ready yet.
    pub(crate) fn start(shop: &Shop, plane: &Plane) -> Result<Self> {
        let mut fleet = Self {
            envoy: tools::envoy_bin(),
            applications: BTreeMap::new(),
            proxies: BTreeMap::new(),
        };
        for instance in &INSTANCES {
            fleet.start_instance(instance, shop, plane)?;
        }
        let (name, last, _) = GATEWAY;
        let arguments = ["--kind", "gateway", "--label", "app=edge"].map(str::to_owned);
        let account = ("edge", shop.address(last));
        fleet.start_proxy(name, account, &arguments, shop, plane)?;
        Ok(fleet)
    }

    /// Starts an application and the Envoy beside it.
    pub(crate) fn start_instance(
        &mut self,
        instance: &Instance,
        shop: &Shop,
        plane: &Plane,
    ) -> Result<()> {
        let kind = app_name(instance.app);
        let mut arguments: Vec<OsString> =
            ["app", &kind, "--name", instance.name, "--listen"].map(OsString::from).to_vec();
        arguments.push(shop.application(instance).to_string().into());
        for (name, address) in shop.calls(instance) {
            arguments.extend(["--call".into(), format!("{name}={address}").into()]);
        }
        let application = ChildProcess::start(&ChildSettings {
            program: std::env::current_exe()?,
            arguments,
            log: shop.folder().join(format!("{}.log", instance.name)),
        })?;
        self.applications.insert(instance.name, application);
        let arguments = [
            "--interception".to_owned(),
            "none".to_owned(),
            "--label".to_owned(),
            format!("app={kind}"),
            "--label".to_owned(),
            format!("version={}", instance.version),
            "--label".to_owned(),
            format!("instance={}", instance.name),
        ];
        let account = (kind.as_str(), shop.address(instance.last));
        self.start_proxy(instance.name, account, &arguments, shop, plane)
    }

    fn start_proxy(
        &mut self,
        name: &'static str,
        (account, address): (&str, Ipv4Addr),
        further: &[String],
        shop: &Shop,
        plane: &Plane,
    ) -> Result<()> {
        let folder = shop.folder();
        let proof = issue(plane.binary(), shop, name, account)?;
        let admin_port = ports::free_port();
        let mut bootstrap = Command::new(plane.binary());
        bootstrap
            .args(["bootstrap", "--workload", &format!("{name}.{NAMESPACE}")])
            .args(["--address", &address.to_string(), "--service-account", account])
            .args(["--xds-address", &plane.xds.to_string()])
            // All of them run on one machine.
            .args(["--admin-port", &admin_port.to_string(), "--stats-port", "0"])
            .args(further)
            .arg("--proof")
            .arg(proof);
        let path = folder.join(format!("{name}.envoy.json"));
        fs::write(&path, output(&mut bootstrap)?)?;
        let mut arguments: Vec<OsString> =
            // What a listener that changes has begun may take as long as the machine needs.
            ["--disable-hot-restart", "--concurrency", "1", "--drain-time-s", "5"]
                .map(OsString::from)
                .to_vec();
        arguments.extend(["--log-level", "warning", "--config-path"].map(OsString::from));
        arguments.push(path.into());
        let child = ChildProcess::start(&ChildSettings {
            program: self.envoy.clone(),
            arguments,
            log: folder.join(format!("{name}.envoy.log")),
        })?;
        let account = account.to_owned();
        self.proxies.insert(name, Proxy { child, admin_port, account });
        Ok(())
    }

    /// Gives every proxy a new certificate by which it proves who it is; it is used for the next
    /// connection to the control plane.
    pub(crate) fn renew_proofs(&self, shop: &Shop, plane: &Plane) -> Result<()> {
        for (name, proxy) in &self.proxies {
            issue(plane.binary(), shop, name, &proxy.account)?;
        }
        Ok(())
    }

    /// Waits until every Envoy has its listeners.
    pub(crate) async fn wait_ready(&mut self) -> Result<()> {
        let client = Client::new();
        let deadline = Instant::now() + PATIENCE;
        for (name, proxy) in &mut self.proxies {
            let admin = (Ipv4Addr::LOCALHOST, proxy.admin_port).into();
            let ready = Request::get(admin, "admin", "/ready");
            while !client.send(&ready).await.is_ok_and(|answer| answer.status.is_success()) {
                if let Some(status) = proxy.child.ended()? {
                    bail!("the Envoy of {name} ended with {status}:\n{}", proxy.child.log_tail());
                }
                let tail = || proxy.child.log_tail();
                ensure!(Instant::now() < deadline, "the Envoy of {name} is not ready:\n{}", tail());
                time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Ends an instance as a crash of its machine does: the application and its Envoy at once.
    pub(crate) fn kill_instance(&mut self, name: &str) {
        let application = self.applications.remove(name);
        let proxy = self.proxies.remove(name).map(|proxy| proxy.child);
        application.into_iter().chain(proxy).for_each(ChildProcess::kill);
    }

    /// How many Envoys there are.
    pub(crate) fn proxy_count(&self) -> usize {
        self.proxies.len()
    }

    /// The admin port of an Envoy, on 127.0.0.1.
    pub(crate) fn admin_port(&self, name: &str) -> Option<u16> {
        self.proxies.get(name).map(|proxy| proxy.admin_port)
    }
}

/// A certificate by which a proxy proves who it is, in a folder of its own.
pub(crate) fn issue(meltemi: &Path, shop: &Shop, name: &str, account: &str) -> Result<PathBuf> {
    let folder = shop.folder().join("proofs").join(name);
    let mut command = Command::new(meltemi);
    command.args(["identity", "issue", "--identity", &format!("{NAMESPACE}/{account}")]);
    command.arg("--directory").arg(shop.authority()).arg("--out").arg(&folder);
    output(&mut command)?;
    Ok(folder)
}

/// What a command of ours prints.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().context("failed to run meltemi")?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

fn app_name(app: AppKind) -> String {
    let value = app.to_possible_value();
    value.map(|value| value.get_name().to_owned()).unwrap_or_default()
}
