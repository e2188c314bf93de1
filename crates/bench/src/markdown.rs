//! A report as Markdown.

use std::fmt::Write;

use crate::report::{Case, Figure, Machine, Report, RowReport, Unit, digits};

pub(crate) fn render(report: &Report) -> String {
    let Report { machine: Machine { cpu, cores, open_files }, quick, rows } = report;
    let mut text = format!(
        "{cores} cores ({cpu}), loopback, server and bench together; a process may open {open_files} files.\n"
    );
    if *quick {
        text.push_str("A quick run: these figures show that the bench works, and nothing else.\n");
    }
    for row in rows {
        render_row(row, &mut text);
    }
    text
}

fn render_row(row: &RowReport, text: &mut String) {
    let RowReport { name, title, cases, took_s, disturbance, error } = row;
    // A `String` takes everything.
    let _ = writeln!(text, "\n### `{name}`: {title}\n");
    let busy = if disturbance.is_much() { "**the machine was busy**: " } else { "" };
    let _ = writeln!(
        text,
        "{busy}load {}, others used {} CPUs, {} were stolen; the row took {took_s:.0} s\n",
        disturbance.load, disturbance.others, disturbance.stolen,
    );
    if let Some(error) = error {
        let _ = writeln!(text, "**failed**: {error}\n");
    }
    if !cases.is_empty() {
        text.push_str("| | | figure | to reach | | istiod |\n|---|---|---|---|---|---|\n");
    }
    for case in cases {
        render_case(case, text);
    }
}

/// Without limits and comparisons: case, name and figure.
pub(crate) fn render_plain(case: &Case, text: &mut String) {
    let mut title = case.name.as_str();
    for Figure { name, value, unit, .. } in &case.figures {
        // A `String` takes everything.
        let _ = writeln!(text, "| {title} | {name} | {} |", with_unit(*value, *unit));
        title = "";
    }
}

fn with_unit(value: f64, unit: Unit) -> String {
    format!("{} {}", digits(value), unit.symbol()).trim_end().to_owned()
}

fn render_case(case: &Case, text: &mut String) {
    let mut title = case.name.as_str();
    for figure in &case.figures {
        let Figure { name, value, unit, limit, istiod } = figure;
        let with_unit = |value: f64| with_unit(value, *unit);
        let optional = |value: &Option<f64>| value.map(with_unit).unwrap_or_default();
        let verdict = match (limit, figure.is_missed()) {
            (None, _) => "",
            (Some(_), false) => "met",
            (Some(_), true) => "**missed**",
        };
        let limit = limit.map(|limit| format!("≤ {}", with_unit(limit))).unwrap_or_default();
        let (value, istiod) = (with_unit(*value), optional(istiod));
        let _ = writeln!(text, "| {title} | {name} | {value} | {limit} | {verdict} | {istiod} |");
        title = "";
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::machine::Disturbance;

    #[test]
    fn a_report_is_a_table_for_each_row() {
        let mut case = Case::new("1,000 streams");
        case.add("last", 65.25, Unit::Milliseconds);
        case.add("server CPU", 0.04, Unit::CpuSeconds);
        case.add("sent", 1_200.0, Unit::Kilobytes);
        case.figures[0].limit = Some(40.0);
        case.figures[0].istiod = Some(169.0);
        case.figures[1].limit = Some(0.06);
        let row = RowReport {
            name: "endpoint".to_owned(),
            title: "one endpoint changes".to_owned(),
            cases: vec![case],
            took_s: 12.3,
            disturbance: Disturbance { load: 3.0, others: 0.8, stolen: 0.01 },
            error: Some("it broke".to_owned()),
        };
        let machine = Machine { cpu: "a CPU".to_owned(), cores: 2, open_files: 20_000 };
        let report = Report { machine, quick: false, rows: vec![row] };
        expect![[r#"
            2 cores (a CPU), loopback, server and bench together; a process may open 20000 files.

            ### `endpoint`: one endpoint changes

            **the machine was busy**: load 3, others used 0.8 CPUs, 0.01 were stolen; the row took 12 s

            **failed**: it broke

            | | | figure | to reach | | istiod |
            |---|---|---|---|---|---|
            | 1,000 streams | last | 65.2 ms | ≤ 40 ms | **missed** | 169 ms |
            |  | server CPU | 0.040 CPU s | ≤ 0.060 CPU s | met |  |
            |  | sent | 1200 kB |  |  |  |
        "#]]
        .assert_eq(&render(&report));
    }
}
