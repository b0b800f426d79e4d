//! Lists of packages.

use prodmirror_model::compare::Fingerprint;
use serde::Deserialize;

use super::File;

/// Debian: paragraphs with `Package`, `Status` and `Version`.
pub fn dpkg(file: &File<'_>, found: &mut Fingerprint) {
    let text = String::from_utf8_lossy(file.bytes);
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
        };
        // The parts of distroless images have no status: what is there is installed.
        let there = field("Status").is_none_or(|s| s.ends_with(" installed"));
        if let (true, Some(name), Some(version)) = (there, field("Package"), field("Version")) {
            found.package("deb", name.trim(), version.trim());
        }
    }
}

/// Alpine: paragraphs with `P:` and `V:`.
pub fn apk(file: &File<'_>, found: &mut Fingerprint) {
    let text = String::from_utf8_lossy(file.bytes);
    for paragraph in text.split("\n\n") {
        let field = |name: &str| paragraph.lines().find_map(|l| l.strip_prefix(name));
        if let (Some(name), Some(version)) = (field("P:"), field("V:")) {
            found.package("apk", name, version);
        }
    }
}

/// Python: headers with `Name` and `Version`, up to the first empty line.
pub fn python(file: &File<'_>, found: &mut Fingerprint) {
    let text = String::from_utf8_lossy(file.bytes);
    let head = text.lines().take_while(|l| !l.trim().is_empty());
    let (mut name, mut version) = ("", "");
    for line in head {
        if let Some(value) = line.strip_prefix("Name: ") {
            name = value.trim();
        } else if let Some(value) = line.strip_prefix("Version: ") {
            version = value.trim();
        }
    }
    // One package is spelled in several ways (PEP 503).
    let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    found.package("python", &name, version);
}

/// Whether a path is that of a package in a `node_modules`.
pub fn is_npm(path: &str) -> bool {
    let Some((before, rest)) = path.rsplit_once("node_modules/") else {
        return false;
    };
    let Some(name) = rest.strip_suffix("/package.json") else {
        return false;
    };
    let parts = name.split('/').count();
    (before.is_empty() || before.ends_with('/')) && parts == 1 + usize::from(name.starts_with('@'))
}

/// Node: `name` and `version` of a `package.json`.
pub fn npm(file: &File<'_>, found: &mut Fingerprint) {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    if let Ok(p) = serde_json::from_slice::<Package>(file.bytes) {
        found.package("npm", &p.name, &p.version);
    }
}

/// PHP: what Composer installed.
pub fn composer(file: &File<'_>, found: &mut Fingerprint) {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Installed {
        Two { packages: Vec<Package> },
        One(Vec<Package>),
    }
    if let Ok(Installed::Two { packages } | Installed::One(packages)) =
        serde_json::from_slice(file.bytes)
    {
        for p in packages {
            found.package("composer", &p.name, &p.version);
        }
    }
}

/// Ruby: `specifications/name-1.2.3.gemspec`.
pub fn gem(path: &str, found: &mut Fingerprint) {
    let Some((dir, file)) = path.rsplit_once('/') else {
        return;
    };
    if !(dir.ends_with("/specifications") || dir.ends_with("/specifications/default")) {
        return;
    }
    let Some(stem) = file.strip_suffix(".gemspec") else {
        return;
    };
    let split = stem
        .match_indices('-')
        .find(|(at, _)| stem[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    if let Some((at, _)) = split {
        found.package("gem", &stem[..at], &stem[at + 1..]);
    }
}

/// Versions of the C library and of OpenSSL that the packages tell best.
pub fn finish(found: &mut Fingerprint) {
    let version = |kind: &str, names: &[&str]| {
        let of_kind = found.packages.get(kind)?;
        names.iter().find_map(|n| of_kind.get(*n).cloned())
    };
    let glibc = version("deb", &["libc6", "libc6:amd64"]);
    let musl = version("apk", &["musl"]);
    let python = version(
        "deb",
        &["python3.13", "python3.12", "python3.11", "python3.9"],
    );
    let openssl = version("deb", &["libssl3", "libssl3t64", "libssl1.1"])
        .or(version("apk", &["libssl3", "libcrypto3"]));
    if let Some(v) = glibc {
        found.fact("libc", format!("glibc {v}"));
    }
    if let Some(v) = musl {
        found.facts.insert("libc".to_owned(), format!("musl {v}"));
    }
    if let Some(v) = openssl {
        found.fact("openssl", v);
    }
    if let Some(v) = python {
        // The path tells only the first two numbers.
        found.runtimes.insert("python".to_owned(), v);
    }
}
