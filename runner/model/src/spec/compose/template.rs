//! `$NAME`, `${NAME}` and its operators, on one text.
//!
//! The grammar is the one of Compose: names are `[_a-zA-Z][_a-zA-Z0-9]*`; `$$` is a `$`; a
//! `$` before anything else stands for itself; after `${NAME` comes `}` or one of
//! `:-` `-` `:?` `?` `:+` `+` and a text that is itself a template. A `${…}` ends on the line
//! on which it begins.

/// How deep `${A:-${B:-…}}` may nest.
const MAX_DEPTH: usize = 64;

/// What a variable gave where it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its value.
    Value,
    /// It has no (or, with `:`, an empty) value, and the text beside its name was taken.
    Default,
    /// It has no value, and nothing stands beside its name.
    Unset,
}

/// Where names get their values, and who hears how each was answered.
pub(super) trait Scope {
    /// The value of a variable.
    fn value(&self, name: &str) -> Option<String>;
    /// Hears what a name gave.
    fn note(&mut self, name: &str, outcome: Outcome);
}

/// Why a template has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TemplateError {
    /// `${` that is not followed by a name, or not closed on its line.
    Invalid {
        /// The text from there on, shortened.
        part: String,
    },
    /// `${NAME:?reason}` or `${NAME?reason}` without a value.
    Required {
        /// The name.
        name: String,
        /// What the file says about it.
        reason: String,
    },
    /// Defaults in defaults beyond reason.
    TooDeep,
}

/// Replaces the variables of a text.
pub(super) fn substitute(text: &str, scope: &mut dyn Scope) -> Result<String, TemplateError> {
    substitute_at(text, scope, 0)
}

/// Doubles each `$`, so that the text stands for itself.
pub(super) fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

fn substitute_at(text: &str, scope: &mut dyn Scope, depth: usize) -> Result<String, TemplateError> {
    if depth > MAX_DEPTH {
        return Err(TemplateError::TooDeep);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        rest = match after.bytes().next() {
            Some(b'$') => {
                out.push('$');
                &after[1..]
            }
            Some(b'{') => {
                let braced = Braced::read(&rest[at..])?;
                out.push_str(&braced.value(scope, depth)?);
                &rest[at + braced.len..]
            }
            _ => {
                let name = leading_name(after);
                if name.is_empty() {
                    out.push('$');
                } else {
                    out.push_str(&plain(name, scope));
                }
                &after[name.len()..]
            }
        };
    }
    out.push_str(rest);
    Ok(out)
}

fn leading_name(text: &str) -> &str {
    let end = text
        .bytes()
        .enumerate()
        .find(|(i, b)| !(b.is_ascii_alphabetic() || *b == b'_' || *i > 0 && b.is_ascii_digit()))
        .map_or(text.len(), |(i, _)| i);
    &text[..end]
}

fn plain(name: &str, scope: &mut dyn Scope) -> String {
    let value = scope.value(name);
    let outcome = match value {
        Some(_) => Outcome::Value,
        None => Outcome::Unset,
    };
    scope.note(name, outcome);
    value.unwrap_or_default()
}

/// One `${…}`.
struct Braced<'t> {
    name: &'t str,
    /// The operator without its colon, and whether it has one.
    operator: Option<(u8, bool)>,
    word: &'t str,
    /// How many bytes it takes, `${` and `}` included.
    len: usize,
}

impl<'t> Braced<'t> {
    fn read(text: &'t str) -> Result<Self, TemplateError> {
        let invalid = || TemplateError::Invalid {
            part: text.lines().next().unwrap_or("").chars().take(60).collect(),
        };
        let name = leading_name(&text[2..]);
        if name.is_empty() {
            return Err(invalid());
        }
        let after = &text[2 + name.len()..];
        let bytes = after.as_bytes();
        if bytes.first() == Some(&b'}') {
            return Ok(Self {
                name,
                operator: None,
                word: "",
                len: 2 + name.len() + 1,
            });
        }
        let colon = bytes.first() == Some(&b':');
        let operator = match bytes.get(usize::from(colon)) {
            Some(op @ (b'-' | b'?' | b'+')) => *op,
            _ => return Err(invalid()),
        };
        let word_at = 2 + name.len() + usize::from(colon) + 1;
        let end = closing(text).ok_or_else(invalid)?;
        Ok(Self {
            name,
            operator: Some((operator, colon)),
            word: &text[word_at..end],
            len: end + 1,
        })
    }

    fn value(&self, scope: &mut dyn Scope, depth: usize) -> Result<String, TemplateError> {
        let Some((operator, empty_too)) = self.operator else {
            return Ok(plain(self.name, scope));
        };
        // The word is worked out even when it is not needed, as Compose does: a required
        // variable inside of a default is required.
        let word = substitute_at(self.word, scope, depth + 1)?;
        let value = scope.value(self.name);
        let usable = value.as_ref().is_some_and(|v| !(empty_too && v.is_empty()));
        match (usable, operator) {
            (true, _) => scope.note(self.name, Outcome::Value),
            (false, b'-') => scope.note(self.name, Outcome::Default),
            // `+` gives nothing on purpose, and `?` is an error of its own.
            (false, _) => {}
        }
        match operator {
            b'+' if usable => Ok(word),
            b'-' if !usable => Ok(word),
            b'?' if !usable => Err(TemplateError::Required {
                name: self.name.to_owned(),
                reason: word,
            }),
            _ => Ok(value.unwrap_or_default()),
        }
    }
}

/// Where the `}` of a leading `${` with an operator stands.
///
/// Compose looks for the last `}` of the line first and then, up to there, for the one that
/// balances; of each `{` the character after it does not count. Without a balance the last
/// one closes.
fn closing(text: &str) -> Option<usize> {
    let line = &text.as_bytes()[..text.find('\n').unwrap_or(text.len())];
    let last = line.iter().rposition(|b| *b == b'}')?;
    let (mut open, mut i) = (0i32, 0);
    while i <= last {
        match line[i] {
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(i);
                }
            }
            b'{' => {
                open += 1;
                i += 1;
            }
            _ => {}
        }
        i += 1;
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Vars(Vec<(&'static str, &'static str)>, Vec<String>);

    impl Scope for Vars {
        fn value(&self, name: &str) -> Option<String> {
            let found = self.0.iter().find(|(k, _)| *k == name);
            found.map(|(_, v)| (*v).to_owned())
        }
        fn note(&mut self, name: &str, outcome: Outcome) {
            self.1.push(format!("{name}:{outcome:?}"));
        }
    }

    fn sub(text: &str) -> Result<String, TemplateError> {
        substitute(text, &mut Vars(vec![("A", "a"), ("E", "")], vec![]))
    }

    #[test]
    fn every_form() {
        for (text, want) in [
            ("x", "x"),
            ("$A-$A_", "a-"),
            ("${A}b", "ab"),
            ("$$A $${A}", "$A ${A}"),
            ("$ $1 $", "$ $1 $"),
            ("${A:-d}${N:-d}${E:-d}", "add"),
            ("${A-d}${N-d}${E-d}", "ad"),
            ("${A:+s}${N:+s}${E:+s}", "s"),
            ("${A+s}${N+s}${E+s}", "ss"),
            ("${N:-x${M:-y}z}", "xyz"),
            ("${N:-{\"k\": 1}} ${A}", "{\"k\": 1} a"),
            ("${A:?r}${E?r}", "a"),
            ("${N:-a:-b}", "a:-b"),
            ("${N:-}", ""),
            ("${N:-$$}", "$"),
            ("é$Aé", "éaé"),
        ] {
            assert_eq!(sub(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        for text in ["${", "${}", "${1}", "${A", "${A:-\n}", "${A!}", "${A:}"] {
            assert!(
                matches!(sub(text), Err(TemplateError::Invalid { .. })),
                "{text}"
            );
        }
        let required = |name: &str, reason: &str| TemplateError::Required {
            name: name.into(),
            reason: reason.into(),
        };
        assert_eq!(sub("${N?}"), Err(required("N", "")));
        assert_eq!(sub("${E:?say $A}"), Err(required("E", "say a")));
        assert_eq!(sub("${A:-${N:?no}}"), Err(required("N", "no")));
        let deep = format!("{}x{}", "${N:-".repeat(500), "}".repeat(500));
        assert_eq!(sub(&deep), Err(TemplateError::TooDeep));
    }

    #[test]
    fn who_gave_what_is_told() {
        let mut vars = Vars(vec![("A", "a")], vec![]);
        substitute("$A ${B:-$C} ${D}", &mut vars).unwrap();
        assert_eq!(vars.1, ["A:Value", "C:Unset", "B:Default", "D:Unset"]);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[\\PC\n${}:?+A-]{0,60}") {
            let _ = sub(&text);
        }

        #[test]
        fn escaped_text_stands_for_itself(text in "[\\PC\n${}:?+A-]{0,60}") {
            prop_assert_eq!(sub(&escape(&text)).unwrap(), text);
        }
    }
}
