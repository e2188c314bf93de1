//! The command line: the demo itself, or one of its applications.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use crate::{apps::AppArgs, run};

/// Runs a sample shop on a mesh, changes things under load and counts failed requests.
#[derive(Debug, Parser)]
#[command(name = "demo", bin_name = "cargo xtask demo")]
struct Cli {
    #[command(flatten)]
    demo: DemoArgs,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Leaves everything running at the end, and prints the commands to look around.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Requests per second.
    #[arg(long, default_value_t = 100)]
    pub(crate) rate: u32,
    /// The control plane's binary; by default the one beside this.
    #[arg(long)]
    pub(crate) meltemi: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Runs one application of the shop. The demo starts itself with this.
    #[command(hide = true)]
    App(AppArgs),
}

/// Exit code of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match &cli.part {
        Some(_) => runtime::Builder::new_current_thread().enable_all().build(),
        None => runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build(),
    };
    let result = runtime.map_err(Into::into).and_then(|runtime| {
        // On this thread, which is then the parent of every child.
        runtime.block_on(async {
            match cli.part {
                Some(Part::App(args)) => args.run().await.map(|()| ExitCode::SUCCESS),
                None => run_until_signal(cli.demo).await,
            }
        })
    });
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run_until_signal(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Where the demo stops, its values are dropped, and the processes end with them.
    tokio::select! {
        ended = run::run(args) => ended,
        _ = interrupt.recv() => {
            eprintln!("\ninterrupted: everything that was started has ended");
            Ok(ExitCode::from(INTERRUPTED))
        }
        _ = terminate.recv() => Ok(ExitCode::from(INTERRUPTED)),
    }
}
