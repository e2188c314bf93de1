//! Child processes that end with their parent, however that ends.
//!
//! - A child is killed when its value is dropped, and by the kernel when this process dies, even of
//!   SIGKILL. For the latter, a program that starts children calls [`run_as_child`] first.
//! - A child has a process group of its own: Ctrl-C reaches its parent alone.
//! - Start children on the main thread: to the kernel the thread that started them is the parent.

use std::{
    ffi::OsString,
    fs::File,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{self, Child, Command, ExitCode, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

/// First argument of our own binary when it is to become somebody's child.
const AS_CHILD: &str = "--as-child-of";

/// A program to start.
#[derive(Clone, Debug)]
pub struct ChildSettings {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// Takes standard output and standard error; what was in it is kept.
    pub log: PathBuf,
}

/// A running child.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    log: PathBuf,
}

/// To be called first in `main`: if this process was started by [`ChildProcess::start`], it turns
/// into the program that is to run and does not come back. `Some` only if that failed.
#[must_use]
pub fn run_as_child() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != AS_CHILD {
        return None;
    }
    let parent: Option<Pid> =
        arguments.next().and_then(|text| text.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let program = arguments.next()?;
    // Asked for here and not before the fork: it holds across `exec`.
    let asked = set_parent_process_death_signal(Some(Signal::KILL));
    // The parent may be gone already, and then no signal comes.
    if asked.is_err() || getppid() != parent {
        return Some(ExitCode::FAILURE);
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("failed to start {}: {error}", program.display());
    Some(ExitCode::FAILURE)
}

impl ChildProcess {
    /// Starts a program with nothing on standard input.
    pub fn start(settings: &ChildSettings) -> Result<Self> {
        let own = std::env::current_exe().context("failed to find this program")?;
        let log = File::options().create(true).append(true).open(&settings.log);
        let log = log.with_context(|| format!("failed to open {}", settings.log.display()))?;
        let child = Command::new(own)
            .arg(AS_CHILD)
            .arg(process::id().to_string())
            .arg(&settings.program)
            .args(&settings.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start {}", settings.program.display()))?;
        Ok(Self { child, log: settings.log.clone() })
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The status if the process has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// The last lines that the process wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Ends the process with SIGKILL, as a crash does.
    pub fn kill(mut self) {
        self.kill_and_wait();
    }

    /// Asks the process to end, and kills it if it has not within `patience`.
    pub fn stop(mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        while asked && Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.kill_and_wait();
    }

    fn kill_and_wait(&mut self) {
        // Both fail only if the process has ended already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.kill_and_wait();
    }
}
