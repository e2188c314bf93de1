//! The workspace as the tidy tests see it: its packages, its files, its texts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// A package of the workspace, from `cargo metadata`.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// `package.metadata.meltemi.floor`.
    pub(crate) floor: Option<u64>,
    pub(crate) dependencies: Vec<Dependency>,
    /// The root source file of each target.
    pub(crate) roots: Vec<PathBuf>,
}

pub(crate) struct Dependency {
    pub(crate) name: String,
    /// True for a dev-dependency: it reaches no user.
    pub(crate) dev_only: bool,
}

pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies in the workspace").to_owned()
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `path` as people write it: from the root of the workspace.
pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

pub(crate) fn packages() -> Vec<Package> {
    let text =
        output(Command::new(env!("CARGO")).args(["metadata", "--no-deps", "--format-version=1"]));
    let metadata: Value = serde_json::from_str(&text).expect("cargo metadata is JSON");
    items(&metadata["packages"]).iter().map(package).collect()
}

fn package(value: &Value) -> Package {
    let folder = PathBuf::from(text(&value["manifest_path"]));
    Package {
        name: text(&value["name"]),
        folder: folder.parent().expect("a manifest lies in a folder").to_owned(),
        floor: value["metadata"]["meltemi"]["floor"].as_u64(),
        dependencies: items(&value["dependencies"])
            .iter()
            .map(|dependency| Dependency {
                name: text(&dependency["name"]),
                dev_only: dependency["kind"] == "dev",
            })
            .collect(),
        roots: items(&value["targets"])
            .iter()
            .map(|target| PathBuf::from(text(&target["src_path"])))
            .collect(),
    }
}

pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("cargo metadata has a string here").to_owned()
}

/// Every file that is in git or would be added by `git add --all`, and exists.
pub(crate) fn files() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = output(&mut git);
    let mut files: Vec<PathBuf> =
        listed.split_terminator('\0').map(|name| root().join(name)).collect();
    files.retain(|path| path.is_file());
    files.sort_unstable();
    files.dedup();
    files
}

/// The Rust files that people write: not those that a generator does.
pub(crate) fn written_rust_files() -> Vec<(PathBuf, String)> {
    let mut rust = files();
    rust.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let with_text = rust.into_iter().map(|path| {
        let text = read(&path);
        (path, text)
    });
    with_text.filter(|(path, text)| !is_generated(path, text)).collect()
}

/// A generated file says so in its first lines, or lies in a folder `generated`.
fn is_generated(path: &Path, text: &str) -> bool {
    path.components().any(|part| part.as_os_str() == "generated")
        || text.lines().take(5).any(|line| line.contains("@generated"))
}

/// True for a file that is nothing but tests.
pub(crate) fn is_test_file(path: &Path) -> bool {
    let inside = relative(path);
    inside.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches"))
}

pub(crate) fn output(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {stderr}");
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

/// Fails with every finding on a line of its own.
#[track_caller]
pub(crate) fn assert_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
