//! The mesh that the files make, and the run of all checks over it.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use api::{Object, istio::mesh_config::MeshConfig};
use lint::{LintInput, codes, lint};
use model::{Diagnostic, Diagnostics, Location, ObjectKey};
use snapshot::{Change, Index, Snapshot};
use source_directory::load_once;

use super::{
    Finding,
    compiler::Compiler,
    destination::Destinations,
    judge::{Judge, Seen},
    proxies,
};
use crate::{environment::Environment, settings::istiod};

/// Compiled classes that may wait to be judged.
const WAITING: usize = 256;
/// Compiling takes about half as long as judging what was compiled.
const JUDGES: usize = 2;

/// The objects of the files, resolved.
pub(super) struct Mesh {
    objects: Vec<Object>,
    snapshot: Arc<Snapshot>,
    findings: Diagnostics,
}

/// What came of it.
pub(super) struct Checked {
    /// The worst first, each once.
    pub(super) findings: Vec<Finding>,
    pub(super) objects: usize,
    /// Kinds of proxies that were compiled.
    pub(super) classes: usize,
}

impl Mesh {
    pub(super) fn load(
        paths: &[PathBuf],
        mesh_config: Option<&Path>,
        domain: &str,
        environment: &Environment,
    ) -> Self {
        let (objects, findings) = load_once(paths, mesh_config);
        let features = istiod::features(environment);
        let mut index = Index::new(Arc::new(MeshConfig::default()), features, domain);
        index.apply(objects.iter().cloned().map(Change::Put));
        Self { objects, snapshot: index.snapshot(), findings }
    }

    /// Compiles and judges all that proxies would get.
    pub(super) fn check(self, now: i64) -> Checked {
        let Self { objects, snapshot, findings } = self;
        let mut found: Vec<Diagnostic> = findings.into_vec();
        let input = LintInput { snapshot: &snapshot, now: Some(now) };
        // Neither needs what the other finds, and both take a core for a while.
        let (between, (classes, findings, mut judged)) = thread::scope(|scope| {
            let between = scope.spawn(|| lint(&input));
            let sent = judge(&objects, &snapshot);
            (join(between), sent)
        });
        found.extend(findings);
        // What was said in general is not said again for those whom it concerns.
        let said: HashSet<_> = between.iter().map(|it| (&it.object, &it.field)).collect();
        judged.retain(|it| {
            it.code != codes::NO_SUCH_DESTINATION.code || !said.contains(&(&it.object, &it.field))
        });
        found.extend(judged);
        found.extend(between);
        let places: BTreeMap<&ObjectKey, &Location> =
            objects.iter().map(|object| (&object.key, &object.location)).collect();
        let place =
            |finding: &Diagnostic| finding.object.as_ref().and_then(|key| places.get(key).copied());
        let mut findings: Vec<Finding> = found
            .into_iter()
            .map(|finding| {
                let place = place(&finding);
                Finding::new(finding, place)
            })
            .collect();
        place_fields(&mut findings);
        findings.sort_by(|one, other| one.order().cmp(&other.order()));
        findings.dedup();
        Checked { findings, objects: objects.len(), classes }
    }
}

/// Compiles what proxies would be sent, and judges it meanwhile: how many kinds of proxies there are, what
/// compiling found, and what judging did.
fn judge(objects: &[Object], snapshot: &Snapshot) -> (usize, Vec<Diagnostic>, Vec<Diagnostic>) {
    let (sender, classes) = mpsc::sync_channel(WAITING);
    // It goes with the last judge, so that nobody waits for room when all of them have failed.
    let classes = Arc::new(Mutex::new(classes));
    let seen = Seen::default();
    thread::scope(|scope| {
        let judging = [(); JUDGES].map(|()| {
            let (classes, seen) = (classes.clone(), &seen);
            scope.spawn(move || {
                let next = || classes.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let mut judge = Judge::new(Destinations::new(objects, snapshot), seen);
                let (mut count, mut judged) = (0, Vec::new());
                while let Ok(class) = next() {
                    judge.judge(&class, &mut judged);
                    count += 1;
                }
                (count, judged)
            })
        });
        drop(classes);
        let mut compiler = Compiler::new(snapshot);
        for proxy in proxies::representatives(objects, snapshot) {
            compiler.add(&proxy);
        }
        // Nobody takes a class when judging has failed, which is told where it is joined.
        let findings = compiler.compile(&mut |class| sender.send(class).unwrap_or_default());
        drop(sender);
        let (mut count, mut judged) = (0, Vec::new());
        for (own, found) in judging.map(join) {
            count += own;
            judged.extend(found);
        }
        (count, findings, judged)
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Moves findings from the beginning of their objects to the lines of their fields.
fn place_fields(findings: &mut [Finding]) {
    let mut files: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, finding) in findings.iter().enumerate() {
        if !finding.field.is_empty() && finding.line > 0 {
            files.entry(finding.file.clone()).or_default().push(index);
        }
    }
    for (file, indices) in files {
        // A file that is gone meanwhile leaves the findings where they are.
        let Ok(text) = std::fs::read(&file) else { continue };
        let of = |index: &usize| (findings[*index].line, findings[*index].field.as_str());
        let fields: Vec<(u32, &str)> = indices.iter().map(of).collect();
        let lines = api::find_lines(&text, &fields);
        for (index, line) in indices.into_iter().zip(lines) {
            findings[index].line = line.unwrap_or(findings[index].line);
        }
    }
}
