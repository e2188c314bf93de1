//! What a piece of text stands for: it decides its glyph and its colour.

use anstyle::{AnsiColor, Style};

/// The meaning of a line or a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Error,
    Warning,
    Good,
    Notice,
}

/// Whether the terminal shows more than ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glyphs {
    Unicode,
    Ascii,
}

impl Role {
    /// The sign before a line: never the colour alone says what it means.
    pub(crate) fn glyph(self, glyphs: Glyphs) -> &'static str {
        match (self, glyphs) {
            (Self::Error, Glyphs::Unicode) => "×",
            (Self::Error, Glyphs::Ascii) => "x",
            (Self::Warning, Glyphs::Unicode) => "‼",
            (Self::Warning, Glyphs::Ascii) => "!",
            (Self::Good, Glyphs::Unicode) => "√",
            (Self::Good, Glyphs::Ascii) => "+",
            (Self::Notice, Glyphs::Unicode) => "·",
            (Self::Notice, Glyphs::Ascii) => "-",
        }
    }

    pub(crate) fn color(self) -> AnsiColor {
        match self {
            Self::Error => AnsiColor::Red,
            Self::Warning => AnsiColor::Yellow,
            Self::Good => AnsiColor::Green,
            Self::Notice => AnsiColor::Blue,
        }
    }

    pub(crate) fn style(self) -> Style {
        self.color().on_default()
    }
}
