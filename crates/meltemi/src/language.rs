//! The texts for people, in English and Chinese, from one catalogue.
//!
//! - Below `locales/`, both languages have the same keys; a test compares them, and another one
//!   finds keys that nothing uses. Only the pages of commands are doc comments in English.
//! - Never translated: column names, codes, enum values, JSON.
//! - Not here: the messages of findings, which are English for now.

#[cfg(test)]
mod tests;

use clap::ValueEnum;
use fluent_bundle::{FluentArgs, FluentBundle, FluentResource};
use fluent_syntax::ast::Pattern;

use crate::environment::Environment;

/// What is put into a text: a string or a number.
pub(crate) type Word<'a> = fluent_bundle::FluentValue<'a>;

/// A language of the catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    #[default]
    En,
    Zh,
}

impl Language {
    /// The language that was asked for: by flag, by `MELTEMI_LANG`, by the locale.
    pub(crate) fn choose(flag: Option<Self>, environment: &Environment) -> Self {
        let named = || environment.get("MELTEMI_LANG").filter(|name| !name.is_empty());
        flag.unwrap_or_else(|| Self::of_locale(named().unwrap_or(environment.locale())))
    }

    fn of_locale(locale: &str) -> Self {
        match locale.to_ascii_lowercase().starts_with("zh") {
            true => Self::Zh,
            false => Self::En,
        }
    }

    /// The catalogue's sources: messages, codes, and pages of commands where those are not the
    /// doc comments.
    fn sources(self) -> &'static [&'static str] {
        match self {
            Self::En => &[
                include_str!("../locales/en.ftl"),
                include_str!("../locales/en/codes.ftl"),
                include_str!("../locales/en/mesh.ftl"),
            ],
            Self::Zh => &[
                include_str!("../locales/zh.ftl"),
                include_str!("../locales/zh/codes.ftl"),
                include_str!("../locales/zh/mesh.ftl"),
                include_str!("../locales/zh/help.ftl"),
            ],
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }
}

/// The texts of one language.
pub(crate) struct Catalogue {
    language: Language,
    bundle: FluentBundle<FluentResource>,
}

impl Catalogue {
    pub(crate) fn new(language: Language) -> Self {
        let mut bundle = FluentBundle::new(language.tag().parse().into_iter().collect());
        // The marks that isolate inserted words show as boxes on many terminals.
        bundle.set_use_isolating(false);
        for source in language.sources() {
            // Faults of the catalogue are found by tests; what can be read of it is used.
            let resource = match FluentResource::try_new((*source).to_owned()) {
                Ok(resource) | Err((resource, _)) => resource,
            };
            let _ = bundle.add_resource(resource);
        }
        Self { language, bundle }
    }

    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// The text of a key with words put in: `text("check-files", &[("count", 3.into())])`. An
    /// unknown key is returned as it is.
    pub(crate) fn text(&self, key: &str, words: &[(&str, Word<'_>)]) -> String {
        self.find(key, words).unwrap_or_else(|| key.to_owned())
    }

    /// As [`Catalogue::text`], but `None` where there is no such key.
    pub(crate) fn find(&self, key: &str, words: &[(&str, Word<'_>)]) -> Option<String> {
        let pattern = self.bundle.get_message(key)?.value()?;
        Some(self.format(pattern, words))
    }

    /// The attribute `.name` of a key.
    pub(crate) fn attribute(&self, key: &str, name: &str) -> Option<String> {
        let pattern = self.bundle.get_message(key)?.get_attribute(name)?.value();
        Some(self.format(pattern, &[]))
    }

    fn format(&self, pattern: &Pattern<&str>, words: &[(&str, Word<'_>)]) -> String {
        let mut args = FluentArgs::new();
        for (name, word) in words {
            args.set(*name, word.clone());
        }
        let mut errors = Vec::new();
        self.bundle.format_pattern(pattern, Some(&args), &mut errors).into_owned()
    }
}
