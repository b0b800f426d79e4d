//! What the process was given: environment, terminal, directory. Nothing else reads them.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

/// The process's surroundings, read once.
#[derive(Debug, Clone)]
pub struct Context {
    /// Environment variables that are valid UTF-8.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Whether standard output is a terminal.
    pub stdout_tty: bool,
    /// Whether standard error is a terminal.
    pub stderr_tty: bool,
    /// Whether standard input is a terminal.
    pub stdin_tty: bool,
    /// This very program, to start helpers of the same version.
    pub exe: Option<PathBuf>,
}

impl Context {
    /// Reads the process's surroundings.
    pub fn from_process() -> Self {
        Self {
            env: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            stdout_tty: std::io::stdout().is_terminal(),
            stderr_tty: std::io::stderr().is_terminal(),
            stdin_tty: std::io::stdin().is_terminal(),
            exe: std::env::current_exe().ok(),
        }
    }

    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// Whether this is a CI job (`CI` set to anything but `false` or `0`).
    pub fn is_ci(&self) -> bool {
        self.var("CI").is_some_and(|v| v != "false" && v != "0")
    }

    /// Whether standard error may have colours: a terminal, and `NO_COLOR` not set
    /// (<https://no-color.org>), or `CLICOLOR_FORCE`.
    pub fn colour(&self) -> bool {
        if self.var("NO_COLOR").is_some() || self.var("TERM") == Some("dumb") {
            return false;
        }
        self.var("CLICOLOR_FORCE").is_some_and(|v| v != "0") || self.stderr_tty
    }

    /// Whether progress may be redrawn in place.
    pub fn live(&self) -> bool {
        self.stderr_tty && !self.is_ci() && self.var("TERM") != Some("dumb")
    }
}
