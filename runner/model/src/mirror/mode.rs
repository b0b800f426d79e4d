//! Short texts with a grammar of their own: namespace modes and restart policies.

use std::fmt;

/// Whose namespace a container uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceMode {
    /// The host's.
    Host,
    /// None at all.
    None,
    /// One of its own.
    Private,
    /// One of its own that others may join.
    Shareable,
    /// That of another service of the same spec.
    Service(String),
    /// That of a container that the spec does not describe.
    Container(String),
    /// Another name: a network (`bridge`), or what only the engine knows.
    Named(String),
}

impl NamespaceMode {
    /// Reads `host`, `none`, `private`, `shareable`, `service:X`, `container:X`, or a name.
    pub fn parse(text: &str) -> Self {
        match text {
            "host" => Self::Host,
            "none" => Self::None,
            "private" => Self::Private,
            "shareable" => Self::Shareable,
            _ => match text.split_once(':') {
                Some(("service", name)) => Self::Service(name.to_owned()),
                Some(("container", name)) => Self::Container(name.to_owned()),
                _ => Self::Named(text.to_owned()),
            },
        }
    }

    /// The service whose namespace it is.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Service(name) => Some(name),
            _ => None,
        }
    }
}

impl Default for NamespaceMode {
    fn default() -> Self {
        Self::Named(String::new())
    }
}

impl fmt::Display for NamespaceMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::None => f.write_str("none"),
            Self::Private => f.write_str("private"),
            Self::Shareable => f.write_str("shareable"),
            Self::Service(name) => write!(f, "service:{name}"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// Whether the engine starts a container again that ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// Always.
    Always,
    /// Unless somebody stopped it.
    UnlessStopped,
    /// When it failed, at most so many times (absent = without end).
    OnFailure(Option<u32>),
    /// A name that only the engine may know.
    Named(String),
}

impl Restart {
    /// Reads `no`, `always`, `unless-stopped`, `on-failure[:max]`, or a name.
    pub fn parse(text: &str) -> Self {
        let parsed = match text {
            "no" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            "on-failure" => Self::OnFailure(None),
            _ => match text.strip_prefix("on-failure:").map(str::parse) {
                Some(Ok(max)) => Self::OnFailure(Some(max)),
                _ => Self::Named(text.to_owned()),
            },
        };
        if parsed.to_string() == text {
            parsed
        } else {
            Self::Named(text.to_owned())
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure(None) => f.write_str("on-failure"),
            Self::OnFailure(Some(max)) => write!(f, "on-failure:{max}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}
