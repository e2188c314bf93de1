//! Where a workload runs.

use std::{fmt, sync::Arc};

/// Region, zone and sub-zone; an empty part is unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    pub region: Arc<str>,
    pub zone: Arc<str>,
    pub subzone: Arc<str>,
}

impl Default for Locality {
    fn default() -> Self {
        let empty: Arc<str> = "".into();
        Self { region: empty.clone(), zone: empty.clone(), subzone: empty }
    }
}

impl Locality {
    /// Reads `region/zone/subzone`, each part optional from the right.
    pub fn parse(text: &str) -> Self {
        Self::parse_with(text, |part| part.into())
    }

    /// As [`Locality::parse`], with each part as `share` gives it.
    pub fn parse_with(text: &str, mut share: impl FnMut(&str) -> Arc<str>) -> Self {
        let mut parts = text.splitn(3, '/');
        let mut next = || share(parts.next().unwrap_or_default());
        Self { region: next(), zone: next(), subzone: next() }
    }

    pub fn is_empty(&self) -> bool {
        self.region.is_empty() && self.zone.is_empty() && self.subzone.is_empty()
    }
}

impl fmt::Display for Locality {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.region)?;
        if !self.zone.is_empty() || !self.subzone.is_empty() {
            write!(out, "/{}", self.zone)?;
        }
        if !self.subzone.is_empty() {
            write!(out, "/{}", self.subzone)?;
        }
        Ok(())
    }
}
