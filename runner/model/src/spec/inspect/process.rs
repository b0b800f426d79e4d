//! What a container runs, as whom, and how it is ended.

use std::collections::HashMap;

use crate::fidelity::{Class, Severity};
use crate::policy::MISSING_IMAGE;
use crate::source::Span;
use crate::yaml::{Entry, Mapping, Node, Value};

use super::capture::bare_id;
use super::draft::Draft;
use super::field::{copy_texts, filled, int, is_on, list, mapping, object, text, texts};
use super::labels;

pub(super) fn read(d: &mut Draft<'_>) {
    image(d);
    command(d);
    environment(d);
    if let Some(labels) = labels::own(d.c) {
        d.set("labels", labels);
    }
    for (field, key) in [
        ("User", "user"),
        ("WorkingDir", "working_dir"),
        ("StopSignal", "stop_signal"),
    ] {
        let image = d.c.image_config().and_then(|i| text(i, field));
        let own = text(d.c.config, field);
        match filled(d.c.config, field) {
            Some(node) if own != image => d.set(key, node.clone()),
            _ => {}
        }
    }
    names(d);
    for (field, key) in [("Tty", "tty"), ("OpenStdin", "stdin_open")] {
        if let Some(node) = d.c.config.get(field).filter(|_| is_on(d.c.config, field)) {
            d.set(key, node.clone());
        }
    }
    if let Some(seconds) = int(d.c.config, "StopTimeout")
        && let Some(node) = d.c.config.get("StopTimeout")
    {
        d.set(
            "stop_grace_period",
            Node::str(format!("{seconds}s"), node.span.clone()),
        );
    }
    health(d);
}

/// The reference, by digest when the image's inspection has one for its repository.
fn image(d: &mut Draft<'_>) {
    let Some(node) = filled(d.c.config, "Image") else {
        return unnamed(d, &d.c.node.span);
    };
    let reference = node.as_str().unwrap_or("").to_owned();
    let Some(inspected) = d.c.image else {
        frozen(d, &node.span);
        return image_as(d, &reference, node);
    };
    if let Some(platform) = platform(inspected) {
        d.set("platform", platform);
    }
    let tags = texts(inspected, "RepoTags");
    let by_tag = tags.iter().any(|t| same_reference(t, &reference));
    let named = if is_identity(&reference) {
        tags.first().map(|t| (*t).to_owned())
    } else {
        Some(reference.clone())
    };
    let digest = named.as_deref().and_then(|r| digest(inspected, r));
    if !tags.is_empty() && !by_tag && !is_identity(&reference) && !reference.contains('@') {
        let severity = if digest.is_some() {
            Severity::Low
        } else {
            Severity::High
        };
        let record = d.note("image.tag", Class::Unknown, severity, &node.span);
        record.declared.clone_from(&reference);
        record.reason = "the tag means another image by now than the one that runs".to_owned();
    }
    match (named, digest) {
        (Some(r), Some((digest, at))) if !r.contains('@') => {
            d.set("image", Node::str(format!("{r}@{digest}"), at));
        }
        (Some(r), _) => image_as(d, &r, node),
        (None, _) => image_as(d, &reference, node),
    }
}

/// The reference as it is, unless it names an image of that host only.
fn image_as(d: &mut Draft<'_>, reference: &str, node: &Node) {
    if is_identity(reference) {
        unnamed(d, &node.span);
        let record = d.note(
            "image.reference",
            Class::Unknown,
            Severity::Blocker,
            &node.span,
        );
        reference.clone_into(&mut record.declared);
        record.reason =
            "it is the identity of an image on one engine; no registry has it".to_owned();
        record.raise = "add `docker image inspect` to the capture".to_owned();
        return;
    }
    d.set("image", Node::str(reference, node.span.clone()));
}

/// The policy asks for the image, unless `mirror.yaml` names one.
fn unnamed(d: &mut Draft<'_>, span: &Span) {
    let missing = format!("{MISSING_IMAGE}{}", d.c.service.to_lowercase());
    d.set("image", Node::str(missing, span.clone()));
}

fn frozen(d: &mut Draft<'_>, span: &Span) {
    let record = d.note("image.config", Class::Unknown, Severity::Medium, span);
    record.reason =
        "the image's inspection is not in the capture: what it says (env, command, labels, health check…) stands as if it had been asked for, and another release's is not used"
            .to_owned();
    record.raise = "add `docker image inspect` of the images to the capture".to_owned();
}

/// Whether a reference is an image's identity: a hash, or its first digits.
fn is_identity(reference: &str) -> bool {
    let bare = bare_id(reference);
    let hex = |n: usize| bare.len() == n && bare.bytes().all(|b| b.is_ascii_hexdigit());
    reference.starts_with("sha256:") || hex(64) || hex(12)
}

/// The digest that the registry of a reference knows the image by, and where it stands.
fn digest(image: &Node, reference: &str) -> Option<(String, Span)> {
    list(image, "RepoDigests").iter().find_map(|node| {
        let (repository, digest) = node.as_str()?.split_once('@')?;
        let same = familiar(repository) == familiar(repository_of(reference));
        same.then(|| (digest.to_owned(), node.span.clone()))
    })
}

/// A reference without its tag and digest.
fn repository_of(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// A repository as people write it.
fn familiar(repository: &str) -> &str {
    let hub = repository
        .strip_prefix("docker.io/")
        .or_else(|| repository.strip_prefix("index.docker.io/"))
        .unwrap_or(repository);
    hub.strip_prefix("library/").unwrap_or(hub)
}

fn same_reference(tag: &str, reference: &str) -> bool {
    let name = reference.split('@').next().unwrap_or(reference);
    let has_tag = repository_of(name) != name;
    let name = familiar(name);
    if has_tag {
        familiar(tag) == name
    } else {
        familiar(tag).strip_suffix(":latest") == Some(name)
    }
}

/// `os/arch[/variant]`
fn platform(image: &Node) -> Option<Node> {
    let arch = filled(image, "Architecture")?;
    let os = text(image, "Os")?;
    let mut platform = format!("{os}/{}", arch.as_str()?);
    if let Some(variant) = text(image, "Variant") {
        platform = format!("{platform}/{variant}");
    }
    Some(Node::str(platform, arch.span.clone()))
}

/// The program and its arguments. The engine shows what came of the image's and the asked-for
/// ones, so an absent program means that there is none, whatever the image says.
fn command(d: &mut Draft<'_>) {
    let config = d.c.config;
    let (program, arguments) = (texts(config, "Entrypoint"), texts(config, "Cmd"));
    if program.is_empty() && arguments.is_empty() {
        return started(d);
    }
    let set = |d: &mut Draft<'_>, field: &str, key: &str| {
        let node = match d.c.config.get(field).filter(|n| !n.is_null()) {
            Some(node) => copy_texts(node),
            None => Node::new(Value::Seq(Vec::new()), d.c.config.span.clone()),
        };
        d.set(key, node);
    };
    let image = d.c.image_config();
    let same_program = image.is_some_and(|i| texts(i, "Entrypoint") == program);
    let same_arguments = image.is_some_and(|i| texts(i, "Cmd") == arguments);
    if same_program && same_arguments {
        return;
    }
    // A program that is given takes the image's arguments away: where there are none, the
    // image's own program must have been given.
    if !same_program || arguments.is_empty() {
        set(d, "Entrypoint", "entrypoint");
    }
    if !arguments.is_empty() {
        set(d, "Cmd", "command");
    }
}

/// Old or partial captures have only what was started.
fn started(d: &mut Draft<'_>) {
    let Some(path) = filled(d.c.node, "Path") else {
        return;
    };
    let mut items = vec![path.clone()];
    let arguments = list(d.c.node, "Args").iter();
    items.extend(arguments.filter(|n| n.as_str().is_some()).cloned());
    d.set(
        "entrypoint",
        Node::new(Value::Seq(items), path.span.clone()),
    );
}

fn environment(d: &mut Draft<'_>) {
    let entry = |n: &Node| {
        let text = n.as_str()?;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let found = (name.to_owned(), value.map(str::to_owned), n.span.clone());
        (!name.is_empty()).then_some(found)
    };
    let own: Vec<_> = list(d.c.config, "Env").iter().filter_map(entry).collect();
    let image: HashMap<String, Option<String>> = match d.c.image_config() {
        Some(i) => list(i, "Env")
            .iter()
            .filter_map(entry)
            .map(|(name, value, _)| (name, value))
            .collect(),
        None => HashMap::new(),
    };
    let mut out = Mapping::default();
    for (name, value, span) in &own {
        if value.is_some() && image.get(name) == Some(value) {
            continue;
        }
        let value = value.clone().map_or(Value::Null, Value::Str);
        insert(&mut out, name, Node::new(value, span.clone()));
    }
    // A variable of the image that the container does not have was removed.
    let span = d.c.config.get("Env").map_or(&d.c.config.span, |n| &n.span);
    for name in image.keys().filter(|k| !own.iter().any(|(n, ..)| n == *k)) {
        insert(&mut out, name, Node::new(Value::Null, span.clone()));
    }
    if !out.is_empty() {
        let span = span.clone();
        d.set("environment", Node::new(Value::Map(out), span));
    }
}

fn insert(out: &mut Mapping, name: &str, node: Node) {
    let key = node.span.clone();
    let entry = Entry {
        key,
        key_is_string: true,
        node,
    };
    out.0.insert(name.to_owned(), entry);
}

/// Names of the container, but for those that the engine gives by itself.
fn names(d: &mut Draft<'_>) {
    let mode = text(d.c.host, "NetworkMode").unwrap_or("");
    let shared = mode == "host" || mode.starts_with("container:");
    if let Some(node) = filled(d.c.config, "Hostname")
        && !shared
        && !d.c.id.starts_with(node.as_str().unwrap_or(""))
    {
        d.set("hostname", node.clone());
    }
    if let Some(node) = filled(d.c.config, "Domainname").filter(|_| !shared) {
        d.set("domainname", node.clone());
    }
    let usual = d.c.project.is_some_and(|p| {
        let names = labels::service(object(d.c.config, "Labels"));
        let service = names.service.unwrap_or_default();
        let plain = |sep: char| format!("{p}{sep}{service}{sep}{}", d.c.number);
        d.c.name == plain('-')
            || d.c.name == plain('_')
            || d.c.name.starts_with(&format!("{p}_{service}."))
    });
    let fits = d.c.name.len() > 1 && d.c.name == super::field::key_of(d.c.name);
    if let Some(node) = filled(d.c.node, "Name")
        && !usual
        && fits
        && d.c.name != d.c.service
    {
        d.set("container_name", Node::str(d.c.name, node.span.clone()));
    }
}

/// The health check. The engine merges it field by field with the image's, so one that is
/// different is given whole.
fn health(d: &mut Draft<'_>) {
    let Some(check) = filled(d.c.config, "Healthcheck") else {
        return;
    };
    let image = d.c.image_config().and_then(|i| filled(i, "Healthcheck"));
    if image.is_some_and(|i| i.same_value(check)) {
        return;
    }
    let test = texts(check, "Test");
    if test.first() == Some(&"NONE") {
        let disable = Node::bool(true, check.span.clone());
        let node = mapping(&check.span, [("disable", Some(disable))]);
        return d.set("healthcheck", node);
    }
    let duration = |field: &str| {
        let nanos = int(check, field)?;
        let span = check.get(field)?.span.clone();
        Some(Node::str(duration(nanos), span))
    };
    let node = mapping(
        &check.span,
        [
            (
                "test",
                check
                    .get("Test")
                    .filter(|_| !test.is_empty())
                    .map(copy_texts),
            ),
            ("interval", duration("Interval")),
            ("timeout", duration("Timeout")),
            ("start_period", duration("StartPeriod")),
            ("start_interval", duration("StartInterval")),
            ("retries", filled(check, "Retries").cloned()),
        ],
    );
    d.set("healthcheck", node);
}

/// Nanoseconds as Compose writes a duration.
fn duration(nanos: i64) -> String {
    for (unit, name) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] {
        if nanos % unit == 0 {
            return format!("{}{name}", nanos / unit);
        }
    }
    format!("{nanos}ns")
}
