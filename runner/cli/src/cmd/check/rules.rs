//! The classes of problems as rules: stable ids that code scanning and CI can rely on.

use prodmirror_model::diag::ProblemKind;

/// A class of problems.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its stable id.
    pub id: &'static str,
    /// What is wrong, in a sentence.
    pub what: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

/// One list for both directions, so that a class without a rule does not compile.
macro_rules! rules {
    ($($kind:ident, $id:literal, $what:literal, $fix:literal;)*) => {
        /// All rules, in the order of the classes.
        pub static RULES: &[Rule] = &[$(Rule { id: $id, what: $what, fix: $fix }),*];

        /// The id of a class.
        pub fn id(kind: ProblemKind) -> &'static str {
            match kind {
                $(ProblemKind::$kind => $id,)*
            }
        }
    };
}

rules! {
    Syntax, "syntax", "The text is not valid YAML, JSON, dotenv, or template syntax", "Correct the text at the place that is shown";
    DuplicateKey, "duplicate-key", "A mapping holds the same key twice", "Keep one of the two";
    UnknownKey, "unknown-key", "The format does not have this key", "Correct its spelling, or remove it";
    WrongType, "wrong-type", "The value is of another type than the format asks for", "Write a value of the type that the message names";
    InvalidValue, "invalid-value", "The value is of the right type, but not allowed", "Write a value that the message allows";
    Missing, "missing", "Something required is absent", "Add what the message names";
    NothingRuns, "nothing-runs", "Production has no service, so there is nothing to start", "Name the files that production really runs from";
    MissingFile, "missing-file", "A file that is named cannot be read", "Correct the path, or add the file";
    RequiredVariable, "required-variable", "A required variable is unset or empty", "Set it in an env file, or pass it from the shell by `env.pass`";
    UnsetVariable, "unset-variable", "A variable is not set, so the empty string takes its place", "Set it, or give it a default";
    UnknownReference, "unknown-reference", "Something is named that is not declared", "Correct the name, or declare it";
    Cycle, "cycle", "Definitions depend on each other in a circle", "Remove one of the links";
    Conflict, "conflict", "Two values exclude each other", "Keep one of them";
    TooLarge, "too-large", "Too large, too deep, or it expands to too much", "Make it smaller";
    PathEscape, "path-escape", "A path leads out of the project", "Keep the file inside of the project";
    Unsupported, "unsupported", "Valid, but this tool or engine cannot honour it", "Do without it, or say so in mirror.yaml";
    Forbidden, "forbidden", "Refused because it would reach production or the host", "Remove it, or allow it by name in mirror.yaml";
    Deprecated, "deprecated", "Legal, but obsolete", "Write it the new way";
    Drift, "drift", "Something is no longer what mirror.lock says", "Run `prodmirror lock` when the change is meant";
    Engine, "engine", "The container engine cannot be reached, is too old, or was lost", "Start the engine, or name it by DOCKER_HOST";
    Unused, "unused", "Something that is said has no effect", "Use it, or remove it";
    Start, "start", "A stack could not be started or removed", "Read the message; nothing of the scenario was tried";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_classes_in_kebab_case() {
        let mut seen = std::collections::BTreeSet::new();
        for rule in RULES {
            assert!(seen.insert(rule.id), "{} twice", rule.id);
        }
        for kind in [
            ProblemKind::Syntax,
            ProblemKind::UnknownReference,
            ProblemKind::Start,
        ] {
            let snake = serde_json::to_value(kind).unwrap();
            assert_eq!(id(kind), snake.as_str().unwrap().replace('_', "-"));
        }
    }
}
