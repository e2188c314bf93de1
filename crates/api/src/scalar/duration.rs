//! Durations as Go and protobuf write them.

use std::{fmt, str::FromStr, time};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time in nanoseconds, maybe negative. Reads `1.5s`, `100ms`, `1h30m`, `0`; writes
/// seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

impl Duration {
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whole seconds and the rest in nanoseconds, as protobuf splits them.
    pub const fn split(self) -> (i64, i32) {
        ((self.0 / 1_000_000_000), (self.0 % 1_000_000_000) as i32)
    }

    /// The same length for the standard library; negative ones become zero.
    pub fn to_std(self) -> time::Duration {
        time::Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

/// `1.5s`.
impl fmt::Display for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        if rest == 0 {
            return write!(out, "{sign}{seconds}s");
        }
        let rest = format!("{rest:09}");
        write!(out, "{sign}{seconds}.{}s", rest.trim_end_matches('0'))
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map(Self).ok_or_else(|| {
            format!("`{text}` is not a duration, such as `1.5s`, `100ms`, `5m` or `1h30m`")
        })
    }
}

fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let tail = &rest[number..];
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        nanos = nanos.checked_add(part(&rest[..number], &tail[..unit])?)?;
        rest = &tail[unit..];
    }
    i64::try_from(if negative { -nanos } else { nanos }).ok()
}

/// Nanoseconds of one number and its unit. Digits below a nanosecond are cut off.
fn part(number: &str, unit: &str) -> Option<i128> {
    let scale: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 20 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        nanos += i128::from(digit - b'0') * place;
    }
    Some(nanos)
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

struct TextVisitor;

impl de::Visitor<'_> for TextVisitor {
    type Value = Duration;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a duration such as `1.5s`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_and_protobuf_forms() {
        for (text, nanos, written) in [
            ("1.5s", 1_500_000_000, "1.5s"),
            ("5s", 5_000_000_000, "5s"),
            ("100ms", 100_000_000, "0.1s"),
            ("1m", 60_000_000_000, "60s"),
            ("1h30m", 5_400_000_000_000, "5400s"),
            ("0", 0, "0s"),
            ("-2s", -2_000_000_000, "-2s"),
            (".5s", 500_000_000, "0.5s"),
            ("1us", 1_000, "0.000001s"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.as_nanos(), nanos, "{text}");
            assert_eq!(duration.to_string(), written, "{text}");
        }
    }

    #[test]
    fn refuses_what_has_no_unit_or_is_too_long() {
        for text in ["", "5", "s", "1x", "1.2.3s", "-", ".s", "99999999999999h", "1s ", "1 s"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
