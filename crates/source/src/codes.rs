//! The diagnostic codes of this crate.
//!
//! Codes are stable: one is never given another meaning, and a dead one is never reused.

api::codes! {
    EXPIRED "MEL0265" Info "A policy has expired";
    EXPIRY_UNREADABLE "MEL0266" Error "The time at which a policy expires cannot be read, so it stays";
}
