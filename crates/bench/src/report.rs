//! What a run found out: rows, their cases, and the figures of each. This is the JSON.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{machine::Disturbance, rows::Row};

/// All that a run measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// True if the figures mean nothing.
    pub(crate) quick: bool,
    pub(crate) rows: Vec<RowReport>,
}

/// Where it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    /// Files that a process may have open, and so streams.
    pub(crate) open_files: u64,
}

/// One row of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowReport {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) cases: Vec<Case>,
    pub(crate) took_s: f64,
    pub(crate) disturbance: Disturbance,
    /// Why there are no figures, or not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// One setting of a row.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) figures: Vec<Figure>,
}

/// One number.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: Unit,
    /// What it should not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<f64>,
    /// What istiod needed for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) istiod: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "CPU s")]
    CpuSeconds,
    #[serde(rename = "CPU ms")]
    CpuMilliseconds,
    #[serde(rename = "kB")]
    Kilobytes,
    #[serde(rename = "MB")]
    Megabytes,
    #[serde(rename = "GB")]
    Gigabytes,
    #[serde(rename = "")]
    Count,
    #[serde(rename = "x")]
    Times,
    #[serde(rename = "exponent")]
    Exponent,
}

impl Unit {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::CpuSeconds => "CPU s",
            Self::CpuMilliseconds => "CPU ms",
            Self::Kilobytes => "kB",
            Self::Megabytes => "MB",
            Self::Gigabytes => "GB",
            Self::Count | Self::Exponent => "",
            Self::Times => "×",
        }
    }
}

impl Case {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), figures: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &str, value: f64, unit: Unit) {
        let name = name.to_owned();
        self.figures.push(Figure { name, value, unit, limit: None, istiod: None });
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }
}

impl Figure {
    pub(crate) fn is_missed(&self) -> bool {
        self.limit.is_some_and(|limit| self.value > limit)
    }
}

/// A limit that was not kept, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Miss(pub(crate) String);

impl RowReport {
    /// Writes the targets of the row beside its figures.
    pub(crate) fn judge(&mut self, row: &Row) {
        for target in row.targets {
            let cases = self.cases.iter_mut().filter(|case| case.name.contains(target.case));
            for figure in cases.flat_map(|case| &mut case.figures) {
                if figure.name == target.figure {
                    figure.limit = target.at_most.or(figure.limit);
                    figure.istiod = target.istiod.or(figure.istiod);
                }
            }
        }
    }

    /// What was missed, and what was not measured although it has a limit.
    pub(crate) fn misses(&self, row: &Row) -> Vec<Miss> {
        let Self { name, cases, error, .. } = self;
        let mut misses: Vec<Miss> =
            error.iter().map(|error| Miss(format!("{name}: {error}"))).collect();
        for case in cases {
            for figure in case.figures.iter().filter(|figure| figure.is_missed()) {
                let Figure { name: what, value, unit, limit, .. } = figure;
                let limit = limit.unwrap_or_default();
                let (value, limit) = (digits(*value), digits(limit));
                let unit = unit.symbol();
                let text = format!("{name}, {}: {what} is {value} {unit}, not {limit}", case.name);
                misses.push(Miss(text));
            }
        }
        for target in row.targets.iter().filter(|target| target.at_most.is_some()) {
            let own = cases.iter().filter(|case| case.name.contains(target.case));
            if own.filter(|case| case.get(target.figure).is_some()).count() == 0 {
                misses.push(Miss(format!("{name}: {} was not measured", target.figure)));
            }
        }
        misses
    }
}

impl Report {
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a report of this bench", path.display()))
    }

    pub(crate) fn render_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

/// Three digits that mean something, and no more.
pub(crate) fn digits(value: f64) -> String {
    let magnitude = value.abs();
    let places = match magnitude {
        _ if value.fract() == 0.0 || magnitude >= 100.0 => 0,
        _ if magnitude >= 10.0 => 1,
        _ if magnitude >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Target;

    const TARGETS: &[Target] = &[
        Target::at_most("1,000", "last", 40.0).istiod(169.0),
        Target::at_most("", "CPU", 0.06),
        Target::at_most("", "memory", 1.0),
    ];

    fn judged() -> (RowReport, Row) {
        let row = Row { targets: TARGETS, ..crate::rows::ROWS[0] };
        let cases = ["100 streams", "1,000 streams"].map(|name| {
            let mut case = Case::new(name);
            case.add("last", 65.25, Unit::Milliseconds);
            case.add("CPU", 0.04, Unit::CpuSeconds);
            case
        });
        let mut report = RowReport {
            name: "endpoint".to_owned(),
            title: String::new(),
            cases: cases.into(),
            took_s: 1.0,
            disturbance: Disturbance::default(),
            error: None,
        };
        report.judge(&row);
        (report, row)
    }

    #[test]
    fn what_is_missed_is_named() {
        let (report, row) = judged();
        let texts: Vec<String> = report.misses(&row).into_iter().map(|miss| miss.0).collect();
        assert_eq!(
            texts,
            [
                "endpoint, 1,000 streams: last is 65.2 ms, not 40",
                "endpoint: memory was not measured",
            ]
        );
        let failed = RowReport { error: Some("it broke".to_owned()), ..report };
        assert_eq!(failed.misses(&row)[0].0, "endpoint: it broke");
    }

    #[test]
    fn targets_stand_beside_the_figures_of_their_case() {
        let (report, _) = judged();
        let last = |case: usize| &report.cases[case].figures[0];
        assert_eq!((last(0).limit, last(0).istiod), (None, None));
        assert_eq!((last(1).limit, last(1).istiod), (Some(40.0), Some(169.0)));
    }

    #[test]
    fn a_report_is_read_back() {
        let machine = Machine { cpu: "one".to_owned(), cores: 2, open_files: 1_024 };
        let report = Report { machine, quick: false, rows: vec![judged().0] };
        let text = report.render_json().unwrap();
        let again: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(again.render_json().unwrap(), text);
    }

    #[test]
    fn numbers_have_three_digits() {
        let texts = [0.0, 1.0, 0.0123, 1.239, 12.39, 123.9, 45_000.4].map(digits);
        assert_eq!(texts, ["0", "1", "0.012", "1.24", "12.4", "124", "45000"]);
    }
}
