//! The tests of the test kit: what other tests lean on must hold.

mod envoy;
mod http;
mod ports;
mod tls;
