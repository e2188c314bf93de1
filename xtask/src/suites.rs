//! Reads along while `cargo test` prints, and sums up its suites.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

/// How many of the slowest suites are named.
const SLOWEST: usize = 5;

/// One test binary, or the documentation tests of one crate.
#[derive(Clone, Debug, PartialEq)]
struct Suite {
    name: String,
    passed: u32,
    failed: u32,
    ignored: u32,
    took: Duration,
}

/// All suites of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Suites {
    suites: Vec<Suite>,
    /// The crate and the suite whose tests run now.
    package: String,
    current: String,
}

impl Suites {
    /// Runs `cargo test` with its output shown. The flag says whether it ended well.
    pub(crate) fn run(command: &mut Command) -> Result<(Self, bool)> {
        // One pipe for both keeps the order, which tells what belongs to which suite.
        let (reader, writer) = io::pipe().context("failed to make a pipe")?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().with_context(|| format!("failed to start {command:?}"))?;
        // The command keeps the pipe's other end open for as long as it has it.
        command.stdout(io::stdout()).stderr(io::stderr());
        let mut suites = Self::default();
        for line in BufReader::new(reader).split(b'\n') {
            let line = line.context("failed to read what cargo test prints")?;
            let line = String::from_utf8_lossy(&line);
            writeln!(io::stdout(), "{line}").context("failed to print")?;
            suites.read(&line);
        }
        let status = child.wait().context("failed to wait for cargo test")?;
        Ok((suites, status.success()))
    }

    /// `unittests src/lib.rs (target/debug/deps/api-0123)`, and then, with a name that says nothing
    /// of the crate, `tests/it/main.rs (target/debug/deps/it-4567)`.
    fn running(&mut self, what: &str) {
        let file = what.rsplit_once('/').map_or(what, |(_, file)| file).trim_end_matches(')');
        let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
        if what.starts_with("unittests ") {
            name.clone_into(&mut self.package);
            self.current = format!("{name}, unit");
        } else {
            self.current = format!("{}, integration", self.package);
        }
    }

    fn read(&mut self, line: &str) {
        let trimmed = line.trim_start();
        if let Some(rest) = trimmed.strip_prefix("Running ") {
            self.running(rest);
        } else if let Some(name) = trimmed.strip_prefix("Doc-tests ") {
            self.current = format!("{name}, documentation");
        } else if let Some(rest) = trimmed.strip_prefix("test result: ") {
            let number = |what: &str| {
                let words: Vec<&str> = rest.split([' ', ';', '.']).collect();
                let mut pairs = words.windows(2).filter(|pair| pair[1] == what);
                pairs.find_map(|pair| pair[0].parse().ok()).unwrap_or(0)
            };
            let seconds = rest
                .rsplit_once("finished in ")
                .and_then(|(_, took)| took.trim_end().strip_suffix('s')?.parse().ok());
            self.suites.push(Suite {
                name: std::mem::take(&mut self.current),
                passed: number("passed"),
                failed: number("failed"),
                ignored: number("ignored"),
                took: Duration::from_secs_f64(seconds.unwrap_or(0.0)),
            });
        }
    }
}

impl fmt::Display for Suites {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |number: fn(&Suite) -> u32| self.suites.iter().map(number).sum::<u32>();
        let (passed, failed) = (sum(|suite| suite.passed), sum(|suite| suite.failed));
        let (suites, ignored) = (self.suites.len(), sum(|suite| suite.ignored));
        writeln!(
            out,
            "{passed} tests passed, {failed} failed, {ignored} ignored in {suites} suites"
        )?;
        for suite in self.suites.iter().filter(|suite| suite.failed > 0) {
            writeln!(out, "  FAILED  {}: {} tests", suite.name, suite.failed)?;
        }
        let mut slowest: Vec<&Suite> = self.suites.iter().collect();
        slowest.sort_by_key(|suite| std::cmp::Reverse(suite.took));
        for suite in slowest.into_iter().take(SLOWEST) {
            let took = suite.took.as_secs_f64();
            writeln!(out, "  {took:>7.1} s  {} ({} tests)", suite.name, suite.passed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_summed_up() {
        let mut suites = Suites::default();
        for line in [
            "     Running unittests src/lib.rs (target/debug/deps/source_directory-6a)",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.40s",
            "     Running tests/it/main.rs (target/debug/deps/it-0123)",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.50s",
            "   Doc-tests api",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            suites.read(line);
        }
        let text = "15 tests passed, 2 failed, 1 ignored in 3 suites\n  \
                    FAILED  source_directory, integration: 2 tests\n      \
                    2.5 s  source_directory, integration (3 tests)\n      \
                    0.4 s  source_directory, unit (12 tests)\n      \
                    0.0 s  api, documentation (0 tests)\n";
        assert_eq!(suites.to_string(), text);
    }
}
