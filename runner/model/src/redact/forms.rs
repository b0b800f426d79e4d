//! The forms in which programs print a secret, and the secrets that are too plain to hide.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Fewest bytes of a secret that is redacted: anything shorter occurs by chance.
pub const MIN_BYTES: usize = 6;

/// Fewest bytes of one line of a longer secret that is redacted by itself.
const MIN_LINE_BYTES: usize = 8;

/// Fewest digits of a secret made of digits only: shorter ones look like ports, sizes, times.
const MIN_DIGITS: usize = 8;

/// Words that stand in every log; masking them would hide what happened.
const COMMON: &[&str] = &[
    "admin",
    "administrator",
    "changeme",
    "default",
    "disabled",
    "enabled",
    "example",
    "false",
    "guest",
    "localhost",
    "mongodb",
    "mysql",
    "nobody",
    "password",
    "passwd",
    "postgres",
    "postgresql",
    "prodmirror",
    "production",
    "rabbitmq",
    "redis",
    "secret",
    "service",
    "staging",
    "testing",
    "unknown",
    "username",
];

/// Why a secret is not redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsafe {
    /// It has fewer than [`MIN_BYTES`] bytes (the number it has).
    TooShort(usize),
    /// Fewer than eight digits and nothing else.
    ShortNumber,
    /// A word that is common in logs.
    CommonWord,
    /// Fewer than three different characters, as in `------`.
    TooUniform,
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(n) => write!(f, "it has {n} bytes; {MIN_BYTES} are needed"),
            Self::ShortNumber => write!(
                f,
                "it is a number of fewer than {MIN_DIGITS} digits, which ports and times are too"
            ),
            Self::CommonWord => f.write_str("it is a word that is common in logs"),
            Self::TooUniform => f.write_str("it has fewer than three different characters"),
        }
    }
}

/// Why a secret cannot be redacted, or `None` when it can.
pub fn unsafe_reason(secret: &str) -> Option<Unsafe> {
    let text = secret.trim();
    if text.len() < MIN_BYTES {
        return Some(Unsafe::TooShort(text.len()));
    }
    if text.len() < MIN_DIGITS && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Unsafe::ShortNumber);
    }
    if text.chars().collect::<BTreeSet<_>>().len() < 3 {
        return Some(Unsafe::TooUniform);
    }
    COMMON
        .iter()
        .any(|w| w.eq_ignore_ascii_case(text))
        .then_some(Unsafe::CommonWord)
}

/// Every form of a secret that is safe to redact.
pub fn of(secret: &str) -> BTreeSet<Vec<u8>> {
    let mut out = BTreeSet::new();
    // Files end in a line end that programs cut off before they use the value.
    let trimmed = secret.trim();
    add_text_forms(trimmed, &mut out);
    add_byte_forms(trimmed, &mut out);
    if trimmed.len() != secret.len() {
        add_byte_forms(secret, &mut out);
    }
    for line in lines(trimmed) {
        add_text_forms(line, &mut out);
        add_byte_forms(line, &mut out);
    }
    for password in passwords(trimmed) {
        add_text_forms(&password, &mut out);
        add_byte_forms(&password, &mut out);
    }
    out
}

/// The lines of a secret of several lines: logs are written line by line.
fn lines(secret: &str) -> impl Iterator<Item = &str> {
    let several = secret.contains('\n');
    secret.lines().map(str::trim).filter(move |line| {
        several
            && line.len() >= MIN_LINE_BYTES
            && !line.starts_with("-----")
            && unsafe_reason(line).is_none()
    })
}

/// The password inside a connection URL, as written and decoded.
fn passwords(secret: &str) -> Vec<String> {
    let Some((_, rest)) = secret.split_once("://") else {
        return Vec::new();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let Some((userinfo, _)) = authority.rsplit_once('@') else {
        return Vec::new();
    };
    let Some((_, written)) = userinfo.split_once(':') else {
        return Vec::new();
    };
    let decoded = percent_encoding::percent_decode_str(written)
        .decode_utf8_lossy()
        .into_owned();
    [written.to_owned(), decoded]
        .into_iter()
        .filter(|p| unsafe_reason(p).is_none())
        .collect()
}

/// Forms that work character by character.
fn add_text_forms(s: &str, out: &mut BTreeSet<Vec<u8>>) {
    let mut add = |form: String| {
        out.insert(form.into_bytes());
    };
    add(s.to_owned());
    if s.contains('\n') {
        add(s.replace("\r\n", "\n").replace('\n', "\r\n"));
    }
    for style in JSON_STYLES {
        let once = json(s, style);
        add(json(&once, style));
        add(once);
    }
    for unescaped in URL_UNESCAPED {
        for upper in [true, false] {
            let once = percent(s, unescaped, upper);
            add(percent(&once, unescaped, upper));
            add(once.replace("%20", "+"));
            add(once);
        }
    }
    for table in MARKUP {
        add(replaced(s, table));
    }
    for table in QUOTING {
        add(replaced(s, table));
    }
    add(backslashed(s));
}

/// A way to write a JSON string.
#[derive(Clone, Copy)]
struct JsonStyle {
    /// `/` becomes `\/` (PHP).
    slash: bool,
    /// `<`, `>` and `&` become `\u003c`… (Go).
    html: bool,
    /// Beyond ASCII becomes `\u…` (Python, PHP).
    ascii: bool,
    /// `\u00E9` rather than `\u00e9`.
    upper: bool,
}

const fn style(slash: bool, html: bool, ascii: bool, upper: bool) -> JsonStyle {
    JsonStyle {
        slash,
        html,
        ascii,
        upper,
    }
}

const JSON_STYLES: [JsonStyle; 7] = [
    style(false, false, false, false),
    style(true, false, false, false),
    style(false, true, false, false),
    style(false, true, false, true),
    style(false, false, true, false),
    style(false, false, true, true),
    style(true, false, true, false),
];

fn json(s: &str, style: JsonStyle) -> String {
    let mut out = String::with_capacity(s.len() + 8);
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '/' if style.slash => out.push_str("\\/"),
            '<' | '>' | '&' if style.html => unicode_escape(c, style.upper, &mut out),
            c if (c as u32) < 0x20 => unicode_escape(c, style.upper, &mut out),
            c if style.ascii && (c as u32) >= 0x7f => unicode_escape(c, style.upper, &mut out),
            c => out.push(c),
        }
    }
    out
}

fn unicode_escape(c: char, upper: bool, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.push_str(&if upper {
            format!("\\u{unit:04X}")
        } else {
            format!("\\u{unit:04x}")
        });
    }
}

/// Characters beside letters and digits that stay as they are in a URL, by convention.
const URL_UNESCAPED: [&str; 9] = [
    "-_.~",                 // RFC 3986, Python's quote with safe='', Go's QueryEscape
    "-_.~/",                // Python's quote
    "-_.!~*'()",            // JavaScript's encodeURIComponent
    "-_.!~*'();/?:@&=+$,#", // JavaScript's encodeURI
    "*-._",                 // HTML forms, Java
    "-_.",                  // PHP's urlencode
    "-_.~$&+=:@",           // Go's PathEscape
    "-_.~!$&'()*+,;=",      // userinfo of RFC 3986
    "",                     // everything but letters and digits
];

fn percent(s: &str, unescaped: &str, upper: bool) -> String {
    let mut out = String::with_capacity(s.len() * 2);
    for b in s.bytes() {
        if b.is_ascii_alphanumeric() || unescaped.as_bytes().contains(&b) {
            out.push(char::from(b));
        } else if upper {
            out.push_str(&format!("%{b:02X}"));
        } else {
            out.push_str(&format!("%{b:02x}"));
        }
    }
    out
}

type Table = &'static [(char, &'static str)];

/// How XML and HTML writers escape, by writer.
const MARKUP: [Table; 6] = [
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")],
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
    ],
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&apos;"),
    ],
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#39;"),
    ],
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&#34;"),
        ('\'', "&#39;"),
    ],
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#x27;"),
        ('/', "&#x2F;"),
    ],
];

/// How shells, SQL, YAML, CSV, Compose and programming languages quote.
const QUOTING: [Table; 8] = [
    &[('\'', "'\\''")],
    &[('\'', "'\"'\"'")],
    &[('"', "\\\""), ('\\', "\\\\"), ('$', "\\$"), ('`', "\\`")],
    &[
        ('"', "\\\""),
        ('\\', "\\\\"),
        ('$', "\\$"),
        ('`', "\\`"),
        ('!', "\\!"),
    ],
    &[('\'', "''")],
    &[('"', "\"\"")],
    &[('$', "$$")],
    &[
        ('\'', "\\'"),
        ('\\', "\\\\"),
        ('\n', "\\n"),
        ('\r', "\\r"),
        ('\t', "\\t"),
    ],
];

fn replaced(s: &str, table: Table) -> String {
    let mut out = String::with_capacity(s.len() + 8);
    for c in s.chars() {
        match table.iter().find(|(from, _)| *from == c) {
            Some((_, to)) => out.push_str(to),
            None => out.push(c),
        }
    }
    out
}

/// As a shell's `printf %q` writes it.
fn backslashed(s: &str) -> String {
    let mut out = String::with_capacity(s.len() * 2);
    for c in s.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_./:=@%+,".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Forms that work on bytes.
fn add_byte_forms(s: &str, out: &mut BTreeSet<Vec<u8>>) {
    let bytes = s.as_bytes();
    for (before, between) in [("", ""), ("", ":"), ("", " "), ("\\x", ""), ("%", "")] {
        for upper in [true, false] {
            out.insert(hex(bytes, before, between, upper).into_bytes());
        }
    }
    for alphabet in [&STANDARD, &URL_SAFE] {
        for form in base64_forms(bytes, alphabet) {
            if form.contains(['+', '/']) {
                out.insert(form.replace('/', "\\/").into_bytes());
                for upper in [true, false] {
                    out.insert(percent(&form, "-_", upper).into_bytes());
                }
            }
            out.insert(form.into_bytes());
        }
    }
}

fn hex(bytes: &[u8], before: &str, between: &str, upper: bool) -> String {
    let digits: Vec<String> = bytes
        .iter()
        .map(|b| {
            if upper {
                format!("{before}{b:02X}")
            } else {
                format!("{before}{b:02x}")
            }
        })
        .collect();
    digits.join(between)
}

/// The characters that a secret gives inside any base64 text, whatever stands before and after
/// it: those whose six bits are all its own; and those at the end of such a text, with and
/// without padding. Long ones also as they are wrapped at 64 and 76 columns.
fn base64_forms(
    bytes: &[u8],
    alphabet: &base64::engine::general_purpose::GeneralPurpose,
) -> Vec<String> {
    let mut out = Vec::new();
    for before in 0..3usize {
        let mut padded = vec![0; before];
        padded.extend_from_slice(bytes);
        let text = alphabet.encode(&padded);
        // First character that holds no bit of what stands before.
        let start = (before * 8).div_ceil(6);
        let own_end = padded.len() * 8 / 6;
        let written_end = text.trim_end_matches('=').len();
        for end in [own_end, written_end, text.len()] {
            out.push(text[start..end].to_owned());
        }
    }
    let whole = alphabet.encode(bytes);
    for width in [64, 76] {
        if whole.len() > width {
            out.extend(
                whole
                    .as_bytes()
                    .chunks(width)
                    .filter(|c| c.len() >= MIN_LINE_BYTES)
                    .map(|c| String::from_utf8_lossy(c).into_owned()),
            );
        }
    }
    out
}
