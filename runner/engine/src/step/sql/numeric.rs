//! PostgreSQL's `numeric` in its binary form: digits to the base of 10,000.

/// From the binary form to decimal text; `None` for bytes that are no number.
pub(super) fn decode(raw: &[u8]) -> Option<String> {
    let word = |i: usize| Some(u16::from_be_bytes([*raw.get(2 * i)?, *raw.get(2 * i + 1)?]));
    let count = usize::from(word(0)?);
    let weight = i32::from(word(1)? as i16);
    let sign = word(2)?;
    let scale = usize::from(word(3)?);
    match sign {
        0xC000 => return Some("NaN".into()),
        0xD000 => return Some("Infinity".into()),
        0xF000 => return Some("-Infinity".into()),
        _ => {}
    }
    let digit = |position: i32| -> Option<u16> {
        match usize::try_from(position) {
            Ok(i) if i < count => word(4 + i),
            _ => Some(0),
        }
    };
    let mut text = String::new();
    if sign == 0x4000 {
        text.push('-');
    }
    if weight < 0 {
        text.push('0');
    }
    for i in 0..=weight {
        let d = digit(i)?;
        if i == 0 {
            text.push_str(&d.to_string())
        } else {
            text.push_str(&format!("{d:04}"))
        }
    }
    if scale > 0 {
        let mut fraction = String::new();
        let mut i = weight + 1;
        while fraction.len() < scale {
            fraction.push_str(&format!("{:04}", digit(i)?));
            i += 1;
        }
        text.push('.');
        text.push_str(&fraction[..scale]);
    }
    Some(text)
}

/// From decimal text (`-12.50`, `1e3`) to the binary form.
pub(super) fn encode(text: &str) -> Option<Vec<u8>> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    if exponent.abs() > 1000 {
        return None;
    }
    let (negative, body) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let all: String = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Where the point stands in `all`, moved by the exponent.
    let point = i32::try_from(whole.len()).ok()? + exponent;
    let (whole, fraction) = split(&all, point);
    let scale = fraction.len();
    let (whole, fraction) = (
        pad_left(whole.trim_start_matches('0')),
        pad_right(&fraction),
    );
    let groups = |s: &str| -> Vec<u16> {
        s.as_bytes()
            .chunks(4)
            .map(|c| c.iter().fold(0, |n, b| n * 10 + u16::from(b - b'0')))
            .collect()
    };
    let mut digits = groups(&whole);
    let mut weight = i32::try_from(digits.len()).ok()? - 1;
    digits.extend(groups(&fraction));
    while digits.first() == Some(&0) {
        digits.remove(0);
        weight -= 1;
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    if digits.is_empty() {
        weight = 0;
    }
    let mut out = Vec::with_capacity(8 + 2 * digits.len());
    let sign: u16 = if negative && !digits.is_empty() {
        0x4000
    } else {
        0
    };
    for word in [
        u16::try_from(digits.len()).ok()?,
        i16::try_from(weight).ok()? as u16,
        sign,
        u16::try_from(scale).ok()?,
    ] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for d in digits {
        out.extend_from_slice(&d.to_be_bytes());
    }
    Some(out)
}

fn split(all: &str, point: i32) -> (String, String) {
    match usize::try_from(point) {
        Err(_) => (
            String::new(),
            format!("{}{all}", "0".repeat(point.unsigned_abs() as usize)),
        ),
        Ok(p) if p >= all.len() => (format!("{all}{}", "0".repeat(p - all.len())), String::new()),
        Ok(p) => (all[..p].to_owned(), all[p..].to_owned()),
    }
}

fn pad_left(s: &str) -> String {
    format!("{}{s}", "0".repeat((4 - s.len() % 4) % 4))
}

fn pad_right(s: &str) -> String {
    format!("{s}{}", "0".repeat((4 - s.len() % 4) % 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in [
            "0",
            "1",
            "-1",
            "12.50",
            "0.001",
            "-0.0001",
            "10000",
            "99999999.9999",
            "123456789012345678901234567890.5",
            "0.00000000001",
            "100000000",
        ] {
            let raw = encode(text).unwrap();
            assert_eq!(decode(&raw).as_deref(), Some(text), "{text}");
        }
        assert_eq!(decode(&encode("1e3").unwrap()).as_deref(), Some("1000"));
        assert_eq!(
            decode(&encode("1.5e-3").unwrap()).as_deref(),
            Some("0.0015")
        );
        assert_eq!(decode(&encode("-0").unwrap()).as_deref(), Some("0"));
        for bad in ["", "abc", "1.2.3", "--1", "1e9999", "0x10"] {
            assert_eq!(encode(bad), None, "{bad}");
        }
    }
}
