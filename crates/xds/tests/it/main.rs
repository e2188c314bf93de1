//! The transport over real sockets, from both ends.

mod flow;
mod harness;
mod protocol;
mod synced;
mod tls;
mod unary;
