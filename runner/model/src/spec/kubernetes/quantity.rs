//! Quantities of Kubernetes: `100m`, `1.5Gi`, `1e3`.

/// A quantity, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

/// Digits beyond these change nothing that anybody could notice.
const MAX_DIGITS: usize = 24;

impl Quantity {
    /// Reads the text of a quantity; what is finer than a thousandth is rounded up.
    pub fn parse(text: &str) -> Option<Self> {
        let number_end = text
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(number_end);
        let (negative, digits) = match number.as_bytes().first()? {
            b'-' => (true, &number[1..]),
            b'+' => (false, &number[1..]),
            _ => (false, number),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{part}");
        if all.is_empty() || all.len() > MAX_DIGITS || !all.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let mantissa: i128 = all.parse().ok()?;
        let (mut times, mut over) = scale(suffix)?;
        over = over.checked_mul(10i128.checked_pow(u32::try_from(part.len()).ok()?)?)?;
        times = times.checked_mul(1000)?;
        let value = ceil_div(mantissa.checked_mul(times)?, over);
        Some(Self(if negative { -value } else { value }))
    }

    /// Thousandths.
    pub fn milli(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// Whole units, rounded up.
    pub fn units(self) -> i64 {
        i64::try_from(ceil_div(self.0, 1000)).unwrap_or(i64::MAX)
    }

    /// How often another quantity goes into this one, rounded up.
    pub fn divided_by(self, other: Self) -> i64 {
        if other.0 <= 0 {
            return self.units();
        }
        i64::try_from(ceil_div(self.0, other.0)).unwrap_or(i64::MAX)
    }
}

fn ceil_div(a: i128, b: i128) -> i128 {
    let (q, r) = (a / b, a % b);
    if r > 0 { q + 1 } else { q }
}

/// What a suffix multiplies with, and divides by.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let binary = |n: u32| Some((1i128 << (10 * n), 1));
    let decimal = |n: u32| Some((10i128.pow(n), 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10i128.checked_pow(exponent.unsigned_abs())?;
            Some(if exponent < 0 { (1, power) } else { (power, 1) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, milli) in [
            ("100m", 100),
            ("0.1", 100),
            ("1", 1000),
            ("1e3", 1_000_000),
            ("1E3", 1_000_000),
            ("128Mi", 134_217_728_000),
            ("1G", 1_000_000_000_000),
            ("1.5Gi", 1_610_612_736_000),
            ("512k", 512_000_000),
            ("100u", 1),
            ("2.5e-1", 250),
            (".5", 500),
            ("-1", -1000),
            ("0", 0),
        ] {
            assert_eq!(
                Quantity::parse(text).map(Quantity::milli),
                Some(milli),
                "{text}"
            );
        }
        for bad in [
            "",
            "m",
            "1 Gi",
            "1gi",
            "1.2.3",
            "0x10",
            "1e",
            "1e999",
            "9".repeat(99).as_str(),
        ] {
            assert_eq!(Quantity::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn divisions_round_up() {
        let q = |t: &str| Quantity::parse(t).unwrap();
        assert_eq!(q("150m").divided_by(q("1")), 1);
        assert_eq!(q("1500m").divided_by(q("1m")), 1500);
        assert_eq!(q("129Mi").divided_by(q("1Gi")), 1);
        assert_eq!(q("128Mi").divided_by(q("0")), 134_217_728);
    }
}
