//! What it means when an engine does not get an image from a registry.
//!
//! Engines answer nearly all of it with status 500 and the registry's or the network's own
//! words, so it is told by the words (those of Docker Engine 20.10 to 28, and of registries
//! by <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>).

use prodmirror_model::diag::{Problem, ProblemKind};

use crate::docker::EngineError;

/// Why an engine does not get an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The engine itself is away.
    Engine,
    /// The registry wants a login, or another one.
    Denied,
    /// The registry does not have it.
    Unknown,
    /// The image is not there for the platform that was asked for.
    Platform,
    /// The registry's certificate is not trusted, or it does not speak TLS.
    Untrusted,
    /// The registry lets so many requests through and no more.
    Throttled,
    /// The registry or something before it failed.
    Failing,
    /// The registry could not be reached, or the connection broke.
    Unreachable,
    /// The registry's name leads nowhere.
    NoSuchHost,
    /// Something else.
    Other,
}

/// Words, in lower case, by which a trouble is told; the first that fits.
const WORDS: [(Trouble, &[&str]); 8] = [
    (
        Trouble::Platform,
        &[
            "no matching manifest for",
            "does not match the specified platform",
        ],
    ),
    (
        Trouble::Untrusted,
        &[
            "x509:",
            "certificate signed by unknown authority",
            "http response to https client",
        ],
    ),
    (
        Trouble::Throttled,
        &[
            "toomanyrequests",
            "too many requests",
            "http 429",
            "status: 429",
        ],
    ),
    (
        Trouble::Failing,
        &[
            "status: 5",
            "http 500",
            "http 502",
            "http 503",
            "http 504",
            "bad gateway",
            "service unavailable",
        ],
    ),
    (Trouble::NoSuchHost, &["no such host"]),
    (
        Trouble::Denied,
        &[
            "no basic auth credentials",
            "unauthorized",
            "authentication required",
            "incorrect username or password",
            "access denied",
            "access to the resource is denied",
            "denied:",
            "status: 403",
            "http 403",
        ],
    ),
    (
        Trouble::Unknown,
        &[
            "manifest unknown",
            "name unknown",
            "repository name not known",
            " not found",
        ],
    ),
    (
        Trouble::Unreachable,
        &[
            "connection refused",
            "connection reset",
            "broken pipe",
            "i/o timeout",
            "tls handshake timeout",
            "client.timeout",
            "timeout awaiting",
            "deadline exceeded",
            ": eof",
            "unexpected eof",
            "network is unreachable",
            "no route to host",
            "temporary failure",
            "server misbehaving",
            "download failed after attempts",
        ],
    ),
];

impl Trouble {
    /// Tells what an error means.
    pub fn of(error: &EngineError) -> Self {
        let EngineError::Answered { status, message } = error else {
            return Self::Engine;
        };
        let text = message.to_lowercase();
        let told = WORDS
            .iter()
            .find(|(_, words)| words.iter().any(|w| text.contains(w)));
        match (told, status) {
            (Some((trouble, _)), _) => *trouble,
            (None, 404) => Self::Unknown,
            (None, 401 | 403) => Self::Denied,
            (None, 429) => Self::Throttled,
            (None, 502..=504) => Self::Failing,
            (None, _) => Self::Other,
        }
    }

    /// Whether it may be over in a moment.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Throttled | Self::Failing | Self::Unreachable)
    }

    /// What it is, in words before the engine's own.
    pub fn words(self) -> &'static str {
        match self {
            Self::Engine => "the engine did not answer",
            Self::Denied => "its registry refuses this login (unauthorized)",
            Self::Unknown => "its registry does not have it",
            Self::Platform => "there is none for this platform",
            Self::Untrusted => "the engine does not trust its registry's certificate",
            Self::Throttled => "its registry takes no more requests for now",
            Self::Failing => "its registry fails",
            Self::Unreachable => "its registry could not be reached",
            Self::NoSuchHost => "the name of its registry leads nowhere",
            Self::Other => "its registry could not be asked",
        }
    }

    /// What to do about it; `image` is the reference that was asked for.
    pub fn help(self, image: &str) -> String {
        let registry = super::login::registry(image);
        match self {
            Self::Engine => "see whether the engine still runs (`docker info`)".to_owned(),
            Self::Denied => format!("log in: `docker login {registry}`"),
            Self::Unknown => format!(
                "see whether {image} was pushed and is spelled right; \
                 a private registry may say this when a login is missing (`docker login {registry}`)"
            ),
            Self::Platform => format!(
                "build and push {image} for the engine's platform too, or name a `platform` that it has"
            ),
            Self::Untrusted => format!(
                "give the engine the registry's authority as /etc/docker/certs.d/{registry}/ca.crt \
                 on the engine's host (no restart is needed)"
            ),
            Self::Throttled => format!(
                "log in for a higher limit (`docker login {registry}`), or name a mirror of it under \
                 `images.rewrite` of mirror.yaml"
            ),
            Self::Failing | Self::Unreachable | Self::NoSuchHost | Self::Other => format!(
                "the engine, not this host, must reach {registry}; or name another place under \
                 `images.rewrite` of mirror.yaml"
            ),
        }
    }
}

/// The problem of an image that could not be pulled.
pub(super) fn problem(image: &str, error: &EngineError) -> Problem {
    let trouble = Trouble::of(error);
    if trouble == Trouble::Engine {
        return error.problem(format!("pull the image {image}"));
    }
    Problem::new(
        ProblemKind::Start,
        format!(
            "the image {image} is needed, but it could not be pulled: {}: {error}",
            trouble.words()
        ),
    )
    .help(trouble.help(image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_engines_are_told_apart() {
        for (status, message, want) in [
            (
                500,
                "Head \"http://r/v2/a/manifests/1\": no basic auth credentials",
                Trouble::Denied,
            ),
            (
                500,
                "unauthorized: authentication required",
                Trouble::Denied,
            ),
            (
                404,
                "pull access denied for a, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                Trouble::Denied,
            ),
            (
                404,
                "manifest for r/a:1 not found: manifest unknown: manifest unknown",
                Trouble::Unknown,
            ),
            (404, "manifest unknown: manifest unknown", Trouble::Unknown),
            (
                500,
                "error parsing HTTP 429 response body: unexpected end of JSON input: \"\"",
                Trouble::Throttled,
            ),
            (
                500,
                "toomanyrequests: You have reached your pull rate limit",
                Trouble::Throttled,
            ),
            (
                500,
                "received unexpected HTTP status: 503 Service Unavailable",
                Trouble::Failing,
            ),
            (
                500,
                "received unexpected HTTP status: 500 Internal Server Error",
                Trouble::Failing,
            ),
            (
                500,
                "Get \"http://r/v2/\": dial tcp 127.0.0.1:5999: connect: connection refused",
                Trouble::Unreachable,
            ),
            (
                500,
                "Get \"https://r/v2/\": net/http: TLS handshake timeout",
                Trouble::Unreachable,
            ),
            (
                500,
                "Get \"https://r/v2/\": dial tcp: lookup r on 10.0.0.1:53: no such host",
                Trouble::NoSuchHost,
            ),
            (
                500,
                "Get \"https://r/v2/\": x509: certificate signed by unknown authority",
                Trouble::Untrusted,
            ),
            (
                500,
                "Get \"https://r/v2/\": http: server gave HTTP response to HTTPS client",
                Trouble::Untrusted,
            ),
            (
                404,
                "no matching manifest for linux/amd64 in the manifest list entries",
                Trouble::Platform,
            ),
            (
                404,
                "image with reference a was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64",
                Trouble::Platform,
            ),
            (500, "something new", Trouble::Other),
            (429, "", Trouble::Throttled),
        ] {
            let e = EngineError::Answered {
                status,
                message: message.to_owned(),
            };
            assert_eq!(Trouble::of(&e), want, "{message}");
        }
        assert_eq!(Trouble::of(&EngineError::Timeout), Trouble::Engine);
    }
}
