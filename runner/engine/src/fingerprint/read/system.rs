//! The system: its release, its C library, its users, its time.

use prodmirror_model::compare::Fingerprint;
use sha2::{Digest as _, Sha256};

use super::{File, elf};

/// Where systems keep the certificates that programs trust.
pub const CA_BUNDLES: [&str; 5] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/cert.pem",
    "etc/ssl/ca-bundle.pem",
];

fn text(file: &File<'_>) -> String {
    String::from_utf8_lossy(file.bytes).into_owned()
}

/// The name of the release.
pub fn os_release(file: &File<'_>, found: &mut Fingerprint) {
    let text = text(file);
    let field = |name: &str| {
        let mut lines = text.lines();
        let value = lines.find_map(|l| l.strip_prefix(name)?.strip_prefix('='));
        value.map(|v| v.trim_matches(['"', '\'']).to_owned())
    };
    if let Some(name) = field("PRETTY_NAME").or_else(|| field("ID")) {
        found.fact("os", name);
    }
}

/// The point release, which `os-release` leaves out.
pub fn debian_version(file: &File<'_>, found: &mut Fingerprint) {
    found.fact("debian", text(file).trim());
}

/// Users with their numbers.
pub fn passwd(file: &File<'_>, found: &mut Fingerprint) {
    for line in text(file).lines() {
        let mut parts = line.split(':');
        let (name, number) = (parts.next(), parts.nth(1));
        if let (Some(name), Some(Ok(number))) = (name, number.map(str::parse)) {
            found.users.insert(name.to_owned(), number);
        }
    }
}

/// The zone's name.
pub fn timezone(file: &File<'_>, found: &mut Fingerprint) {
    found.fact("time zone", text(file).trim());
}

/// The rule in the last line of a time zone file (RFC 8536, 3.3), where no link names it.
pub fn localtime(file: &File<'_>, found: &mut Fingerprint) {
    let mut lines = file.bytes.rsplit(|b| *b == b'\n').filter(|l| !l.is_empty());
    let rule = lines.next().and_then(|l| std::str::from_utf8(l).ok());
    if let (true, Some(rule)) = (file.bytes.starts_with(b"TZif"), rule) {
        found.fact("time zone", rule);
    }
}

/// The language that programs are told.
pub fn locale(file: &File<'_>, found: &mut Fingerprint) {
    let text = text(file);
    let lang = text.lines().find_map(|l| l.strip_prefix("LANG="));
    found.fact("locale", lang.unwrap_or("").trim_matches('"'));
}

/// How many certificates are trusted, and their hash.
pub fn ca_bundle(file: &File<'_>, found: &mut Fingerprint) {
    let count = text(file).matches("-----BEGIN CERTIFICATE-----").count();
    let hash: String = Sha256::digest(file.bytes)
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect();
    found.fact("ca bundle", format!("{count} certificates, sha256 {hash}…"));
}

/// `#define NAME "value"`, or a number.
fn defined(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|l| {
        let rest = l.strip_prefix("#define")?.trim_start().strip_prefix(name)?;
        let value = rest.starts_with([' ', '\t']).then(|| rest.trim())?;
        let value = value.split(['/', ' ']).next().unwrap_or(value);
        Some(value.trim_matches('"').to_owned())
    })
}

fn runtime(found: &mut Fingerprint, name: &str, version: Option<String>) {
    if let Some(version) = version {
        found.runtimes.insert(name.to_owned(), version);
    }
}

/// CPython's header.
pub fn python_version(file: &File<'_>, found: &mut Fingerprint) {
    runtime(found, "python", defined(&text(file), "PY_VERSION"));
}

/// Node's header.
pub fn node_version(file: &File<'_>, found: &mut Fingerprint) {
    let text = text(file);
    let part = |name: &str| defined(&text, &format!("NODE_{name}_VERSION"));
    let parts = [part("MAJOR"), part("MINOR"), part("PATCH")];
    let all: Option<Vec<String>> = parts.into_iter().collect();
    runtime(found, "node", all.map(|p| p.join(".")));
}

/// PHP's header.
pub fn php_version(file: &File<'_>, found: &mut Fingerprint) {
    runtime(found, "php", defined(&text(file), "PHP_VERSION"));
}

/// Whether a file is a C library.
pub fn is_libc(name: &str) -> bool {
    name == "libc.so.6" || name.starts_with("libc-2.") || name.starts_with("ld-musl-")
}

/// The C library's own words.
pub fn libc(file: &File<'_>, found: &mut Fingerprint) {
    if file.path.contains("ld-musl-") {
        found.fact("libc", "musl");
        return;
    }
    let release = elf::text_after(file.bytes, b"GNU C Library ");
    let version = release.and_then(|r| r.split("version ").nth(1));
    let version = version.map(|v| v.trim_end_matches(['.', ' ']));
    if let Some(version) = version {
        found.fact("libc", format!("glibc {version}"));
    }
}

/// OpenSSL's own words: `OpenSSL 3.0.11 19 Sep 2023`.
pub fn openssl(file: &File<'_>, found: &mut Fingerprint) {
    let mut from = 0;
    while let Some(at) = elf::find(&file.bytes[from..], b"OpenSSL ").map(|a| a + from) {
        let rest = elf::text_after(&file.bytes[at..], b"OpenSSL ").unwrap_or("");
        let version = rest.split(' ').next().unwrap_or("");
        if version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('.') {
            found.fact("openssl", version);
            return;
        }
        from = at + 8;
    }
}

/// Runtimes by the directories that they keep their libraries in.
pub fn by_name(path: &str, found: &mut Fingerprint) {
    let version = |begin: &str| {
        let rest = path.split_once(begin)?.1;
        let version = rest.split('/').next()?;
        let digits = version.chars().all(|c| c.is_ascii_digit() || c == '.');
        (digits && version.contains('.')).then(|| version.to_owned())
    };
    let known = [
        ("python", "lib/python"),
        ("ruby", "lib/ruby/"),
        ("perl", "share/perl/"),
    ];
    for (name, begin) in known {
        if let Some(v) = version(begin) {
            found.runtimes.entry(name.to_owned()).or_insert(v);
        }
    }
}

/// `/etc/localtime` as a link into the zone files.
pub fn link(path: &str, target: &str, found: &mut Fingerprint) {
    if path == "etc/localtime"
        && let Some((_, zone)) = target.split_once("zoneinfo/")
    {
        found.facts.insert("time zone".to_owned(), zone.to_owned());
    }
}
