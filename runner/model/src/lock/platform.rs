//! Platforms, as the OCI image specification names them.

use std::fmt;

use serde::Serialize;

/// A platform: `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Platform {
    /// `linux`, `windows`…
    pub os: String,
    /// `amd64`, `arm64`…
    pub arch: String,
    /// `v7`, `v8`…; absent where the architecture has only one.
    pub variant: Option<String>,
}

impl Platform {
    /// A platform by its parts. `v8` of `arm64` is the only one there is, and left out.
    pub fn new(os: &str, arch: &str, variant: Option<&str>) -> Self {
        let arch = match arch {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let variant = variant.filter(|v| !(v.is_empty() || arch == "arm64" && *v == "v8"));
        Self {
            os: os.to_owned(),
            arch: arch.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Reads `os/architecture[/variant]`; nothing when the text is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (os, arch, variant) = (parts.next()?, parts.next()?, parts.next());
        let word = |w: &str| {
            !w.is_empty()
                && w.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        let fits = word(os) && word(arch) && variant.is_none_or(word) && parts.next().is_none();
        fits.then(|| Self::new(os, arch, variant))
    }

    /// Whether an engine that asks for `wanted` can be given this. A variant that one of the
    /// two does not name is not compared.
    pub fn serves(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.arch == wanted.arch
            && match (&self.variant, &wanted.variant) {
                (Some(have), Some(want)) => have == want,
                _ => true,
            }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_and_compared() {
        let p = |text| Platform::parse(text).unwrap();
        assert_eq!(p("linux/arm64/v8").to_string(), "linux/arm64");
        assert_eq!(p("linux/arm/v7").to_string(), "linux/arm/v7");
        assert!(p("linux/arm/v7").serves(&p("linux/arm")));
        assert!(!p("linux/arm/v7").serves(&p("linux/arm/v6")));
        assert!(p("linux/amd64").serves(&p("linux/x86_64")));
        assert!(!p("linux/amd64").serves(&p("windows/amd64")));
        for wrong in ["linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64", ""] {
            assert_eq!(Platform::parse(wrong), None, "{wrong}");
        }
    }
}
