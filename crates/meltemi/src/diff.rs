//! `diff`: what files would change, in the objects and in Envoy. Nothing is written.

use admin::{DiffReport, EnvoyEffect, FieldChange, ObjectDiff};
use clap::ValueEnum;
use similar::TextDiff;

use crate::{
    client::Server,
    input::InputFiles,
    output::{Cell, Exit, Failure, Format, Role, Screen, Table},
};

/// Longer values are cut where people read them.
const LONGEST_VALUE: usize = 120;

/// Show what files would change, in the objects and in Envoy. Writes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi diff -f cart-canary.yaml
  meltemi diff -f cart-canary.yaml --show envoy
  meltemi diff -f mesh/ -R -o json

Exit codes: 0 no difference, 1 differences, 2 failed, 64 usage, 65 a file is wrong, 69 no control
plane")]
pub(crate) struct Diff {
    #[command(flatten)]
    files: InputFiles,
    /// How much of Envoy's resources is shown.
    #[arg(long, value_enum, default_value_t = Show::Summary)]
    show: Show,
    #[arg(short, long, default_value = "table", value_parser = Format::among(&[Format::Table, Format::Json, Format::Yaml]))]
    pub(crate) output: Format,
    #[command(flatten)]
    server: Server,
}

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Show {
    /// Which resources would change, on how many proxies.
    Summary,
    /// And which of their fields.
    Envoy,
}

impl Diff {
    pub(crate) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { files, show, output, server } = self;
        run(&files, &server, show, output, screen).await
    }
}

/// Compares and prints. Whatever goes wrong is no difference: its exit code is above 1.
pub(crate) async fn run(
    files: &InputFiles,
    server: &Server,
    show: Show,
    output: Format,
    screen: &mut Screen<'_>,
) -> anyhow::Result<Exit> {
    let request = files.read(screen)?;
    let report = server.post("/api/diff", &request, screen.catalogue()).await;
    let report: DiffReport = report.map_err(|error| match error.downcast::<Failure>() {
        Ok(failure) if failure.exit != Exit::Failed => failure.into(),
        Ok(failure) => Failure { exit: Exit::DiffFailed, ..failure }.into(),
        Err(error) => anyhow::Error::from(Failure::new(Exit::DiffFailed, format!("{error:#}"))),
    })?;
    match output {
        Format::Json | Format::Yaml => screen.structured(output, &report)?,
        _ => {
            print(&report, show, screen)?;
            if exit(&report) == Exit::Differs {
                screen.line("")?;
                screen.line(&format!("Next: meltemi apply {} --wait", files.arguments()))?;
            }
        }
    }
    Ok(exit(&report))
}

/// Whether anything would change.
pub(crate) fn exit(report: &DiffReport) -> Exit {
    match report.objects.iter().any(|it| it.object.verb != "unchanged") {
        true => Exit::Differs,
        false => Exit::Done,
    }
}

/// What would change, for people.
pub(crate) fn print(
    report: &DiffReport,
    show: Show,
    screen: &mut Screen<'_>,
) -> anyhow::Result<()> {
    let count = |verb: &str| report.objects.iter().filter(|it| it.object.verb == verb).count();
    let changed = report.objects.len() - count("unchanged");
    let words = [
        ("objects", report.objects.len().into()),
        ("changed", changed.into()),
        ("revision", report.base.into()),
    ];
    screen.say("diff-summary", &words)?;
    for object in &report.objects {
        print_object(object, screen)?;
    }
    if changed == 0 {
        return Ok(());
    }
    print_effects(report, show, screen)?;
    for finding in &report.findings {
        let role = if finding.is_error() { Role::Error } else { Role::Warning };
        screen.mark(role, &finding.to_string())?;
    }
    Ok(())
}

fn print_object(diff: &ObjectDiff, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    let object = &diff.object;
    let name = match object.namespace.as_str() {
        "" => format!("{} {}", object.kind, object.name),
        namespace => format!("{} {namespace}/{}", object.kind, object.name),
    };
    screen.line(&format!("  {name} {}  {}", object.verb, object.file))?;
    if diff.before == diff.after {
        return Ok(());
    }
    let text = TextDiff::from_lines(&diff.before, &diff.after);
    let old = if diff.before.is_empty() { "/dev/null" } else { &object.file };
    let mut unified = text.unified_diff();
    unified.context_radius(3).header(old, &object.file);
    for line in unified.to_string().lines() {
        screen.line(line)?;
    }
    Ok(())
}

fn print_effects(report: &DiffReport, show: Show, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    screen.line("")?;
    let words = [("affected", report.affected.into()), ("connected", report.connected.into())];
    screen.say("diff-effect", &words)?;
    if report.effects.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["TYPE", "VERB", "PROXIES", "NAME"]);
    for effect in &report.effects {
        let role = match effect.verb.as_str() {
            "add" => Role::Good,
            "remove" => Role::Error,
            _ => Role::Warning,
        };
        table.row([
            effect.kind.as_str().into(),
            Cell::marked(effect.verb.as_str(), role),
            effect.proxies.to_string().into(),
            effect.name.as_str().into(),
        ]);
    }
    screen.table(&table)?;
    if report.more_effects > 0 {
        screen.say("diff-more", &[("count", report.more_effects.into())])?;
    }
    if show == Show::Envoy {
        report.effects.iter().try_for_each(|effect| print_fields(effect, screen))?;
    }
    Ok(())
}

fn print_fields(effect: &EnvoyEffect, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    if effect.fields.is_empty() {
        return Ok(());
    }
    screen.line("")?;
    screen.line(&format!("{} {}", effect.kind, effect.name))?;
    for FieldChange { path, before, after } in &effect.fields {
        screen.line(&format!("  {path}: {} → {}", shorten(before), shorten(after)))?;
    }
    Ok(())
}

/// A value in one line; all of it is in the JSON.
fn shorten(value: &serde_json::Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
