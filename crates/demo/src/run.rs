//! The demo from its start to its end.

use std::{
    fs::{self, File},
    path::{Display, Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use testkit::{
    http::{Backend, Client},
    tools,
};
use tokio::time;

use crate::{
    cli::DemoArgs,
    fleet::Fleet,
    load::{self, Load, Tally},
    plane::{ADMIN_PORT, Live, Mark, PATIENCE, Plane},
    report::{Report, Row},
    shop::{NAMESPACE, Shop},
    steps,
};

/// Locked for as long as the demo of a folder runs.
const LOCK: &str = ".lock";

/// A running shop.
#[derive(Debug)]
pub(crate) struct Demo {
    pub(crate) shop: Shop,
    pub(crate) plane: Plane,
    pub(crate) fleet: Fleet,
    pub(crate) load: Load,
    /// Who answers for the services that appear late.
    pub(crate) market: Option<Backend>,
    pub(crate) report: Report,
}

/// A step that runs: what was so before it.
#[derive(Debug)]
pub(crate) struct Step {
    change: String,
    before: Tally,
}

/// Runs everything. The code is 1 if a request failed or a check did not hold.
pub(crate) async fn run(args: DemoArgs) -> Result<ExitCode> {
    let DemoArgs { keep, rate, meltemi } = args;
    let meltemi = match meltemi {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("meltemi"),
    };
    ensure!(
        meltemi.is_file(),
        "there is no {}; `cargo build -p meltemi` makes it",
        meltemi.display()
    );
    let parent = tools::workspace_root().join("target").join("demo");
    fs::create_dir_all(&parent).context("failed to make a folder")?;
    remove_abandoned(&parent);
    // Dropped last: the processes write their logs here.
    let folder = tempfile::Builder::new().prefix("shop-").tempdir_in(parent)?;
    let lock = File::create(folder.path().join(LOCK)).context("failed to make a lock")?;
    lock.lock().context("failed to lock our own folder")?;
    let mut demo = start(Shop::open(folder.path())?, meltemi, rate).await?;
    steps::run(&mut demo).await?;
    let Demo { shop, plane, fleet, load, report, market } = demo;
    let Tally { ended, failed, reasons, .. } = load.finish().await;
    let passed = report.finish(ended, failed);
    for reason in reasons {
        println!("× {reason}");
    }
    if keep {
        print_commands(&shop, &plane, &fleet);
        // Until Ctrl-C drops this.
        std::future::pending::<()>().await;
    }
    drop((fleet, plane, market));
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Removes the folders of demos that were killed: nobody holds their locks.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let free = File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if free {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

async fn start(shop: Shop, meltemi: PathBuf, rate: u32) -> Result<Demo> {
    let mut report = Report::new();
    report.title(&format!("start the shop: its files are in {}", short(shop.folder())));
    let mut plane = Plane::new(&meltemi, &shop);
    let took = plane.start().await?;
    report.say(format_args!(
        "control plane ready after {} ms: xDS on {}, admin on {}",
        took.as_millis(),
        plane.xds,
        plane.admin
    ));
    let mark = Plane::mark_of_nothing();
    let mut fleet = Fleet::start(&shop, &plane)?;
    let count = fleet.proxy_count();
    report.say(format_args!("{} applications and {count} Envoys started", count - 1));
    let live = plane.wait_live(&mark, count).await?;
    fleet.wait_ready().await?;
    report.say(format_args!("every proxy has acknowledged its configuration"));
    report.add(Row {
        change: format!("start: {count} proxies get everything"),
        requests: 0,
        failed: 0,
        live: Some(live.took),
        bytes: Some(live.bytes),
    });
    wait_first_page(&shop, &mut report).await?;
    let load = Load::start(shop.gateway(), rate);
    report.say(format_args!("load starts: {rate} requests per second to {}", shop.gateway()));
    Ok(Demo { shop, plane, fleet, load, market: None, report })
}

/// Waits until the whole call tree answers: the applications take a moment to start.
async fn wait_first_page(shop: &Shop, report: &mut Report) -> Result<()> {
    let (client, request) = (Client::new(), load::request(shop.gateway()));
    let deadline = Instant::now() + PATIENCE;
    loop {
        match load::send(&client, &request).await {
            Ok(names) => {
                report.say(format_args!("first page, by {}", names.join(", ")));
                return Ok(());
            }
            Err(reason) => ensure!(Instant::now() < deadline, "the shop does not answer: {reason}"),
        }
        time::sleep(Duration::from_millis(50)).await;
    }
}

impl Demo {
    /// Begins a step with its line in the output and in the table.
    pub(crate) fn begin(&self, change: &str) -> Step {
        self.report.title(change);
        Step { change: change.to_owned(), before: self.load.tally() }
    }

    /// Writes a file below `config` and says so.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        self.report.say(format_args!("write config/{file}"));
        self.shop.write(file, text)
    }

    pub(crate) fn remove(&self, file: &str) -> Result<()> {
        self.report.say(format_args!("remove config/{file}"));
        self.shop.remove(file)
    }

    /// Waits until a change is live everywhere and says so.
    pub(crate) async fn wait_live(&self, mark: &Mark) -> Result<Live> {
        let live = self.plane.wait_live(mark, self.fleet.proxy_count()).await?;
        let Live { took, bytes } = live;
        let took = took.as_millis();
        self.report.say(format_args!("live on every proxy after {took} ms, {bytes} bytes sent"));
        Ok(live)
    }

    /// Lets the load run, and gives what became of it in that time.
    pub(crate) async fn watch(&self, time: Duration) -> Tally {
        let before = self.load.tally();
        time::sleep(time).await;
        self.load.tally().since(&before)
    }

    /// Ends a step: its requests are counted, and none may have failed.
    pub(crate) fn end(&mut self, step: Step, live: Option<Live>) {
        let Step { change, before } = step;
        let Tally { ended, failed, reasons, .. } = self.load.tally().since(&before);
        self.report.check(failed == 0, format_args!("{failed} of {ended} requests failed"));
        for reason in reasons.iter().take(3) {
            self.report.say(reason);
        }
        self.report.add(Row {
            change,
            requests: ended,
            failed,
            live: live.map(|live| live.took),
            bytes: live.map(|live| live.bytes),
        });
    }
}

fn print_commands(shop: &Shop, plane: &Plane, fleet: &Fleet) {
    let (meltemi, folder) = (short(plane.binary()), short(shop.folder()));
    let server = match plane.admin.port() {
        ADMIN_PORT => String::new(),
        _ => format!(" --server {}", plane.admin),
    };
    println!("\nThe shop runs until Ctrl-C. To look around:\n");
    println!("  curl http://{}/", shop.gateway());
    println!("  {meltemi} ps{server}");
    println!("  {meltemi} pc frontend-1.{NAMESPACE} routes{server}");
    println!(
        "  {meltemi} why frontend-1.{NAMESPACE} --host reviews --port 8082 --address {}{server}",
        shop.address(11)
    );
    if let Some(port) = fleet.admin_port("frontend-1") {
        println!("  curl http://127.0.0.1:{port}/clusters    # what that Envoy itself says");
    }
    println!("  $EDITOR {folder}/config/routes/reviews.yaml && {meltemi} wait{server}");
    println!("  tail {}", short(plane.log()));
}

/// A path as people type it who are in the root of the workspace.
fn short(path: &Path) -> Display<'_> {
    path.strip_prefix(tools::workspace_root()).unwrap_or(path).display()
}
