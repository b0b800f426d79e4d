//! The last look before a bundle is written: no value of a secret may be in it.

use std::fs::File;
use std::io::{self, Read};

use prodmirror_model::redact::Redactor;
use prodmirror_model::secret::Secret;

use super::archive::Content;

/// How much of a file is looked at at once, in bytes.
const PIECE: usize = 1 << 20;
/// How much of the last piece is looked at again: no form of a secret that is redacted is
/// longer.
const OVERLAP: usize = 64 << 10;

/// Looks for secrets in what is to be written.
pub struct Scan {
    all: Redactor,
    each: Vec<(String, Redactor)>,
}

impl Scan {
    /// For these secrets, by name.
    pub fn new<'s>(secrets: impl IntoIterator<Item = (&'s String, &'s Secret)>) -> Self {
        let all = Redactor::new();
        let mut each = Vec::new();
        for (name, secret) in secrets {
            all.add(name, secret);
            let one = Redactor::new();
            one.add(name, secret);
            each.push((name.clone(), one));
        }
        Self { all, each }
    }

    /// The name of a secret whose value is in some bytes.
    pub fn find(&self, bytes: &[u8]) -> Option<&str> {
        if !self.all.finds(bytes) {
            return None;
        }
        let found = self.each.iter().find(|(_, one)| one.finds(bytes));
        // Each is in `all`, and a match of `all` is one of theirs.
        Some(found.map_or("a secret", |(name, _)| name))
    }

    /// The name of a secret whose value is in an entry.
    ///
    /// # Errors
    /// The entry cannot be read.
    pub fn look(&self, content: &Content) -> io::Result<Option<&str>> {
        let path = match content {
            Content::Bytes(bytes) => return Ok(self.find(bytes)),
            Content::File(path) => path,
        };
        let mut file = File::open(path)?;
        let mut piece = vec![0; OVERLAP + PIECE];
        let mut kept = 0;
        loop {
            let read = file.read(&mut piece[kept..])?;
            if read == 0 {
                return Ok(None);
            }
            let end = kept + read;
            if let Some(name) = self.find(&piece[..end]) {
                return Ok(Some(name));
            }
            let from = end.saturating_sub(OVERLAP);
            piece.copy_within(from..end, 0);
            kept = end - from;
        }
    }
}
