//! `/debug/load`: how much this replica has to do, for its peers and for people.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};

use crate::Shared;

/// The load of one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadReport {
    /// Tells this process from all others.
    pub instance: String,
    /// Streams of proxies that are open.
    pub streams: u64,
    /// How many it should have in relation to its peers.
    pub weight: u32,
    /// Whether further streams are let in.
    pub accepts: bool,
}

pub(crate) async fn load(State(admin): State<Shared>) -> Json<LoadReport> {
    Json((admin.load)())
}
