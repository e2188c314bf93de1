//! `workload,host[,count]`, a line each.

use super::{Import, ImportInput};

pub(super) fn parse(input: ImportInput<'_>) -> Import {
    let mut import = Import { form: "csv", ..Import::default() };
    for (index, line) in input.text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        let fields: Vec<&str> =
            line.split([',', ';', '\t']).map(|it| it.trim().trim_matches('"').trim()).collect();
        let is_head =
            index == 0 && fields.first().is_some_and(|it| it.eq_ignore_ascii_case("workload"));
        if line.is_empty() || line.starts_with('#') || is_head {
            continue;
        }
        let place = format!("line {}", index + 1);
        let (workload, host, count) = match fields.as_slice() {
            [workload, host] => (workload, host, "1"),
            [workload, host, count, ..] => (workload, host, *count),
            [] | [_] => {
                import.leave_out(place, "write workload,host or workload,host,count");
                continue;
            }
        };
        let Ok(count) = count.parse() else {
            import.leave_out(place, format!("`{count}` is no count: write a whole number"));
            continue;
        };
        let workload = input.workload(workload);
        let caller = workload.as_ref().ok().map(|it| it.namespace.clone());
        import.add(&place, workload, input.host(host, caller.as_ref()), count);
    }
    import
}
