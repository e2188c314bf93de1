//! `workload,host[,count]`, a line each; a head may name the columns in another order.

use super::{Import, ImportInput, whole_number};

/// What a head may call the columns of who calls, whom, and how often.
const CALLER: [&str; 4] = ["workload", "source", "caller", "from"];
const CALLEE: [&str; 5] = ["host", "destination", "target", "callee", "to"];
const COUNT: [&str; 3] = ["count", "calls", "requests"];

/// The places of the columns in a line.
struct Columns {
    caller: usize,
    callee: usize,
    count: Option<usize>,
}

impl Columns {
    /// Those of a line without a head.
    const PLAIN: Self = Self { caller: 0, callee: 1, count: Some(2) };

    /// Those that a head names; `None` if the line is no head.
    fn of_head(fields: &[&str]) -> Option<Self> {
        let place = |names: &[&str]| {
            fields.iter().position(|it| names.iter().any(|name| it.eq_ignore_ascii_case(name)))
        };
        Some(Self { caller: place(&CALLER)?, callee: place(&CALLEE)?, count: place(&COUNT) })
    }
}

fn fields_of(line: &str) -> Vec<&str> {
    line.split([',', ';', '\t']).map(|it| it.trim().trim_matches('"').trim()).collect()
}

pub(super) fn parse(input: ImportInput<'_>) -> Import {
    let mut import = Import { form: "csv", ..Import::default() };
    let lines = input.text.lines().enumerate();
    let lines = lines.map(|(index, line)| (index, line.trim_start_matches('\u{feff}').trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut lines = lines.map(|(index, line)| (index, fields_of(line))).peekable();
    // Only the first line can be a head.
    let head = lines.peek().and_then(|(_, fields)| Columns::of_head(fields));
    if head.is_some() {
        lines.next();
    }
    let columns = head.unwrap_or(Columns::PLAIN);
    for (index, fields) in lines {
        let place = format!("line {}", index + 1);
        let (Some(workload), Some(host)) = (fields.get(columns.caller), fields.get(columns.callee))
        else {
            import.leave_out(place, "write workload,host or workload,host,count");
            continue;
        };
        let said = columns.count.and_then(|it| fields.get(it)).filter(|it| !it.is_empty());
        let said = said.copied().unwrap_or("1");
        let workload = input.workload(workload);
        let caller = workload.as_ref().ok().map(|it| it.namespace.clone());
        import.add(&place, workload, input.host(host, caller.as_ref()), whole_number(said));
    }
    import
}
