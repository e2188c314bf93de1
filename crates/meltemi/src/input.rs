//! Files that a command hands to the control plane.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use admin::{FileSetRequest, InputFile};

use crate::output::{Exit, Failure, Screen};

/// `-f`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InputFiles {
    /// Files or folders with objects; `-` is standard input.
    #[arg(short = 'f', long = "filename", required = true, num_args = 1.., value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Read folders with everything below them.
    #[arg(short = 'R', long)]
    recursive: bool,
}

impl InputFiles {
    /// Those that are named one by one.
    pub(crate) fn of(files: Vec<PathBuf>) -> Self {
        Self { files, recursive: false }
    }

    /// Reads everything. What cannot be read is an error: nothing is done by half.
    pub(crate) fn read(&self, screen: &Screen<'_>) -> Result<FileSetRequest, Failure> {
        let mut files = Vec::new();
        for path in &self.files {
            self.read_path(path, &mut files).map_err(|error| {
                let words = [
                    ("path", path.display().to_string().into()),
                    ("reason", error.to_string().into()),
                ];
                let message = screen.text("input-unreadable", &words);
                let hint = screen.text("input-unreadable-hint", &[]);
                Failure::new(Exit::BadInput, message).hint(hint)
            })?;
        }
        Ok(FileSetRequest { files })
    }

    /// The files as they were named, to be typed again.
    pub(crate) fn arguments(&self) -> String {
        let named: Vec<String> =
            self.files.iter().map(|path| format!("-f {}", path.display())).collect();
        let recursive = if self.recursive { " -R" } else { "" };
        named.join(" ") + recursive
    }

    fn read_path(&self, path: &Path, files: &mut Vec<InputFile>) -> io::Result<()> {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            files.push(InputFile { name: "stdin".to_owned(), text });
            return Ok(());
        }
        if path.is_dir() {
            return self.read_folder(path, files);
        }
        let text = fs::read_to_string(path)?;
        files.push(InputFile { name: path.display().to_string(), text });
        Ok(())
    }

    fn read_folder(&self, folder: &Path, files: &mut Vec<InputFile>) -> io::Result<()> {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()?;
        entries.sort();
        for path in entries {
            let extension = path.extension().and_then(|it| it.to_str());
            let is_hidden = path.file_name().is_some_and(|it| it.as_encoded_bytes()[0] == b'.');
            let is_text = matches!(extension, Some("yaml" | "yml" | "json"));
            if !is_hidden && ((path.is_dir() && self.recursive) || (path.is_file() && is_text)) {
                self.read_path(&path, files)?;
            }
        }
        Ok(())
    }
}

/// Reads a duration as Go writes it, or a number of seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let (seconds, nanos) = text.parse::<api::Duration>()?.split();
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(seconds), Ok(nanos)) => Ok(Duration::new(seconds, nanos)),
        _ => Err(format!("`{text}` lies in the past")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_have_units() {
        assert_eq!(parse_duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(parse_duration("-3s").is_err());
        assert!(parse_duration("soon").is_err());
    }
}
