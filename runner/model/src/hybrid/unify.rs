//! One value for a credential that both sides have: stand-ins are not what is looked for.
//!
//! Where a URL of the one has a password and the same variable of the other has one, where a
//! secret has the same name or stands in the same variable (or in the file that `…_FILE` names),
//! the other side gets the first one's. What both ask for is asked for in one way then: a
//! database that the first side made, the other's services can log in to.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::side::Side;
use super::text::{expanded_text, only_variable, replaced};
use crate::secret::Secret;
use crate::stack::extension::KEY;

/// Gives the second side the first one's credentials.
pub(super) fn unify(a: &Side, b: &mut Side) {
    let mut found = Found::default();
    secrets_of_one_name(a, b, &mut found);
    let services = b.section("services").into_iter().flat_map(|s| s.keys());
    for service in services {
        if a.document["services"].get(service).is_some() {
            of_service(a, b, service, &mut found);
        }
    }
    found.spread(b);
    for (name, value) in found.values {
        b.values.insert(name, Secret::new(value));
    }
}

/// New values of variables of the second side.
#[derive(Debug, Default)]
struct Found {
    values: BTreeMap<String, String>,
    /// Which passwords became which.
    passwords: Vec<(String, String)>,
}

impl Found {
    /// The first that is found for a variable holds.
    fn put(&mut self, b: &Side, variable: &str, value: &str) {
        let Some(before) = b.values.get(variable) else {
            return;
        };
        if value.is_empty() || self.values.contains_key(variable) {
            return;
        }
        let was = before.expose().to_owned();
        let passwords = match (password(&was), password(value)) {
            (Some(was), Some(is)) => (was.to_owned(), is.to_owned()),
            _ => (was, value.to_owned()),
        };
        self.passwords.push(passwords);
        self.values.insert(variable.to_owned(), value.to_owned());
    }

    /// What only the second side has may hold the same password: it becomes the same.
    fn spread(&mut self, b: &Side) {
        for (name, value) in &b.values {
            if self.values.contains_key(name) {
                continue;
            }
            let value = value.expose();
            if let Some(new) = self.became(value) {
                self.values.insert(name.clone(), new);
            } else if let Some(new) = password(value).and_then(|p| self.became(p)) {
                self.values.insert(name.clone(), with_password(value, &new));
            }
        }
    }

    /// What a password became, if it became one thing only.
    fn became(&self, was: &str) -> Option<String> {
        let mut all = self
            .passwords
            .iter()
            .filter(|(w, _)| w == was)
            .map(|(_, is)| is);
        let first = all.next()?;
        all.all(|other| other == first).then(|| first.clone())
    }
}

fn secrets_of_one_name(a: &Side, b: &Side, found: &mut Found) {
    for name in b.section("secrets").into_iter().flat_map(|s| s.keys()) {
        if let (Some(ours), Some(theirs)) = (variable_of(a, name), variable_of(b, name))
            && let Some(value) = a.values.get(&ours)
        {
            found.put(b, &theirs, value.expose());
        }
    }
}

fn of_service(a: &Side, b: &Side, service: &str, found: &mut Found) {
    let env = |side: &Side| {
        let map = side.document["services"][service]["environment"].as_object();
        map.cloned().unwrap_or_default()
    };
    let (ours, theirs) = (env(a), env(b));
    for (name, value) in &theirs {
        let Some(text) = value.as_str() else { continue };
        if let Some(value) = ours.get(name).and_then(Json::as_str) {
            let value = expanded_text(value, &a.values);
            of_text(b, text, &value, found);
        }
        let plain = name.strip_suffix("_FILE");
        let variable = plain.and_then(|_| variable_at(b, service, text));
        if let (Some(plain), Some(variable)) = (plain, variable)
            && let Some(value) = value_of(a, service, &ours, plain)
        {
            found.put(b, &variable, &value);
        }
        if let (Some(variable), None) = (only_variable(text), ours.get(name))
            && let Some(value) = value_of(a, service, &ours, name)
        {
            found.put(b, &variable, &value);
        }
    }
}

/// The value of a variable of the first side, or of the file that `…_FILE` names.
fn value_of(
    a: &Side,
    service: &str,
    env: &serde_json::Map<String, Json>,
    name: &str,
) -> Option<String> {
    if let Some(text) = env.get(name).and_then(Json::as_str) {
        return Some(expanded_text(text, &a.values));
    }
    let path = env.get(&format!("{name}_FILE"))?.as_str()?;
    let variable = variable_at(a, service, path)?;
    Some(a.values.get(&variable)?.expose().to_owned())
}

/// A value of the second side as it is written, and the first one's value in its place.
fn of_text(b: &Side, text: &str, value: &str, found: &mut Found) {
    if let Some(variable) = only_variable(text) {
        let was = b.values.get(&variable).map(|v| v.expose().to_owned());
        match (
            was.as_deref().and_then(|w| Some((w, password(w)?))),
            password(value),
        ) {
            // The rest of a URL is no credential.
            (Some((was, _)), Some(new)) => found.put(b, &variable, &with_password(was, new)),
            (None, None) if !value.contains("://") => found.put(b, &variable, value),
            _ => {}
        }
        return;
    }
    // The variable may be the password of a URL: a mark in its place tells.
    let mut variables = Vec::new();
    let marked = replaced(text, &mut |name, _| {
        variables.push(name.to_owned());
        format!("\u{1}{}\u{1}", variables.len() - 1)
    });
    let variable = password(&marked)
        .and_then(|p| {
            p.strip_prefix('\u{1}')?
                .strip_suffix('\u{1}')?
                .parse::<usize>()
                .ok()
        })
        .and_then(|i| variables.get(i));
    // What is escaped in a URL would be another text elsewhere.
    if let (Some(variable), Some(new)) = (variable, password(value).filter(|p| !p.contains('%'))) {
        found.put(b, variable, new);
    }
}

/// The variable that holds a secret of the stack.
fn variable_of(side: &Side, secret: &str) -> Option<String> {
    let of_file = side.document[KEY]["secret_files"].get(secret);
    let name = of_file.or_else(|| side.document["secrets"][secret].get("environment"))?;
    name.as_str().map(str::to_owned)
}

/// The variable that holds the secret at a path of a service.
fn variable_at(side: &Side, service: &str, path: &str) -> Option<String> {
    let given = side.document["services"][service]["secrets"].as_array()?;
    let secret = given.iter().find(|s| s["target"].as_str() == Some(path))?;
    variable_of(side, secret["source"].as_str()?)
}

/// Where the password of a URL is: `scheme://user:password@host`.
fn range(url: &str) -> Option<std::ops::Range<usize>> {
    let start = url.find("://")? + 3;
    let rest = &url[start..];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let info = &authority[..authority.rfind('@')?];
    let colon = info.find(':')?;
    Some(start + colon + 1..start + info.len())
}

fn password(url: &str) -> Option<&str> {
    range(url).map(|r| &url[r]).filter(|p| !p.is_empty())
}

fn with_password(url: &str, new: &str) -> String {
    let mut url = url.to_owned();
    if let Some(range) = range(&url) {
        url.replace_range(range, new);
    }
    url
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn side(document: Json, values: &[(&str, &str)]) -> Side {
        let values = values
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Secret::new(*v)))
            .collect();
        Side {
            document,
            values,
            ..Side::default()
        }
    }

    fn value<'s>(side: &'s Side, name: &str) -> &'s str {
        side.values[name].expose()
    }

    #[test]
    fn passwords_of_urls_and_of_files_become_one() {
        let a = side(
            json!({ "services": {
                "app": { "environment": { "DATABASE_URL": "${DATABASE_URL:?x}" } },
                "db": { "environment": { "POSTGRES_PASSWORD": "${POSTGRES_PASSWORD:?x}" } },
            } }),
            &[
                ("DATABASE_URL", "postgresql://shop:a-pw@db/shop"),
                ("POSTGRES_PASSWORD", "a-pw"),
            ],
        );
        let mut b = side(
            json!({
                "services": {
                    "app": { "environment": { "DATABASE_URL": "postgresql://shop:${DB_PASSWORD:?x}@db:5432/shop" } },
                    "db": {
                        "environment": { "POSTGRES_PASSWORD_FILE": "/run/secrets/pw" },
                        "secrets": [{ "source": "pw", "target": "/run/secrets/pw" }],
                    },
                },
                "secrets": { "pw": { "environment": "DB_PASSWORD" } },
            }),
            &[("DB_PASSWORD", "b-pw")],
        );
        let mut back = a.clone();
        unify(&b, &mut back);
        assert_eq!(
            value(&back, "DATABASE_URL"),
            "postgresql://shop:b-pw@db/shop"
        );
        assert_eq!(value(&back, "POSTGRES_PASSWORD"), "b-pw");
        unify(&a, &mut b);
        assert_eq!(value(&b, "DB_PASSWORD"), "a-pw");
    }

    #[test]
    fn what_only_the_other_has_follows_its_password() {
        let one = |variable: &str| json!({ "services": { "db": { "environment": { "PW": format!("${{{variable}:?x}}") } } } });
        let a = side(one("A"), &[("A", "ours")]);
        let mut b = side(
            one("B"),
            &[
                ("B", "theirs"),
                ("URL", "redis://:theirs@cache"),
                ("OTHER", "else"),
            ],
        );
        unify(&a, &mut b);
        assert_eq!(value(&b, "URL"), "redis://:ours@cache");
        assert_eq!(value(&b, "OTHER"), "else");
    }

    #[test]
    fn another_host_stays_a_difference() {
        let one = json!({ "services": { "app": { "environment": { "U": "${U:?x}" } } } });
        let a = side(one.clone(), &[("U", "redis://:p@one")]);
        let mut b = side(one, &[("U", "redis://:q@two")]);
        unify(&a, &mut b);
        assert_eq!(value(&b, "U"), "redis://:p@two");
    }

    #[test]
    fn urls_of_any_form() {
        for (url, expected) in [
            ("amqp://u:p@h/%2F", Some("p")),
            ("redis://:p@h:1", Some("p")),
            ("http://u@h", None),
            ("http://h/a:b@c", None),
            ("x", None),
            ("http://u:p@q@h", Some("p@q")),
        ] {
            assert_eq!(password(url), expected, "{url}");
        }
    }
}
