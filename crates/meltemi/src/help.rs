//! `help`: pages for commands and for codes of findings, in the user's language.
//!
//! - English texts of commands are the doc comments of their arguments; the Chinese ones stand in
//!   `locales/zh/help.ftl`, which a test compares with the commands.
//! - Codes are explained in both languages by `locales/*/codes.ftl`.

mod localise;
#[cfg(test)]
mod tests;

pub(crate) use localise::localise;
use serde::Serialize;

use crate::{
    explain,
    language::Catalogue,
    output::{Exit, Failure, Format, List, Role, Screen, Table},
};

/// Explain a command, or a code such as MEL0104.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi help check
  meltemi help proxy status
  meltemi help MEL0154
  meltemi help codes

Exit codes: 0 explained, 64 there is no such command or code")]
pub(crate) struct Help {
    /// A command, a code, or `codes` for the list of all codes.
    topics: Vec<String>,
    #[arg(short, long, default_value = "table", value_parser = Format::among(&[Format::Table, Format::Json, Format::Yaml]))]
    pub(crate) output: Format,
}

/// What there is to say about a code.
#[derive(Debug, Serialize)]
struct Explanation {
    code: &'static str,
    severity: String,
    title: String,
    help: String,
    /// What is wrong, as a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    mistake: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<&'static str>,
}

impl Explanation {
    fn new(code: &api::codes::Code, catalogue: &Catalogue) -> Self {
        let example = lint::examples::find(code.code);
        Self {
            mistake: example.map(|it| it.wrong),
            repaired: example.map(|it| it.repaired),
            code: code.code,
            severity: code.severity.to_string(),
            title: catalogue.find(code.code, &[]).unwrap_or_else(|| code.title.to_owned()),
            help: catalogue.attribute(code.code, "help").unwrap_or_default(),
        }
    }
}

impl Help {
    /// `command` is the whole command line, in the language of the user.
    pub(crate) fn run(
        self,
        command: clap::Command,
        screen: &mut Screen<'_>,
    ) -> anyhow::Result<Exit> {
        let Self { topics, output } = self;
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        match topics.as_slice() {
            ["codes"] => print_codes(output, screen)?,
            [code] if explain::find(code).is_some() => print_code(code, output, screen)?,
            path => print_command(command, path, screen)?,
        }
        Ok(Exit::Done)
    }
}

fn print_code(code: &str, output: Format, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    let Some(code) = explain::find(code) else { return Ok(()) };
    let explanation = Explanation::new(code, screen.catalogue());
    if output != Format::Table {
        return screen.structured(output, &explanation);
    }
    let role = match code.severity {
        model::Severity::Info => Role::Notice,
        model::Severity::Warning => Role::Warning,
        model::Severity::Error => Role::Error,
    };
    let Explanation { code, severity, title, help, mistake, repaired } = explanation;
    screen.mark(role, &format!("{code} ({severity}): {title}"))?;
    screen.line("")?;
    screen.line(&help)?;
    for (heading, text) in [("help-mistake", mistake), ("help-repaired", repaired)] {
        let Some(text) = text else { continue };
        screen.line("")?;
        screen.line(&screen.text(heading, &[]))?;
        screen.line("")?;
        for line in text.lines() {
            screen.line(format!("  {line}").trim_end())?;
        }
    }
    Ok(())
}

fn print_codes(output: Format, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    let codes = explain::all();
    let all: Vec<Explanation> =
        codes.into_iter().map(|code| Explanation::new(code, screen.catalogue())).collect();
    if output != Format::Table {
        return screen.structured(output, &List::new(all));
    }
    let mut table = Table::new(["CODE", "SEVERITY", "TITLE"]);
    for Explanation { code, severity, title, .. } in all {
        table.row([code.into(), severity.into(), title.into()]);
    }
    screen.table(&table)?;
    Ok(())
}

fn print_command(
    mut command: clap::Command,
    path: &[&str],
    screen: &mut Screen<'_>,
) -> anyhow::Result<()> {
    command.build();
    for name in path {
        let known = command.get_subcommands().map(|known| known.get_name().to_owned());
        let known: Vec<String> = known.collect();
        let Some(found) = command.find_subcommand(name) else {
            let message = screen.text("help-unknown", &[("topic", path.join(" ").into())]);
            let words = [("known", known.join(", ").into())];
            let failure = Failure::new(Exit::Usage, message);
            return Err(failure.hint(screen.text("help-unknown-hint", &words)).into());
        };
        command = found.clone();
    }
    let page = command.render_help().ansi().to_string();
    screen.line(page.trim_end())?;
    Ok(())
}
