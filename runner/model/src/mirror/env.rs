//! Environment variables.

use std::fmt;

use super::Sourced;

/// An environment variable of a service.
#[derive(Clone, Default, PartialEq)]
pub struct EnvVar {
    /// Its name; the place is that of its key.
    pub name: Sourced<String>,
    /// Its value; none = the variable is removed from what the image brings.
    pub value: Option<Sourced<String>>,
    /// Whether the value is secret. Readers leave it false; the policy of the project says so.
    pub sensitive: bool,
}

impl fmt::Debug for EnvVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => write!(f, "-{}", self.name.value),
            Some(_) if self.sensitive => write!(f, "{}=***", self.name.value),
            Some(value) => write!(f, "{}={value:?}", self.name.value),
        }
    }
}

/// A file with environment variables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EnvFile {
    /// Its path.
    pub path: Option<Sourced<String>>,
    /// Whether its absence is an error.
    pub required: Option<Sourced<bool>>,
    /// Its grammar: `raw`, or the usual one when absent.
    pub format: Option<Sourced<String>>,
}
