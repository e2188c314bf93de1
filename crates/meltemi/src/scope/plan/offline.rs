//! A plan from files: the mesh as `serve` would have it, and proxies that nobody runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use admin::{CallGraph, InputFile, ScopePlan, plan_fences};
use api::{istio::mesh_config::MeshConfig, slime::lazyload::LazyloadSettings};
use model::{FenceTarget, FenceTargetParseError, Hostname, Severity, Shared, WorkloadKey};
use scope::MeshPlaces;
use snapshot::{Change, FencingSettings, Index};
use source_directory::load_once;

use crate::{
    check::{self, Workloads},
    client::failure,
    environment::Environment,
    input::InputFiles,
    output::{Exit, Failure, Screen},
    path::require_readable,
    settings::{SettingsFile, istiod},
};

/// A mesh that is read from files.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Offline {
    #[command(flatten)]
    files: MeshFiles,
    /// File with a `MeshConfig`; wins over a ConfigMap called `istio`.
    #[arg(long, value_name = "FILE", requires = "files")]
    mesh_config: Option<PathBuf>,
    /// Suffix of Kubernetes service names; `cluster.local` unless set.
    #[arg(long, requires = "files")]
    domain: Option<String>,
    /// Call graph in a form of `scope import`, taken for what was learned; may be given several times.
    #[arg(long, value_name = "FILE", requires = "files")]
    import: Vec<PathBuf>,
}

/// In place of a control plane.
#[derive(Debug, clap::Args)]
#[group(id = "files", multiple = true)]
struct MeshFiles {
    /// Plan for the objects of this folder (or file), without a control plane; may be given several
    /// times.
    #[arg(long, value_name = "PATH")]
    directory: Vec<PathBuf>,
    /// The file of `serve --settings`: its `lazyload`, and its folders where --directory names none.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

/// What a plan was reckoned from.
pub(super) struct Reckoned {
    /// Proxies of workloads that the files list, and of those that they only name.
    pub(super) listed: usize,
    pub(super) named: usize,
    /// What is wrong with the files, as far as it matters here.
    pub(super) notes: Vec<String>,
    pub(super) exit: Exit,
}

impl Offline {
    /// Whether a plan is to be made from files.
    pub(super) fn is_meant(&self) -> bool {
        !self.files.directory.is_empty() || self.files.settings.is_some()
    }

    pub(super) fn plan(
        self,
        target: &str,
        environment: &Environment,
        screen: &Screen<'_>,
    ) -> anyhow::Result<(ScopePlan, Reckoned)> {
        let target: FenceTarget = target
            .parse()
            .map_err(|error: FenceTargetParseError| Failure::new(Exit::Usage, error.to_string()))?;
        let FoundFiles { paths, mesh_config, domain, fencing, imports } = self.resolve(screen)?;
        let (objects, findings) = load_once(&paths, mesh_config.as_deref());
        let errors = findings.iter().filter(|it| it.severity == Severity::Error).count();
        let (fencing, fencing_findings) = FencingSettings::convert(&fencing);
        let index =
            Index::new(Arc::new(MeshConfig::default()), istiod::features(environment), &domain);
        let mut index = index.with_fencing(fencing);
        let said = objects.iter().cloned().map(Change::Put);
        index.apply([Change::Time(check::now())].into_iter().chain(said));
        let places = MeshPlaces::new(index.snapshot());
        let graph = CallGraph::read(&imports, Some(target.namespace()), &places);
        let graph = graph.map_err(failure)?;
        let mut notes = graph.findings;
        let exit = if notes.is_empty() { Exit::Done } else { Exit::Findings };
        if errors > 0 {
            notes.push(screen.text("scope-plan-errors", &[("count", errors.into())]));
        }
        notes.extend(fencing_findings.iter().map(ToString::to_string));
        let calls = graph.calls.into_iter().map(|call| (call.workload, call.host));
        let learned = by_workload(calls);
        let callers: Vec<WorkloadKey> = learned.keys().cloned().collect();
        let learned = learned.into_iter();
        let learned = learned.map(|(key, hosts)| Change::Learned(key, Some(Shared::new(hosts))));
        index.apply(learned);
        let snapshot = index.snapshot();
        let Workloads { listed, named } = Workloads::find(&target, &objects, callers, &snapshot);
        let reckoned = Reckoned { listed: listed.len(), named: named.len(), notes, exit };
        let proxies: Vec<_> = listed.into_iter().chain(named).map(Arc::new).collect();
        if proxies.is_empty() {
            let words = [("target", target.to_string().into())];
            let message = screen.text("scope-plan-nobody", &words);
            let hint = screen.text("scope-plan-nobody-hint", &[]);
            return Err(Failure::new(Exit::Failed, message).hint(hint).into());
        }
        Ok((plan_fences(&target, &proxies, &snapshot, Duration::MAX), reckoned))
    }

    /// What is named, read as far as it must be before the objects are. Flags beat the file of
    /// `--settings`.
    fn resolve(self, screen: &Screen<'_>) -> Result<FoundFiles, Failure> {
        let Self { files, mesh_config, domain, import } = self;
        let MeshFiles { directory, settings } = files;
        let file = settings.map(|path| SettingsFile::read(&path, screen)).transpose()?;
        let file = file.unwrap_or_default();
        let paths = match directory.is_empty() {
            true => file.config.unwrap_or_default(),
            false => directory,
        };
        if paths.is_empty() {
            let message = screen.text("scope-plan-no-directory", &[]);
            return Err(Failure::new(Exit::Usage, message));
        }
        let mesh_config = mesh_config.or(file.mesh_config);
        for path in paths.iter().chain(&mesh_config) {
            require_readable(path, "check-unreadable-hint", screen)?;
        }
        let domain = domain.or(file.domain).unwrap_or_else(|| "cluster.local".to_owned());
        let imports = InputFiles::of(import).read(screen)?.files;
        Ok(FoundFiles { paths, mesh_config, domain, fencing: file.lazyload, imports })
    }
}

/// What flags and the file of settings come to.
struct FoundFiles {
    paths: Vec<PathBuf>,
    mesh_config: Option<PathBuf>,
    domain: String,
    fencing: LazyloadSettings,
    /// Call graphs.
    imports: Vec<InputFile>,
}

fn by_workload(
    calls: impl Iterator<Item = (WorkloadKey, Hostname)>,
) -> BTreeMap<WorkloadKey, BTreeSet<Hostname>> {
    let mut learned: BTreeMap<WorkloadKey, BTreeSet<Hostname>> = BTreeMap::new();
    for (workload, host) in calls {
        learned.entry(workload).or_default().insert(host);
    }
    learned
}
