//! Findings → the form that was asked for.

use model::Severity;
use serde_json::json;

use super::{Finding, junit, sarif};
use crate::output::{Cell, Format, List, Role, Screen, Table};

/// What a check found.
pub(super) struct Report {
    /// The worst first.
    pub(super) findings: Vec<Finding>,
    pub(super) objects: usize,
    pub(super) classes: usize,
}

impl Report {
    pub(super) fn print(&self, format: Format, screen: &mut Screen<'_>) -> anyhow::Result<()> {
        match format {
            Format::Table | Format::Wide | Format::Name => self.print_table(format, screen)?,
            Format::Short => {
                for finding in self.findings.iter().filter(|it| it.severity >= Severity::Warning) {
                    screen.line(&line(finding))?;
                }
            }
            Format::Json | Format::Yaml => screen.structured(format, &self.list())?,
            Format::Github => {
                for finding in &self.findings {
                    screen.line(&github(finding))?;
                }
            }
            Format::Junit => screen.line(&junit::render(&self.findings)?)?,
            Format::Sarif => screen.structured(Format::Json, &sarif::render(&self.findings))?,
        }
        Ok(())
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    fn print_table(&self, format: Format, screen: &mut Screen<'_>) -> std::io::Result<()> {
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let role = match (errors, warnings) {
            (0, 0) => Role::Good,
            (0, _) => Role::Warning,
            (_, _) => Role::Error,
        };
        let summary = screen.text(
            "check-summary",
            &[
                ("errors", errors.into()),
                ("warnings", warnings.into()),
                ("notices", self.count(Severity::Info).into()),
                ("objects", self.objects.into()),
                ("classes", self.classes.into()),
            ],
        );
        screen.mark(role, &summary)?;
        if self.findings.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(["SEVERITY", "CODE", "PLACE", "OBJECT", "FIELD", "MESSAGE"]);
        for finding in &self.findings {
            let message = match finding.hint.as_str() {
                "" => finding.message.clone(),
                hint => format!("{}\n→ {hint}", finding.message),
            };
            table.row([
                Cell::marked(finding.severity.to_string(), role_of(finding.severity)),
                finding.code.into(),
                finding.place().into(),
                dash(&finding.object).into(),
                dash(&finding.field).into(),
                message.into(),
            ]);
        }
        match format {
            Format::Wide => screen.wide_table(&table)?,
            _ => screen.wrapped_table(&table)?,
        }
        let first = &self.findings[0];
        screen.say("check-next", &[("code", first.code.into())])
    }

    fn list(&self) -> List<&Finding> {
        List::new(self.findings.iter().collect()).metadata(json!({
            "objects": self.objects,
            "proxyClasses": self.classes,
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "notices": self.count(Severity::Info),
        }))
    }
}

fn dash(text: &str) -> &str {
    match text {
        "" => "-",
        text => text,
    }
}

fn role_of(severity: Severity) -> Role {
    match severity {
        Severity::Info => Role::Notice,
        Severity::Warning => Role::Warning,
        Severity::Error => Role::Error,
    }
}

/// All of a finding in one line.
fn line(finding: &Finding) -> String {
    let Finding { severity, code, object, field, message, hint, .. } = finding;
    let mut line = format!("{}: {severity}[{code}]", finding.place());
    for part in [object, field].into_iter().filter(|part| !part.is_empty()) {
        line = format!("{line} {part}");
    }
    match hint.is_empty() {
        true => format!("{line}: {message}"),
        false => format!("{line}: {message} ({hint})"),
    }
}

/// A workflow command, as GitHub shows it beside the line.
fn github(finding: &Finding) -> String {
    let kind = match finding.severity {
        Severity::Info => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    // Both parts have an escape of their own for what ends them.
    let text = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |value: &str| text(value).replace(':', "%3A").replace(',', "%2C");
    let mut place = String::new();
    if !finding.file.is_empty() {
        place = format!("file={},", property(&finding.file));
        if finding.line > 0 {
            place = format!("{place}line={},", finding.line);
        }
    }
    let Finding { code, object, field, message, hint, .. } = finding;
    let about = [object, field].into_iter().filter(|part| !part.is_empty());
    let about: Vec<&str> = about.map(String::as_str).collect();
    let mut body = match about.is_empty() {
        true => message.clone(),
        false => format!("{}: {message}", about.join(" ")),
    };
    if !hint.is_empty() {
        body = format!("{body} ({hint})");
    }
    format!("::{kind} {place}title={}::{}", property(code), text(&body))
}
