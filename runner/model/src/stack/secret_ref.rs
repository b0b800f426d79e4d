//! References to secrets: what stands for a secret's value until somebody needs it.
//!
//! Production's files are read with a token in the place of each declared secret, so that no
//! value is ever in the mirror, in a message or in a rendered stack. The encoding of a stack
//! writes the token as `${NAME:?…}`, which the last reader of the stack fills in.

const BEGIN: &str = "pm-secret.";
const END: &str = ".terces-mp";

/// The token that stands for a secret.
pub fn token(name: &str) -> String {
    format!("{BEGIN}{name}{END}")
}

/// A part of a text: literal, or the name of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'t> {
    /// Text.
    Text(&'t str),
    /// A secret's value stands here.
    Secret(&'t str),
}

/// The parts of a text.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let after = &rest[at + BEGIN.len()..];
        let name = after.split_once(END).map(|(name, _)| name);
        match name.filter(|n| crate::project::is_variable(n)) {
            Some(name) => {
                if at > 0 {
                    out.push(Part::Text(&rest[..at]));
                }
                out.push(Part::Secret(name));
                rest = &after[name.len() + END.len()..];
            }
            None => {
                out.push(Part::Text(&rest[..at + BEGIN.len()]));
                rest = after;
            }
        }
    }
    if !rest.is_empty() {
        out.push(Part::Text(rest));
    }
    out
}

/// The names of the secrets in a text.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    parts(text).into_iter().filter_map(|p| match p {
        Part::Secret(name) => Some(name),
        Part::Text(_) => None,
    })
}

/// Whether any secret's value stands in a text.
pub fn holds_secret(text: &str) -> bool {
    text.contains(BEGIN) && names(text).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_url() {
        let url = format!("postgres://app:{}@db/x", token("DB_PASSWORD"));
        assert_eq!(
            parts(&url),
            [
                Part::Text("postgres://app:"),
                Part::Secret("DB_PASSWORD"),
                Part::Text("@db/x")
            ]
        );
        assert!(holds_secret(&url));
        assert!(!holds_secret("pm-secret.A B.terces-mp pm-secret."));
        assert_eq!(parts(""), []);
    }
}
