use axum::http::{HeaderName, HeaderValue};

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let parse = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    pairs.iter().map(parse).collect()
}

const JSON: (&str, &str) = ("content-type", "application/json");
const HERE: &str = "127.0.0.1";

#[track_caller]
fn apply(pairs: &[(&'static str, &'static str)], peer: &str) -> Result<(), Reason> {
    let peer = Some(peer.parse().unwrap());
    check("/api/apply", &Method::POST, &headers(pairs), peer).map_err(|error| error.reason)
}

#[test]
fn the_command_line_may_write() {
    assert_eq!(apply(&[("host", "127.0.0.1:15014"), JSON], HERE), Ok(()));
    assert_eq!(apply(&[("host", "[::1]:15014"), JSON], "::1"), Ok(()));
    assert_eq!(apply(&[("host", "localhost:15014"), JSON], HERE), Ok(()));
}

#[test]
fn a_page_of_another_origin_may_not_write() {
    let host = ("host", "127.0.0.1:15014");
    let foreign = ("origin", "https://evil.example");
    assert_eq!(apply(&[host, foreign, JSON], HERE), Err(Reason::Forbidden));
    assert_eq!(apply(&[host, ("origin", "null"), JSON], HERE), Err(Reason::Forbidden));
    let site = ("sec-fetch-site", "cross-site");
    assert_eq!(apply(&[host, site, JSON], HERE), Err(Reason::Forbidden));
    let own = ("origin", "http://127.0.0.1:15014");
    assert_eq!(apply(&[host, own, ("sec-fetch-site", "same-origin"), JSON], HERE), Ok(()));
}

#[test]
fn a_form_of_a_page_is_no_json() {
    let host = ("host", "127.0.0.1:15014");
    let form = ("content-type", "text/plain");
    assert_eq!(apply(&[host, form], HERE), Err(Reason::BadRequest));
    assert_eq!(apply(&[host], HERE), Err(Reason::BadRequest));
}

#[test]
fn a_name_that_resolves_to_here_is_not_answered() {
    let rebound = ("host", "evil.example:15014");
    let same = ("origin", "http://evil.example:15014");
    assert_eq!(apply(&[rebound, same, JSON], HERE), Err(Reason::Forbidden));
    let read = |path| check(path, &Method::GET, &headers(&[rebound]), None);
    assert!(read("/debug/config_dump").is_err());
    assert!(read("/ready").is_ok());
    assert!(read("/metrics").is_ok());
}

#[test]
fn other_machines_read_and_do_not_write() {
    let pairs = [("host", "10.0.0.1:15014"), JSON];
    assert_eq!(apply(&pairs, "10.0.0.2"), Err(Reason::Forbidden));
    assert_eq!(apply(&pairs, "::ffff:127.0.0.1"), Ok(()));
    let peer = Some("10.0.0.2".parse().unwrap());
    assert!(check("/api/diff", &Method::POST, &headers(&pairs), peer).is_ok());
    assert!(check("/debug/findings", &Method::GET, &headers(&pairs[..1]), peer).is_ok());
}
