//! Finds the programs that `cargo xtask setup` makes for the tests.
#![expect(clippy::disallowed_methods, reason = "a test has no binary that reads its settings")]

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The version that `cargo xtask setup` fetches; a tidy test compares the two.
const ENVOY_VERSION: &str = "1.40.0";
/// The version that `cargo xtask setup` builds; a tidy test compares the two.
const COLLECTOR_VERSION: &str = "0.162.0";
/// As [`ENVOY_VERSION`].
const PROMETHEUS_VERSION: &str = "2.42.0";

/// The root of the workspace.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// The Envoy to run: `ENVOY_BIN`, else the pinned one in `target/tools`, else `envoy` on `PATH`.
///
/// # Panics
///
/// If there is none: a test of the real Envoy that did not run must not look like one that passed.
#[must_use]
pub fn envoy_bin() -> PathBuf {
    if let Some(path) = variable("ENVOY_BIN") {
        return path.into();
    }
    let pinned = tools().join(format!("envoy-{ENVOY_VERSION}")).join("envoy");
    if pinned.is_file() {
        return pinned;
    }
    on_path("envoy").unwrap_or_else(|| {
        panic!("no Envoy: run `cargo xtask setup`, or set ENVOY_BIN to one of {ENVOY_VERSION}")
    })
}

/// The Prometheus to run: `PROMETHEUS_BIN`, else the pinned one in `target/tools`, else
/// `prometheus` on `PATH`. Its `promtool` lies beside it.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn prometheus_bin() -> PathBuf {
    if let Some(path) = variable("PROMETHEUS_BIN") {
        return path.into();
    }
    let pinned = tools().join(format!("prometheus-{PROMETHEUS_VERSION}")).join("prometheus");
    if pinned.is_file() {
        return pinned;
    }
    on_path("prometheus").unwrap_or_else(|| {
        panic!("no Prometheus: run `cargo xtask setup`, or set PROMETHEUS_BIN to one")
    })
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let mut found = env::split_paths(&path).map(|folder| folder.join(program));
    found.find(|path| path.is_file())
}

/// A Python that can import `grpc`: `MELTEMI_PYTHON`, else the one in `target/tools`.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn python() -> PathBuf {
    let made = tools().join("python").join("bin").join("python");
    let python = variable("MELTEMI_PYTHON").map_or(made, PathBuf::from);
    assert!(python.is_file(), "no Python with gRPC: run `cargo xtask setup`");
    python
}

/// The OpenTelemetry collector to run: `OTELCOL_BIN`, else the one in `target/tools`.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn collector_bin() -> PathBuf {
    let built = tools().join(format!("otelcol-{COLLECTOR_VERSION}")).join("otelcol");
    let binary = variable("OTELCOL_BIN").map_or(built, PathBuf::from);
    assert!(binary.is_file(), "no OpenTelemetry collector: run `cargo xtask setup`");
    binary
}

/// True in a pipeline (`CI=true`), where nothing may be skipped.
#[must_use]
pub fn is_ci() -> bool {
    variable("CI").is_some_and(|value| value == "true")
}

/// An environment variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn tools() -> PathBuf {
    workspace_root().join("target").join("tools")
}
