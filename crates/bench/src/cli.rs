//! The command line of the bench.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{runtime, signal};
use xds::Protocol;

use crate::{
    mesh::MeshSize,
    output::{self, Figure, Setup},
    scenario::{self, Plan},
};

/// Measures cold sync, changes, reconnects and memory over real streams.
#[derive(Debug, Parser)]
#[command(name = "bench", bin_name = "cargo xtask bench")]
struct Cli {
    /// A small run that only shows that the bench works; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Services in the mesh.
    #[arg(long)]
    services: Option<usize>,
    /// Endpoints of each service.
    #[arg(long, default_value_t = 10)]
    endpoints: usize,
    /// How many streams are held at once; several are measured one after the other.
    #[arg(long, value_delimiter = ',')]
    streams: Vec<usize>,
    /// The workloads that the streams are replicas of, each in a namespace of its own.
    #[arg(long)]
    workloads: Option<usize>,
    /// How often a change is made.
    #[arg(long)]
    rounds: Option<usize>,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// The control plane's binary; by default the one beside this.
    #[arg(long)]
    meltemi: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

const INTERRUPTED: u8 = 130;

pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| {
        // On this thread, which is then the parent of the server.
        runtime.block_on(async {
            tokio::select! {
                done = cli.run() => done.map(|()| ExitCode::SUCCESS),
                _ = signal::ctrl_c() => Ok(ExitCode::from(INTERRUPTED)),
            }
        })
    });
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

impl Cli {
    async fn run(self) -> Result<()> {
        let Self { quick, services, endpoints, streams, workloads, rounds, output, meltemi } = self;
        let meltemi = match meltemi {
            Some(path) => path,
            None => std::env::current_exe()?.with_file_name("meltemi"),
        };
        ensure!(meltemi.is_file(), "there is no {}; build it first", meltemi.display());
        let streams = match (streams.is_empty(), quick) {
            (false, _) => streams,
            (true, false) => vec![100, 1_000],
            (true, true) => vec![10],
        };
        let plan = Plan {
            meltemi,
            mesh: MeshSize {
                services: services.unwrap_or(if quick { 20 } else { 200 }),
                endpoints,
                workloads: workloads.unwrap_or(if quick { 5 } else { 20 }),
            },
            rounds: rounds.unwrap_or(if quick { 2 } else { 5 }),
        };
        raise_file_limit(streams.iter().copied().max().unwrap_or_default())?;
        let mut figures: Vec<Figure> = Vec::new();
        for count in streams {
            for protocol in [Protocol::Delta, Protocol::Sotw] {
                figures.extend(scenario::run(&plan, count, protocol).await?);
            }
        }
        let setup = Setup::new(&plan, quick);
        match output {
            Format::Table => print!("{}", output::render_table(&setup, &figures)),
            Format::Json => println!("{}", output::render_json(&setup, &figures)?),
        }
        Ok(())
    }
}

/// Each stream is a file here and another one in the server, which inherits the limit.
fn raise_file_limit(streams: usize) -> Result<()> {
    let wanted = u64::try_from(streams)? + 200;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .with_context(|| format!("{wanted} open files are needed; `ulimit -n` shows the limit"))
}
