//! The file of `--settings`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use api::slime::lazyload::LazyloadSettings;
use serde::Deserialize;

use super::{IdentityArguments, LimitArguments, ScopeSection};
use crate::output::{Exit, Failure, Screen};

/// Settings in YAML, named as the flags are, in camel case. Paths are relative to the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct SettingsFile {
    pub(crate) config: Option<Vec<PathBuf>>,
    pub(crate) mesh_config: Option<PathBuf>,
    pub(crate) xds_address: Option<SocketAddr>,
    pub(crate) admin_address: Option<SocketAddr>,
    pub(crate) tls_certificate: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) domain: Option<String>,
    pub(crate) state_directory: Option<PathBuf>,
    pub(crate) scope_directory: Option<PathBuf>,
    #[serde(deserialize_with = "api::null_is_absent")]
    pub(crate) scope: ScopeSection,
    pub(crate) log: Option<String>,
    /// Slime's settings of its lazyload module, and ours beside them.
    #[serde(deserialize_with = "api::null_is_absent")]
    pub(crate) lazyload: LazyloadSettings,
    #[serde(flatten)]
    pub(crate) identity: IdentityArguments,
    #[serde(flatten)]
    pub(crate) limits: LimitArguments,
}

/// What is wrong with the text. A mistyped name gets the one that is meant, and not all of its section.
fn reason_of(error: &serde_saphyr::Error, screen: &Screen<'_>) -> String {
    let serde_saphyr::Error::SerdeUnknownField { field, expected, location } =
        error.without_snippet()
    else {
        return error.to_string();
    };
    // Slime's spellings are read, but are not what anybody should write.
    let known: Vec<&str> = expected.iter().copied().filter(|it| !it.contains('_')).collect();
    let mut words = vec![("field", field.as_str().into()), ("line", location.line().into())];
    let Some(meant) = api::nearest(field, known.iter().copied()) else {
        words.push(("known", known.join(", ").into()));
        return screen.text("serve-settings-unknown", &words);
    };
    words.push(("meant", meant.into()));
    screen.text("serve-settings-mistyped", &words)
}

impl SettingsFile {
    /// Reads a file; an unknown name is an error, as it is most likely mistyped.
    pub(crate) fn read(path: &Path, screen: &Screen<'_>) -> Result<Self, Failure> {
        let fail = |reason: String| {
            let words = [("path", path.display().to_string().into()), ("reason", reason.into())];
            let message = screen.text("input-unreadable", &words);
            Failure::new(Exit::BadInput, message).hint(screen.text("serve-settings-hint", &[]))
        };
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let parsed: Option<Self> =
            serde_saphyr::from_str(&text).map_err(|error| fail(reason_of(&error, screen)))?;
        let mut settings = parsed.unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new("."));
        let paths = settings.config.iter_mut().flatten();
        let identity = &mut settings.identity;
        let single = [
            &mut settings.mesh_config,
            &mut settings.state_directory,
            &mut settings.scope_directory,
            &mut settings.tls_certificate,
            &mut settings.tls_key,
            &mut identity.identity_directory,
            &mut identity.cacerts,
            &mut identity.jwks,
        ];
        for own in paths.chain(single.into_iter().flatten()) {
            *own = folder.join(&*own);
        }
        Ok(settings)
    }
}
