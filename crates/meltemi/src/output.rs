//! The one way of all commands to print: tables, JSON, YAML, lines of a language, exit codes.
//!
//! - Standard output is data; progress, warnings and errors go to standard error.
//! - A command is given a [`Screen`] and never asks about the terminal itself.
//! - JSON and YAML are stable and never translated; so are column names, codes and enum values.
//! - Not here: the texts (`language`).

mod exit;
mod failure;
mod format;
mod role;
mod screen;
mod table;
mod terminal;
#[cfg(test)]
mod tests;

pub(crate) use exit::Exit;
pub(crate) use failure::{Failure, report_error};
pub(crate) use format::Format;
pub(crate) use role::{Glyphs, Role};
pub(crate) use screen::{List, Look, Screen};
pub(crate) use table::{Cell, Table, bytes};
pub(crate) use terminal::{ColorWhen, stderr, stdout};
