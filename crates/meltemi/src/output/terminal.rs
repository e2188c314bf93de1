//! What is known about the terminal: asked once, before a command runs.

use std::io::{self, IsTerminal, StdoutLock};

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;

use crate::{
    environment::Environment,
    output::{Glyphs, Look},
};

/// When colour is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    // On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    Always,
    Never,
}

impl From<ColorWhen> for ColorChoice {
    fn from(when: ColorWhen) -> Self {
        match when {
            ColorWhen::Auto => Self::Auto,
            ColorWhen::Always => Self::Always,
            ColorWhen::Never => Self::Never,
        }
    }
}

/// Standard output, and how it looks.
pub(crate) fn stdout(
    color: ColorWhen,
    environment: &Environment,
) -> (AutoStream<StdoutLock<'static>>, Look) {
    let stdout = io::stdout();
    let width = match stdout.is_terminal() {
        true => terminal_size::terminal_size().map(|(width, _)| width.0),
        false => None,
    };
    let look = Look { width, glyphs: glyphs(environment) };
    (AutoStream::new(stdout.lock(), color.into()), look)
}

/// Standard error.
pub(crate) fn stderr(color: ColorWhen) -> AutoStream<io::Stderr> {
    AutoStream::new(io::stderr(), color.into())
}

fn glyphs(environment: &Environment) -> Glyphs {
    let locale = environment.locale().to_ascii_lowercase();
    let is_utf8 = locale.contains("utf-8") || locale.contains("utf8");
    match is_utf8 && environment.get("TERM") != Some("dumb") {
        true => Glyphs::Unicode,
        false => Glyphs::Ascii,
    }
}
