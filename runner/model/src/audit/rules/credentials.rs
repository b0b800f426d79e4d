//! Passwords that everybody knows, and secrets that everybody can read.

use std::collections::BTreeSet;

use super::words::{is_guessed, known_token, placeholder, user_info};
use crate::audit::look::{Body, Text};
use crate::audit::{Found, Look};
use crate::policy::sensitive::is_secret_name;
use crate::secret::Secret;
use crate::stack::secret_ref::holds_secret;

/// Switches that let everybody in, each with the values that do.
const OPEN: [(&str, &[&str]); 9] = [
    ("POSTGRES_HOST_AUTH_METHOD", &["trust"]),
    ("ALLOW_EMPTY_PASSWORD", &["yes", "true", "1"]),
    ("MYSQL_ALLOW_EMPTY_PASSWORD", &["yes", "true", "1"]),
    ("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", &["yes", "true", "1"]),
    ("ALLOW_ANONYMOUS_LOGIN", &["yes", "true", "1"]),
    ("ALLOW_PLAINTEXT_LISTENER", &["yes", "true", "1"]),
    ("xpack.security.enabled", &["false"]),
    ("DISABLE_SECURITY_PLUGIN", &["true"]),
    ("GF_AUTH_ANONYMOUS_ENABLED", &["true"]),
];

/// Passwords that everybody guesses.
pub fn default(look: &Look<'_>, found: &mut Found) {
    for text in &look.texts {
        if holds_secret(text.value) {
            continue;
        }
        if let Some(what) = guessed(text) {
            found.service(text.service, text.field.clone(), &text.value.span, what);
        } else if let Some(name) = text.name.filter(|n| lets_in(n, text.value)) {
            found
                .service(
                    text.service,
                    text.field.clone(),
                    &text.value.span,
                    format!("`{name}={}` lets everybody in", text.value.value),
                )
                .fix("take it out and set a password, from a secret");
        }
    }
}

fn lets_in(name: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    OPEN.iter()
        .any(|(n, values)| *n == name && values.contains(&value.as_str()))
}

fn guessed(text: &Text<'_>) -> Option<String> {
    if let Some((user, password)) = user_info(text.value) {
        let same = user == password;
        return (same || is_guessed(password)).then(|| {
            let what = text.name.unwrap_or(&text.field);
            let how = if same {
                "the user's name"
            } else {
                "one that everybody guesses"
            };
            format!("the password in `{what}` is {how}")
        });
    }
    let name = text.name?;
    (is_secret_name(name) && is_guessed(text.value))
        .then(|| format!("the value of `{name}` is one that everybody guesses"))
}

/// Secrets that stand in the repository.
pub fn plaintext(look: &Look<'_>, found: &mut Found) {
    for text in &look.texts {
        let Some(what) = secret_in(text) else {
            continue;
        };
        let homes = text.homes();
        // A file that the repository does not keep is the deployment's own.
        let kept = |s: &crate::source::Span| look.is_tracked(&s.file.name) != Some(false);
        let Some(home) = homes.iter().find(|s| kept(s)) else {
            continue;
        };
        let finding = found.service(text.service, text.field.clone(), &text.value.span, what);
        if *home != text.value.span {
            finding.related(home, "its value stands here");
        }
    }
    manifests(look, found);
    for body in &look.bodies {
        let lines = (1..).zip(body.file.text.lines());
        for (number, line) in lines {
            if let Some((kind, _)) = known_token(line) {
                let place = crate::source::Span::in_line(&body.file, number, 1, 1);
                found
                    .service(
                        body.service,
                        body.field.clone(),
                        &place,
                        format!("{} holds {kind}", body.file.name),
                    )
                    .key(kind)
                    .related(&body.named, "the spec names the file here");
            }
        }
    }
}

/// Secrets whose manifests stand in the repository, each once: all of their values are secret.
fn manifests(look: &Look<'_>, found: &mut Found) {
    let mut told = BTreeSet::new();
    for (variable, plain) in &look.beyond.plain {
        let value = look.beyond.values.get(variable).map(Secret::expose);
        let is_secret = |v: &&str| !v.trim().is_empty() && placeholder(v).is_none();
        let is_kept = look.is_tracked(&plain.at.file.name) != Some(false);
        if value.filter(is_secret).is_some() && is_kept && told.insert(&plain.object) {
            let what = "its values stand in plain text, or in base64, which hides nothing";
            found
                .add(&plain.object, "data", &plain.at, what)
                .fix("let the deployment make the Secret, or keep an ExternalSecret or a SealedSecret instead");
        }
    }
}

fn secret_in(text: &Text<'_>) -> Option<String> {
    let value = text.value.as_str();
    let what = text.name.unwrap_or(&text.field);
    if let Some((kind, _)) = known_token(value) {
        return Some(format!("`{what}` holds {kind} in plain text"));
    }
    // What is no secret yet, or known to everybody, is said by other rules.
    if value.trim().is_empty()
        || text.is_from_shell()
        || placeholder(value).is_some()
        || guessed(text).is_some()
    {
        return None;
    }
    if let Some((_, password)) = user_info(value) {
        return (!holds_secret(password))
            .then(|| format!("the password in `{what}` stands in plain text"));
    }
    if holds_secret(value) {
        return None;
    }
    if text.name.is_some() {
        return text
            .sensitive
            .then(|| format!("the value of `{what}` stands in plain text"));
    }
    argument(value)
        .map(|(option, _)| format!("the value of `{option}` stands in plain text in {what}"))
}

/// Every secret that stands in plain text in what is looked at, so that nobody shows it.
pub fn secrets(texts: &[Text<'_>], bodies: &[Body<'_>]) -> Vec<Secret> {
    let mut out = Vec::new();
    for text in texts.iter().filter(|t| !holds_secret(t.value)) {
        let value = text.value.as_str();
        // What stands for a secret is none, and has to be seen to be replaced.
        if placeholder(value) == Some(value.trim()) {
            continue;
        }
        let whole = text.sensitive.then_some(value);
        let password = user_info(value).map(|(_, password)| password);
        let token = known_token(value).map(|(_, token)| token);
        let option = argument(value).map(|(_, value)| value);
        out.extend([whole, password, token, option].into_iter().flatten());
    }
    for body in bodies {
        let mut in_key = false;
        for line in body.file.text.lines() {
            if in_key {
                out.push(line.trim());
            }
            if let Some((_, token)) = known_token(line) {
                in_key = token.starts_with("-----");
                out.extend((!in_key).then_some(token));
            }
            in_key = in_key && !line.contains("-----END");
        }
    }
    out.retain(|t| !t.is_empty());
    out.into_iter().map(Secret::new).collect()
}

/// The option of an argument (`--password=x`) that is called like a secret, and its value.
fn argument(text: &str) -> Option<(&str, &str)> {
    text.split_whitespace().find_map(|word| {
        let (option, value) = word.split_once('=')?;
        let name = option.trim_start_matches('-').replace('-', "_");
        let is_path = value.starts_with('/') || value.contains('$');
        let named = is_secret_name(&name) || is_secret_name(&format!("X_{name}"));
        (option.starts_with('-') && named && value.len() > 1 && !is_path).then_some((option, value))
    })
}
