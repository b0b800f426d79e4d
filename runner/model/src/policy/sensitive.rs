//! Which environment variables hold secrets.

use crate::mirror::{EnvVar, Mirror};
use crate::project::{Project, SecretSource};
use crate::stack::secret_ref::holds_secret;

/// Shorter values than this are not compared with secrets: they are found everywhere.
const MIN_COMPARED: usize = 6;

/// Marks the variables that hold secrets, in services and in their hooks.
pub fn mark(mirror: &mut Mirror, project: &Project) {
    let stubs: Vec<&str> = project
        .secrets
        .iter()
        .filter_map(|s| match &s.value.value {
            SecretSource::Stub(s) if s.expose().len() >= MIN_COMPARED => Some(s.expose()),
            _ => None,
        })
        .collect();
    let declared: Vec<&str> = project.secrets.iter().map(|s| s.name.as_str()).collect();
    for service in mirror.services.values_mut() {
        let hooks = service
            .post_start
            .iter_mut()
            .chain(service.pre_stop.iter_mut());
        let vars = service
            .env
            .iter_mut()
            .chain(hooks.flat_map(|h| h.value.env.iter_mut()));
        for var in vars {
            var.sensitive = var.sensitive
                || is_sensitive(var)
                || var.value.as_ref().is_some_and(|v| {
                    !v.is_empty()
                        && (declared.contains(&var.name.as_str())
                            || stubs.iter().any(|s| v.contains(s)))
                });
        }
    }
}

/// Whether a variable's name or value says that it holds a secret.
pub fn is_sensitive(var: &EnvVar) -> bool {
    let Some(value) = &var.value else {
        return false;
    };
    holds_secret(value)
        || has_password(value)
        || (is_secret_name(&var.name) && is_secret_value(value))
}

/// Whether a variable is called like a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let about = [
        "_FILE",
        "_PATH",
        "_DIR",
        "PUBLIC_KEY",
        "_KEY_ID",
        "_KEYS",
        "_TTL",
        "_EXPIRY",
    ];
    if about.iter().any(|end| name.ends_with(end)) {
        return false;
    }
    let ends = [
        "_KEY",
        "_TOKEN",
        "_PWD",
        "_PASS",
        "_PASSWD",
        "_CREDENTIALS",
        "_SALT",
        "_DSN_PASSWORD",
        "APIKEY",
    ];
    ["PASSWORD", "SECRET", "PASSPHRASE", "PRIVATE_KEY"]
        .iter()
        .any(|part| name.contains(part))
        || ends.iter().any(|end| name.ends_with(end))
        || matches!(name.as_str(), "TOKEN" | "PASSWD" | "PGPASSWORD")
}

/// Whether a value could be a secret: a switch, a number of one digit, or a path is not.
fn is_secret_value(value: &str) -> bool {
    let switch = ["true", "false", "yes", "no", "on", "off", "null", "none"];
    let path = value.starts_with('/') && !value.contains(char::is_whitespace);
    value.len() > 1 && !path && !switch.contains(&value.to_ascii_lowercase().as_str())
}

/// Whether a URL in the text has a password.
pub fn has_password(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let rest = &text[at + 3..];
        let authority = rest
            .split(['/', '?', '#', ' ', '"', '\''])
            .next()
            .unwrap_or("");
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        user.and_then(|u| u.split_once(':'))
            .is_some_and(|(_, password)| !password.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn var(name: &str, value: &str) -> EnvVar {
        EnvVar {
            name: name.to_owned().into(),
            value: Some(value.to_owned().into()),
            sensitive: false,
        }
    }

    #[test]
    fn secrets_are_told_from_other_values() {
        for (name, value) in [
            ("PAYMENT_KEY", "sk_1"),
            ("POSTGRES_PASSWORD", "hunter2"),
            ("db_password", "x1"),
            ("GITHUB_TOKEN", "ghp"),
            ("SECRET_KEY_BASE", "abc"),
            ("DATABASE_URL", "postgres://app:pw@db/x"),
            ("BROKERS", "amqp://u:p@a,amqp://b"),
        ] {
            assert!(is_sensitive(&var(name, value)), "{name}");
        }
        for (name, value) in [
            ("POSTGRES_PASSWORD_FILE", "/run/secrets/x"),
            ("ALLOW_EMPTY_PASSWORD", "yes"),
            ("PAYMENT_KEY", ""),
            ("MONKEY", "x1"),
            ("JWT_PUBLIC_KEY", "abc"),
            ("DATABASE_URL", "postgres://app@db/x"),
            ("DATABASE_URL", "postgres://db/a:b@c"),
            ("KEYCLOAK_URL", "http://kc:8080"),
        ] {
            assert!(!is_sensitive(&var(name, value)), "{name}");
        }
    }
}
