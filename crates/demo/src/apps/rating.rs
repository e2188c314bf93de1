//! The gRPC application: `shop.Rating/Get`, whose answer is a message with the stars in field 1.

use std::{convert::Infallible, future, net::SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, header},
    routing::post,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use testkit::http::{BACKEND_HEADER, Client, Request};

use super::{Own, http};

const METHOD: &str = "/shop.Rating/Get";
/// Says in the answer who has called.
const CALLER_HEADER: &str = "x-called-by";
const STARS: u8 = 5;
/// Tag of field 1, a number.
const FIELD: u8 = 0x08;

pub(super) fn router(own: &Own) -> Router {
    let name = own.name.clone();
    let handler = move |headers: HeaderMap| async move { answer(&name, &headers) };
    Router::new().route(METHOD, post(handler))
}

fn answer(name: &str, request: &HeaderMap) -> Response<Body> {
    // The prefix of a gRPC message: not compressed, two bytes long.
    let frame = Bytes::copy_from_slice(&[0, 0, 0, 0, 2, FIELD, STARS]);
    let status = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    let trailers = HeaderMap::from_iter([status]);
    let body = Full::new(frame).with_trailers(future::ready(Some(Ok::<_, Infallible>(trailers))));
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(CALLER_HEADER, http::caller(request).unwrap_or_default())
        .header(BACKEND_HEADER, name);
    response.body(Body::new(body)).expect("the name of an instance is a header's value")
}

/// An answer.
pub(super) struct Rated {
    pub(super) by: String,
    pub(super) called_by: Option<String>,
    pub(super) stars: u8,
}

pub(super) async fn ask(client: &Client, address: SocketAddr) -> Result<Rated> {
    let request = Request::grpc(address, "rating", METHOD, &[]);
    let answer = client.send(&request).await.context("call of rating")?;
    if answer.grpc_status() != Some(0) {
        bail!("rating answered {} {:?} {:?}", answer.status, answer.headers, answer.trailers);
    }
    let message = answer.grpc_message().unwrap_or_default();
    ensure!(message.first() == Some(&FIELD), "rating answered {message:?}");
    let stars = message.get(1).copied().context("rating answered no stars")?;
    let called_by = answer.header(CALLER_HEADER).filter(|caller| !caller.is_empty());
    Ok(Rated {
        by: answer.backend().unwrap_or("(nobody)").to_owned(),
        called_by: called_by.map(str::to_owned),
        stars,
    })
}
