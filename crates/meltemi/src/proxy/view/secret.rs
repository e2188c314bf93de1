//! Secrets: what their certificates say. Keys never come here.

use std::time::{SystemTime, UNIX_EPOCH};

use admin::ResourceStatus;
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

use super::at;
use crate::{
    output::{Cell, Role, Table},
    proxy::config::{state_cell, view_table},
};

/// One certificate.
struct Facts {
    serial: String,
    not_before: ASN1Time,
    not_after: ASN1Time,
}

pub(super) fn table(resources: &[&ResourceStatus]) -> Table {
    let columns =
        ["RESOURCE NAME", "TYPE", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"];
    let mut table = view_table(&columns);
    for resource in resources {
        let (kind, source) = content(&resource.resource);
        let mut certificates = certificates(source);
        // Of several authorities, each has a row.
        if kind == "Cert Chain" || certificates.is_empty() {
            certificates.truncate(1);
        }
        let row = |facts: Option<&Facts>| -> [Cell; 7] {
            let text = |pick: fn(&Facts) -> String| facts.map_or_else(|| "-".to_owned(), pick);
            [
                resource.name.as_str().into(),
                kind.into(),
                facts.map_or_else(|| "-".into(), validity),
                text(|it| it.serial.clone()).into(),
                text(|it| render_time(it.not_after)).into(),
                text(|it| render_time(it.not_before)).into(),
                state_cell(resource),
            ]
        };
        match certificates.is_empty() {
            true => table.row(row(None)),
            false => certificates.iter().for_each(|facts| table.row(row(Some(facts)))),
        }
    }
    table
}

/// What a secret is, in istioctl's words, and where its certificates stand.
fn content(secret: &Value) -> (&'static str, &Value) {
    let chain = at(secret, "tls_certificate/certificate_chain");
    match chain.is_null() {
        false => ("Cert Chain", chain),
        true => ("CA", at(secret, "validation_context/trusted_ca")),
    }
}

fn certificates(source: &Value) -> Vec<Facts> {
    let bytes = source["inline_bytes"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let text = || source["inline_string"].as_str().map(|text| text.as_bytes().to_vec());
    let pem = bytes.or_else(text).unwrap_or_default();
    let all = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
    let facts = all.filter_map(|der| {
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let validity = certificate.validity();
        Some(Facts {
            serial: certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
            not_before: validity.not_before,
            not_after: validity.not_after,
        })
    });
    facts.collect()
}

fn validity(facts: &Facts) -> Cell {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    match (facts.not_before.timestamp()..facts.not_after.timestamp()).contains(&now) {
        true => Cell::marked("true", Role::Good),
        false => Cell::marked("false", Role::Error),
    }
}

/// `2026-11-21T19:18:12Z`.
fn render_time(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let (date, (hour, minute, second)) = (time.date(), time.to_hms());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
