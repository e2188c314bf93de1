//! Findings → SARIF 2.1.0, the form that code scanners take in.

use std::collections::BTreeMap;

use model::Severity;
use serde_json::{Value, json};

use super::Finding;
use crate::explain;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn render(findings: &[Finding]) -> Value {
    let codes: BTreeMap<&str, usize> = {
        let mut codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
        codes.sort_unstable();
        codes.dedup();
        codes.into_iter().enumerate().map(|(index, code)| (code, index)).collect()
    };
    let rules: Vec<Value> = codes
        .keys()
        .map(|code| {
            let title = explain::find(code).map_or("", |known| known.title);
            json!({"id": code, "shortDescription": {"text": title}})
        })
        .collect();
    let results: Vec<Value> =
        findings.iter().map(|finding| result(finding, codes[finding.code])).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "meltemi",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "results": results,
        }],
    })
}

fn result(finding: &Finding, rule: usize) -> Value {
    let level = match finding.severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let text = match finding.hint.as_str() {
        "" => finding.message.clone(),
        hint => format!("{} ({hint})", finding.message),
    };
    let mut result = json!({
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": level,
        "message": {"text": text},
    });
    let mut location = json!({});
    if !finding.file.is_empty() {
        let mut physical = json!({"artifactLocation": {"uri": finding.file}});
        if finding.line > 0 {
            physical["region"] = json!({"startLine": finding.line});
        }
        location["physicalLocation"] = physical;
    }
    if !finding.object.is_empty() {
        let name = format!("{} {}", finding.object, finding.field);
        location["logicalLocations"] = json!([{"fullyQualifiedName": name.trim_end()}]);
    }
    if location != json!({}) {
        result["locations"] = json!([location]);
    }
    result
}
