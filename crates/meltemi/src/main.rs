//! The `meltemi` binary.

mod bootstrap;
mod client;
mod command;
mod proxy;
mod serve;

use clap::Parser;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    command::run(command::Command::parse()).await
}
