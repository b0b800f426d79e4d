//! Secrets of Parameter Store and Secrets Manager: named here, their values elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::notes::Notes;
use crate::diag::{Problem, ProblemKind};
use crate::policy::variable_of;
use crate::spec::Sources;
use crate::stack::secret_ref::token;
use crate::yaml::{Node, Spanned, ViaKind};

/// The secrets that containers ask for.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// What each variable's value comes from, over all containers.
    by_variable: BTreeMap<String, Vec<String>>,
    /// Names in `mirror.yaml` whose values are taken.
    pub used: BTreeSet<String>,
}

impl Secrets {
    /// Notes who asks for what, before any value is looked up.
    pub fn asked(&mut self, container: &Node) {
        let secrets = container.get("secrets").and_then(Node::as_seq);
        for secret in secrets.into_iter().flatten() {
            let text = |key: &str| secret.get(key).and_then(Node::as_str);
            if let (Some(name), Some(from)) = (text("name"), text("valueFrom")) {
                let known = self.by_variable.entry(name.to_owned()).or_default();
                if !known.iter().any(|k| k == from) {
                    known.push(from.to_owned());
                }
            }
        }
    }

    /// What stands for the value of a secret; refuses one that `mirror.yaml` does not give.
    pub fn value(
        &mut self,
        name: &Spanned<String>,
        from: &Spanned<String>,
        sources: &Sources<'_>,
        notes: &mut Notes,
    ) -> Node {
        let names = names_of(from);
        let own = self.by_variable.get(name.as_str()).map_or(0, Vec::len) <= 1;
        let variable = own.then(|| name.value.clone());
        let mut candidates = names.iter().chain(&variable);
        if let Some(given) = candidates.find_map(|name| find_named(sources, name)) {
            self.used.insert(given.value.clone());
            let token = token(&variable_of(given));
            let node = Node::str(token, from.span.clone());
            return node.via(ViaKind::Supply, given.span.clone());
        }
        notes.refuse(missing(name, from, &names, own));
        Node::str("", from.span.clone())
    }
}

fn find_named<'s>(sources: &Sources<'s>, name: &str) -> Option<&'s Spanned<String>> {
    let mut all = sources.secrets.iter().map(|s| &s.name);
    all.find(|n| n.value == name)
}

fn missing(name: &Spanned<String>, from: &Spanned<String>, names: &[String], own: bool) -> Problem {
    let best = if own {
        name.value.clone()
    } else {
        names.last().cloned().unwrap_or_else(|| from.value.clone())
    };
    let key = if crate::project::is_variable(&best) {
        best
    } else {
        serde_json::Value::from(best).to_string()
    };
    let why = if own {
        ""
    } else {
        "; containers take different secrets as a variable of this name, so it goes by that of the secret"
    };
    Problem::at(
        ProblemKind::Missing,
        &from.span,
        format!(
            "the variable {} is the secret `{}`, whose value is not here{why}",
            name.value, from.value
        ),
    )
    .help(format!(
        "give it one in mirror.yaml:\nsecrets:\n  {key}: {{ stub: VALUE }}   # or {{ env: NAME }}, {{ file: PATH }}"
    ))
}

/// The names by which `mirror.yaml` may call a secret, the whole one first: of
/// `arn:aws:secretsmanager:eu-west-1:1:secret:shop/db-AbCdEf:password::` they are the ARN,
/// `shop/db-AbCdEf:password` and `shop/db:password`; of a parameter its ARN and its name with
/// and without the slash before it.
fn names_of(from: &str) -> Vec<String> {
    let mut names = vec![from.to_owned()];
    let mut add = |name: &str| {
        if !name.is_empty() && !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
    };
    let mut parts = from.splitn(7, ':');
    let is_arn = parts.next() == Some("arn");
    let service = parts.nth(1).unwrap_or("");
    let rest = parts.nth(2);
    match (is_arn, service, rest) {
        (true, "ssm", Some(resource)) => {
            let name = resource.strip_prefix("parameter").unwrap_or(resource);
            add(name);
            add(name.trim_start_matches('/'));
        }
        (true, "secretsmanager", Some("secret")) => {
            let whole = parts.next().unwrap_or("");
            let mut fields = whole.split(':');
            let id = fields.next().unwrap_or("");
            let key = fields.next().unwrap_or("");
            let with_key = |id: &str| match key {
                "" => id.to_owned(),
                key => format!("{id}:{key}"),
            };
            add(&with_key(id));
            add(&with_key(without_suffix(id)));
        }
        (false, ..) => add(from.trim_start_matches('/')),
        _ => {}
    }
    names
}

/// A secret's name without the six letters that Secrets Manager puts behind it.
fn without_suffix(id: &str) -> &str {
    match id.rsplit_once('-') {
        Some((name, end)) if end.len() == 6 && end.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            name
        }
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_several_names() {
        let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:shop/db-AbCdEf:password:AWSCURRENT:";
        assert_eq!(
            names_of(arn)[1..],
            ["shop/db-AbCdEf:password", "shop/db:password"]
        );
        let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:plain";
        assert_eq!(names_of(arn)[1..], ["plain"]);
        let arn = "arn:aws:ssm:eu-west-1:1:parameter/prod/db/password";
        assert_eq!(
            names_of(arn)[1..],
            ["/prod/db/password", "prod/db/password"]
        );
        assert_eq!(names_of("/a/b"), ["/a/b", "a/b"]);
        assert_eq!(names_of("DB_PASSWORD"), ["DB_PASSWORD"]);
        assert_eq!(names_of("arn:"), ["arn:"]);
    }
}
