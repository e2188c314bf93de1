//! The behaviour of a real Envoy under the real binary: what a client and a backend see.

mod authorization;
mod balancing;
mod changes;
mod corpus;
mod credentials;
mod cycles;
mod entrance;
mod gateways;
mod identity;
mod inbound;
mod jwt;
mod lifetime;
mod mtls;
mod order;
mod peers;
mod places;
mod protocol;
mod reports;
mod resilience;
mod rewriting;
mod rotation;
mod routing;
mod shop;
mod tcp;
mod telemetry;
mod tls;
