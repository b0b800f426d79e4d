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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine as _;

    use super::*;

    const VALUE: &str = "s3cret/v\u{e4}lue+with=signs";

    fn scan() -> Scan {
        let secrets = BTreeMap::from([
            ("OTHER".to_owned(), Secret::new("quite another thing")),
            ("KEY".to_owned(), Secret::new(VALUE)),
        ]);
        Scan::new(&secrets)
    }

    #[test]
    fn a_value_is_found_in_its_forms_and_named() {
        let base64 = base64::engine::general_purpose::STANDARD.encode(VALUE);
        let percent =
            percent_encoding::utf8_percent_encode(VALUE, percent_encoding::NON_ALPHANUMERIC);
        let hex: String = VALUE.bytes().map(|b| format!("{b:02x}")).collect();
        let json = serde_json::to_string(VALUE).unwrap();
        for form in [VALUE.to_owned(), base64, percent.to_string(), hex, json] {
            let text = format!("before {form} after");
            assert_eq!(scan().find(text.as_bytes()), Some("KEY"), "{form}");
        }
        assert_eq!(scan().find(b"nothing of the kind"), None);
        assert_eq!(scan().find(b"quite another thing"), Some("OTHER"));
    }

    #[test]
    fn a_value_is_found_across_the_borders_of_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        let length = VALUE.len();
        for border in [
            PIECE,
            PIECE + OVERLAP,
            2 * PIECE + OVERLAP,
            2 * PIECE + 2 * OVERLAP,
        ] {
            for at in [border - length, border - length / 2, border - 1, border] {
                let mut bytes = vec![b'.'; 3 * PIECE];
                bytes[at..at + length].copy_from_slice(VALUE.as_bytes());
                std::fs::write(&path, &bytes).unwrap();
                let found = scan();
                let found = found.look(&Content::File(path.clone())).unwrap();
                assert_eq!(found, Some("KEY"), "at {at}");
            }
        }
        std::fs::write(&path, vec![b'.'; 3 * PIECE]).unwrap();
        assert_eq!(scan().look(&Content::File(path)).unwrap(), None);
    }
}
