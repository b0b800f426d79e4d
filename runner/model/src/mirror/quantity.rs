//! Quantities that specs write as text: sizes, processors, permission bits, durations.

use std::fmt;
use std::time::Duration;

/// A size in bytes; -1 means unlimited where the engine knows such a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(pub i64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A number of processors, with fractions.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Cpus(pub f64);

impl Cpus {
    /// In billionths of a processor, counted in single precision as Docker Compose does, so
    /// that the same text gives the same number.
    pub fn nano(self) -> i64 {
        (self.0 as f32 * 1e9_f32) as i64
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Permission bits of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileMode(pub u32);

impl FileMode {
    /// Reads octal digits (`0440`, `440`).
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        u32::from_str_radix(digits, 8)
            .ok()
            .filter(|bits| *bits <= 0o7777)
            .map(Self)
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0{:o}", self.0)
    }
}

/// Units of a duration, longest name first where one is the beginning of another.
const UNITS: [(&str, f64); 10] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
    ("d", 86_400e9),
    ("w", 604_800e9),
];

/// Reads a duration such as `1m30s`, `1.5s`, `500ms`, `1d` or `0`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut nanos = 0_f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|at| *at > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == &rest[..end])?;
        nanos += number * scale;
        rest = &rest[end..];
    }
    // The engine counts nanoseconds in a signed 64-bit number.
    (nanos <= i64::MAX as f64).then(|| Duration::from_nanos(nanos.round() as u64))
}

/// Writes a duration as Go does: `1m30s`, `1.5s`, `500ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".into();
    }
    for (unit, scale) in [("ns", 1_u128), ("µs", 1_000), ("ms", 1_000_000)] {
        if nanos < scale * 1000 {
            return format!("{}{unit}", decimal(nanos, scale));
        }
    }
    let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
    let minutes = nanos / 60_000_000_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, m) => format!("{m}m{seconds}s"),
        (h, m) => format!("{h}h{m}m{seconds}s"),
    }
}

/// `value / scale` (a power of ten) without needless zeros.
fn decimal(value: u128, scale: u128) -> String {
    let (whole, part) = (value / scale, value % scale);
    if part == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    let part = format!("{part:0width$}");
    format!("{whole}.{}", part.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_go_both_ways() {
        for text in [
            "0s",
            "1ns",
            "1.5µs",
            "500ms",
            "1s",
            "1.5s",
            "1m0s",
            "1m30s",
            "2h0m0s",
            "26h1m0.25s",
        ] {
            let parsed = parse_duration(text).unwrap();
            assert_eq!(format_duration(parsed), text);
        }
        assert_eq!(parse_duration("1d"), Some(Duration::from_secs(86_400)));
        for bad in ["", "s", "1", "1x", "-1s", "1..2s", "99999999999999h"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn processors_are_counted_in_single_precision() {
        assert_eq!(Cpus(0.1).nano(), 100_000_000);
        assert_eq!(Cpus(1.5).nano(), 1_500_000_000);
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(FileMode::parse("0440"), Some(FileMode(0o440)));
        assert_eq!(FileMode(0o440).to_string(), "0440");
        assert_eq!(FileMode::parse("9"), None);
    }
}
