//! The settings of the server: what each is, and where it comes from.
//!
//! - Flags beat the environment, that beats the file of `--settings`, and that the defaults.
//! - Not here: what is done with them (`serve`).

mod file;
mod identity;
pub(crate) mod istiod;
mod limits;
mod scope;

use std::{fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf};

use clap::{ArgMatches, parser::ValueSource};

use self::limits::Bytes;
pub(crate) use self::{
    file::SettingsFile,
    identity::{AuthorityPlace, IdentityArguments, IdentitySettings, XdsAuthentication},
    limits::{LimitArguments, LimitSettings},
    scope::{LearnSettings, ScopeSection},
};
use crate::output::Table;

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Flag,
    /// With the name of the variable.
    Environment(String),
    File,
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => out.write_str("flag"),
            Self::Environment(name) => write!(out, "environment {name}"),
            Self::File => out.write_str("file"),
            Self::Default => out.write_str("default"),
        }
    }
}

/// A type whose values can be printed as settings.
pub(crate) trait SettingValue: Clone {
    fn show(&self) -> String;
}

/// Those that are shown as they are written.
macro_rules! shown_as_text {
    ($($type:ty),+ $(,)?) => {
        $(impl SettingValue for $type {
            fn show(&self) -> String {
                self.to_string()
            }
        })+
    };
}

shown_as_text!(String, SocketAddr, u32, NonZeroU32, Bytes, XdsAuthentication, api::Duration);

impl SettingValue for PathBuf {
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl<T: SettingValue> SettingValue for Vec<T> {
    fn show(&self) -> String {
        self.iter().map(SettingValue::show).collect::<Vec<_>>().join(", ")
    }
}

/// Picks the values of settings, and notes where each came from.
pub(crate) struct Resolver<'a> {
    matches: &'a ArgMatches,
    command: &'a clap::Command,
    /// Name, value and origin, in the order in which they were asked for.
    picked: Vec<(String, String, Origin)>,
}

impl<'a> Resolver<'a> {
    /// `matches` and `command` are the subcommand's own.
    pub(crate) fn new(matches: &'a ArgMatches, command: &'a clap::Command) -> Self {
        Self { matches, command, picked: Vec::new() }
    }

    /// The value of `id`: `given` is what clap found (a flag or a variable).
    pub(crate) fn pick<T: SettingValue>(
        &mut self,
        id: &str,
        given: Option<T>,
        file: Option<T>,
        default: T,
    ) -> T {
        self.pick_optional(id, given, file, Some(default.clone())).unwrap_or(default)
    }

    /// The same for a setting that may be absent.
    pub(crate) fn pick_optional<T: SettingValue>(
        &mut self,
        id: &str,
        given: Option<T>,
        file: Option<T>,
        default: Option<T>,
    ) -> Option<T> {
        let argument = self.command.get_arguments().find(|argument| argument.get_id() == id);
        let variable = argument.and_then(clap::Arg::get_env).map(|name| name.to_string_lossy());
        let (value, origin) = match (given, file) {
            (Some(value), _) => match self.matches.value_source(id) {
                Some(ValueSource::EnvVariable) => {
                    (Some(value), Origin::Environment(variable.unwrap_or_default().into_owned()))
                }
                _ => (Some(value), Origin::Flag),
            },
            (None, Some(value)) => (Some(value), Origin::File),
            (None, None) => (default, Origin::Default),
        };
        let shown = value.as_ref().map_or_else(|| "-".to_owned(), SettingValue::show);
        self.picked.push((id.replace('_', "-"), shown, origin));
        value
    }

    /// Adds the settings of lazy loading that the file has.
    pub(crate) fn add_lazyload(&mut self, settings: &api::slime::lazyload::LazyloadSettings) {
        let fields = serde_json::to_value(settings).unwrap_or_default();
        for (name, value) in fields.as_object().into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let mut shown = "lazyload.".to_owned();
            for letter in name.chars() {
                if letter.is_ascii_uppercase() {
                    shown.push('-');
                }
                shown.push(letter.to_ascii_lowercase());
            }
            self.picked.push((shown, value, Origin::File));
        }
    }

    /// Adds switches that are set in the environment.
    pub(crate) fn add_switches(&mut self, features: &snapshot::Features) {
        for (name, value) in &features.0 {
            self.picked.push((name.clone(), value.clone(), Origin::Environment(name.clone())));
        }
    }

    /// What was picked, for people.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(["SETTING", "VALUE", "FROM"]);
        for (name, value, origin) in &self.picked {
            table.row([name.clone().into(), value.clone().into(), origin.to_string().into()]);
        }
        table
    }
}
