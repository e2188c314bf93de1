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

use super::Own;

const METHOD: &str = "/shop.Rating/Get";
const STARS: u8 = 5;
/// Tag of field 1, a number.
const FIELD: u8 = 0x08;

pub(super) fn router(own: &Own) -> Router {
    let name = own.name.clone();
    Router::new().route(METHOD, post(move || async move { answer(&name) }))
}

fn answer(name: &str) -> Response<Body> {
    // The prefix of a gRPC message: not compressed, two bytes long.
    let frame = Bytes::copy_from_slice(&[0, 0, 0, 0, 2, FIELD, STARS]);
    let status = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    let trailers = HeaderMap::from_iter([status]);
    let body = Full::new(frame).with_trailers(future::ready(Some(Ok::<_, Infallible>(trailers))));
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(BACKEND_HEADER, name);
    response.body(Body::new(body)).expect("the name of an instance is a header's value")
}

/// Who answered, and how many stars.
pub(super) async fn ask(client: &Client, address: SocketAddr) -> Result<(String, u8)> {
    let request = Request::grpc(address, "rating", METHOD, &[]);
    let answer = client.send(&request).await.context("call of rating")?;
    if answer.grpc_status() != Some(0) {
        bail!("rating answered {} {:?} {:?}", answer.status, answer.headers, answer.trailers);
    }
    let message = answer.grpc_message().unwrap_or_default();
    ensure!(message.first() == Some(&FIELD), "rating answered {message:?}");
    let stars = message.get(1).copied().context("rating answered no stars")?;
    Ok((answer.backend().unwrap_or("(nobody)").to_owned(), stars))
}
