//! The command line of the bench.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{runtime, signal};

use crate::{
    attach::Attach,
    compare,
    machine::Watch,
    markdown,
    model::Model,
    proc,
    progress::Progress,
    replay,
    report::{Machine, Miss, Report, RowReport},
    rows::{LAZY_ROWS, ROWS, Row, RowId},
    scenario::{self, Context},
    simulation::Simulation,
};

/// Measures what streams and changes cost the control plane, and whether that is little enough.
#[derive(Debug, Parser)]
#[command(
    name = "bench",
    bin_name = "cargo xtask bench",
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  cargo xtask bench                                   the whole table, about 25 minutes
  cargo xtask bench --only endpoint --only cold       two rows
  cargo xtask bench --save now.json --compare before.json
  cargo xtask bench --check                           exit code 1 if a row is missed
  cargo xtask bench --soak 30
  cargo xtask bench --lazy                            lazy loading, with real Envoys, about 10 minutes
  cargo xtask bench --lazy --soak 30                  random Hosts for half an hour
  cargo xtask bench --istiod                          the shared scenarios, beside an istiod
  cargo xtask bench --model --services 5000 --pods 100000 --replicas 10
  cargo xtask bench client --server 127.0.0.1:15010 --streams 1000 --reconnect"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// A small run that only shows that the bench works; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Measure this row; may be given several times.
    #[arg(long, value_enum, value_name = "ROW")]
    only: Vec<RowId>,
    /// Print the rows with what they are to reach, and measure nothing.
    #[arg(long)]
    list: bool,
    /// Exit with 1 if a figure exceeds its limit, and name it.
    #[arg(long, conflicts_with = "quick")]
    check: bool,
    /// Put the figures beside those of an earlier run, saved as JSON.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Write all figures to a file as JSON, after each row.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// The rows of lazy loading in place of the others. Real Envoys take part; `cargo xtask bench`
    /// installs them.
    #[arg(long, conflicts_with = "istiod")]
    lazy: bool,
    /// In place of the rows: churn, reconnects, slow readers and broken files for so long; with
    /// `--lazy` requests with random Hosts.
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["only", "compare"])]
    soak: Option<f64>,
    /// In place of the rows: what meltemi and an istiod need for the same. `cargo xtask bench`
    /// builds the istiod (minutes, once) and gives the path.
    #[arg(long, value_name = "BINARY", conflicts_with_all = ["only", "soak", "check"])]
    istiod: Option<PathBuf>,
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Markdown)]
    output: Format,
    /// The control plane's binary; by default the one beside this.
    #[arg(long)]
    meltemi: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Client(Attach),
    Model(Model),
    /// Simulates streams without sockets; the bench starts it for itself.
    #[command(hide = true)]
    Simulate(Simulation),
    /// Serves recorded bytes; the bench starts it for itself.
    #[command(hide = true)]
    Replay {
        recording: PathBuf,
        #[arg(long)]
        xds_address: SocketAddr,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    #[value(alias = "table")]
    Markdown,
    Json,
}

const INTERRUPTED: u8 = 130;
/// Open files of a process that are not streams.
const SPARE_FILES: u64 = 100;

pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| {
        // On this thread, which is then the parent of the servers.
        let result = runtime.block_on(async {
            tokio::select! {
                done = cli.run() => done,
                () = interrupted() => Ok(ExitCode::from(INTERRUPTED)),
            }
        });
        // Thousands of streams need not end in order.
        runtime.shutdown_background();
        result
    });
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Waits until somebody wants the end. Folders and servers are then gone when we are.
async fn interrupted() {
    let terminated = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut signals) => signals.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = signal::ctrl_c() => (),
        _ = terminated => (),
    }
}

impl Cli {
    async fn run(self) -> Result<ExitCode> {
        let open_files = raise_file_limit();
        if self.list {
            list(self.rows());
            return Ok(ExitCode::SUCCESS);
        }
        match &self.command {
            Some(Command::Replay { recording, xds_address }) => {
                replay::serve(recording, *xds_address).await?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(Command::Client(attach)) => {
                let report = self.attach(attach, open_files).await?;
                self.print(&report, &[])?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(Command::Simulate(simulation)) => {
                let case = simulation.run(&Progress::new()).await?;
                println!("{}", serde_json::to_string(&case)?);
                return Ok(ExitCode::SUCCESS);
            }
            Some(Command::Model(model)) => {
                let estimate = model.run()?;
                match self.output {
                    Format::Markdown => print!("{}", estimate.render_markdown()),
                    Format::Json => println!("{}", estimate.render_json()?),
                }
                return Ok(ExitCode::SUCCESS);
            }
            None => (),
        }
        let meltemi = match &self.meltemi {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("meltemi"),
        };
        ensure!(meltemi.is_file(), "there is no {}; build it first", meltemi.display());
        let before = self.compare.as_deref().map(Report::load).transpose()?;
        let context = Context {
            meltemi,
            quick: self.quick,
            most_streams: usize::try_from(open_files.saturating_sub(SPARE_FILES))?,
            progress: Progress::new(),
        };
        let (report, misses) = match (self.soak, &self.istiod) {
            (Some(minutes), _) => self.soak(&context, minutes, open_files).await?,
            (None, Some(istiod)) => {
                ensure!(istiod.is_file(), "there is no {}", istiod.display());
                (self.versus(&context, istiod, open_files).await?, Vec::new())
            }
            (None, None) => self.measure(&context, open_files).await?,
        };
        self.print(&report, before.as_slice())?;
        if !self.quick {
            misses.iter().for_each(|Miss(text)| eprintln!("bench: missed: {text}"));
        }
        let has_failed = report.rows.iter().any(|row| row.error.is_some());
        let is_missed = (self.check || self.soak.is_some()) && !self.quick && !misses.is_empty();
        Ok(if has_failed || is_missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// The table, if no rows are named.
    fn rows(&self) -> &'static [Row] {
        if self.lazy { LAZY_ROWS } else { ROWS }
    }

    /// Measures the rows that were asked for. One that fails does not stop the next.
    async fn measure(&self, context: &Context, open_files: u64) -> Result<(Report, Vec<Miss>)> {
        let rows: Vec<&Row> = match self.only.is_empty() {
            true => self.rows().iter().collect(),
            false => {
                let all = ROWS.iter().chain(LAZY_ROWS);
                all.filter(|row| self.only.contains(&row.id)).collect()
            }
        };
        let mut report = Report::new(open_files, self.quick);
        let mut misses = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let remaining: u32 = rows[index..].iter().map(|row| row.seconds).sum();
            let remaining =
                if self.quick { String::new() } else { format!(", {remaining} s remain") };
            let (name, count) = (row.id.name(), rows.len());
            let place = format!("row {} of {count}{remaining}", index + 1);
            context.progress.say(format_args!("{name}: {} ({place})", row.title));
            let measured = measure_row(row, context).await?;
            if measured.disturbance.is_much() && !self.quick {
                let others = measured.disturbance.others;
                let stolen = measured.disturbance.stolen;
                context.progress.say(format_args!(
                    "warning: the machine was busy: others used {others} CPUs, {stolen} were stolen"
                ));
            }
            misses.extend(measured.misses(row));
            report.rows.push(measured);
            if let Some(path) = &self.save {
                std::fs::write(path, report.render_json()?)?;
            }
        }
        Ok((report, misses))
    }

    /// Measures both servers.
    async fn versus(&self, context: &Context, istiod: &Path, open_files: u64) -> Result<Report> {
        let (watch, start) = (Watch::start()?, Instant::now());
        let cases = scenario::versus(context, istiod).await?;
        let mut report = Report::new(open_files, self.quick);
        report.rows.push(RowReport {
            name: "istiod".to_owned(),
            title: "the same files and the same client: meltemi and istiod".to_owned(),
            cases,
            took_s: start.elapsed().as_secs_f64(),
            disturbance: watch.stop()?,
            error: None,
        });
        if let Some(path) = &self.save {
            std::fs::write(path, report.render_json()?)?;
        }
        Ok(report)
    }

    /// What goes on for long.
    async fn soak(
        &self,
        context: &Context,
        minutes: f64,
        open_files: u64,
    ) -> Result<(Report, Vec<Miss>)> {
        let (watch, start) = (Watch::start()?, Instant::now());
        let duration = Duration::from_secs_f64(minutes * 60.0);
        let (title, case) = match self.lazy {
            true => ("random Hosts", scenario::soak_lazy(context, duration).await?),
            false => {
                let case = scenario::soak(context, duration).await?;
                ("churn, reconnects, slow readers and broken files", case)
            }
        };
        let missed = case.figures.iter().filter(|figure| figure.is_missed());
        let misses = missed.map(|figure| Miss(format!("soak: {}", figure.name))).collect();
        let mut report = Report::new(open_files, context.quick);
        report.rows.push(RowReport {
            name: "soak".to_owned(),
            title: title.to_owned(),
            cases: vec![case],
            took_s: start.elapsed().as_secs_f64(),
            disturbance: watch.stop()?,
            error: None,
        });
        Ok((report, misses))
    }

    async fn attach(&self, attach: &Attach, open_files: u64) -> Result<Report> {
        let most = usize::try_from(open_files.saturating_sub(SPARE_FILES))?;
        ensure!(attach.streams <= most, "`ulimit -n` allows {most} streams");
        let (watch, start) = (Watch::start()?, Instant::now());
        let cases = attach.run(&Progress::new()).await?;
        let mut report = Report::new(open_files, false);
        report.rows.push(RowReport {
            name: "client".to_owned(),
            title: "streams to a server that was running already".to_owned(),
            cases,
            took_s: start.elapsed().as_secs_f64(),
            // What the server uses counts as others' work: it is not ours.
            disturbance: watch.stop()?,
            error: None,
        });
        Ok(report)
    }

    fn print(&self, report: &Report, before: &[Report]) -> Result<()> {
        match self.output {
            Format::Markdown => print!("{}", markdown::render(report)),
            Format::Json => println!("{}", report.render_json()?),
        }
        for before in before {
            let text = compare::render(before, report);
            // JSON stays JSON.
            match self.output {
                Format::Markdown => print!("{text}"),
                Format::Json => eprint!("{text}"),
            }
        }
        Ok(())
    }
}

impl Report {
    fn new(open_files: u64, quick: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let machine = Machine { cpu: proc::cpu_model(), cores, open_files };
        Self { machine, quick, rows: Vec::new() }
    }
}

async fn measure_row(row: &Row, context: &Context) -> Result<RowReport> {
    let (watch, start) = (Watch::start()?, Instant::now());
    let (cases, error) = match scenario::run(row.id, context).await {
        Ok(cases) => (cases, None),
        Err(error) => {
            context.progress.say(format_args!("{} failed: {error:#}", row.id.name()));
            (Vec::new(), Some(format!("{error:#}")))
        }
    };
    let mut report = RowReport {
        name: row.id.name(),
        title: row.title.to_owned(),
        cases,
        took_s: start.elapsed().as_secs_f64(),
        disturbance: watch.stop()?,
        error,
    };
    report.judge(row);
    Ok(report)
}

fn list(rows: &[Row]) {
    for Row { id, title, seconds, targets } in rows {
        println!("{:<16} {title} (about {seconds} s)", id.name());
        for target in targets.iter().filter(|target| target.at_most.is_some()) {
            let limit = target.at_most.unwrap_or_default();
            println!("{:<16}   {} ≤ {limit}", "", target.figure);
        }
    }
}

/// Each stream is a file here and another one in the server, which inherits the limit. Gives what
/// a process may open now.
fn raise_file_limit() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(1 << 20);
    // If it is refused, the present limit holds.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(wanted)
}
