//! Who calls whom, as far as configuration depends on it.

use std::{fmt, str::FromStr};

use crate::{Name, Namespace};

/// What the pods of one Deployment (or its like) have in common: dependencies are learned for it, not
/// for a pod and not for a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadKey {
    pub namespace: Namespace,
    pub name: Name,
}

impl fmt::Display for WorkloadKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.namespace, self.name)
    }
}

/// How much of the mesh a workload is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeMode {
    /// All that it may see.
    #[default]
    Full,
    /// What is declared for it.
    Declared,
    /// What is declared and what it was seen to call.
    Learned,
    /// The same, and whatever else it calls at the moment of its first call.
    OnDemand,
    /// What is declared and learned; the rest goes through a gateway that has the whole mesh.
    Gateway,
    /// What is declared and learned; the rest leaves the mesh.
    Passthrough,
}

impl ScopeMode {
    /// All of them, with the names by which people choose.
    pub const NAMES: [(&str, Self); 6] = [
        ("full", Self::Full),
        ("declared", Self::Declared),
        ("learned", Self::Learned),
        ("on-demand", Self::OnDemand),
        ("gateway", Self::Gateway),
        ("passthrough", Self::Passthrough),
    ];

    /// Whether what a workload calls is added to what is declared for it.
    pub fn learns(self) -> bool {
        matches!(self, Self::Learned | Self::OnDemand | Self::Gateway | Self::Passthrough)
    }

    pub fn as_str(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, mode)| *mode == self);
        found.map_or("full", |(name, _)| name)
    }
}

/// The text is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope mode: write full, declared, learned, on-demand, gateway or passthrough")]
pub struct ScopeModeParseError(pub String);

impl FromStr for ScopeMode {
    type Err = ScopeModeParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, mode)| *mode).ok_or_else(|| ScopeModeParseError(text.to_owned()))
    }
}

impl fmt::Display for ScopeMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ScopeMode;

    #[test]
    fn modes_are_read_as_they_are_shown() {
        for (name, mode) in ScopeMode::NAMES {
            assert_eq!(name.parse(), Ok(mode));
            assert_eq!(mode.to_string(), name);
        }
        assert!("On-Demand".parse::<ScopeMode>().is_err());
    }
}
