//! Where a command prints to.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    language::{Catalogue, Word},
    output::{Format, Glyphs, Role, Table},
};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Columns of the terminal; `None` where the output is not one: then nothing is cut.
    pub(crate) width: Option<u16>,
    pub(crate) glyphs: Glyphs,
}

impl Look {
    /// A file or a pipe.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { width: None, glyphs: Glyphs::Unicode };
}

/// Standard output with a language. Colour is always written here: the stream behind it takes it
/// out where it is not wanted.
pub(crate) struct Screen<'a> {
    out: &'a mut dyn Write,
    look: Look,
    catalogue: &'a Catalogue,
}

/// A list in JSON and YAML.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<T> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    metadata: serde_json::Value,
    pub(crate) items: Vec<T>,
}

impl<T> List<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        Self {
            api_version: "cli.meltemi.io/v1",
            kind: "List",
            metadata: serde_json::Value::Null,
            items,
        }
    }

    /// Adds what is to be known about the whole list: counts, the revision.
    #[must_use]
    pub(crate) fn metadata(mut self, metadata: serde_json::Value) -> Self {
        self.metadata = metadata;
        self
    }
}

impl<'a> Screen<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, look: Look, catalogue: &'a Catalogue) -> Self {
        Self { out, look, catalogue }
    }

    /// A text of the catalogue.
    pub(crate) fn text(&self, key: &str, words: &[(&str, Word<'_>)]) -> String {
        self.catalogue.text(key, words)
    }

    pub(crate) fn catalogue(&self) -> &'a Catalogue {
        self.catalogue
    }

    /// Whether somebody looks at it as it is written.
    pub(crate) fn is_terminal(&self) -> bool {
        self.look.width.is_some()
    }

    /// A line as it is.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A line of the catalogue.
    pub(crate) fn say(&mut self, key: &str, words: &[(&str, Word<'_>)]) -> io::Result<()> {
        let text = self.text(key, words);
        self.line(&text)
    }

    /// A line with a sign before it, in the colour of its meaning.
    pub(crate) fn mark(&mut self, role: Role, text: &str) -> io::Result<()> {
        let style = role.style();
        let glyph = role.glyph(self.look.glyphs);
        writeln!(self.out, "{style}{glyph}{style:#} {text}")
    }

    /// A table, cut to the terminal.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        self.out.write_all(table.render(self.look.width).as_bytes())
    }

    /// A table whose cells go on in further lines where the terminal is too narrow.
    pub(crate) fn wrapped_table(&mut self, table: &Table) -> io::Result<()> {
        self.out.write_all(table.render_wrapped(self.look.width).as_bytes())
    }

    /// A table with all of every cell.
    pub(crate) fn wide_table(&mut self, table: &Table) -> io::Result<()> {
        self.out.write_all(table.render(None).as_bytes())
    }

    /// A value as JSON or, where that is asked for, as YAML.
    pub(crate) fn structured(
        &mut self,
        format: Format,
        value: &impl Serialize,
    ) -> anyhow::Result<()> {
        match format {
            Format::Yaml => {
                let text = serde_saphyr::to_string(value)?;
                writeln!(self.out, "{}", text.trim_end())?;
            }
            _ => {
                serde_json::to_writer_pretty(&mut *self.out, value)?;
                writeln!(self.out)?;
            }
        }
        Ok(())
    }
}
