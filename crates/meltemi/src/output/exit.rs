//! How a command ended, as the calling script sees it.

use std::process::ExitCode;

/// The exit codes. Those below 80 mean what kubectl's and istioctl's mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, no difference, or the condition is met.
    Done,
    /// `diff` found differences.
    Differs,
    /// An error that no other code describes.
    Failed,
    /// `diff` could not compare.
    DiffFailed,
    /// The command line is wrong.
    Usage,
    /// A file that was given is wrong or cannot be read.
    BadInput,
    /// No control plane answers.
    Unreachable,
    /// The control plane cannot answer now.
    TryAgain,
    /// The request is refused because of who makes it, or from where.
    NotAllowed,
    /// There are findings at or above the threshold.
    Findings,
    /// An object was changed by somebody else since it was read.
    Conflict,
    /// `wait` ended before the condition was met.
    TimedOut,
    /// A proxy refused what was waited for.
    Refused,
    /// Too many proxies went away for `wait` to go on.
    Lost,
    /// Interrupted by the user.
    Interrupted,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Differs | Self::Failed => 1,
            Self::DiffFailed => 2,
            Self::Usage => 64,
            Self::BadInput => 65,
            Self::Unreachable => 69,
            Self::TryAgain => 75,
            Self::NotAllowed => 77,
            Self::Findings => 79,
            Self::Conflict => 80,
            Self::TimedOut => 81,
            Self::Refused => 82,
            Self::Lost => 83,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
