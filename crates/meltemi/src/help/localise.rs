//! The pages of commands in another language than that of their doc comments.

use clap::{Arg, ArgAction, Command};

use crate::language::{Catalogue, Language};

const EXAMPLES: &str = "Examples:";
/// Key of the texts of the whole command line.
const ROOT: &str = "help";
const EXITS: &str = "Exit codes:";

/// The command line with the texts of the catalogue.
pub(crate) fn localise(command: Command, catalogue: &Catalogue) -> Command {
    let command = without_values(command);
    match catalogue.language() {
        Language::En => command,
        Language::Zh => command_in(command, ROOT, catalogue),
    }
}

/// Help names variables, but does not tell what they are set to right now.
fn without_values(command: Command) -> Command {
    command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(without_values)
}

/// `path` is the key of the texts: `help` for the whole, `help-proxy-status` for a command.
fn command_in(mut command: Command, path: &str, catalogue: &Catalogue) -> Command {
    let text = |name: &str| catalogue.attribute(path, name);
    if let Some(about) = catalogue.find(path, &[]) {
        command = command.about(about).long_about(None);
    }
    if let Some(after) = command.get_after_help().map(ToString::to_string) {
        let kept = after.split(EXITS).next().unwrap_or_default();
        let exits = text("after").unwrap_or_default();
        let examples = catalogue.text("heading-examples", &[]);
        command = command.after_help(format!("{}{exits}", kept.replace(EXAMPLES, &examples)));
    }
    if path == ROOT {
        let help = catalogue.text("heading-version", &[]);
        let version = Arg::new("version").short('V').long("version").help(help);
        command = command.disable_version_flag(true).arg(version.action(ArgAction::Version));
    }
    let template = catalogue.text("heading-template", &[]).replace("\\n", "\n");
    command = command
        .subcommand_help_heading(catalogue.text("heading-commands", &[]))
        .disable_help_flag(true)
        .arg(
            Arg::new("help")
                .short('h')
                .long("help")
                .action(ArgAction::Help)
                .help(catalogue.text("heading-help", &[])),
        )
        .help_template(template)
        .mut_args(|arg| argument(arg, &text, catalogue));
    command.mut_subcommands(|sub| {
        let path = format!("{path}-{}", sub.get_name());
        command_in(sub, &path, catalogue)
    })
}

fn argument(arg: Arg, text: &dyn Fn(&str) -> Option<String>, catalogue: &Catalogue) -> Arg {
    let help = text(arg.get_id().as_str());
    let heading = match arg.is_positional() {
        true => catalogue.text("heading-arguments", &[]),
        false => catalogue.text("heading-options", &[]),
    };
    let arg = arg.help_heading(heading);
    match help {
        Some(help) => arg.help(help).long_help(None),
        None => arg,
    }
}
