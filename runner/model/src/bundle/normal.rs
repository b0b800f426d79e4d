//! Texts without what is another one each time: numbers, identities, addresses, times.

/// A text on one line, of at most so many characters.
pub fn one_line(text: &str, most: usize) -> String {
    let mut out: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(most)
        .collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

/// The kind of trouble that a text tells: words as they are, `#` for each number, identity
/// or address.
pub fn class(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_');
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if end == 0 {
            out.push(if first.is_whitespace() { ' ' } else { first });
            rest = &rest[first.len_utf8()..];
            continue;
        }
        out.push_str(&word(&rest[..end]));
        rest = &rest[end..];
    }
    out
}

/// A run of letters, digits and what stands within addresses and times.
fn word(word: &str) -> String {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let hex = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if hex && digits > 0 {
        return "#".to_owned();
    }
    let mut out = String::with_capacity(word.len());
    let mut before = false;
    for c in word.chars() {
        let digit = c.is_ascii_digit();
        if !digit {
            out.push(c);
        } else if !before {
            out.push('#');
        }
        before = digit;
    }
    // Addresses and times: `#.#.#.#:#`.
    while let Some(at) = ["#.#", "#:#", "#-#"].iter().find_map(|p| out.find(p)) {
        out.replace_range(at..at + 3, "#");
    }
    out
}
