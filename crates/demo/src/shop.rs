//! The shop as `examples/shop` writes it down: its instances, and a copy of its files to edit.
//!
//! The addresses and ports of the files are used if they are free. If not, the copy gets others,
//! so that any number of demos can run at once.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use testkit::{ports, tools};

use crate::apps::AppKind;

pub(crate) const NAMESPACE: &str = "shop";
/// The block of addresses in the files: `127.10.0.x`.
const BLOCK: (u8, u8) = (10, 0);
/// The ports in the files: of the services, and of the applications behind them.
const PORTS: [u16; 13] =
    [8080, 8081, 8082, 8083, 9084, 9085, 18080, 18081, 18082, 18083, 19084, 19085, MARKET_PORT];
/// The port of services that the files do not have.
pub(crate) const MARKET_PORT: u16 = 8090;
/// From the port of a service to that of its application.
const APPLICATION: u16 = 10_000;

/// One instance of a service, with a proxy beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instance {
    pub(crate) name: &'static str,
    pub(crate) app: AppKind,
    pub(crate) version: &'static str,
    /// Last part of its address.
    pub(crate) last: u8,
    /// Port of its service.
    pub(crate) port: u16,
    /// What it calls, and on which port.
    pub(crate) calls: &'static [(&'static str, u16)],
}

const fn instance(
    name: &'static str,
    app: AppKind,
    version: &'static str,
    last: u8,
    port: u16,
) -> Instance {
    Instance { name, app, version, last, port, calls: &[] }
}

const RATING: &[(&str, u16)] = &[("rating", 9084)];

/// As in `config/instances`.
pub(crate) const INSTANCES: [Instance; 9] = [
    Instance {
        calls: &[("catalog", 8081), ("reviews", 8082), ("cart", 8083)],
        ..instance("frontend-1", AppKind::Frontend, "v1", 11, 8080)
    },
    instance("catalog-1", AppKind::Catalog, "v1", 21, 8081),
    instance("catalog-2", AppKind::Catalog, "v1", 22, 8081),
    Instance { calls: RATING, ..instance("reviews-v1", AppKind::Reviews, "v1", 31, 8082) },
    Instance { calls: RATING, ..instance("reviews-v2", AppKind::Reviews, "v2", 32, 8082) },
    instance("rating-1", AppKind::Rating, "v1", 41, 9084),
    instance("rating-2", AppKind::Rating, "v1", 42, 9084),
    Instance { calls: &[("stock", 9085)], ..instance("cart-1", AppKind::Cart, "v1", 51, 8083) },
    instance("stock-1", AppKind::Stock, "v1", 61, 9085),
];

/// The gateway: its name, the last part of its address and its port.
pub(crate) const GATEWAY: (&str, u8, u16) = ("edge-1", 10, 8080);

/// The files of the shop, copied to a folder of this run, and where its addresses really are.
#[derive(Debug)]
pub(crate) struct Shop {
    folder: PathBuf,
    block: (u8, u8),
    /// Only those that differ from the files.
    ports: BTreeMap<u16, u16>,
}

impl Shop {
    /// Copies the files into `folder` and claims addresses.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let block = ports::loopback_block(BLOCK);
        let address = Ipv4Addr::new(127, block.0, block.1, 1);
        // Something that listens on every address takes a port from ours as well.
        let taken = |port: &u16| TcpListener::bind((address, *port)).is_err();
        let ports = PORTS.into_iter().filter(taken).map(|port| (port, ports::free_port()));
        let shop = Self { folder: folder.to_owned(), block, ports: ports.collect() };
        shop.copy(Path::new(""))?;
        Ok(shop)
    }

    fn copy(&self, inside: &Path) -> Result<()> {
        let source = tools::workspace_root().join("examples").join("shop").join(inside);
        fs::create_dir_all(self.folder.join(inside)).context("failed to make a folder")?;
        let listed = fs::read_dir(&source)
            .with_context(|| format!("failed to read {}", source.display()))?;
        for entry in listed {
            let entry = entry?;
            let inside = inside.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.copy(&inside)?;
            } else {
                fs::write(
                    self.folder.join(&inside),
                    self.place(&fs::read_to_string(entry.path())?),
                )?;
            }
        }
        Ok(())
    }

    /// Text with the addresses and ports of the files → with those of this run.
    fn place(&self, text: &str) -> String {
        let (a, b) = self.block;
        let text = text.replace(&format!("127.{}.{}.", BLOCK.0, BLOCK.1), &format!("127.{a}.{b}."));
        self.ports.iter().fold(text, |text, (from, to)| replace_number(&text, *from, *to))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the control plane reads.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// Where the control plane keeps roots and keys.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("authority")
    }

    pub(crate) fn mesh_config(&self) -> PathBuf {
        self.folder.join("mesh-config.yaml")
    }

    pub(crate) fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.block.0, self.block.1, last)
    }

    fn socket(&self, last: u8, port: u16) -> SocketAddr {
        SocketAddr::from((self.address(last), self.port(port)))
    }

    /// What a port of the files is in this run.
    pub(crate) fn port(&self, port: u16) -> u16 {
        self.ports.get(&port).copied().unwrap_or(port)
    }

    /// Where an instance calls services of the market: at its own proxy.
    pub(crate) fn market(&self, instance: &Instance) -> SocketAddr {
        self.socket(instance.last, MARKET_PORT)
    }

    /// Where requests enter.
    pub(crate) fn gateway(&self) -> SocketAddr {
        self.socket(GATEWAY.1, GATEWAY.2)
    }

    /// Where the application of an instance listens.
    pub(crate) fn application(&self, instance: &Instance) -> SocketAddr {
        self.socket(instance.last, instance.port + APPLICATION)
    }

    /// Where the proxy of an instance takes calls from others.
    pub(crate) fn served(&self, instance: &Instance) -> SocketAddr {
        self.socket(instance.last, instance.port)
    }

    /// Where an instance calls its dependencies: at its own proxy.
    pub(crate) fn calls(&self, instance: &Instance) -> Vec<(&'static str, SocketAddr)> {
        let calls = instance.calls.iter();
        calls.map(|(name, port)| (*name, self.socket(instance.last, *port))).collect()
    }

    /// A file of `examples/shop/later`, which is not in effect at first.
    pub(crate) fn later(&self, file: &str) -> Result<String> {
        let path = self.folder.join("later").join(file);
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
    }

    /// A file below `config` as it was at the start.
    pub(crate) fn original(&self, file: &str) -> Result<String> {
        let path = tools::workspace_root().join("examples/shop/config").join(file);
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("failed to read {}", path.display()))?;
        Ok(self.place(&text))
    }

    /// A file below `config`.
    pub(crate) fn read(&self, file: &str) -> Result<String> {
        let path = self.config().join(file);
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
    }

    /// Writes a file below `config`, as an editor does: not in one go with others.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.config().join(file);
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
    }

    pub(crate) fn remove(&self, file: &str) -> Result<()> {
        let path = self.config().join(file);
        fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))
    }
}

/// Replaces a number where it stands alone.
fn replace_number(text: &str, from: u16, to: u16) -> String {
    let from = from.to_string();
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&from) {
        let (before, found) = rest.split_at(at);
        let after = &found[from.len()..];
        let is_digit = |c: char| c.is_ascii_digit();
        let alone = !before.ends_with(is_digit) && !after.starts_with(is_digit);
        result.push_str(before);
        result.push_str(if alone { "" } else { &from });
        if alone {
            result.push_str(&to.to_string());
        }
        rest = after;
    }
    result.push_str(rest);
    result
}
