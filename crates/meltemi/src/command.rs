//! The command line: what was typed → which command runs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{bootstrap::Bootstrap, proxy, serve::Serve};

/// A service mesh control plane: Istio's APIs in, xDS to stock Envoy out.
#[derive(Debug, Parser)]
#[command(name = "meltemi", version, propagate_version = true)]
pub(crate) struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve xDS from folders of YAML.
    Serve(Serve),
    /// Print an Envoy bootstrap for a workload.
    Bootstrap(Bootstrap),
    /// Look at connected proxies.
    #[command(subcommand)]
    Proxy(ProxyVerb),
    /// Status of the connected proxies (short for `proxy status`).
    Ps(proxy::Status),
    /// Configuration of one proxy (short for `proxy config`).
    Pc(proxy::Config),
}

#[derive(Debug, Subcommand)]
enum ProxyVerb {
    /// Which proxies have acknowledged everything, which wait, which refused something.
    Status(proxy::Status),
    /// What a proxy was sent and has acknowledged.
    Config(proxy::Config),
}

/// Runs a command; errors go to stderr with their causes.
pub(crate) async fn run(command: Command) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let result = match command.verb {
        Verb::Serve(args) => args.run().await,
        Verb::Bootstrap(args) => args.run(&mut out),
        Verb::Proxy(ProxyVerb::Status(args)) | Verb::Ps(args) => args.run(&mut out).await,
        Verb::Proxy(ProxyVerb::Config(args)) | Verb::Pc(args) => args.run(&mut out).await,
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
