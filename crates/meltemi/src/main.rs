//! The `meltemi` binary.

mod access;
mod apply;
mod bootstrap;
mod check;
mod client;
mod command;
mod completion;
mod diff;
mod environment;
mod events;
mod explain;
mod help;
mod identity;
mod input;
mod language;
mod output;
mod path;
mod proxy;
mod scope;
mod serve;
mod settings;
mod wait;
mod why;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    command::main().await
}
