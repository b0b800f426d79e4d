//! The values of a bundle's secrets, which are not in it.

use std::collections::BTreeMap;

use prodmirror_model::bundle::{Manifest, SecretFacts, SecretFrom};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::stack::Variable;

use super::Terms;
use crate::cmd::Session;
use crate::cmd::host_arch;
use crate::open::Opened;

/// Characters of a value that is made up.
const LENGTH: usize = 24;

/// The values, by variable: of the environment, of the project at hand when it is the same one,
/// or made up where any will do.
///
/// # Errors
/// Secrets that have no value here.
pub fn find(
    session: &Session,
    m: &Manifest,
    terms: Terms<'_>,
) -> Result<BTreeMap<String, String>, Problems> {
    let known = of_project(session, m);
    let mut values = BTreeMap::new();
    let (mut made_up, mut of_environment) = (Vec::new(), Vec::new());
    let mut problems = Problems::default();
    for (variable, facts) in &m.secrets {
        let name = facts.name.as_ref().unwrap_or(variable);
        let given = session.context.env.get(variable).cloned();
        if given.is_some() {
            of_environment.push(variable.as_str());
        }
        let value = given.or_else(|| known.get(variable).or_else(|| known.get(name)).cloned());
        match value {
            Some(value) => {
                values.insert(variable.clone(), value);
            }
            None if facts.from == SecretFrom::Stub || terms.trust.stand_ins => {
                made_up.push(variable.as_str());
                values.insert(variable.clone(), random());
            }
            None => problems.push(missing(variable, facts, terms.command)),
        }
    }
    if !problems.0.is_empty() {
        return Err(problems);
    }
    if !of_environment.is_empty() {
        let names = of_environment.join(", ");
        session.note(&format!(
            "given to the stack, of this environment: {names}\n"
        ));
    }
    if !made_up.is_empty() {
        let mut text = format!("made up for this: {}\n", made_up.join(", "));
        if !m.data.is_empty() {
            text.push_str(
                "note: data that was made with other values may refuse them; set them in the environment then\n",
            );
        }
        session.note(&text);
    }
    Ok(values)
}

/// The secrets of the project at hand, when it is the one that the bundle is of.
fn of_project(session: &Session, m: &Manifest) -> BTreeMap<String, String> {
    let opened = Opened::open(&session.global, &session.context, host_arch());
    let Some(opened) = opened.ok() else {
        return BTreeMap::new();
    };
    let Some(stack) = &opened.compiled.stack else {
        return BTreeMap::new();
    };
    if stack.extension.project != m.project {
        return BTreeMap::new();
    }
    let declared = opened.secrets.iter();
    let mut known: BTreeMap<String, String> = declared
        .map(|(n, s)| (n.clone(), s.expose().to_owned()))
        .collect();
    for (name, variable) in &stack.variables {
        if let Variable::Text(secret) = variable {
            known.insert(name.clone(), secret.expose().to_owned());
        }
    }
    known
}

fn missing(variable: &str, facts: &SecretFacts, command: &str) -> Problem {
    let from = match facts.from {
        SecretFrom::Stub => "a stand-in of the project",
        SecretFrom::Env => "the environment",
        SecretFrom::File => "a file",
        SecretFrom::Production => "production's own files",
    };
    let name = facts.name.as_deref().unwrap_or(variable);
    let text = format!("the secret {name} has no value here; where it failed it came from {from}");
    let help = format!(
        "set it: `{variable}=… {command} …`; or run this where the project is; or give \
         made-up values with --stand-ins"
    );
    Problem::new(ProblemKind::Missing, text).help(help)
}

/// Letters and digits from the system's randomness.
fn random() -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut out = String::with_capacity(LENGTH);
    while out.len() < LENGTH {
        let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
        hasher.write_usize(out.len());
        let drawn = hasher.finish().to_le_bytes();
        let letter = |b: u8| char::from(LETTERS[usize::from(b) % LETTERS.len()]);
        out.extend(drawn.into_iter().map(letter));
    }
    out.truncate(LENGTH);
    out
}
