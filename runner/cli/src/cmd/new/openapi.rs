//! `--openapi`: an operation of an OpenAPI 3 description as a step.

use std::path::Path;

use prodmirror_model::diag::nearest;
use prodmirror_model::source::SourceFile;
use prodmirror_model::yaml::parse_one;
use serde_json::{Map, Value as Json, json};

use super::draft::{Auth, Body, Draft, Step, identifier, mark};
use super::emit::fits;
use super::files;
use super::host::Hosts;
use super::sample::sample;
use super::schema::converted;

const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// A description.
pub struct Api {
    root: Json,
}

impl Api {
    /// Reads a description.
    ///
    /// # Errors
    /// It is no OpenAPI 3.
    fn read(path: &Path) -> Result<Self, String> {
        let text = files::source(path)?;
        let name = path.display().to_string();
        let root: Json = match serde_json::from_str(&text) {
            Ok(json) => json,
            Err(_) => {
                let file = SourceFile::new(name, text);
                parse_one(&file).map_err(|p| p.to_string())?.to_json()
            }
        };
        let version = root["openapi"].as_str().unwrap_or("");
        match version.starts_with("3.") {
            true => Ok(Self { root }),
            false if root.get("swagger").is_some() => {
                Err("it is Swagger 2; convert it to OpenAPI 3 first".into())
            }
            false => Err("it is no OpenAPI 3: `openapi: 3.…` is missing".into()),
        }
    }

    /// What a `$ref` stands for, or the value itself.
    pub fn follow<'j>(&'j self, mut value: &'j Json) -> &'j Json {
        for _ in 0..32 {
            let Some(to) = value.get("$ref").and_then(Json::as_str) else {
                return value;
            };
            match to.strip_prefix('#').and_then(|p| self.root.pointer(p)) {
                Some(found) => value = found,
                None => return value,
            }
        }
        value
    }

    fn operations(&self) -> impl Iterator<Item = (&str, &str, &Json, &Json)> {
        let paths = self.root["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, item)| {
            let item = self.follow(item);
            METHODS.iter().filter_map(move |m| {
                let operation = item.get(m).filter(|o| o.is_object())?;
                Some((path.as_str(), *m, item, operation))
            })
        })
    }
}

/// Makes a step of an operation.
///
/// # Errors
/// There is no such file, or no such operation in it.
pub fn draft(path: &Path, wanted: &str, hosts: &mut Hosts) -> Result<Draft, String> {
    let api = Api::read(path)?;
    let name_of = |path: &str, method: &str, o: &Json| {
        let id = o["operationId"].as_str().map(str::to_owned);
        id.unwrap_or_else(|| format!("{} {path}", method.to_ascii_uppercase()))
    };
    let found = api.operations().find(|(path, method, _, o)| {
        o["operationId"] == wanted
            || wanted
                .split_once(' ')
                .is_some_and(|(m, p)| m.eq_ignore_ascii_case(method) && p.trim() == *path)
    });
    let Some((url, method, item, operation)) = found else {
        let all: Vec<String> = api
            .operations()
            .map(|(p, m, _, o)| name_of(p, m, o))
            .collect();
        let near = nearest(wanted, all.iter().map(String::as_str));
        let shown: Vec<&str> = all.iter().map(String::as_str).take(30).collect();
        return Err(match near {
            Some(n) => format!("it has no operation `{wanted}`; did you mean `{n}`?"),
            None if all.is_empty() => "it has no operations".into(),
            None => format!(
                "it has no operation `{wanted}`; there are: {}",
                shown.join(", ")
            ),
        });
    };
    let mut draft = Draft::default();
    let mut step = Step {
        method: method.to_ascii_uppercase(),
        ..Step::default()
    };
    let summary = operation["summary"]
        .as_str()
        .or(operation["description"].as_str());
    let summary = summary.map(|s| {
        s.lines()
            .next()
            .unwrap_or("")
            .trim()
            .trim_end_matches('.')
            .to_owned()
    });
    draft.name = summary
        .filter(|s| !s.is_empty())
        .unwrap_or_else(|| name_of(url, method, operation));
    let file = path
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    draft
        .about
        .push(format!("Made from the operation `{wanted}` of {file}."));
    let base = server(&api, operation, item, hosts, &mut draft);
    let rest = parameters(&api, url, &[item, operation], &mut step, &mut draft);
    step.url = format!("{base}{rest}");
    body(&api, operation, &mut step, &mut draft);
    security(&api, operation, &mut step, &mut draft);
    answer(&api, operation, &mut step, &mut draft);
    draft.steps.push(step);
    Ok(draft)
}

/// The host that serves it, with the path before all paths.
fn server(
    api: &Api,
    operation: &Json,
    item: &Json,
    hosts: &mut Hosts,
    draft: &mut Draft,
) -> String {
    let servers = [operation, item, &api.root]
        .into_iter()
        .find_map(|o| o["servers"][0].as_object());
    let mut url = servers
        .and_then(|s| s.get("url")?.as_str())
        .unwrap_or("/")
        .to_owned();
    let variables = servers.and_then(|s| s.get("variables")?.as_object());
    for (name, v) in variables.into_iter().flatten() {
        if let Some(default) = v["default"].as_str() {
            url = url.replace(&format!("{{{name}}}"), default);
        }
    }
    let url = url.trim_end_matches('/');
    let whole = match url.contains("://") {
        true => hosts.rewrite(url, &mut draft.warnings),
        false => format!("{}/{}", hosts.front(), url.trim_start_matches('/')),
    };
    whole.trim_end_matches('/').to_owned()
}

/// The path with its parameters; parameters of the query and headers that must be there.
fn parameters(api: &Api, path: &str, of: &[&Json], step: &mut Step, draft: &mut Draft) -> String {
    let mut all: Vec<&Json> = Vec::new();
    for p in of
        .iter()
        .flat_map(|o| o["parameters"].as_array().into_iter().flatten())
    {
        let p = api.follow(p);
        // Those of the operation take the place of those of its path.
        all.retain(|q| (&q["name"], &q["in"]) != (&p["name"], &p["in"]));
        all.push(p);
    }
    let mut path = path.to_owned();
    let mut query = Vec::new();
    let mut optional = Vec::new();
    for p in all {
        let Some(name) = p["name"].as_str() else {
            continue;
        };
        let place = p["in"].as_str().unwrap_or("");
        if place != "path" && p["required"] != true {
            optional.push(format!("{name} ({place})"));
            continue;
        }
        if super::draft::is_secret(name) || place == "cookie" {
            let value = draft.secrets.put(name, "");
            put(place, name, &value, &mut path, &mut query, step);
            continue;
        }
        let value = example(api, p);
        let variable = identifier(name);
        if !draft.vars.iter().any(|(n, _)| *n == variable) {
            draft.vars.push((variable.clone(), value));
        }
        let value = match place {
            "path" | "query" => mark(&format!("{variable} | urlencode")),
            _ => mark(&variable),
        };
        put(place, name, &value, &mut path, &mut query, step);
    }
    if !optional.is_empty() {
        step.notes
            .push(format!("It also takes: {}.", optional.join(", ")));
    }
    match query.is_empty() {
        true => path,
        false => format!("{path}?{}", query.join("&")),
    }
}

fn put(
    place: &str,
    name: &str,
    value: &str,
    path: &mut String,
    query: &mut Vec<String>,
    step: &mut Step,
) {
    match place {
        "path" => *path = path.replace(&format!("{{{name}}}"), value),
        "query" => query.push(format!("{name}={value}")),
        "cookie" => step
            .headers
            .push(("Cookie".into(), format!("{name}={value}"))),
        _ => step.headers.push((name.to_owned(), value.to_owned())),
    }
}

/// The example of a parameter or a media type, or a value that its schema allows.
fn example(api: &Api, of: &Json) -> Json {
    let named = of["examples"].as_object().and_then(|e| e.values().next());
    let found = of
        .get("example")
        .cloned()
        .or_else(|| api.follow(named?).get("value").cloned());
    found.unwrap_or_else(|| sample(api, &of["schema"]))
}

fn body(api: &Api, operation: &Json, step: &mut Step, draft: &mut Draft) {
    let body = api.follow(&operation["requestBody"]);
    let Some(content) = body["content"].as_object() else {
        return;
    };
    let json = content.iter().find(|(k, _)| is_json(k));
    let Some((kind, media)) = json.or_else(|| content.iter().next()) else {
        return;
    };
    let mut value = example(api, media);
    let plain = kind.split(';').next().unwrap_or("").trim();
    if is_json(kind) {
        draft.secrets.clean(&mut value);
        if plain != "application/json" && !plain.contains('*') {
            step.headers.push(("Content-Type".into(), plain.into()));
        }
        step.body = match fits(&value) {
            true => Body::Json(value),
            false => Body::Text(value.to_string()),
        };
        return;
    }
    match (plain, value.as_object()) {
        ("application/x-www-form-urlencoded", Some(fields)) => {
            let mut pairs: Vec<(String, String)> =
                fields.iter().map(|(k, v)| (k.clone(), text(v))).collect();
            draft.secrets.clean_pairs(&mut pairs);
            step.body = Body::Form(pairs);
        }
        _ => {
            step.headers.push(("Content-Type".into(), plain.into()));
            step.body = Body::Text(text(&value));
            step.notes.push(format!(
                "The body is of the type {plain}: write what the service takes."
            ));
        }
    }
}

fn is_json(kind: &str) -> bool {
    let plain = kind.split(';').next().unwrap_or("").trim();
    plain == "application/json" || plain.ends_with("+json") || plain == "*/*"
}

fn text(json: &Json) -> String {
    json.as_str()
        .map_or_else(|| json.to_string(), str::to_owned)
}

/// The first way to say who asks.
fn security(api: &Api, operation: &Json, step: &mut Step, draft: &mut Draft) {
    let all = operation.get("security").unwrap_or(&api.root["security"]);
    let Some(one) = all[0].as_object() else {
        return;
    };
    for name in one.keys() {
        let scheme = api.follow(&api.root["components"]["securitySchemes"][name]);
        let key = scheme["name"].as_str().unwrap_or(name);
        match (
            scheme["type"].as_str(),
            scheme["scheme"]
                .as_str()
                .map(str::to_ascii_lowercase)
                .as_deref(),
        ) {
            (Some("http"), Some("basic")) => {
                draft.vars.push(("user".into(), json!("user")));
                let password = draft.secrets.put("password", "");
                step.auth = Some(Auth::Basic(mark("user"), Some(password)));
            }
            (Some("http" | "oauth2" | "openIdConnect"), _) => {
                step.auth = Some(Auth::Bearer(draft.secrets.put("token", "")));
            }
            (Some("apiKey"), _) => {
                let value = draft.secrets.put(key, "");
                match scheme["in"].as_str() {
                    Some("query") => {
                        let sign = if step.url.contains('?') { '&' } else { '?' };
                        step.url = format!("{}{sign}{key}={value}", step.url);
                    }
                    Some("cookie") => step
                        .headers
                        .push(("Cookie".into(), format!("{key}={value}"))),
                    _ => step.headers.push((key.to_owned(), value)),
                }
            }
            _ => draft.warnings.push(format!(
                "the security scheme `{name}` is left out: a step cannot say it"
            )),
        }
    }
}

/// What is expected: the documented status, and the schema of its body.
fn answer(api: &Api, operation: &Json, step: &mut Step, draft: &mut Draft) {
    let empty = Map::new();
    let all = operation["responses"].as_object().unwrap_or(&empty);
    let mut statuses: Vec<&String> = all.keys().filter(|s| s.starts_with('2')).collect();
    statuses.sort();
    let chosen = statuses
        .first()
        .copied()
        .or_else(|| all.keys().find(|s| s.starts_with('3')));
    let (status, response) = match chosen {
        Some(s) => (s.as_str(), api.follow(&all[s.as_str()])),
        None => (
            "",
            all.get("default").map_or(&Json::Null, |d| api.follow(d)),
        ),
    };
    step.expect.push(match status.parse::<u16>() {
        Ok(code) => {
            if (300..400).contains(&code) {
                step.redirects = Some(0);
            }
            format!("status == {code}")
        }
        Err(_) if status.starts_with('2') => "status >= 200 && status < 300".into(),
        Err(_) => "status < 400".into(),
    });
    let others: Vec<&str> = all
        .keys()
        .map(String::as_str)
        .filter(|s| *s != status)
        .collect();
    if !others.is_empty() {
        step.hints.push(format!(
            "Also documented: {}. Write a scenario for each that users meet.",
            others.join(", ")
        ));
    }
    let content = response["content"].as_object().into_iter().flatten();
    let media = content
        .into_iter()
        .find(|(k, _)| is_json(k))
        .map(|(_, m)| m);
    let Some(schema) = media.and_then(|m| m.get("schema")) else {
        return;
    };
    let schema = converted(api, schema);
    match jsonschema_ok(&schema) {
        Ok(()) => step.schema = Some(schema),
        Err(why) => draft
            .warnings
            .push(format!("the schema of the answer is left out: {why}")),
    }
}

/// Whether the reader of scenarios takes a schema.
fn jsonschema_ok(schema: &Json) -> Result<(), String> {
    use prodmirror_model::check::predicate::Asked;
    use prodmirror_model::source::Span;
    use prodmirror_model::yaml::Node;
    if !fits(schema) {
        return Err("it has numbers that YAML cannot hold".into());
    }
    let node = Node::from_json(schema, &Span::generated());
    let read = Asked::read("schema", &Span::generated(), &node);
    read.map(|_| ())
        .map_err(|p| p.first().map_or_else(String::new, |p| p.message.clone()))
}

impl Api {
    /// The value at a JSON pointer.
    pub fn at(&self, pointer: &str) -> Option<&Json> {
        self.root.pointer(pointer)
    }

    /// Whether it is of 3.0, whose schemas are of an older dialect.
    pub fn is_old(&self) -> bool {
        self.root["openapi"]
            .as_str()
            .is_some_and(|v| v.starts_with("3.0"))
    }
}
