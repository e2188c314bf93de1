//! The workspace's folders and settings, and the way to run a program in it.
//!
//! The only file of this binary that reads the environment.
#![expect(clippy::disallowed_methods, reason = "this file reads the settings of the binary")]

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Where things are, and what the caller set in the environment.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// `ENVOY_BIN`: an Envoy to use in place of the pinned one.
    pub(crate) envoy_override: Option<PathBuf>,
    /// `PROMETHEUS_BIN`: a Prometheus to use in place of the pinned one.
    pub(crate) prometheus_override: Option<PathBuf>,
    /// `MELTEMI_CORPUS`, else `../shared/corpus` if that exists.
    pub(crate) corpus: Option<PathBuf>,
    /// True in a pipeline (`CI=true`), where nothing may be skipped.
    pub(crate) ci: bool,
    search_path: Vec<PathBuf>,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = root.parent().unwrap_or(root).to_owned();
        let sibling = root.with_file_name("shared").join("corpus");
        let path_of = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        Self {
            envoy_override: path_of("ENVOY_BIN"),
            prometheus_override: path_of("PROMETHEUS_BIN"),
            corpus: path_of("MELTEMI_CORPUS").or(Some(sibling)).filter(|path| path.is_dir()),
            ci: env::var("CI").is_ok_and(|value| value == "true"),
            search_path: env::var_os("PATH").map_or_else(Vec::new, |path| split_paths(&path)),
            root,
        }
    }

    /// The folder of the tools that `setup` makes.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join("target").join("tools")
    }

    /// The program `name` on the search path.
    pub(crate) fn find_program(&self, name: &str) -> Option<PathBuf> {
        self.search_path.iter().map(|folder| folder.join(name)).find(|path| is_executable(path))
    }

    /// A command that starts in the workspace's root and reads nothing from standard input.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(Stdio::null());
        command
    }

    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = self.command("cargo");
        command.args(args);
        command
    }
}

/// Runs `command` with its output shown; a failure names the command.
pub(crate) fn run_shown(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to start {command:?}"))?;
    if !status.success() {
        bail!("{} ended with {status}", command.get_program().display());
    }
    Ok(())
}

pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn split_paths(path: &OsStr) -> Vec<PathBuf> {
    env::split_paths(path).collect()
}
