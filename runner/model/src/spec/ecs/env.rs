//! The environment of a container: secrets over variables over files of variables.

use super::compose::{Part, put};
use super::notes::{Fact, Notes};
use super::object::Object;
use super::secrets::Secrets;
use super::supply::{EnvText, Supply};
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::Severity;
use crate::source::Span;
use crate::spec::Sources;
use crate::yaml::{Mapping, Node, Spanned, ViaKind};

/// Where the values come from.
pub(super) struct Around<'a, 's> {
    /// The project.
    pub sources: &'a Sources<'s>,
    /// What it supplies.
    pub supply: &'a mut Supply,
    /// The secrets of all containers.
    pub secrets: &'a mut Secrets,
}

/// Writes `environment`.
pub(super) fn translate(
    container: &mut Object<'_>,
    service: &mut Part,
    around: &mut Around<'_, '_>,
    notes: &mut Notes,
) {
    let mut env = Mapping::default();
    for file in container.objects("environmentFiles", notes) {
        file_of(file, &mut env, around, notes);
    }
    let mut said = Mapping::default();
    for mut variable in container.objects("environment", notes) {
        let name = variable.text("name", notes);
        let value = variable.text("value", notes);
        if let Some(name) = name.filter(|n| is_name(n, notes)) {
            let value = value.unwrap_or_else(|| Spanned::new(String::new(), name.span.clone()));
            left_open(&name, &value, notes);
            twice(&said, &name, notes);
            put(&mut said, &name, Node::str(value.value, value.span));
        }
        variable.finish(notes);
    }
    env.0.extend(said.0);
    for mut secret in container.objects("secrets", notes) {
        let name = secret.text("name", notes);
        let from = secret.text("valueFrom", notes);
        match (name, from) {
            (Some(name), Some(from)) if is_name(&name, notes) => {
                let value = around.secrets.value(&name, &from, around.sources, notes);
                put(&mut env, &name, value);
            }
            (None, _) | (_, None) => notes.refuse(Problem::at(
                ProblemKind::Missing,
                secret.span,
                "a secret has a `name` and a `valueFrom`",
            )),
            _ => {}
        }
        secret.finish(notes);
    }
    service.map("environment", env);
}

fn is_name(name: &Spanned<String>, notes: &mut Notes) -> bool {
    let fits = !name.is_empty() && !name.contains(['=', '\0']);
    if !fits {
        notes.invalid(&name.span, "this is not a name of a variable");
    }
    fits
}

fn twice(said: &Mapping, name: &Spanned<String>, notes: &mut Notes) {
    if let Some(first) = said.0.get(name.as_str()) {
        notes.warnings.push(
            Problem::at(
                ProblemKind::DuplicateKey,
                &name.span,
                format!(
                    "the variable {} is set twice; the later one wins",
                    name.value
                ),
            )
            .related(&first.key, "it is first set here")
            .warning(),
        );
    }
}

/// A value that looks like a part of a template is taken as it is, and said so.
fn left_open(name: &Spanned<String>, value: &Spanned<String>, notes: &mut Notes) {
    if super::placeholder::is_whole(value) {
        let field = format!("environment.{}", name.value);
        let fact = Fact {
            field: &field,
            declared: value.value.clone(),
            actual: &value.value,
            reason: "it looks like a placeholder that was not filled in; ECS takes it as it is",
            span: &value.span,
        };
        notes.unknown(Severity::Medium, fact);
        notes.raise(super::placeholder::help(value));
    }
}

/// One file of variables: what an earlier one sets stays.
fn file_of(
    mut file: Object<'_>,
    env: &mut Mapping,
    around: &mut Around<'_, '_>,
    notes: &mut Notes,
) {
    file.word("type", notes);
    let Some(arn) = file.word("value", notes) else {
        return notes.refuse(Problem::at(
            ProblemKind::Missing,
            file.span,
            "a file of variables has a `value`: its ARN",
        ));
    };
    file.finish(notes);
    match around.supply.env_file(&arn, around.sources) {
        None => {
            let key = serde_json::Value::from(arn.as_str()).to_string();
            notes.refuse(
                Problem::at(
                    ProblemKind::Missing,
                    &arn.span,
                    format!("the file of variables `{}` is kept in S3", arn.as_str()),
                )
                .help(format!(
                    "supply it in mirror.yaml:\nsupply:\n  ecs:\n    env_files:\n      {key}: {{ file: PATH }}   # or {{ content: TEXT }}"
                )),
            );
        }
        Some(Err(problem)) => notes.refuse(problem),
        Some(Ok(text)) => {
            let fact = Fact {
                field: &format!("environmentFiles[{}]", arn.as_str()),
                declared: arn.value.clone(),
                actual: "what mirror.yaml supplies",
                reason: "the file is kept in S3",
                span: &arn.span,
            };
            notes.substituted(Severity::Low, fact);
            read(&text, &arn.span, env);
        }
    }
}

/// The agent's grammar: `#` only at the beginning of a line, no quotes, nothing is trimmed,
/// and lines with an empty name or value are passed over.
fn read(text: &EnvText, named_at: &Span, env: &mut Mapping) {
    let mut own = Mapping::default();
    for (line, number) in text.file.text.lines().zip(1..) {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        if line.starts_with('#') || name.is_empty() || value.is_empty() {
            continue;
        }
        let place = |start: usize, len: usize| {
            text.at
                .clone()
                .unwrap_or_else(|| Span::in_line(&text.file, number, start as u32 + 1, len as u32))
        };
        let width = name.chars().count();
        let key = Spanned::new(name.to_owned(), place(0, width));
        let span = place(width + 1, value.chars().count());
        let node = Node::str(value, span).via(ViaKind::EnvFile, named_at.clone());
        put(&mut own, &key, node);
    }
    for (name, entry) in own.0 {
        env.0.entry(name).or_insert(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;

    #[test]
    fn files_are_read_raw_and_the_first_one_wins() {
        let file = |text: &str| EnvText {
            file: SourceFile::new("a.env", text),
            at: None,
        };
        let mut env = Mapping::default();
        let at = Span::generated();
        read(
            &file("# no\nA=1\nB = x # y\r\nC='q'\nD=\n=e\nF\nA=2=3\n #G=1\n"),
            &at,
            &mut env,
        );
        read(&file("A=later\nZ=1\n"), &at, &mut env);
        let got: Vec<_> = env.iter().map(|(k, n)| (k, n.as_str().unwrap())).collect();
        let expected = [
            ("A", "2=3"),
            ("B ", " x # y"),
            ("C", "'q'"),
            (" #G", "1"),
            ("Z", "1"),
        ];
        assert_eq!(got, expected);
        assert_eq!(env.get("C").unwrap().span.to_string(), "a.env:4:3");
    }
}
