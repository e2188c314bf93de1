//! `completion`: what a shell needs to complete commands and options.

use clap_complete::{Shell, generate};

use crate::output::{Exit, Screen};

/// Print a script that makes a shell complete commands and options.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi completion bash > /etc/bash_completion.d/meltemi
  meltemi completion zsh > \"${fpath[1]}/_meltemi\"
  meltemi completion fish > ~/.config/fish/completions/meltemi.fish

Exit codes: 0 done, 64 wrong usage")]
pub(crate) struct Completion {
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    /// `command` is the whole command line.
    pub(crate) fn run(
        self,
        mut command: clap::Command,
        screen: &mut Screen<'_>,
    ) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        generate(self.shell, &mut command, "meltemi", &mut script);
        screen.line(String::from_utf8(script)?.trim_end())?;
        Ok(Exit::Done)
    }
}
