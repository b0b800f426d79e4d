//! What is inside of an image: the versions of its parts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What a look into an image found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Its platform, `os/arch[/variant]`.
    pub platform: String,
    /// Facts by name: `os`, `libc`, `openssl`, `ca-bundle`, `time zone`, `locale`, `user`…
    pub facts: BTreeMap<String, String>,
    /// Language runtimes with their versions.
    pub runtimes: BTreeMap<String, String>,
    /// Versions of packages, by kind (`deb`, `python`, `npm`…) and name. Several versions of
    /// one package stand beside each other, separated by commas.
    pub packages: BTreeMap<String, BTreeMap<String, String>>,
    /// Names and numbers of the users that it knows; empty = it has no `/etc/passwd`.
    pub users: BTreeMap<String, u32>,
    /// Ports that it exposes.
    pub ports: BTreeSet<u16>,
    /// Whether it has a health check.
    pub health: bool,
    /// The user that it runs as, as it is written; empty = root.
    pub user: String,
    /// Paths that were asked for, and whether it has something there. One that leads over a link
    /// is not here.
    pub paths: BTreeMap<String, bool>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

impl Fingerprint {
    /// Notes a version of a package.
    pub fn package(&mut self, kind: &str, name: &str, version: &str) {
        if name.is_empty() || version.is_empty() {
            return;
        }
        let of_kind = self.packages.entry(kind.to_owned()).or_default();
        let known = of_kind.entry(name.to_owned()).or_default();
        if known.split(", ").any(|v| v == version) {
            return;
        }
        let mut all: Vec<&str> = known.split(", ").filter(|v| !v.is_empty()).collect();
        all.push(version);
        all.sort_unstable();
        *known = all.join(", ");
    }

    /// Notes a fact unless it is known or empty.
    pub fn fact(&mut self, name: &str, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.facts.entry(name.to_owned()).or_insert(text);
        }
    }
}
