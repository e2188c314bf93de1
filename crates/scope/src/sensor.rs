//! By what an edge is known, and whether it would be seen now.

use std::fmt;

/// What may tell of a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Sensor {
    /// Somebody wrote it down.
    Declared,
    /// A proxy asked for a host that it did not have: a first call.
    Request,
    /// A name was looked up.
    Dns,
    /// A proxy reported a call.
    AccessLog,
    /// A counter of calls grew.
    Metrics,
    /// A registry lists the caller as a consumer.
    Registry,
    /// A call graph was imported.
    Import,
}

impl Sensor {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Declared,
        Self::Request,
        Self::Dns,
        Self::AccessLog,
        Self::Metrics,
        Self::Registry,
        Self::Import,
    ];

    /// `access-log`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Request => "request",
            Self::Dns => "dns",
            Self::AccessLog => "access-log",
            Self::Metrics => "metrics",
            Self::Registry => "registry",
            Self::Import => "import",
        }
    }

    /// Whether somebody said so once: there is nobody to fall silent.
    pub fn is_told(self) -> bool {
        matches!(self, Self::Declared | Self::Import)
    }

    /// Whether it sees every use, also of what a proxy has already.
    pub fn sees_use(self) -> bool {
        matches!(self, Self::AccessLog | Self::Metrics)
    }
}

impl fmt::Display for Sensor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

/// A set of sensors, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sensors(u8);

impl Sensors {
    /// Adds one.
    pub fn insert(&mut self, sensor: Sensor) {
        self.0 |= 1 << sensor as u8;
    }

    /// Whether it is among them.
    pub fn contains(self, sensor: Sensor) -> bool {
        self.0 & (1 << sensor as u8) != 0
    }

    /// Those of both.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In the order of [`Sensor::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Sensor> {
        Sensor::ALL.into_iter().filter(move |sensor| self.contains(*sensor))
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    /// Unknown bits are left out.
    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits & ((1 << Sensor::ALL.len()) - 1))
    }
}

impl From<Sensor> for Sensors {
    fn from(sensor: Sensor) -> Self {
        Self(1 << sensor as u8)
    }
}

/// Since when each sensor has worked without a gap, and when it last did, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SensorClocks(pub(crate) [Option<Stretch>; Sensor::ALL.len()]);

/// A time in which a sensor worked without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) since: u64,
    pub(crate) last: u64,
}

impl SensorClocks {
    /// The sensor works now. After a gap longer than `silence` a new stretch begins.
    pub(crate) fn work(&mut self, sensor: Sensor, now: u64, silence: u64) {
        let slot = &mut self.0[sensor as usize];
        match slot {
            Some(stretch) if now.saturating_sub(stretch.last) <= silence => {
                stretch.last = stretch.last.max(now);
            }
            Some(_) | None => *slot = Some(Stretch { since: now, last: now }),
        }
    }

    /// Whether the sensor has ever worked.
    pub(crate) fn has_worked(&self, sensor: Sensor) -> bool {
        self.0[sensor as usize].is_some()
    }

    /// When the sensor last worked.
    pub(crate) fn worked_at(&self, sensor: Sensor) -> Option<u64> {
        self.0[sensor as usize].map(|stretch| stretch.last)
    }

    /// For how long the sensor has worked without a gap; `None` when it is silent.
    pub(crate) fn watched(&self, sensor: Sensor, now: u64, silence: u64) -> Option<u64> {
        let Stretch { since, last } = self.0[sensor as usize]?;
        (now.saturating_sub(last) <= silence).then(|| now.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        for sensor in Sensor::ALL {
            let mut set = Sensors::from(sensor);
            assert_eq!(set.iter().collect::<Vec<_>>(), [sensor]);
            set.insert(Sensor::Import);
            assert!(set.contains(sensor) && set.contains(Sensor::Import));
        }
        assert_eq!(Sensors::from_bits(0xff).iter().collect::<Vec<_>>(), Sensor::ALL);
        assert_eq!(Sensors::from_bits(0xff).bits(), 0x7f);
    }

    #[test]
    fn a_gap_begins_a_new_stretch() {
        let mut clocks = SensorClocks::default();
        assert_eq!(clocks.watched(Sensor::Dns, 0, 60), None);
        clocks.work(Sensor::Dns, 100, 60);
        clocks.work(Sensor::Dns, 150, 60);
        assert_eq!(clocks.watched(Sensor::Dns, 210, 60), Some(110));
        assert_eq!(clocks.watched(Sensor::Dns, 211, 60), None);
        clocks.work(Sensor::Dns, 300, 60);
        assert_eq!(clocks.watched(Sensor::Dns, 310, 60), Some(10));
        // A clock that was set back makes no gap.
        clocks.work(Sensor::Dns, 200, 60);
        assert_eq!(clocks.watched(Sensor::Dns, 310, 60), Some(10));
    }
}
