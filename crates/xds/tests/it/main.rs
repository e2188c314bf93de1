//! The transport from both ends, over real sockets and without.

mod flow;
mod harness;
mod memory;
mod protocol;
mod sink;
mod synced;
mod tls;
mod unary;
