//! Words by which several rules tell values from each other.

use std::sync::LazyLock;

use regex::Regex;

use crate::policy::externals::is_host_key;

/// A pattern that is written in this program.
#[expect(
    clippy::unwrap_used,
    reason = "the patterns are constants, and tests use them"
)]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)(?:^|[^a-z])(change[-_ ]?(?:me|this|it)|replace[-_ ]?(?:me|this)",
        r"|your[-_ ](?:own[-_ ])?(?:super[-_ ])?(?:api|secret|password|pass|key|token|domain|email|host|db|database|user|username|access|account|client|app|smtp|aws)(?:[-_ ][-_ a-z0-9]*)?",
        r"|insert[-_ ]?(?:here|your)|fill[-_ ]?(?:me[-_ ]?)?in|to[-_ ]?be[-_ ](?:defined|replaced|set))(?:$|[^a-z])",
    ))
});
static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:todo|fixme|tbd|tba|placeholder|dummy|x{3,}|\*{3,}|\.\.\.|…|__[a-z][a-z0-9_]*__|@[a-z][a-z0-9_.]*@|.*[-_]x{3,})$",
    )
});
static ANGLES: LazyLock<Regex> = LazyLock::new(|| pattern(r"<[A-Za-z][A-Za-z0-9 _.-]{1,60}>"));
static EXAMPLE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)(?:^|[@/.\s,])(example\.(?:com|org|net))(?:$|[^a-z0-9.-])"));

/// The part of a value that was meant to be replaced. What it returns is no secret.
pub fn placeholder(value: &str) -> Option<&str> {
    let value = value.trim();
    if WHOLE.is_match(value) && value.len() <= 80 {
        return Some(value);
    }
    strict(value).or_else(|| {
        let angles = ANGLES.find(value).map(|m| m.as_str());
        let example = || EXAMPLE.captures(value)?.get(1).map(|m| m.as_str());
        angles.or_else(example)
    })
}

/// As [`placeholder`], but only what no ordinary text has.
pub fn strict(value: &str) -> Option<&str> {
    let found = PLACEHOLDER.captures(value)?.get(1)?;
    Some(found.as_str().trim())
}

/// Passwords that everybody tries first.
const GUESSED: [&str; 40] = [
    "password",
    "passwd",
    "pass",
    "admin",
    "administrator",
    "root",
    "toor",
    "guest",
    "secret",
    "test",
    "testing",
    "test123",
    "user",
    "default",
    "demo",
    "letmein",
    "qwerty",
    "welcome",
    "postgres",
    "mysql",
    "redis",
    "rabbitmq",
    "mongo",
    "minio",
    "minioadmin",
    "elastic",
    "grafana",
    "123",
    "1234",
    "12345",
    "123456",
    "1234567",
    "12345678",
    "123456789",
    "password1",
    "password123",
    "admin123",
    "p@ssw0rd",
    "pass123",
    "abc123",
];

/// Whether a password is one that everybody tries first.
pub fn is_guessed(password: &str) -> bool {
    let password = password.trim().to_ascii_lowercase();
    GUESSED.contains(&password.as_str())
}

/// The user and the password of the first URL in a text that has both.
pub fn user_info(text: &str) -> Option<(&str, &str)> {
    text.match_indices("://").find_map(|(at, _)| {
        let rest = &text[at + 3..];
        let end = rest
            .find(['/', '?', '#', ' ', '"', '\''])
            .unwrap_or(rest.len());
        let (info, _) = rest[..end].rsplit_once('@')?;
        let (user, password) = info.split_once(':')?;
        (!password.is_empty()).then_some((user, password))
    })
}

static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?:\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{40,}|\bglpat-[A-Za-z0-9_-]{18,}",
        r"|\b[sr]k_live_[A-Za-z0-9]{10,}|\bxox[abprs]-[A-Za-z0-9-]{10,}",
        r"|\bAIza[0-9A-Za-z_-]{35}\b|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
        r"|\bnpm_[A-Za-z0-9]{36}\b|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
        r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----)",
    ))
});

/// The first secret of a well-known kind in a text: the kind, and the secret.
pub fn known_token(text: &str) -> Option<(&'static str, &str)> {
    let found = TOKEN.find(text)?.as_str();
    let kind = match found {
        t if t.starts_with("AKIA") || t.starts_with("ASIA") => "an AWS access key",
        t if t.starts_with("gh") || t.starts_with("github_pat_") => "a GitHub token",
        t if t.starts_with("glpat-") => "a GitLab token",
        t if t.starts_with("sk_") || t.starts_with("rk_") => "a live payment key",
        t if t.starts_with("xox") => "a Slack token",
        t if t.starts_with("AIza") => "a Google API key",
        t if t.starts_with("SG.") => "a SendGrid key",
        t if t.starts_with("npm_") => "an npm token",
        t if t.starts_with("eyJ") => "a signed token (JWT)",
        _ => "a private key",
    };
    Some((kind, found))
}

/// Whether a variable is called like one that cannot do without a value.
pub fn asks_for_a_value(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let optional = [
        "PROXY", "OPTS", "OPTIONS", "ARGS", "FLAGS", "PREFIX", "SUFFIX", "EXTRA",
    ];
    !optional.iter().any(|w| upper.contains(w))
        && (is_host_key(name) || upper.ends_with("_API_KEY") || upper == "API_KEY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_values() {
        for text in [
            "changeme",
            "change_me",
            "CHANGE-ME please",
            "postgres://<user>:<password>@db/x",
            "<your token>",
            "REPLACE_ME",
            "xxx",
            "sk_live_xxxxxxxx",
            "TODO",
            "your-api-key-here",
            "your_secret_key",
            "db_change_me",
            "ops@example.com",
            "https://api.example.org/v1",
            "__DB_HOST__",
            "@DB_HOST@",
        ] {
            assert!(placeholder(text).is_some(), "{text}");
        }
        for text in [
            "",
            "exchange-media",
            "https://api.payments.example/v1",
            "a <b@c.test>",
            "x",
            "xx",
            "todo-service",
            "https://myexample.com",
            "https://example.company.test",
            "sk_live_4242",
            "<1>",
            "%m [%p] %a@%d",
            "your-shop",
            "your-apple",
        ] {
            assert_eq!(placeholder(text), None, "{text}");
        }
    }

    #[test]
    fn passwords_and_tokens() {
        assert_eq!(user_info("postgres://a:b@db/x"), Some(("a", "b")));
        assert_eq!(user_info("http://db/a:b@c"), None);
        assert!(is_guessed("Admin") && !is_guessed("q8x-77"));
        let aws = ("an AWS access key", "AKIAIOSFODNN7EXAMPLE");
        assert_eq!(known_token("k=AKIAIOSFODNN7EXAMPLE;"), Some(aws));
        assert!(known_token("-----BEGIN RSA PRIVATE KEY-----").is_some());
        assert_eq!(known_token("-----BEGIN PUBLIC KEY-----"), None);
        assert_eq!(known_token("sk_test_stand_in_5Hv2"), None);
    }
}
