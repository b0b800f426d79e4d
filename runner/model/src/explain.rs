//! Why a value is what it is: where production says it, how it came there, and what became of
//! it in the stack.

use serde_json::Value as Json;

use crate::compile::Compiled;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::fidelity::Record;
use crate::project::{Project, find};
use crate::source::Span;
use crate::stack::secret_ref::{self, Part};
use crate::yaml::{Node, Value, ViaKind};

/// What stands in the place of a secret.
const MASK: &str = "***";

/// Sections of a spec, each with the short name of one of its objects.
const SECTIONS: [(&str, &str); 5] = [
    ("service", "services"),
    ("network", "networks"),
    ("volume", "volumes"),
    ("config", "configs"),
    ("secret", "secrets"),
];

/// Short names of fields of a service.
const FIELDS: [(&str, &str); 4] = [
    ("env", "environment"),
    ("mounts", "volumes"),
    ("cmd", "command"),
    ("health", "healthcheck"),
];

/// One thing that happened to a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What, in words.
    pub what: String,
    /// Where that stands.
    pub span: Span,
}

/// A value, explained.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The whole path of the value.
    pub path: String,
    /// The value; secrets as `***`.
    pub value: Json,
    /// Where production says it.
    pub span: Span,
    /// How it came there, the last first.
    pub history: Vec<Step>,
    /// What the stack has in its place, when that is another value; null = nothing.
    pub stack: Option<Json>,
    /// What differs from production in this, and why.
    pub records: Vec<Record>,
}

/// Explains the value at a path: `orders.env.DATABASE_URL`, `db.image`, `orders`,
/// `network.front`, `db.volumes[/data]`. A name with dots stands for itself.
///
/// # Errors
/// [`ProblemKind::UnknownReference`] with the nearest path that there is.
pub fn explain(project: &Project, compiled: &Compiled, path: &str) -> Result<Explained, Problem> {
    if let Some(explained) = flag(compiled, path) {
        return explained;
    }
    let found = Found::locate(&compiled.document.0, path)?;
    let mask = Mask { compiled };
    let value = mask.json(found.node, &found.trail);
    let stack = compiled.stack.as_ref().and_then(|stack| {
        let in_stack = at(&stack.mirror.to_compose(), &found.trail);
        let shown = mask.tokens(in_stack?);
        (shown != value).then_some(shown)
    });
    let mut history = project_steps(project, &found);
    // A declared secret is told of by its place in mirror.yaml: the reader saw a reference.
    let told = |what: &ViaKind| match what {
        ViaKind::Variable { name, .. } => project.secret(name).is_some(),
        _ => false,
    };
    let vias = found.node.history().filter(|via| !told(&via.what));
    history.extend(vias.map(|via| Step {
        what: via.what.words(),
        span: via.span.clone(),
    }));
    history.dedup();
    Ok(Explained {
        path: found.path(),
        value,
        span: found.node.span.clone(),
        history,
        stack,
        records: records(compiled, &found),
    })
}

/// A feature flag: `flag.checkout_v2`, unless a service is called `flag`.
fn flag(compiled: &Compiled, path: &str) -> Option<Result<Explained, Problem>> {
    let path = path.trim_matches('.');
    let name = ["flags", "flag"].iter().find_map(|w| after(path, w))?;
    let set = compiled.flags.as_ref()?;
    let service = path.split('.').next().unwrap_or_default();
    if compiled.production.services.contains_key(service) {
        return None;
    }
    let Some(flag) = set.flags.get(name) else {
        let text = format!("production has no flag `{name}` in {}", set.held_by());
        let p = Problem::new(ProblemKind::UnknownReference, text);
        return Some(Err(
            match nearest(name, set.flags.keys().map(String::as_str)) {
                Some(near) => p.help(format!("did you mean `flag.{near}`?")),
                None => {
                    let names: Vec<&str> = set.flags.keys().map(String::as_str).collect();
                    p.help(format!("it has: {}", names.join(", ")))
                }
            },
        ));
    };
    let variants = flag.variants.iter();
    let variants: serde_json::Map<String, Json> = variants
        .map(|v| (v.name.clone(), v.value.clone()))
        .collect();
    let object = format!("flag:{name}");
    let records = compiled.fidelity.records.iter();
    Some(Ok(Explained {
        path: format!("flag.{name}"),
        value: serde_json::json!({
            "type": flag.kind.word(),
            "serves": flag.served_in_words(),
            "variants": variants,
            "rules": flag.targeting,
            "read_by": flag.services,
            "format": set.format.word(),
        }),
        span: flag.span.clone(),
        history: Vec::new(),
        stack: None,
        records: records.filter(|r| r.object == object).cloned().collect(),
    }))
}

/// A value in the document, and the way to it.
struct Found<'d> {
    node: &'d Node,
    /// Keys from the section on; an item of a list as `[…]`.
    trail: Vec<String>,
}

impl<'d> Found<'d> {
    fn locate(document: &'d Node, path: &str) -> Result<Self, Problem> {
        let (section, rest) = section(document, path);
        let Some(root) = document.get(section) else {
            return Err(unknown(path, "", rest, &Node::map(Span::generated())));
        };
        let mut found = Self {
            node: root,
            trail: vec![section.to_owned()],
        };
        let mut rest = rest;
        while !rest.is_empty() {
            match step(&found, rest) {
                Some((name, node, after)) => {
                    found.trail.push(name);
                    found.node = node;
                    rest = after;
                }
                None => return Err(unknown(path, &found.path(), rest, found.node)),
            }
        }
        Ok(found)
    }

    /// As people write it: a service without its section.
    fn path(&self) -> String {
        let short = SECTIONS.iter().find(|(_, s)| *s == self.trail[0]);
        let mut out = match short {
            Some(("service", _)) | None => String::new(),
            Some((name, _)) => (*name).to_owned(),
        };
        for part in &self.trail[1..] {
            if !out.is_empty() && !part.starts_with('[') {
                out.push('.');
            }
            out.push_str(part);
        }
        out
    }

    /// The field of the object, as records name it.
    fn field(&self) -> String {
        let mut out = String::new();
        for part in self.trail.iter().skip(2) {
            if !out.is_empty() && !part.starts_with('[') {
                out.push('.');
            }
            out.push_str(part);
        }
        out
    }
}

/// The section that a path is about, and the rest of the path. A service wins over a section.
fn section<'p>(document: &Node, path: &'p str) -> (&'static str, &'p str) {
    let path = path.trim_matches('.');
    let services = document.get("services").and_then(Node::as_map);
    let is_service = services.is_some_and(|m| m.keys().any(|k| after(path, k).is_some()));
    if !is_service {
        for (one, many) in SECTIONS {
            for word in [many, one] {
                if let Some(rest) = after(path, word) {
                    return (many, rest);
                }
            }
        }
    }
    ("services", path)
}

/// What follows a name at the beginning of a path.
fn after<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(name)?;
    match rest.chars().next() {
        None | Some('[') => Some(rest),
        Some('.') => Some(&rest[1..]),
        Some(_) => None,
    }
}

/// One step along a path: the longest key that fits, or an item of a list.
fn step<'d, 'p>(found: &Found<'d>, rest: &'p str) -> Option<(String, &'d Node, &'p str)> {
    match &found.node.value {
        Value::Map(map) => {
            let in_brackets = bracketed(rest);
            let keys = map.iter().filter_map(|(key, node)| {
                let after = match in_brackets {
                    Some((inner, after)) => (inner == key).then_some(after),
                    None => after(rest, key),
                };
                Some((key.to_owned(), node, after?))
            });
            let longest = keys.max_by_key(|(key, ..)| key.len());
            let is_service = found.trail.len() == 2 && found.trail[0] == "services";
            longest.or_else(|| {
                let mut short = FIELDS.iter().filter(|_| is_service);
                short.find_map(|(short, long)| {
                    let after = after(rest, short)?;
                    Some(((*long).to_owned(), map.get(long)?, after))
                })
            })
        }
        Value::Seq(items) => {
            let (wanted, after) = bracketed(rest).unwrap_or_else(|| {
                let (head, tail) = rest.split_once('.').unwrap_or((rest, ""));
                (head, tail)
            });
            let by_name = items.iter().find(|item| is_called(item, wanted));
            let by_number = || items.get(wanted.parse::<usize>().ok()?);
            let item = by_name.or_else(by_number)?;
            Some((format!("[{wanted}]"), item, after))
        }
        _ => None,
    }
}

/// `[inner]` at the beginning of a path, and what follows.
fn bracketed(rest: &str) -> Option<(&str, &str)> {
    let (inner, after) = rest.strip_prefix('[')?.split_once(']')?;
    Some((inner, after.trim_start_matches('.')))
}

/// Whether an item of a list is known by a name: its target, its source, or itself.
fn is_called(item: &Node, name: &str) -> bool {
    let is = |n: Option<&Node>| n.and_then(Node::scalar_text).is_some_and(|t| t == name);
    is(item.get("target")) || is(item.get("source")) || is(Some(item))
}

fn unknown(path: &str, above: &str, rest: &str, node: &Node) -> Problem {
    const LISTED: usize = 20;
    let keys: Vec<&str> = node.as_map().into_iter().flat_map(|m| m.keys()).collect();
    let head = rest.split(['.', '[']).next().unwrap_or(rest);
    let whole = |key: &str| match above {
        "" => key.to_owned(),
        above => format!("{above}.{key}"),
    };
    let help = match nearest(head, keys.iter().copied()) {
        Some(near) => format!("did you mean `{}`?", whole(near)),
        None if keys.is_empty() => {
            "paths look like `orders.env.NAME`, `db.image`, `network.front`".to_owned()
        }
        None => {
            let some: Vec<&str> = keys.iter().copied().take(LISTED).collect();
            let more = if keys.len() > LISTED { ", …" } else { "" };
            format!("there are {}{more}", some.join(", "))
        }
    };
    Problem::new(
        ProblemKind::UnknownReference,
        format!("production says nothing at `{path}`"),
    )
    .help(help)
}

/// Takes secrets out of values.
struct Mask<'c> {
    compiled: &'c Compiled,
}

impl Mask<'_> {
    /// A value of production without secrets.
    fn json(&self, node: &Node, trail: &[String]) -> Json {
        let value = self.tokens(node.to_json());
        self.environment(value, trail)
    }

    /// A value with `***` in the place of what declared secrets hold.
    fn tokens(&self, value: Json) -> Json {
        match value {
            Json::String(text) => Json::String(
                secret_ref::parts(&text)
                    .into_iter()
                    .map(|part| match part {
                        Part::Text(text) => text,
                        Part::Secret(_) => MASK,
                    })
                    .collect(),
            ),
            Json::Array(items) => items.into_iter().map(|v| self.tokens(v)).collect(),
            Json::Object(map) => {
                let entries = map.into_iter();
                Json::Object(entries.map(|(k, v)| (k, self.tokens(v))).collect())
            }
            other => other,
        }
    }

    /// Masks variables that hold secrets of production itself.
    fn environment(&self, mut value: Json, trail: &[String]) -> Json {
        if trail.first().is_none_or(|s| s != "services") {
            return value;
        }
        match trail.get(1) {
            None => {
                for (service, v) in value.as_object_mut().into_iter().flatten() {
                    self.of_service(service, v.get_mut("environment"));
                }
            }
            Some(service) => match trail.get(2).map(String::as_str) {
                None => self.of_service(service, value.get_mut("environment")),
                Some("environment") => match trail.get(3) {
                    None => self.of_service(service, Some(&mut value)),
                    Some(name) => self.variable(service, name, &mut value),
                },
                Some(_) => {}
            },
        }
        value
    }

    fn of_service(&self, service: &str, environment: Option<&mut Json>) {
        let variables = environment.and_then(Json::as_object_mut);
        for (name, value) in variables.into_iter().flatten() {
            self.variable(service, name, value);
        }
    }

    /// A variable that holds nothing but declared secrets is masked already.
    fn variable(&self, service: &str, name: &str, value: &mut Json) {
        let found = self.compiled.production.services.get(service);
        let variable = found.and_then(|s| s.env.iter().find(|v| v.name.value == name));
        let is_literal = variable.is_some_and(|v| {
            let declared = v
                .value
                .as_ref()
                .is_some_and(|t| secret_ref::holds_secret(t));
            v.sensitive && !declared
        });
        if is_literal && !value.is_null() {
            *value = Json::String(MASK.to_owned());
        }
    }
}

/// The value at a path of a Compose document; items of lists are found by their name.
fn at(json: &Json, trail: &[String]) -> Option<Json> {
    let mut here = json;
    for part in trail {
        here = match part.strip_prefix('[').and_then(|p| p.strip_suffix(']')) {
            None => here.get(part)?,
            Some(name) => here.as_array()?.iter().find(|item| {
                let is = |v: Option<&Json>| {
                    v.is_some_and(|v| {
                        v.as_str().map_or_else(|| v.to_string(), str::to_owned) == name
                    })
                };
                is(item.get("target")) || is(item.get("source")) || is(Some(item))
            })?,
        };
    }
    Some(here.clone())
}

/// What `mirror.yaml` does to a value.
fn project_steps(project: &Project, found: &Found<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |what: String, span: &Span| {
        steps.push(Step {
            what,
            span: span.clone(),
        });
    };
    let trail: Vec<&str> = found.trail.iter().map(String::as_str).collect();
    match trail[..] {
        ["services", service] | ["services", service, "image"] => {
            if let Some(image) = find(&project.images.under_test, service) {
                step("mirror.yaml: the image under test".to_owned(), &image.span);
            }
        }
        ["volumes", volume] => {
            if let Some(data) = find(&project.data, volume) {
                let what = "mirror.yaml: what it holds at the start".to_owned();
                step(what, &data.span);
            }
        }
        ["secrets", secret] => {
            if let Some(source) = project.secret(secret) {
                let what = "mirror.yaml: where its value comes from".to_owned();
                step(what, &source.span);
            }
        }
        _ => {}
    }
    if let Some(text) = found.node.as_str() {
        for name in secret_ref::names(text) {
            if let Some(secret) = project.secrets.iter().find(|s| s.name.value == name) {
                let what = format!("mirror.yaml: the value of the secret `{name}`");
                step(what, &secret.name.span);
            }
        }
    }
    steps
}

/// The records about a value, those about what is in it, and those about what it is in.
fn records(compiled: &Compiled, found: &Found<'_>) -> Vec<Record> {
    let section = SECTIONS.iter().find(|(_, many)| *many == found.trail[0]);
    let (Some((one, _)), Some(name)) = (section, found.trail.get(1)) else {
        return Vec::new();
    };
    let object = format!("{one}:{name}");
    let field = found.field();
    let all = compiled.fidelity.records.iter();
    all.filter(|r| r.object == object)
        .filter(|r| field.is_empty() || covers(&field, &r.field) || covers(&r.field, &field))
        .cloned()
        .collect()
}

/// Whether a field is another one or stands above it.
fn covers(above: &str, field: &str) -> bool {
    field
        .strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Inputs, compile};

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Project, Compiled) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let project = Project::load(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        let inputs = Inputs {
            agent_image: "prodmirror/agent:test".to_owned(),
            ..Inputs::default()
        };
        let compiled = compile(&project, &inputs).unwrap_or_else(|e| panic!("{e}"));
        (dir, project, compiled)
    }

    const BASE: &str = "\
x-env: &env
  LEVEL: ${LEVEL:-info}
  DB: postgres://app:${DB_PASSWORD}@db/x
  API_TOKEN: literal-token-1
services:
  web.app:
    image: shop/web:${TAG}
    environment:
      <<: *env
    ports: ['8080:80']
    networks: [front]
networks: { front: {} }
";
    const OVER: &str = "services: { web.app: { environment: { LEVEL: debug }, volumes: ['data:/data'] } }\nvolumes: { data: {} }\n";
    const MIRROR: &str = "\
production: [compose.yaml, over.yaml]
env_files: [.env]
secrets: { DB_PASSWORD: { stub: sesame-open-77 } }
images: { under_test: { web.app: 'shop/web:dev' } }
data: { data: { empty: true } }
";

    fn shop() -> (tempfile::TempDir, Project, Compiled) {
        project(&[
            ("compose.yaml", BASE),
            ("over.yaml", OVER),
            (".env", "TAG=7\n"),
            ("mirror.yaml", MIRROR),
        ])
    }

    fn words(e: &Explained) -> Vec<String> {
        let steps = e.history.iter();
        steps.map(|s| format!("{} @ {}", s.what, s.span)).collect()
    }

    #[test]
    fn the_whole_way_of_a_value() {
        let (_dir, project, compiled) = shop();
        let e = explain(&project, &compiled, "web.app.image").unwrap();
        assert_eq!(
            (e.path.as_str(), &e.value),
            ("web.app.image", &Json::from("shop/web:7"))
        );
        assert_eq!(e.span.to_string(), "compose.yaml:7:12");
        assert_eq!(e.stack, Some(Json::from("shop/web:dev")));
        assert_eq!(
            words(&e),
            [
                "mirror.yaml: the image under test @ mirror.yaml:4:34",
                "`TAG` comes from .env @ .env:1:1",
            ]
        );
        assert_eq!(e.records[0].rule, "under-test");
        let e = explain(&project, &compiled, "web.app.env.LEVEL").unwrap();
        assert_eq!(e.value, "debug");
        assert_eq!(e.span.file.name, "over.yaml");
        assert!(
            words(&e).iter().any(|w| w.contains("took the place")),
            "{:?}",
            words(&e)
        );
        let e = explain(&project, &compiled, "services.web.app.environment.DB").unwrap();
        assert_eq!(e.value, "postgres://app:***@db/x");
        let said = words(&e).join("\n");
        for part in [
            "secret `DB_PASSWORD` @ mirror.yaml:3:",
            "merged in by `<<` @ compose.yaml:9:",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!said.contains("shell"), "{said}");
    }

    #[test]
    fn secrets_are_masked_wherever_they_are_shown() {
        let (_dir, project, compiled) = shop();
        for path in [
            "web.app",
            "services",
            "web.app.env",
            "web.app.environment.API_TOKEN",
            "web.app.environment.DB",
        ] {
            let e = explain(&project, &compiled, path).unwrap();
            let shown = format!("{} {:?}", e.value, e.stack);
            assert!(shown.contains(MASK), "{path}: {shown}");
            assert!(
                !shown.contains("literal-token") && !shown.contains("sesame"),
                "{path}: {shown}"
            );
        }
    }

    #[test]
    fn paths_in_many_forms() {
        let (_dir, project, compiled) = shop();
        for (path, whole) in [
            ("network.front", "network.front"),
            ("networks.front.name", "network.front.name"),
            ("volume.data", "volume.data"),
            ("web.app.volumes[/data]", "web.app.volumes[/data]"),
            ("web.app.mounts[/data].type", "web.app.volumes[/data].type"),
            ("web.app.ports.0.published", "web.app.ports[0].published"),
            ("web.app.ports[80]", "web.app.ports[80]"),
        ] {
            let e = explain(&project, &compiled, path).unwrap_or_else(|p| panic!("{p}"));
            assert_eq!(e.path, whole);
        }
        for (path, help) in [
            ("web.app.imgae", "did you mean `web.app.image`?"),
            ("web.ap.image", "there are web.app"),
            ("network.frnt", "did you mean `network.front`?"),
            (
                "web.app.env.LEVL",
                "did you mean `web.app.environment.LEVEL`?",
            ),
            ("config.x", "paths look like"),
        ] {
            let p = explain(&project, &compiled, path).unwrap_err();
            assert!(
                p.help.as_deref().unwrap_or("").contains(help),
                "{path}: {p}"
            );
        }
    }
}
