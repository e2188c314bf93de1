//! The command line: what was typed → which command runs.

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::{
    access::{self, AccessVerb},
    apply::Apply,
    bootstrap::Bootstrap,
    check::Check,
    completion::Completion,
    diff::Diff,
    environment::Environment,
    events::Events,
    help::{self, Help},
    identity::{self, IdentityVerb},
    language::{Catalogue, Language},
    output::{self, ColorWhen, Exit, Format, Screen},
    proxy, scope,
    serve::Serve,
    wait::Wait,
    why::Why,
};

/// A service mesh control plane: Istio's APIs in, xDS to stock Envoy out.
#[derive(Debug, Parser)]
#[command(name = "meltemi", version, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  meltemi serve --config ./mesh
  meltemi check ./mesh
  meltemi help MEL0154

Exit codes: 0 done, 64 wrong usage; the page of each command lists its own")]
pub(crate) struct Command {
    /// Language of messages; by default that of `MELTEMI_LANG` or of the locale.
    #[arg(long, global = true, value_enum, display_order = 900)]
    lang: Option<Language>,
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t, display_order = 901)]
    color: ColorWhen,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve xDS from folders of YAML.
    Serve(Serve),
    /// Check files without a server.
    Check(Check),
    /// Show what files would change, in the objects and in Envoy.
    Diff(Diff),
    /// Write objects into the served directories.
    Apply(Apply),
    /// Deny or allow callers, maybe for a while.
    #[command(subcommand, after_help = access::EXAMPLES)]
    Access(AccessVerb),
    /// Wait until the content of the directories is live in every proxy.
    Wait(Wait),
    /// Show a request's way through a proxy, and which objects made it.
    Why(Why),
    /// Show whom workloads were seen to call, and decide about it.
    Scope(scope::Scope),
    /// Print an Envoy bootstrap for a workload.
    Bootstrap(Bootstrap),
    /// Look at connected proxies.
    #[command(subcommand, after_help = PROXY_EXAMPLES)]
    Proxy(ProxyVerb),
    /// Manage the authority of the mesh: roots, certificates, tokens.
    #[command(subcommand, after_help = identity::EXAMPLES)]
    Identity(IdentityVerb),
    /// Status of the connected proxies (short for `proxy status`).
    Ps(proxy::Status),
    /// Configuration of one proxy (short for `proxy config`).
    Pc(proxy::Config),
    /// The last changes: what caused each, what it cost, who got what.
    Events(Events),
    /// Explain a command, or a code such as MEL0104.
    #[command(visible_alias = "explain")]
    Help(Help),
    /// Print a script that makes a shell complete commands and options.
    Completion(Completion),
}

const PROXY_EXAMPLES: &str = "\
Examples:
  meltemi proxy status
  meltemi proxy config cart-1.shop

Exit codes: 0 done, 64 wrong usage; the page of each command lists its own";

#[derive(Debug, Subcommand)]
enum ProxyVerb {
    /// Which proxies have acknowledged everything, which wait, which refused something.
    Status(proxy::Status),
    /// What a proxy was sent and has acknowledged.
    Config(proxy::Config),
}

impl Verb {
    /// The form of the output, which is also the form of errors.
    fn format(&self) -> Format {
        match self {
            Self::Serve(_) | Self::Completion(_) => Format::Table,
            Self::Help(args) => args.output,
            Self::Bootstrap(args) => args.output,
            Self::Check(args) => args.output,
            Self::Diff(args) => args.output,
            Self::Apply(args) => args.output,
            Self::Access(verb) => verb.format(),
            Self::Wait(args) => args.output,
            Self::Identity(verb) => verb.format(),
            Self::Why(args) => args.output,
            Self::Events(args) => args.output,
            Self::Scope(args) => args.format(),
            Self::Proxy(ProxyVerb::Status(args)) | Self::Ps(args) => args.output,
            Self::Proxy(ProxyVerb::Config(args)) | Self::Pc(args) => args.output,
        }
    }

    async fn run(self, invocation: &Invocation, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Invocation { environment, command, matches } = invocation;
        match self {
            Self::Check(args) => args.run(environment, screen),
            Self::Diff(args) => args.run(screen).await,
            Self::Apply(args) => args.run(screen).await,
            Self::Access(verb) => verb.run(screen).await,
            Self::Wait(args) => args.run(screen).await,
            Self::Why(args) => args.run(screen).await,
            Self::Serve(args) => {
                let own = command.find_subcommand("serve").unwrap_or(command);
                let matches = matches.subcommand().map_or(matches, |(_, own)| own);
                args.run(own, matches, environment, screen).await
            }
            Self::Bootstrap(args) => args.run(environment, screen),
            Self::Identity(verb) => verb.run(screen).await,
            Self::Proxy(ProxyVerb::Status(args)) | Self::Ps(args) => args.run(screen).await,
            Self::Proxy(ProxyVerb::Config(args)) | Self::Pc(args) => args.run(screen).await,
            Self::Events(args) => args.run(screen).await,
            Self::Scope(args) => args.run(environment, screen).await,
            Self::Help(args) => args.run(command.clone(), screen),
            Self::Completion(args) => args.run(command.clone(), screen),
        }
    }
}

/// What a command may need to know of how it was started.
struct Invocation {
    environment: Environment,
    /// The whole command line.
    command: clap::Command,
    matches: ArgMatches,
}

/// Reads the command line and runs the command; errors go to stderr with their causes.
pub(crate) async fn main() -> ExitCode {
    let environment = Environment::read();
    // Help is printed while the command line is read: its language must be known before.
    let catalogue = Catalogue::new(Language::choose(named_language(), &environment));
    let command = help::localise(Command::command(), &catalogue);
    let matches = match command.clone().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    let Command { lang, color, verb } = match Command::from_arg_matches(&matches) {
        Ok(command) => command,
        Err(error) => return usage(&error),
    };
    let catalogue = Catalogue::new(Language::choose(lang, &environment));
    let (mut out, look) = output::stdout(color, &environment);
    let format = verb.format();
    let invocation = Invocation { environment, command, matches };
    let result = verb.run(&invocation, &mut Screen::new(&mut out, look, &catalogue)).await;
    result
        .unwrap_or_else(|error| output::report_error(&error, format, &mut output::stderr(color)))
        .into()
}

/// The language that `--lang` names, as far as that can be told before the command line is read.
fn named_language() -> Option<Language> {
    let mut arguments = std::env::args_os().skip(1).filter_map(|it| it.into_string().ok());
    let value = arguments.find_map(|argument| match argument.strip_prefix("--lang") {
        Some("") => Some(None),
        Some(rest) => rest.strip_prefix('=').map(|value| Some(value.to_owned())),
        None => None,
    })?;
    let value = value.or_else(|| arguments.next())?;
    Language::from_str(&value, true).ok()
}

/// The environment variables that arguments are read from.
pub(crate) fn variables() -> Vec<String> {
    fn collect(command: &clap::Command, found: &mut Vec<String>) {
        let own = command.get_arguments().filter_map(clap::Arg::get_env);
        found.extend(own.map(|name| name.to_string_lossy().into_owned()));
        command.get_subcommands().for_each(|sub| collect(sub, found));
    }
    let mut found = Vec::new();
    collect(&Command::command(), &mut found);
    found
}

/// The whole command line, in English.
#[cfg(test)]
pub(crate) fn whole() -> clap::Command {
    Command::command()
}

/// Help and versions are no errors; everything else is a wrong command line.
fn usage(error: &clap::Error) -> ExitCode {
    // There is nowhere left to report that the output is closed.
    let _ = error.print();
    match error.use_stderr() {
        true => Exit::Usage.into(),
        false => Exit::Done.into(),
    }
}
