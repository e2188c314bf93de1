//! Who may ask: people and programs on purpose, and no web page behind their back.
//!
//! - A page of another site that gets its own name to resolve to this address is told by the
//!   `Host` that the browser sends: only addresses and `localhost` are answered.
//! - A page of another origin is told by `Origin` and `Sec-Fetch-Site`; that the body of a write
//!   must be JSON makes a browser ask first, and it is never told yes.
//! - What changes files and scopes is taken from this machine only: the API knows no users yet.
//! - Not guarded: `/ready` and `/metrics`, which probes and scrapers reach by all sorts of names.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{ApiError, Reason};

/// Refuses what a browser sends for somebody else, and writes from other machines.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|it| it.0.ip());
    match check(request.uri().path(), request.method(), request.headers(), peer) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(
    path: &str,
    method: &Method,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<(), ApiError> {
    if matches!(path, "/ready" | "/metrics") {
        return Ok(());
    }
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !host.is_empty() && !is_plain_host(host) {
        let message = format!("requests for the host `{host}` are not answered");
        let hint = "ask for the IP address or for `localhost`: a name could be that of a web site";
        return Err(ApiError::new(Reason::Forbidden, message).hint(hint));
    }
    if method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, own)| own == host);
    let is_foreign = text(header::ORIGIN).is_some_and(|origin| !is_own(origin))
        || headers
            .get("sec-fetch-site")
            .is_some_and(|site| site != "same-origin" && site != "none");
    if is_foreign {
        let message = "a web page of another origin may not do this";
        return Err(ApiError::new(Reason::Forbidden, message));
    }
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        let message = "the body must be JSON, and say so in `Content-Type`";
        return Err(ApiError::new(Reason::BadRequest, message));
    }
    let is_local = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
    if matches!(path, "/api/apply" | "/api/delete") && !is_local {
        let message = "files are only written for somebody on the same machine";
        let hint = "run `meltemi apply` where `meltemi serve` runs, or write into the directory";
        return Err(ApiError::new(Reason::Forbidden, message).hint(hint));
    }
    if path.starts_with("/api/scope/") && !is_local {
        let message = "scopes are only changed for somebody on the same machine";
        let hint = "run `meltemi scope` where `meltemi serve` runs";
        return Err(ApiError::new(Reason::Forbidden, message).hint(hint));
    }
    Ok(())
}

/// An address or `localhost`, with or without a port.
fn is_plain_host(host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() || host.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
        || name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests;
