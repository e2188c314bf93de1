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

/// The workloads that a decision about fences concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FenceTarget {
    /// All of a namespace, also those that come later.
    Namespace(Namespace),
    /// One.
    Workload(WorkloadKey),
}

impl FenceTarget {
    pub fn namespace(&self) -> &Namespace {
        match self {
            Self::Namespace(namespace) => namespace,
            Self::Workload(workload) => &workload.namespace,
        }
    }

    /// Whether the workload is one of them.
    pub fn concerns(&self, workload: &WorkloadKey) -> bool {
        match self {
            Self::Namespace(namespace) => workload.namespace == *namespace,
            Self::Workload(one) => workload == one,
        }
    }
}

impl fmt::Display for FenceTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(namespace) => namespace.fmt(out),
            Self::Workload(workload) => workload.fmt(out),
        }
    }
}

/// The text names no workloads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a namespace nor a workload: write `shop` or `shop/web`")]
pub struct FenceTargetParseError(pub String);

impl FromStr for FenceTarget {
    type Err = FenceTargetParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |name: &str| {
            (1..=253).contains(&name.len())
                && !name.contains('/')
                && !name.bytes().any(|it| it.is_ascii_whitespace() || it.is_ascii_control())
        };
        let error = || FenceTargetParseError(text.to_owned());
        let (namespace, name) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        if !is_name(namespace) || name.is_some_and(|name| !is_name(name)) {
            return Err(error());
        }
        let namespace = Namespace::from(namespace);
        Ok(match name {
            Some(name) => Self::Workload(WorkloadKey { namespace, name: Name::from(name) }),
            None => Self::Namespace(namespace),
        })
    }
}

/// What somebody decided about the fences around some workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FenceSwitch {
    /// Fences and labels say how much they are sent.
    AsWritten,
    /// They are sent all that they may see, whatever fences and labels say.
    Off,
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
    use super::{FenceTarget, ScopeMode, WorkloadKey};

    #[test]
    fn targets_are_read_as_they_are_shown() {
        for text in ["shop", "shop/web"] {
            assert_eq!(text.parse::<FenceTarget>().unwrap().to_string(), text);
        }
        for text in ["", "/", "shop/", "/web", "a/b/c", "a b", "shop/we\tb"] {
            assert!(text.parse::<FenceTarget>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_namespace_concerns_all_of_its_workloads() {
        let key = |namespace: &str, name: &str| WorkloadKey {
            namespace: namespace.into(),
            name: name.into(),
        };
        let concerns = |target: &str, workload: &WorkloadKey| {
            target.parse::<FenceTarget>().unwrap().concerns(workload)
        };
        let web = key("shop", "web");
        assert!(concerns("shop", &web) && concerns("shop/web", &web));
        assert!(!concerns("shop/web", &key("shop", "cart")));
        assert!(!concerns("shop", &key("web", "shop")));
    }

    #[test]
    fn modes_are_read_as_they_are_shown() {
        for (name, mode) in ScopeMode::NAMES {
            assert_eq!(name.parse(), Ok(mode));
            assert_eq!(mode.to_string(), name);
        }
        assert!("On-Demand".parse::<ScopeMode>().is_err());
    }
}
