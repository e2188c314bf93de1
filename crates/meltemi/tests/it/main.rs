//! The command line against a running control plane: wait, apply, diff, why, and its API.

mod access;
mod api;
mod apply;
mod bootstrap;
mod check;
mod command;
mod diff;
mod elsewhere;
mod envoy;
mod events;
mod help;
mod identity;
mod learning;
mod load;
mod plane;
mod reports;
mod restored;
mod rotation;
mod scope;
mod scope_plan;
mod settings;
mod streams;
mod wait;
mod why;
