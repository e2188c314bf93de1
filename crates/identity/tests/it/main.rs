//! The authority from outside: what it issues, how it is kept, and how its roots change.

mod ambient;
mod authenticating;
mod cacerts;
mod handshake;
mod issuing;
mod persistence;
mod rotation;
mod secrecy;
mod serving;
