//! The role of a fetcher, and how keys are found through it.

use std::time::Duration;

use bytes::Bytes;
use snapshot::KeySource;

use crate::document::{parse_discovery, parse_keys};

/// Reads the content of an address.
pub trait Fetcher: Clone + Send + Sync + 'static {
    fn fetch(&self, uri: &str) -> impl Future<Output = Result<Bytes, FetchError>> + Send;
}

/// Why there are no keys. Whoever wants them tries again.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("`{uri}` is not an address that begins with `https://` or `http://`")]
    BadUri { uri: String },
    #[error("failed to connect to `{host}`")]
    Connect { host: String, source: std::io::Error },
    #[error("failed to speak HTTP with `{host}`")]
    Http { host: String, source: hyper::Error },
    #[error("`{uri}` answers {status}")]
    Status { uri: String, status: http::StatusCode },
    #[error("`{uri}` leads on too often, or to a place that is not safe")]
    Redirect { uri: String },
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("there was no answer in {} s", .limit.as_secs_f32())]
    Timeout { limit: Duration },
    #[error("the answer is not JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("the answer cannot be used: {why}")]
    Unusable { why: &'static str },
    #[error("the system has no certificates of authorities to trust")]
    NoAuthorities,
}

/// The keys of a source, as text.
pub(crate) async fn fetch_keys(
    source: &KeySource,
    limit: Duration,
    fetcher: &impl Fetcher,
) -> Result<String, FetchError> {
    let fetch = async {
        let uri = match source {
            KeySource::Uri(uri) => uri.to_string(),
            KeySource::Issuer(issuer) => {
                let place = issuer.trim_end_matches('/');
                let uri = format!("{place}/.well-known/openid-configuration");
                parse_discovery(&fetcher.fetch(&uri).await?)?
            }
        };
        parse_keys(&fetcher.fetch(&uri).await?)
    };
    let answer = tokio::time::timeout(limit, fetch).await;
    answer.unwrap_or(Err(FetchError::Timeout { limit }))
}
