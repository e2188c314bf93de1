//! The settings of what is learned: the section `scope` of the file, and a folder.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use ::scope::{ScopeHandle, ScopeSettings};
use admin::{MetricsSource, ScopePart};
use serde::{Deserialize, Deserializer, de::Error};

use super::Resolver;

/// `scope:`. What is absent has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ScopeSection {
    half_life: Option<api::Duration>,
    minimum_life: Option<api::Duration>,
    silence: Option<api::Duration>,
    #[serde(deserialize_with = "percent")]
    shrink_workload_percent: Option<u32>,
    #[serde(deserialize_with = "percent")]
    shrink_total_percent: Option<u32>,
    shrink_window: Option<api::Duration>,
    max_targets: Option<u32>,
    max_edges: Option<u32>,
    learn_burst: Option<u32>,
    learn_per_minute: Option<u32>,
    pass: Option<api::Duration>,
}

fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let percent = Option::<u32>::deserialize(deserializer)?;
    match percent {
        Some(101..) => Err(D::Error::custom("a share is at most 100 percent")),
        Some(_) | None => Ok(percent),
    }
}

/// How is learned, and where it is kept.
#[derive(Clone, Debug)]
pub(crate) struct LearnSettings {
    pub(crate) scope: ScopeSettings,
    /// `None`: in memory alone.
    pub(crate) folder: Option<PathBuf>,
}

impl LearnSettings {
    /// `folder` is what `--scope-directory` says; the folder of the state has one within.
    pub(crate) fn resolve(
        folder: Option<PathBuf>,
        state: Option<&Path>,
        file: ScopeSection,
        resolver: &mut Resolver<'_>,
    ) -> Self {
        let usual = ScopeSettings::default();
        let mut time = |id: &str, file: Option<api::Duration>, usual: u64| {
            let usual = api::Duration::from_secs(usual.cast_signed());
            resolver.pick(id, None, file, usual).to_std().as_secs().max(1)
        };
        let half_life = time("scope.half_life", file.half_life, usual.half_life);
        let minimum_life = time("scope.minimum_life", file.minimum_life, usual.minimum_life);
        let silence = time("scope.silence", file.silence, usual.silence);
        let shrink_window = time("scope.shrink_window", file.shrink_window, usual.shrink_window);
        let pass = time("scope.pass", file.pass, usual.pass);
        let mut number = |id: &str, file: Option<u32>, usual: u64| {
            resolver.pick(id, None, file, u32::try_from(usual).unwrap_or(u32::MAX))
        };
        let mut share =
            |id: &str, file, usual: u8| u8::try_from(number(id, file, usual.into())).unwrap_or(100);
        let shrink_workload = share(
            "scope.shrink_workload_percent",
            file.shrink_workload_percent,
            usual.shrink_workload,
        );
        let shrink_total =
            share("scope.shrink_total_percent", file.shrink_total_percent, usual.shrink_total);
        let max_targets = number("scope.max_targets", file.max_targets, usual.max_targets as u64);
        let max_edges = number("scope.max_edges", file.max_edges, usual.max_edges as u64);
        let learn_burst = number("scope.learn_burst", file.learn_burst, usual.learn_burst.into());
        let learn_per_minute =
            number("scope.learn_per_minute", file.learn_per_minute, usual.learn_per_minute.into());
        let folder = folder.or_else(|| state.map(|state| state.join("scope")));
        let scope = ScopeSettings {
            half_life,
            minimum_life,
            silence,
            shrink_workload,
            shrink_total,
            shrink_window,
            max_targets: max_targets as usize,
            max_edges: max_edges as usize,
            learn_burst,
            learn_per_minute,
            pass,
            ..usual
        };
        Self { scope, folder }
    }

    /// What the API answers from.
    pub(crate) fn part(
        &self,
        handle: &ScopeHandle,
        metrics: Option<Arc<Mutex<MetricsSource>>>,
    ) -> ScopePart {
        let folder = self.folder.as_ref().map(|it| it.display().to_string().into());
        ScopePart { handle: handle.clone(), folder, metrics }
    }
}
