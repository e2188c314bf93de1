//! OpenMetrics → the plain text format of Prometheus (0.0.4), for those who do not ask for the other
//! and for tools that know this one alone.
//!
//! - Samples keep their names. What is said about a counter is said about its sample, `…_total`.
//! - Examples of buckets and units have no place there, and are left out.

use std::fmt::Write;

/// The same metrics in the plain format.
pub(crate) fn plain(metrics: &str) -> String {
    let mut text = String::with_capacity(metrics.len());
    // The help stands before the type, on which the name of both depends.
    let mut help = None;
    for line in metrics.lines() {
        match line.strip_prefix("# ").and_then(|it| it.split_once(' ')) {
            Some(("HELP", rest)) => help = rest.split_once(' '),
            Some(("TYPE", rest)) => {
                let (name, kind) = rest.split_once(' ').unwrap_or((rest, "unknown"));
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    other => ("", other),
                };
                // Nothing can go wrong: it is a text.
                if let Some((_, about)) = help.take().filter(|(own, _)| *own == name) {
                    let _ = writeln!(text, "# HELP {name}{suffix} {about}");
                }
                let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
            }
            Some(_) => (),
            None if line.starts_with('#') => (),
            None => {
                text.push_str(without_example(line));
                text.push('\n');
            }
        }
    }
    text
}

/// A sample up to its example, which begins behind the labels and the value.
fn without_example(sample: &str) -> &str {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in sample.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'#' if !is_quoted => return sample[..at].trim_end(),
            _ => (),
        }
    }
    sample
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_plain_format_has_the_same_samples_under_names_that_it_knows() {
        let metrics = "\
# HELP pushes Responses sent.
# TYPE pushes counter
pushes_total{type=\"a # \\\" b\"} 4
# HELP seconds Time.
# TYPE seconds histogram
# UNIT seconds seconds
seconds_sum 1.5
seconds_bucket{le=\"+Inf\"} 3 # {revision=\"7\"} 0.5
# HELP build About it.
# TYPE build info
build_info{version=\"1\"} 1
# HELP updates Changes.
# TYPE updates unknown
updates 2
# EOF
";
        expect![[r#"
            # HELP pushes_total Responses sent.
            # TYPE pushes_total counter
            pushes_total{type="a # \" b"} 4
            # HELP seconds Time.
            # TYPE seconds histogram
            seconds_sum 1.5
            seconds_bucket{le="+Inf"} 3
            # HELP build_info About it.
            # TYPE build_info gauge
            build_info{version="1"} 1
            # HELP updates Changes.
            # TYPE updates untyped
            updates 2
        "#]]
        .assert_eq(&plain(metrics));
    }
}
