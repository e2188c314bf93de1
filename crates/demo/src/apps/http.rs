//! The applications that speak HTTP: frontend, catalog, reviews and cart.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use testkit::http::{Client, Request, tcp_exchange};
use tokio::net::TcpListener;

use super::{
    Own,
    rating::{self, Rated},
};

/// How long a call to a dependency may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer of every application: who had a part in it, the caller first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Page {
    served_by: Vec<String>,
    /// Who has called each of them, as far as they can tell.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    called_by: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    goods: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stars: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_stock: Option<u32>,
}

impl Page {
    fn by(name: &str) -> Self {
        Self { served_by: vec![name.to_owned()], ..Self::default() }
    }

    /// Of an application that was called with these headers.
    fn to(name: &str, headers: &HeaderMap) -> Self {
        let caller = caller(headers).map(|caller| (name.to_owned(), caller));
        Self { called_by: caller.into_iter().collect(), ..Self::by(name) }
    }

    /// Puts the answer of a dependency into this one.
    fn with(mut self, part: Self) -> Self {
        self.served_by.extend(part.served_by);
        self.called_by.extend(part.called_by);
        self.goods.extend(part.goods);
        Self { stars: self.stars.or(part.stars), in_stock: self.in_stock.or(part.in_stock), ..self }
    }
}

/// The identity of the caller: its proxy has proven it to ours, which wrote it down last.
pub(super) fn caller(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("x-forwarded-client-cert")?.to_str().ok()?;
    let fields = text.rsplit(',').next()?.split(';');
    let mut names = fields.filter_map(|field| field.strip_prefix("URI="));
    names.next().map(|name| name.trim_matches('"').to_owned())
}

pub(super) async fn serve(listener: TcpListener, router: Router) -> Result<()> {
    axum::serve(listener, router).await.context("failed to serve")
}

/// Any failure below is a 502 that says whose it was.
fn answer(page: Result<Page>) -> Response {
    match page {
        Ok(page) => Json(page).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

async fn ask(client: &Client, name: &str, address: SocketAddr) -> Result<Page> {
    let request = Request::get(address, name, "/").timeout(PATIENCE);
    let answer = client.send(&request).await.with_context(|| format!("call of {name}"))?;
    if !answer.status.is_success() {
        bail!("{name} answered {}: {}", answer.status, answer.text());
    }
    serde_json::from_slice(&answer.body).with_context(|| format!("answer of {name}"))
}

#[derive(Clone)]
struct Frontend {
    name: String,
    client: Client,
    catalog: SocketAddr,
    reviews: SocketAddr,
    cart: SocketAddr,
}

impl Frontend {
    async fn page(self, headers: HeaderMap) -> Result<Page> {
        let (catalog, reviews, cart) = tokio::try_join!(
            ask(&self.client, "catalog", self.catalog),
            ask(&self.client, "reviews", self.reviews),
            ask(&self.client, "cart", self.cart),
        )?;
        Ok(Page::to(&self.name, &headers).with(catalog).with(reviews).with(cart))
    }
}

pub(super) fn frontend(own: &Own) -> Result<Router> {
    let frontend = Frontend {
        name: own.name.clone(),
        client: Client::keep_alive(),
        catalog: own.call("catalog")?,
        reviews: own.call("reviews")?,
        cart: own.call("cart")?,
    };
    let handler = move |headers| async move { answer(frontend.page(headers).await) };
    Ok(Router::new().route("/", get(handler)))
}

pub(super) fn catalog(own: &Own) -> Router {
    let goods = ["apples", "pears", "plums"].map(str::to_owned).to_vec();
    let name = own.name.clone();
    let handler = move |headers: HeaderMap| async move {
        answer(Ok(Page { goods, ..Page::to(&name, &headers) }))
    };
    Router::new().route("/", get(handler))
}

pub(super) fn reviews(own: Own) -> Result<Router> {
    let rating = own.call("rating")?;
    let client = Client::keep_alive();
    let handler = move |headers: HeaderMap| async move {
        let rated = rating::ask(&client, rating).await.map(|Rated { by, called_by, stars }| {
            let called_by = called_by.map(|caller| (by.clone(), caller)).into_iter().collect();
            let part = Page { called_by, ..Page::by(&by) };
            Page { stars: Some(stars), ..Page::to(&own.name, &headers).with(part) }
        });
        answer(rated)
    };
    Ok(Router::new().route("/", get(handler)))
}

pub(super) fn cart(own: Own) -> Result<Router> {
    let stock = own.call("stock")?;
    let handler = move |headers: HeaderMap| async move {
        let line = tcp_exchange(stock, b"apples\n", PATIENCE).await.context("call of stock");
        answer(line.and_then(|line| {
            let line = String::from_utf8_lossy(&line);
            let mut words = line.split_whitespace();
            let (Some(name), Some(count)) = (words.next(), words.next()) else {
                bail!("stock answered `{}`", line.trim());
            };
            let page = Page::to(&own.name, &headers).with(Page::by(name));
            Ok(Page { in_stock: count.parse().ok(), ..page })
        }))
    };
    Ok(Router::new().route("/", get(handler)))
}
