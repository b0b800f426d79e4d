//! What can be said at the prompt.

/// What `help` says.
pub const HELP: &str = "\
  Enter, n        do the step (before a step)
  c, continue     go on to the end; after a step that did not pass: go on from there
  q, quit         end the run: `finally` is done, and everything is removed
  doc             the result of the step
  = EXPRESSION    its value, on the result and the variables (`=` may be left out)
  vars            all variables, and the steps whose results are kept
  again           the same step again; how it ends then is what counts
  run STEP        a step as YAML on one line: run http: { url: \"http://web/\" }
  logs SERVICE [N]   the last lines that a service printed
  sh SERVICE [LINE]  a shell in a service, or one line of it
";

/// One line of the prompt.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Do the step; or go on.
    Next,
    /// Go on without stopping before steps.
    Continue,
    /// End the run.
    Quit,
    /// The result of the step.
    Doc,
    /// The variables.
    Vars,
    /// The same step again.
    Again,
    /// What can be said.
    Help,
    /// The value of an expression.
    Value(String),
    /// A step as YAML.
    Run(String),
    /// What a service printed.
    Logs(String, Option<usize>),
    /// A shell in a service, or one line of it.
    Shell(String, Option<String>),
}

impl Command {
    /// Reads a line. What is no command is an expression.
    pub fn parse(line: &str) -> Self {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match (word, rest) {
            ("" | "n" | "next", "") => Self::Next,
            ("c" | "continue", "") => Self::Continue,
            ("q" | "quit", "") => Self::Quit,
            ("doc", "") => Self::Doc,
            ("vars", "") => Self::Vars,
            ("again", "") => Self::Again,
            ("help" | "?", "") => Self::Help,
            ("run", step) if !step.is_empty() => Self::Run(step.to_owned()),
            ("logs", rest) if !rest.is_empty() => match rest.split_once(char::is_whitespace) {
                None => Self::Logs(rest.to_owned(), None),
                Some((service, n)) => match n.trim().parse() {
                    Ok(n) => Self::Logs(service.to_owned(), Some(n)),
                    Err(_) => Self::Value(line.to_owned()),
                },
            },
            ("sh", rest) if !rest.is_empty() => match rest.split_once(char::is_whitespace) {
                None => Self::Shell(rest.to_owned(), None),
                Some((service, line)) => {
                    Self::Shell(service.to_owned(), Some(line.trim().to_owned()))
                }
            },
            _ => {
                let text = line.strip_prefix('=').filter(|t| !t.starts_with('='));
                Self::Value(text.unwrap_or(line).trim().to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Command::{self, *};

    #[test]
    fn lines() {
        for (line, is) in [
            ("", Next),
            ("n", Next),
            (" c ", Continue),
            ("quit", Quit),
            ("doc", Doc),
            ("again", Again),
            ("= json.total > 3", Value("json.total > 3".into())),
            ("json.total > 3", Value("json.total > 3".into())),
            ("n + 1", Value("n + 1".into())),
            ("doc.x", Value("doc.x".into())),
            ("run print: hi", Run("print: hi".into())),
            ("logs orders", Logs("orders".into(), None)),
            ("logs orders 5", Logs("orders".into(), Some(5))),
            ("sh orders", Shell("orders".into(), None)),
            (
                "sh orders ls  -l /",
                Shell("orders".into(), Some("ls  -l /".into())),
            ),
        ] {
            assert_eq!(Command::parse(line), is, "{line:?}");
        }
    }
}
