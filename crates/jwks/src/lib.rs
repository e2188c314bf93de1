//! The keys of token issuers: fetched for the mesh, kept and refreshed.
//!
//! - A [`KeyStage`] stands between the sources and the store. It sees which RequestAuthentications
//!   come and go, fetches what they need and adds it to what the sources say, as changes like any.
//! - The last good set is kept until there is a newer one; a set is read before it is accepted.
//! - At the start it holds back the word that all is read until each set was tried for: a proxy
//!   that has keys must not be told that there are none because the control plane starts anew.
//! - Not here: what keys mean to Envoy (`compile`).

mod client;
pub mod codes;
mod document;
mod fetch;
mod metrics;
mod stage;
#[cfg(test)]
mod tests;
mod wanted;

pub use client::HttpsClient;
pub use fetch::{FetchError, Fetcher};
pub use metrics::KeyMetrics;
pub use stage::{KeySettings, KeyStage};
