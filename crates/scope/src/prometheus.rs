//! Prometheus as a sensor: one question for all workloads, and its answer → calls.
//!
//! - Pure: who asks, how often and with what patience is elsewhere.
//! - The answer is bounded; a series that makes no sense is left out and counted.

use std::collections::BTreeMap;

use model::{Hostname, Name, Namespace, WorkloadKey};
use serde::Deserialize;

use crate::{complete_host, target::Places};

/// Stands in an expression for the time that it looks back, such as `120s`.
const RANGE: &str = "$range";
/// More series than this are not looked at.
const MOST: usize = 200_000;

/// The metrics of callers: requests, and connections of bytes.
const METRICS: [&str; 2] = ["istio_requests_total", "istio_tcp_connections_opened_total"];
/// By whom, and whom.
const LABELS: [&str; 3] = ["source_workload_namespace", "source_workload", "destination_service"];

/// What is asked unless somebody wrote another expression. It gives the calls of the last `$range`
/// by `source_workload_namespace`, `source_workload` and `destination_service`.
pub fn usual_query() -> String {
    let by = LABELS.join(", ");
    let sums = METRICS.map(|metric| {
        let series = format!("{metric}{{reporter=\"source\"}}");
        // A series that has just appeared has not grown yet.
        format!(
            "sum by ({by}) ((increase({series}[{RANGE}]) > 0) or ({series} unless {series} offset \
             {RANGE}))"
        )
    });
    sums.join(" or ")
}

/// The address at which a Prometheus answers an expression, looking back for so many seconds.
pub fn query_address(base: &str, query: &str, range: u64) -> String {
    let query = query.replace(RANGE, &format!("{range}s"));
    let mut address = format!("{}/api/v1/query?query=", base.trim_end_matches('/'));
    for byte in query.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                address.push(byte.into());
            }
            other => address.push_str(&format!("%{other:02X}")),
        }
    }
    address
}

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// By caller and callee. The callee is a service.
    pub calls: Vec<(WorkloadKey, Hostname, u32)>,
    /// Series of the answer. None at all says that nobody measures, and not that nobody calls.
    pub series: usize,
    /// Of these, those that name no caller, or nothing that is a service.
    pub unknown: usize,
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not what Prometheus answers.
    #[error("the answer is not that of a Prometheus: {0}")]
    Form(String),
    /// Prometheus says that the expression is wrong, or that it cannot evaluate it now.
    #[error("Prometheus refuses the question: {0}")]
    Refused(String),
    /// The expression gives something else than one number for each series.
    #[error("the expression gives a {0}, and not an instant vector")]
    Kind(String),
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// Reads an answer. `share` is the part of what was asked for that was not counted before: questions
/// look further back than to the one before.
pub fn parse_measured(
    body: &[u8],
    share: f64,
    places: &(impl Places + ?Sized),
) -> Result<Measured, AnswerError> {
    let form = |error: serde_json::Error| AnswerError::Form(error.to_string());
    let answer: Answer = serde_json::from_slice(body).map_err(form)?;
    if answer.status != "success" {
        return Err(AnswerError::Refused(answer.error));
    }
    if answer.data.result_type != "vector" {
        return Err(AnswerError::Kind(answer.data.result_type));
    }
    let all: Vec<Series> = serde_json::from_value(answer.data.result).map_err(form)?;
    let mut measured = Measured { series: all.len(), ..Measured::default() };
    let mut calls: BTreeMap<(WorkloadKey, Hostname), u32> = BTreeMap::new();
    for series in all.iter().take(MOST) {
        match call(series, places) {
            Some(call) => {
                let count = calls.entry(call).or_default();
                *count = count.saturating_add(calls_of(series, share));
            }
            None => measured.unknown += 1,
        }
    }
    let calls = calls.into_iter().filter(|(_, count)| *count > 0);
    measured.calls = calls.map(|((workload, host), count)| (workload, host, count)).collect();
    Ok(measured)
}

/// Whole calls; what was called at all was called once.
fn calls_of(series: &Series, share: f64) -> u32 {
    let value = series.value.1.parse::<f64>().unwrap_or(0.0);
    match value > 0.0 {
        #[expect(clippy::cast_sign_loss, reason = "it is more than nothing")]
        true => (value * share).ceil().clamp(1.0, u32::MAX.into()) as u32,
        // Also what is no number.
        false => 0,
    }
}

fn call(series: &Series, places: &(impl Places + ?Sized)) -> Option<(WorkloadKey, Hostname)> {
    let label = |name: &str| {
        let value = series.metric.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty() && *value != "unknown")
    };
    let namespace = Namespace::from(label(LABELS[0])?);
    let host = complete_host(label(LABELS[2])?, &namespace, places)?;
    let name = Name::from(label(LABELS[1])?);
    Some((WorkloadKey { namespace, name }, host))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::target::tests::FakePlaces;

    #[test]
    fn one_question_asks_for_all_workloads() {
        expect![[r#"
            sum by (source_workload_namespace, source_workload, destination_service) ((increase(istio_requests_total{reporter="source"}[$range]) > 0) or (istio_requests_total{reporter="source"} unless istio_requests_total{reporter="source"} offset $range)) or sum by (source_workload_namespace, source_workload, destination_service) ((increase(istio_tcp_connections_opened_total{reporter="source"}[$range]) > 0) or (istio_tcp_connections_opened_total{reporter="source"} unless istio_tcp_connections_opened_total{reporter="source"} offset $range))"#]]
        .assert_eq(&usual_query());
        let address = query_address("http://p:9090/x/", "rate(a{b=\"c\"}[$range])", 120);
        assert_eq!(
            address,
            "http://p:9090/x/api/v1/query?query=rate%28a%7Bb%3D%22c%22%7D%5B120s%5D%29"
        );
    }

    /// A line is a series: `namespace workload destination value`.
    #[track_caller]
    fn check(series: &str, share: f64, expected: Expect) {
        let series: Vec<serde_json::Value> = series
            .lines()
            .map(|line| {
                let mut words = line.split_whitespace();
                let mut next = || words.next().unwrap();
                let metric: serde_json::Map<_, _> =
                    LABELS.iter().map(|name| ((*name).to_owned(), next().into())).collect();
                serde_json::json!({ "metric": metric, "value": [1.5, next()] })
            })
            .collect();
        let body = serde_json::json!({
            "status": "success", "data": {"resultType": "vector", "result": series},
        });
        let measured = parse_measured(body.to_string().as_bytes(), share, &FakePlaces).unwrap();
        let mut text = format!("{} series, {} unknown\n", measured.series, measured.unknown);
        for (workload, host, count) in measured.calls {
            text.push_str(&format!("{workload} {host} {count}\n"));
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn series_are_calls_of_services_by_workloads() {
        check(
            "shop web cart.shop.svc.cluster.local 10
             shop web cart 3.2
             shop web pay.bank:443 0.3
             shop web 10.0.0.1 0
             shop other api.example.com NaN
             shop unknown cart 1
             unknown web cart 1
             shop web unknown 4
             shop web nobody 4
             shop web api.example.com +Inf",
            0.5,
            expect![[r#"
                10 series, 4 unknown
                shop/web api.example.com 4294967295
                shop/web cart.shop.svc.cluster.local 7
                shop/web pay.bank.svc.cluster.local 1
            "#]],
        );
    }

    #[test]
    fn what_is_no_vector_is_an_error_with_its_reason() {
        let error = |body: &str| parse_measured(body.as_bytes(), 1.0, &FakePlaces).unwrap_err();
        let refused =
            error(r#"{"status": "error", "errorType": "bad_data", "error": "parse error"}"#);
        assert_eq!(refused.to_string(), "Prometheus refuses the question: parse error");
        let scalar =
            r#"{"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}"#;
        assert_eq!(error(scalar), AnswerError::Kind("scalar".to_owned()));
        assert!(matches!(error("<html>"), AnswerError::Form(_)));
        let matrix =
            r#"{"status": "success", "data": {"resultType": "vector", "result": [{"a": 1}]}}"#;
        assert!(matches!(error(matrix), AnswerError::Form(_)));
    }
}
