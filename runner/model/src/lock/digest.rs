//! Digests, as the OCI image specification writes them.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A digest: `sha256:` and 64 hexadecimal digits, or `sha512:` and 128
/// (<https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests>).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Digest(String);

impl Digest {
    /// Reads a digest; nothing when the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (algorithm, hex) = text.split_once(':')?;
        let length = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => return None,
        };
        let digits = hex
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
        (hex.len() == length && digits).then(|| Self(text.to_owned()))
    }

    /// The SHA-256 of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(bytes))
    }

    /// The digest of a value, whatever the order of its keys.
    pub fn of_value(value: &serde_json::Value) -> Self {
        super::hash::value(value)
    }

    /// The digest of what a hasher was given.
    pub fn finish(hasher: Sha256) -> Self {
        use fmt::Write as _;
        let mut text = String::from("sha256:");
        for byte in hasher.finalize() {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of it to tell it from others, for people.
    pub fn short(&self) -> &str {
        let end = self.0.find(':').map_or(0, |at| at + 13);
        self.0.get(..end).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_digests_are_read() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), empty);
        assert_eq!(Digest::parse(empty).unwrap().short(), "sha256:e3b0c44298fc");
        for wrong in [
            "",
            "sha256:",
            "sha256:00",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            &empty.to_uppercase(),
            &empty[7..],
        ] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
    }
}
