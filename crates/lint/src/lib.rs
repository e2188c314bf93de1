//! A snapshot → what is wrong between its objects, as findings with codes.
//!
//! - What one object alone has wrong is found by `api`, what only a proxy shows by `compile`; here is
//!   what is seen with all objects at hand: names that lead nowhere, rules that hide each other,
//!   policies that select nobody, encryption that two sides do not agree on.
//! - A kind of object of which none is listed is unknown rather than empty: where no Pod of a
//!   namespace is listed, nothing is said about selectors there.
//! - Linear: every question is answered by an index; no object is compared with all others.
//! - Pure: no clock, I/O or randomness. The same objects give the same findings, sorted.

mod annotations;
mod authorization;
mod certificates;
pub mod codes;
mod credentials;
mod delegates;
mod destination_rules;
pub mod destinations;
mod encryption;
pub mod examples;
mod facts;
mod fence_labels;
mod fences;
mod found;
mod gateway_view;
mod gateways;
mod mesh;
mod mtls;
mod namespaces;
mod order;
mod providers;
mod selectors;
mod service_entries;
mod services;
mod sidecars;
mod tokens;
mod virtual_services;
mod workloads;

use model::Diagnostic;
use snapshot::Snapshot;

pub use self::order::lint_order;
use self::{facts::Facts, found::Found};

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct LintInput<'a> {
    pub snapshot: &'a Snapshot,
    /// Seconds since the epoch; without it, nothing is said about the age of certificates.
    pub now: Option<i64>,
}

/// Everything that is wrong between the objects, sorted, each once. Findings have no places in
/// files: those of their objects are for the caller to add.
pub fn lint(input: &LintInput<'_>) -> Vec<Diagnostic> {
    lint_counted(input).0
}

/// Also counts the entries of lists that were looked at.
fn lint_counted(input: &LintInput<'_>) -> (Vec<Diagnostic>, u64) {
    let facts = Facts::new(input.snapshot);
    let mut found = Found::default();
    for check in CHECKS {
        check(&facts, &mut found);
    }
    credentials::check(&facts, input.now, &mut found);
    (found.into_sorted(), facts.looked_at())
}

type Check = fn(&Facts<'_>, &mut Found);

const CHECKS: &[Check] = &[
    annotations::check,
    authorization::check,
    delegates::check,
    destination_rules::check,
    destinations::check,
    encryption::check,
    fence_labels::check,
    fences::check,
    gateways::check,
    mesh::check,
    namespaces::check,
    providers::check,
    selectors::check,
    service_entries::check,
    services::check,
    sidecars::check,
    tokens::check,
    virtual_services::check,
    workloads::check,
];

#[cfg(test)]
mod tests;
