//! What of a text may be shown.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::audit::words::known_token;
use crate::policy::sensitive::is_secret_name;
use crate::stack::extension::OWN_ADDRESS;
use crate::stack::secret_ref::{Part, parts};

#[expect(
    clippy::unwrap_used,
    reason = "the patterns are constants, and tests use them"
)]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

/// A name that may be that of a secret, what stands between, and its value.
static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)([a-z0-9_.-]*(?:pass|secret|token|key|pwd|salt|credentials)[a-z0-9_.-]*)("?\s*[:=]\s*|\s+)("[^"]*"|'[^']*'|[^\s,;}\])]+)"#,
    )
});
/// A URL up to its password, the password, and the `@`.
static URL: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(://[^:/?#\s"'@]*:)([^/?#\s"']+)(@)"#));

/// A text with `${NAME}` where the value of a declared secret stands.
pub fn references(text: &str) -> String {
    let part = |p| match p {
        Part::Text(t) => t.replace(OWN_ADDRESS, "(its own address)"),
        Part::Secret(name) => format!("${{{name}}}"),
    };
    parts(text).into_iter().map(part).collect()
}

/// A text without secrets: passwords in URLs, values of names that are called like secrets,
/// tokens of well-known form.
pub fn secrets(text: &str) -> String {
    let out = references(text);
    let mut out = URL
        .replace_all(&out, |c: &Captures<'_>| {
            let declared = c[2].starts_with("${") && c[2].ends_with('}');
            let password = if declared { &c[2] } else { "***" };
            format!("{}{password}{}", &c[1], &c[3])
        })
        .into_owned();
    while let Some((_, token)) = known_token(&out) {
        let token = token.to_owned();
        out = out.replace(&token, "***");
    }
    ASSIGNED
        .replace_all(&out, |c: &Captures<'_>| {
            let name = c[1].trim_start_matches('-').replace(['-', '.'], "_");
            let secret = is_secret_name(&name) && !c[3].starts_with('/') && !c[3].contains("${");
            if secret {
                format!("{}{}***", &c[1], &c[2])
            } else {
                c[0].to_owned()
            }
        })
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::secret_ref::token;

    #[test]
    fn secrets_are_taken_out() {
        for (text, shown) in [
            (
                "redis://:p4ss@r/0 amqp://u:q@m",
                "redis://:***@r/0 amqp://u:***@m",
            ),
            ("db_password = \"x y\"", "db_password = ***"),
            ("requirepass_password hunter2", "requirepass_password ***"),
            ("api.token: abc", "api.token: ***"),
            ("listen 80;", "listen 80;"),
            (
                "password_file = /run/secrets/x",
                "password_file = /run/secrets/x",
            ),
            ("k AKIAIOSFODNN7EXAMPLE", "k ***"),
        ] {
            assert_eq!(secrets(text), shown);
        }
        let dsn = format!("postgres://a:{}@db/x", token("PW"));
        assert_eq!(secrets(&dsn), "postgres://a:${PW}@db/x");
    }

    proptest::proptest! {
        #[test]
        fn it_always_ends(text in proptest::prelude::any::<String>(), url in "[a-z]{1,3}://[a-z:@/*]{0,12}") {
            let _ = secrets(&text);
            let _ = secrets(&url);
        }
    }
}
