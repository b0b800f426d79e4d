//! Keeps secrets out of everything that leaves the tool.
//!
//! A [`Redactor`] is fed each secret once, when it becomes known, and never forgets one. It
//! looks for the secret itself and for the forms in which programs print one: escaped for
//! JSON, a URL, HTML, a shell or SQL, in base64 at any alignment, in hex. Every byte that
//! belongs to such a form is taken out, also where forms overlap; nothing else is touched.

mod forms;
mod stream;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};

pub use forms::{Unsafe, unsafe_reason};
pub use stream::RedactStream;

use crate::secret::Secret;

/// What stands where a secret stood.
pub const MASK: &str = "***";

/// Finds and takes out secrets. Clones share what they know.
#[derive(Clone, Default)]
pub struct Redactor {
    shared: Arc<RwLock<Known>>,
}

/// All that has been fed so far.
#[derive(Default)]
struct Known {
    patterns: BTreeSet<Vec<u8>>,
    refused: Vec<UnsafeSecret>,
    /// Made from `patterns` when first needed; absent after a change.
    compiled: Option<Arc<Compiled>>,
}

/// A secret that cannot be redacted without making output unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsafeSecret {
    /// The name under which it was fed.
    pub name: String,
    /// Why it is not redacted.
    pub reason: Unsafe,
}

/// The searchable form of all patterns at one moment.
struct Compiled {
    search: AhoCorasick,
    /// Sorted, to tell whether some bytes begin a pattern.
    patterns: Vec<Vec<u8>>,
    longest: usize,
    first_bytes: [bool; 256],
}

impl Redactor {
    /// A redactor that knows no secret.
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds a secret; `name` is what [`Redactor::unsafe_secrets`] calls it. A secret that is
    /// fed again changes nothing, and none is ever forgotten.
    pub fn add(&self, name: &str, secret: &Secret) {
        let text = secret.expose();
        let mut known = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = unsafe_reason(text) {
            let refused = UnsafeSecret {
                name: name.to_owned(),
                reason,
            };
            if !known.refused.contains(&refused) {
                known.refused.push(refused);
            }
            return;
        }
        let before = known.patterns.len();
        known.patterns.extend(forms::of(text));
        if known.patterns.len() != before {
            known.compiled = None;
        }
    }

    /// The secrets that were fed and are *not* redacted, with the reason, in order.
    pub fn unsafe_secrets(&self) -> Vec<UnsafeSecret> {
        self.shared
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .refused
            .clone()
    }

    /// Whether any form of any secret occurs in `bytes`.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.compiled().is_some_and(|c| c.search.is_match(bytes))
    }

    /// `text` with every form of every secret replaced by [`MASK`].
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(compiled) = self.compiled() else {
            return Cow::Borrowed(text);
        };
        match compiled.masked(text.as_bytes()) {
            None => Cow::Borrowed(text),
            // Patterns are whole UTF-8 texts, so what is left between them is UTF-8 too.
            Some(bytes) => Cow::Owned(
                String::from_utf8(bytes)
                    .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
            ),
        }
    }

    /// As [`Redactor::redact`], for bytes that need not be UTF-8.
    pub fn redact_bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match self.compiled().and_then(|c| c.masked(bytes)) {
            None => Cow::Borrowed(bytes),
            Some(masked) => Cow::Owned(masked),
        }
    }

    /// Redacts, and only then cuts to at most `limit` characters (with `…` at a cut end):
    /// the other order could leave the first half of a secret.
    pub fn redact_cut(&self, text: &str, limit: usize) -> String {
        let whole = self.redact(text);
        match whole.char_indices().nth(limit) {
            None => whole.into_owned(),
            Some((at, _)) => format!("{}…", &whole[..at]),
        }
    }

    /// `text` with `*` for every byte of a form, so that every other byte keeps its place; line
    /// ends stay. For excerpts of files that are pointed into.
    pub fn blot<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let ranges = match self.compiled() {
            Some(compiled) => compiled.ranges(text.as_bytes()),
            None => Vec::new(),
        };
        if ranges.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut bytes = text.as_bytes().to_vec();
        for b in ranges.into_iter().flat_map(|r| r.start..r.end) {
            if bytes[b] != b'\n' {
                bytes[b] = b'*';
            }
        }
        Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Redacts a text as a reader may see it: also a secret that only appears when terminal
    /// control sequences and NULs between its characters are left out, and the beginning of
    /// one that was cut off with `…`.
    pub fn redact_shown(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.redact(text) {
            *text = masked;
        }
        if text.contains('…') {
            *text = self.without_cut_forms(text);
        }
        if crate::plain::has_controls(text) {
            let plain = crate::plain::without_controls(text);
            if let Cow::Owned(masked) = self.redact(&plain) {
                *text = masked;
            }
        }
    }

    /// `text` with [`MASK`] for the beginning of a form where a `…` says that the rest was cut
    /// off. A few bytes give nothing away and occur by chance.
    fn without_cut_forms(&self, text: &str) -> String {
        let Some(compiled) = self.compiled() else {
            return text.to_owned();
        };
        let mut out = String::with_capacity(text.len());
        let mut parts = text.split('…').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                out.push_str(part);
                break;
            }
            let kept = part.trim_end_matches([' ', '\n', '"', '\'', '`']);
            let begun = compiled.unfinished(kept.as_bytes());
            if kept.len() - begun >= forms::MIN_BYTES && kept.is_char_boundary(begun) {
                out.push_str(&kept[..begun]);
                out.push_str(MASK);
                out.push_str(&part[kept.len()..]);
            } else {
                out.push_str(part);
            }
            out.push('…');
        }
        out
    }

    /// A filter for a stream of bytes that arrives in pieces.
    pub fn stream(&self) -> RedactStream {
        RedactStream::new(self.clone())
    }

    /// The searchable form, or `None` when there is nothing to look for.
    fn compiled(&self) -> Option<Arc<Compiled>> {
        {
            let known = self.shared.read().unwrap_or_else(PoisonError::into_inner);
            if known.patterns.is_empty() {
                return None;
            }
            if let Some(c) = &known.compiled {
                return Some(c.clone());
            }
        }
        let mut known = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        if known.compiled.is_none() {
            known.compiled = Compiled::new(&known.patterns).map(Arc::new);
        }
        known.compiled.clone()
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor(***)")
    }
}

impl Compiled {
    fn new(patterns: &BTreeSet<Vec<u8>>) -> Option<Self> {
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(patterns)
            .ok()?;
        let mut first_bytes = [false; 256];
        for p in patterns {
            if let Some(b) = p.first() {
                first_bytes[usize::from(*b)] = true;
            }
        }
        Some(Self {
            search,
            longest: patterns.iter().map(Vec::len).max().unwrap_or(0),
            patterns: patterns.iter().cloned().collect(),
            first_bytes,
        })
    }

    /// All ranges that hold a form; overlapping ones are joined, touching ones are not.
    fn ranges(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        // The plain search can skip ahead where the overlapping one cannot.
        let Some(first) = self.search.find(bytes) else {
            return Vec::new();
        };
        // An overlapping longer form may begin before the match that ends first.
        let from = first.end().saturating_sub(self.longest);
        let mut found: Vec<Range<usize>> = self
            .search
            .find_overlapping_iter(&bytes[from..])
            .map(|m| from + m.start()..from + m.end())
            .collect();
        found.sort_unstable_by_key(|r| (r.start, r.end));
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for r in found {
            match joined.last_mut() {
                Some(last) if r.start < last.end => last.end = last.end.max(r.end),
                _ => joined.push(r),
            }
        }
        joined
    }

    /// The bytes with forms masked, or `None` when there was none.
    fn masked(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let ranges = self.ranges(bytes);
        if ranges.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for r in ranges {
            out.extend_from_slice(&bytes[at..r.start]);
            out.extend_from_slice(MASK.as_bytes());
            at = r.end;
        }
        out.extend_from_slice(&bytes[at..]);
        Some(out)
    }

    /// Where the last bytes begin that could still grow into a form; `bytes.len()` when none.
    fn unfinished(&self, bytes: &[u8]) -> usize {
        let from = (bytes.len() + 1).saturating_sub(self.longest);
        (from..bytes.len())
            .find(|&i| self.first_bytes[usize::from(bytes[i])] && self.begins(&bytes[i..]))
            .unwrap_or(bytes.len())
    }

    /// Whether `bytes` is the beginning of a longer pattern.
    fn begins(&self, bytes: &[u8]) -> bool {
        // In sorted order, the patterns that `bytes` begins follow it directly.
        let at = self.patterns.partition_point(|p| p.as_slice() <= bytes);
        self.patterns.get(at).is_some_and(|p| p.starts_with(bytes))
    }
}
