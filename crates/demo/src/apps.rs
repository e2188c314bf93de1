//! The applications of the shop: small HTTP, gRPC and TCP servers, each a process of its own.
//!
//! They know nothing of the mesh: each calls its dependencies at fixed addresses of its own.

mod http;
mod rating;
mod stock;

use std::{collections::BTreeMap, net::SocketAddr, str::FromStr};

use anyhow::{Context, Result};
use clap::ValueEnum;
use tokio::net::TcpListener;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AppKind {
    Frontend,
    Catalog,
    Reviews,
    Cart,
    Rating,
    Stock,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AppArgs {
    kind: AppKind,
    /// Name of the instance; it stands in every answer.
    #[arg(long)]
    name: String,
    #[arg(long)]
    listen: SocketAddr,
    /// Where a dependency is reached, `catalog=127.0.0.1:8081`.
    #[arg(long = "call")]
    calls: Vec<Call>,
}

/// A dependency by name.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    name: String,
    address: SocketAddr,
}

impl FromStr for Call {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, address) = text.split_once('=').context("this is not NAME=ADDRESS")?;
        Ok(Self { name: name.to_owned(), address: address.parse()? })
    }
}

/// What every application knows.
#[derive(Clone, Debug)]
struct Own {
    name: String,
    calls: BTreeMap<String, SocketAddr>,
}

impl Own {
    fn call(&self, name: &str) -> Result<SocketAddr> {
        self.calls.get(name).copied().with_context(|| format!("no address of {name} was given"))
    }
}

impl AppArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let Self { kind, name, listen, calls } = self;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("failed to listen on {listen}"))?;
        let calls = calls.into_iter().map(|Call { name, address }| (name, address)).collect();
        let own = Own { name, calls };
        match kind {
            AppKind::Frontend => http::serve(listener, http::frontend(&own)?).await,
            AppKind::Catalog => http::serve(listener, http::catalog(&own)).await,
            AppKind::Reviews => http::serve(listener, http::reviews(own)?).await,
            AppKind::Cart => http::serve(listener, http::cart(own)?).await,
            AppKind::Rating => http::serve(listener, rating::router(&own)).await,
            AppKind::Stock => stock::serve(listener, own).await,
        }
    }
}
