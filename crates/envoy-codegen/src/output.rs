//! Formats the generated texts and writes them, or compares them with what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};

use crate::source;

/// What happens to the generated texts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    Write,
    Check,
}

/// Generates everything; `manifest` is the folder of this crate.
pub(crate) fn run(manifest: &Path, mode: Mode) -> anyhow::Result<()> {
    let workspace = manifest.join("../..");
    let target = workspace.join("crates/envoy");
    let input = target.join("descriptors/envoy-1.40.0.fds.bin");
    let descriptors =
        fs::read(&input).with_context(|| format!("failed to read `{}`", input.display()))?;
    let mut files = source::generate(&descriptors)?;
    for (name, text) in &mut files {
        *text = format_source(&workspace, text)
            .with_context(|| format!("failed to format the generated `{name}`"))?;
    }
    let folder = target.join("src/generated");
    match mode {
        Mode::Write => write(&folder, &files),
        Mode::Check => check(&folder, &files),
    }
}

fn format_source(workspace: &Path, text: &str) -> anyhow::Result<String> {
    let mut rustfmt = Command::new("rustfmt")
        .args(["--quiet", "--edition", "2024", "--config-path"])
        .arg(workspace.join("rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start rustfmt")?;
    let mut input = rustfmt.stdin.take().context("rustfmt has no input")?;
    // Rustfmt reads all of its input before it writes, so this cannot block on its output.
    input.write_all(text.as_bytes()).context("failed to write to rustfmt")?;
    drop(input);
    let output = rustfmt.wait_with_output().context("failed to run rustfmt")?;
    ensure!(output.status.success(), "rustfmt refused the text: {}", output.status);
    String::from_utf8(output.stdout).context("rustfmt wrote no UTF-8")
}

fn write(folder: &Path, files: &BTreeMap<String, String>) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("failed to create `{}`", folder.display()))?;
    for name in existing(folder)?.iter().filter(|name| !files.contains_key(*name)) {
        fs::remove_file(folder.join(name))
            .with_context(|| format!("failed to remove the old `{name}`"))?;
    }
    for (name, text) in files {
        let path = folder.join(name);
        // An untouched file keeps its time stamp, so nothing is compiled again for it.
        if fs::read_to_string(&path).is_ok_and(|old| old == *text) {
            continue;
        }
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    Ok(())
}

fn check(folder: &Path, files: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let mut names = existing(folder)?;
    names.extend(files.keys().cloned());
    let stale: Vec<String> = names
        .into_iter()
        .filter(|name| fs::read_to_string(folder.join(name)).ok().as_ref() != files.get(name))
        .collect();
    if !stale.is_empty() {
        bail!("generated files differ: {}; run `cargo run -p envoy-codegen`", stale.join(", "));
    }
    Ok(())
}

/// The names of the files that are in `folder` now.
fn existing(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("failed to list `{}`", folder.display()))?;
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to list `{}`", folder.display()))?;
        names.insert(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}
