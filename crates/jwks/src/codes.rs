//! The diagnostic code of this crate.
//!
//! Codes are stable: one is never given another meaning, and a dead one is never reused.

api::codes! {
    NOT_FETCHED "MEL0264" Error "The keys of an issuer could not be fetched";
}
