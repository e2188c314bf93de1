//! A report beside an earlier one.

use std::fmt::Write;

use crate::report::{Figure, Report, RowReport, digits};

/// Below this nobody looks: clocks and machines differ by as much.
const SMALL: f64 = 0.05;

/// The figures that both have, with ratios, as Markdown.
pub(crate) fn render(before: &Report, now: &Report) -> String {
    let mut text = String::from("\n### Against the earlier run\n\n");
    if before.quick || now.quick {
        text.push_str("One of the runs is a quick one: the ratios mean nothing.\n\n");
    }
    if before.machine.cpu != now.machine.cpu || before.machine.cores != now.machine.cores {
        text.push_str("The machines differ.\n\n");
    }
    text.push_str("| row | case | | before | now | ratio |\n|---|---|---|---|---|---|\n");
    for row in &now.rows {
        let Some(earlier) = before.rows.iter().find(|earlier| earlier.name == row.name) else {
            continue;
        };
        compare_row(earlier, row, &mut text);
    }
    text
}

fn compare_row(before: &RowReport, now: &RowReport, text: &mut String) {
    let busy = match (before.disturbance.is_much(), now.disturbance.is_much()) {
        (false, false) => "",
        (true, false) => " (busy before)",
        (false, true) => " (busy now)",
        (true, true) => " (busy both times)",
    };
    for case in &now.cases {
        let Some(earlier) = before.cases.iter().find(|earlier| earlier.name == case.name) else {
            continue;
        };
        for Figure { name, value, unit, .. } in &case.figures {
            let Some(old) = earlier.get(name) else { continue };
            let (ratio, symbol) = (ratio(old, *value), unit.symbol());
            // A `String` takes everything.
            let _ = writeln!(
                text,
                "| {}{busy} | {} | {name} | {} {symbol} | {} {symbol} | {ratio} |",
                now.name,
                case.name,
                digits(old),
                digits(*value),
            );
        }
    }
}

/// Bold where something changed.
fn ratio(before: f64, now: f64) -> String {
    if before == now {
        return "=".to_owned();
    }
    if before == 0.0 {
        return "**new**".to_owned();
    }
    let ratio = now / before;
    match (ratio - 1.0).abs() > SMALL {
        true => format!("**× {ratio:.2}**"),
        false => format!("× {ratio:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::{
        machine::Disturbance,
        report::{Case, Machine, Unit},
    };

    fn report(last: f64, cpu: f64, sent: f64, others: f64) -> Report {
        let mut case = Case::new("1,000 streams");
        case.add("last", last, Unit::Milliseconds);
        case.add("server CPU", cpu, Unit::CpuSeconds);
        case.add("resources sent", sent, Unit::Count);
        let row = |name: &str| RowReport {
            name: name.to_owned(),
            title: String::new(),
            cases: vec![case.clone()],
            took_s: 1.0,
            disturbance: Disturbance { load: 0.0, others, stolen: 0.0 },
            error: None,
        };
        let machine = Machine { cpu: "a CPU".to_owned(), cores: 2, open_files: 20_000 };
        // Each has a row that the other has not.
        let rows = vec![row("endpoint"), row(&format!("only-{last}"))];
        Report { machine, quick: false, rows }
    }

    #[test]
    fn figures_stand_beside_their_former_selves() {
        expect![[r#"

            ### Against the earlier run

            | row | case | | before | now | ratio |
            |---|---|---|---|---|---|
            | endpoint (busy now) | 1,000 streams | last | 40 ms | 60 ms | **× 1.50** |
            | endpoint (busy now) | 1,000 streams | server CPU | 0.050 CPU s | 0.051 CPU s | × 1.02 |
            | endpoint (busy now) | 1,000 streams | resources sent | 0  | 0  | = |
        "#]]
        .assert_eq(&render(&report(40.0, 0.05, 0.0, 0.0), &report(60.0, 0.051, 0.0, 0.9)));
    }

    #[test]
    fn what_was_nothing_has_no_ratio() {
        assert_eq!(ratio(0.0, 3.0), "**new**");
        assert_eq!(ratio(2.0, 1.0), "**× 0.50**");
    }
}
