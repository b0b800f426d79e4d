//! Writing a lock: one fact a line, and the name of what it is about on the line before. So
//! the facts of two neighbours can change in two branches, and they merge: tools that merge
//! text want a line between two changes that is the same for both.

use std::fmt::Write as _;

use super::{Content, Facts, Hashes, Lock, Passed, Pin, VERSION};
use crate::stack::encode::key;

const HEAD: &str = "\
# Pins of this mirror: the same lock means the same bytes. `prodmirror lock` writes it.
# Commit it. One fact a line: merge it as text, then run `prodmirror lock --check`.
";

/// A lock as text. The same lock is the same text.
pub fn write(lock: &Lock) -> String {
    let mut out = String::from(HEAD);
    let _ = writeln!(out, "version: {VERSION}");
    let _ = writeln!(out, "tool: {}", quoted(&lock.tool));
    if !lock.images.is_empty() {
        out.push_str("images:\n");
    }
    for (name, pin) in &lock.images {
        let _ = writeln!(out, "  {}:", key(name));
        image(&mut out, pin);
    }
    facts(&mut out, &lock.facts);
    out
}

fn image(out: &mut String, pin: &Pin) {
    match pin {
        Pin::Registry { digest, platforms } => {
            let _ = writeln!(out, "    digest: {digest}");
            for (platform, manifest) in platforms {
                let manifest = manifest.as_ref().map_or("~", |m| m.as_str());
                let _ = writeln!(out, "    {platform}: {manifest}");
            }
        }
        Pin::Local { id, platform } => {
            let _ = writeln!(out, "    local: {id}");
            if let Some(platform) = platform {
                let _ = writeln!(out, "    platform: {platform}");
            }
        }
    }
}

fn facts(out: &mut String, facts: &Facts) {
    hashes(out, "project", &facts.project);
    hashes(out, "sources", &facts.sources);
    hashes(out, "configs", &facts.configs);
    if !facts.env.is_empty() {
        out.push_str("env:\n");
    }
    for (name, passed) in &facts.env {
        let _ = writeln!(out, "  {}:", key(name));
        match &passed.value {
            Passed::Unset => out.push_str("    unset: true\n"),
            Passed::Text(text) => {
                let _ = writeln!(out, "    value: {}", quoted(text));
            }
            Passed::Hash(digest) => {
                let _ = writeln!(out, "    digest: {digest}");
            }
        }
    }
    if !facts.data.is_empty() {
        out.push_str("data:\n");
    }
    for (volume, content) in &facts.data {
        let _ = writeln!(out, "  {}:", key(volume));
        let Content { snapshot, manifest } = &content.value;
        match snapshot {
            Some(name) => {
                let _ = writeln!(out, "    snapshot: {}", quoted(name));
            }
            None => out.push_str("    empty: true\n"),
        }
        if let Some(manifest) = manifest {
            let _ = writeln!(out, "    manifest: {manifest}");
        }
    }
}

fn hashes(out: &mut String, section: &str, hashes: &Hashes) {
    if !hashes.is_empty() {
        let _ = writeln!(out, "{section}:");
    }
    for (name, digest) in hashes {
        let _ = writeln!(out, "  {}:\n    digest: {}", key(name), digest.value);
    }
}

/// A text that no reader takes for anything else; nothing in a lock is interpolated.
fn quoted(text: &str) -> String {
    let written = key(text);
    if written.starts_with('"') {
        written
    } else {
        format!("\"{written}\"")
    }
}
