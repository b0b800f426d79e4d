//! Switches of a developer's machine.

use crate::audit::{Found, Look};
use crate::fidelity::Severity;
use crate::mirror::{Argv, Service};
use crate::source::Span;

const DEV: &[&str] = &[
    "development",
    "dev",
    "develop",
    "local",
    "debug",
    "test",
    "testing",
];
const ON: &[&str] = &["1", "true", "yes", "on"];
const VERBOSE: &[&str] = &["debug", "trace", "all", "silly", "verbose"];

/// Variables, the values of them that are a developer's, and how bad that is.
const VARIABLES: [(&str, &[&str], Severity); 33] = [
    ("NODE_ENV", DEV, Severity::High),
    ("FLASK_ENV", DEV, Severity::High),
    ("FLASK_DEBUG", ON, Severity::High),
    ("DJANGO_DEBUG", ON, Severity::High),
    ("DEBUG", ON, Severity::High),
    ("APP_DEBUG", ON, Severity::High),
    ("APP_ENV", DEV, Severity::High),
    ("ENV", DEV, Severity::Medium),
    ("ENVIRONMENT", DEV, Severity::Medium),
    ("STAGE", DEV, Severity::Medium),
    ("RAILS_ENV", DEV, Severity::High),
    ("RACK_ENV", DEV, Severity::High),
    ("MIX_ENV", DEV, Severity::High),
    ("GO_ENV", DEV, Severity::Medium),
    ("GIN_MODE", DEV, Severity::Medium),
    ("RUST_BACKTRACE", &["full"], Severity::Info),
    ("SPRING_PROFILES_ACTIVE", DEV, Severity::High),
    ("QUARKUS_PROFILE", DEV, Severity::High),
    ("MICRONAUT_ENVIRONMENTS", DEV, Severity::High),
    ("ASPNETCORE_ENVIRONMENT", DEV, Severity::High),
    ("DOTNET_ENVIRONMENT", DEV, Severity::High),
    ("SYMFONY_ENV", DEV, Severity::High),
    ("WP_DEBUG", ON, Severity::High),
    ("WORDPRESS_DEBUG", ON, Severity::High),
    ("WEBPACK_DEV_SERVER", ON, Severity::High),
    ("PYTHONASYNCIODEBUG", ON, Severity::Medium),
    ("WERKZEUG_DEBUG_PIN", &["off"], Severity::High),
    ("NODE_TLS_REJECT_UNAUTHORIZED", &["0"], Severity::High),
    ("GIT_SSL_NO_VERIFY", ON, Severity::Medium),
    ("PYTHONHTTPSVERIFY", &["0"], Severity::High),
    ("LOG_LEVEL", VERBOSE, Severity::Low),
    ("LOGLEVEL", VERBOSE, Severity::Low),
    ("RUST_LOG", &["debug", "trace"], Severity::Low),
];

/// Beginnings of commands, or parts of them, that serve developers.
const COMMANDS: [(&str, &str); 12] = [
    ("--reload", "reloads code that does not change"),
    ("flask run", "is a server for development"),
    ("manage.py runserver", "is a server for development"),
    ("npm run dev", "builds and serves for development"),
    ("yarn dev", "builds and serves for development"),
    ("pnpm dev", "builds and serves for development"),
    ("pnpm run dev", "builds and serves for development"),
    ("nodemon", "restarts on changes of files"),
    ("webpack-dev-server", "is a server for development"),
    ("php artisan serve", "is a server for development"),
    ("php -S", "is a server for development"),
    ("air -c", "rebuilds on changes of files"),
];

/// Finds them.
pub fn find(look: &Look<'_>, found: &mut Found) {
    for text in &look.texts {
        let Some(name) = text.name else { continue };
        let value = text.value.trim().to_ascii_lowercase();
        let known = VARIABLES.iter().find(|(n, values, _)| {
            *n == name && value.split(',').any(|v| values.contains(&v.trim()))
        });
        if let Some((_, _, severity)) = known {
            found
                .service(
                    text.service,
                    text.field.clone(),
                    &text.value.span,
                    format!(
                        "`{name}={}` belongs on a developer's machine",
                        text.value.value
                    ),
                )
                .severity(*severity);
        }
    }
    for (key, service) in look.services() {
        commands(key, service, found);
    }
}

fn commands(key: &str, service: &Service, found: &mut Found) {
    let argvs = [
        ("entrypoint", &service.process.entrypoint),
        ("command", &service.process.command),
    ];
    for (field, argv) in argvs {
        let Argv::Set(args) = &argv.value else {
            continue;
        };
        let words: Vec<&str> = args.iter().map(|a| a.as_str()).collect();
        let line = words.join(" ");
        let span: &Span = args.first().map_or(&argv.span, |a| &a.span);
        for (part, what) in COMMANDS {
            if has_words(&line, part) {
                found
                    .service(key, field, span, format!("`{part}` in {field} {what}"))
                    .fix("start it as production does")
                    .key(part);
            }
        }
    }
}

/// Whether a command line has these words, whole.
fn has_words(line: &str, words: &str) -> bool {
    line.match_indices(words).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + words.len()..].chars().next();
        let edge = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || "/;&|'\"".contains(c));
        edge(before) && edge(after)
    })
}

#[cfg(test)]
mod tests {
    use super::has_words;

    #[test]
    fn words_are_whole() {
        assert!(has_words("uvicorn app:app --reload", "--reload"));
        assert!(has_words("sh -c 'npm run dev'", "npm run dev"));
        assert!(has_words(
            "python /app/manage.py runserver 0:80",
            "manage.py runserver"
        ));
        assert!(!has_words("gunicorn --reload-engine=auto", "--reload"));
        assert!(!has_words("npm run develop", "npm run dev"));
    }
}
