//! References to images, taken apart.

use super::Digest;

/// `[registry/]repository[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'r> {
    /// Registry and repository, as they are written.
    pub repository: &'r str,
    /// The tag, when one is written.
    pub tag: Option<&'r str>,
    /// The digest, when one is written; it wins over the tag.
    pub digest: Option<Digest>,
}

impl<'r> Reference<'r> {
    /// Takes a reference apart. A port (`host:5000/name`) is no tag.
    pub fn parse(text: &'r str) -> Self {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Digest::parse(digest)),
            None => (text, None),
        };
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (name, None),
        };
        Self {
            repository,
            tag,
            digest,
        }
    }

    /// Whether the reference says nothing of which release is meant: `latest`, or no tag.
    pub fn is_floating(&self) -> bool {
        self.digest.is_none() && matches!(self.tag, None | Some("latest"))
    }

    /// The digest among an image's `repository@digest` names that belongs to this repository.
    /// An image has one name for each repository that it came from.
    pub fn digest_among<'d>(&self, names: impl IntoIterator<Item = &'d str>) -> Vec<Digest> {
        let mut found: Vec<Digest> = names
            .into_iter()
            .filter_map(|name| name.split_once('@'))
            .filter(|(repository, _)| familiar(repository) == familiar(self.repository))
            .filter_map(|(_, digest)| Digest::parse(digest))
            .collect();
        found.sort();
        found
    }
}

/// A repository as the engine shows it: without Docker's own registry in front.
fn familiar(repository: &str) -> &str {
    let rest = ["docker.io/", "index.docker.io/"]
        .iter()
        .find_map(|own| repository.strip_prefix(own));
    let rest = rest.unwrap_or(repository);
    rest.strip_prefix("library/").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_are_taken_apart() {
        for (text, repository, tag) in [
            ("redis", "redis", None),
            ("redis:7", "redis", Some("7")),
            ("host:5000/a/b", "host:5000/a/b", None),
            ("host:5000/a/b:1", "host:5000/a/b", Some("1")),
        ] {
            let r = Reference::parse(text);
            assert_eq!((r.repository, r.tag, r.digest), (repository, tag, None));
        }
        let both = format!("host:5000/a:1@{DIGEST}");
        let r = Reference::parse(&both);
        assert_eq!((r.repository, r.tag), ("host:5000/a", Some("1")));
        assert_eq!(r.digest, Digest::parse(DIGEST));
        assert!(!r.is_floating());
        assert!(Reference::parse("redis").is_floating());
        assert!(Reference::parse("redis:latest").is_floating());
        assert!(!Reference::parse("redis:7").is_floating());
    }

    #[test]
    fn the_digest_of_the_repository_is_found() {
        let names = [format!("r.example/a@{DIGEST}"), "nonsense".to_owned()];
        let names = || names.iter().map(String::as_str);
        assert_eq!(
            Reference::parse("r.example/a:1").digest_among(names()),
            [Digest::parse(DIGEST).unwrap()]
        );
        assert!(
            Reference::parse("r.example/b")
                .digest_among(names())
                .is_empty()
        );
        let hub = format!("redis@{DIGEST}");
        let found = Reference::parse("docker.io/library/redis:7").digest_among([hub.as_str()]);
        assert_eq!(found.len(), 1);
    }
}
