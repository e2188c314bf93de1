//! The authority from outside: what it issues, how it is kept, and how its roots change.

mod ambient;
mod handshake;
mod issuing;
