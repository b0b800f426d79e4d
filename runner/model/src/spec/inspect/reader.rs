//! A capture into one document.

use crate::diag::{Problem, ProblemKind, Problems};
use crate::fidelity::{Class, Record, Severity};
use crate::source::Span;
use crate::spec::{Sources, Translation};
use crate::stack::encode;
use crate::yaml::{Mapping, Node, Value, ViaKind};

use super::capture::Capture;
use super::container::{self, Container};
use super::draft::Draft;
use super::field::{mapping, text};
use super::labels;
use super::mounts::{self, Mount};
use super::objects::{self, Used};
use super::secret::{self, Masked, Secrets};
use super::supply::{Given, Supplied, Supply};
use super::{limits, network, process, replicas, rest, security, state};

/// Paths of the host that no project holds: the policy decides about them.
const OF_THE_HOST: [&str; 12] = [
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/var/run",
    "/boot",
    "/lib/modules",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/etc/localtime",
    "/etc/timezone",
    "/usr/share/zoneinfo",
];

/// A path of the host whose content nobody gave.
struct Missing {
    service: String,
    target: String,
    source: String,
    suggestion: String,
    span: Span,
}

/// What is read, and what has been made of it so far.
pub(super) struct Reader<'r> {
    sources: &'r Sources<'r>,
    capture: &'r Capture,
    /// All containers.
    pub containers: &'r [Container<'r>],
    supply: Supply,
    networks: Used,
    volumes: Used,
    configs: Mapping,
    secrets: Secrets,
    masked: Masked,
    missing: Vec<Missing>,
    records: Vec<Record>,
    /// What refuses the capture, told with all else.
    pub problems: Vec<Problem>,
}

impl<'r> Reader<'r> {
    /// Nothing made yet.
    pub fn new(
        sources: &'r Sources<'r>,
        capture: &'r Capture,
        containers: &'r [Container<'r>],
    ) -> Self {
        let mut problems = Problems::default();
        let mut services: Vec<&str> = containers.iter().map(|c| c.service.as_str()).collect();
        services.sort_unstable();
        services.dedup();
        let supply = Supply::read(sources, &services, &mut problems);
        Self {
            sources,
            capture,
            containers,
            supply,
            networks: Used::new(),
            volumes: Used::new(),
            configs: Mapping::default(),
            secrets: Secrets::default(),
            masked: Masked::default(),
            missing: Vec::new(),
            records: Vec::new(),
            problems: problems.0,
        }
    }

    /// The key of a network.
    pub fn network(&mut self, name: &str, project: Option<&str>, span: &Span) -> String {
        let found = self.capture.network(name);
        objects::key(
            &mut self.networks,
            name,
            found,
            labels::NETWORK,
            project,
            span,
        )
    }

    /// The key of a volume.
    pub fn volume(&mut self, name: &str, project: Option<&str>, span: &Span) -> String {
        let found = self.capture.volume(name);
        objects::key(
            &mut self.volumes,
            name,
            found,
            labels::VOLUME,
            project,
            span,
        )
    }

    /// The document, and everything to say about it.
    pub fn translate(mut self) -> Result<Translation, Problems> {
        let mut services = Mapping::default();
        for group in replicas::groups(self.containers) {
            let drafts = group.into_iter().map(|c| self.draft(c)).collect();
            if let Some((name, node, records)) = replicas::join(drafts) {
                self.records.extend(records);
                services.insert(name, node);
            }
        }
        self.left_out();
        let project = container::project(self.containers);
        let mut document = Mapping::default();
        let first = self.containers.first();
        let span = first.map_or_else(Span::generated, |c| c.node.span.clone());
        if let Some(project) = project {
            document.insert("name", Node::str(project, span.clone()));
        }
        document.insert("services", Node::new(Value::Map(services), span.clone()));
        let networks = objects::networks(
            &self.networks,
            self.capture,
            self.containers,
            project,
            &mut self.records,
        );
        let volumes = objects::volumes(&self.volumes, self.capture, project, &mut self.records);
        let configs = (!self.configs.is_empty())
            .then(|| Node::new(Value::Map(std::mem::take(&mut self.configs)), span.clone()));
        let sections = [
            ("networks", networks),
            ("volumes", volumes),
            ("configs", configs),
            ("secrets", self.secrets.node()),
        ];
        for (key, node) in sections {
            if let Some(node) = node {
                document.insert(key, node);
            }
        }
        if let Some(problem) = missing(&self.missing) {
            self.problems.push(problem);
        }
        self.problems.extend(self.masked.problem());
        let mut translation = Translation::empty();
        translation.beyond.asked = std::mem::take(&mut self.masked.asked);
        translation.document = Node::new(Value::Map(document), span);
        translation.records = self.records;
        translation.warnings.clone_from(&self.capture.warnings);
        translation.warnings.extend(self.problems);
        Ok(translation)
    }

    fn draft<'c>(&mut self, c: &'c Container<'c>) -> Draft<'c> {
        let mut d = Draft::new(c);
        process::read(&mut d);
        self.declared_secrets(&mut d);
        limits::read(&mut d);
        security::read(&mut d, self.containers);
        network::read(&mut d, self);
        mounts::read(&mut d, self);
        self.depends_on(&mut d);
        self.named_secrets(&mut d);
        rest::read(&mut d);
        state::read(&mut d);
        d
    }

    /// Values of secrets that `mirror.yaml` gives take the place of the captured ones, and of
    /// masks.
    fn declared_secrets(&mut self, d: &mut Draft<'_>) {
        self.masked.given(d, self.sources.secrets);
        for (_, node) in d.out.iter_mut() {
            self.masked.unmask(node, self.sources.secrets);
        }
    }

    fn depends_on(&self, d: &mut Draft<'_>) {
        let mut out = Mapping::default();
        for dependency in labels::dependencies(d.c) {
            let other = self.containers.iter().find(|o| {
                let own = labels::service(super::field::object(o.config, "Labels")).service;
                o.project == d.c.project && own.as_deref() == Some(dependency.service)
            });
            match other {
                Some(other) => out.insert(other.service.clone(), dependency.node),
                None => {
                    let field = format!("depends_on.{}", dependency.service);
                    let span = dependency.node.span.clone();
                    let record = d.note(field, Class::Dropped, Severity::High, &span);
                    record.reason = "that service is not in the capture".to_owned();
                    record.raise =
                        "capture all containers of the project, stopped ones too: `docker ps -aq`"
                            .to_owned();
                }
            }
        }
        let span = out.iter().next().map(|(_, n)| n.span.clone());
        if let Some(span) = span {
            d.set("depends_on", Node::new(Value::Map(out), span));
        }
    }

    /// A path of the host in a container: what `supply` gives for it.
    pub fn bind(&mut self, d: &mut Draft<'_>, mount: Mount) {
        let given = self.supply.of(&d.c.service, &mount.target).cloned();
        if let Some(given) = given.or_else(|| self.supply.below(&mount.source)) {
            return self.give(d, &mount, &given);
        }
        let secret = self
            .secrets
            .of_file(&d.c.service, &mount.target, &mount.source, &mount.span);
        if let Some(name) = secret {
            let grant = secret::grant(&name, &mount.target, &mount.span);
            return d.push("secrets", grant);
        }
        if is_of_the_host(&mount.source) {
            return d.push("volumes", mount.node());
        }
        self.not_given(d, &mount);
    }

    fn not_given(&mut self, d: &mut Draft<'_>, mount: &Mount) {
        let suggestion = suggestion(d.c, mount);
        let field = format!("volumes[{}].content", mount.target);
        let known = self
            .missing
            .iter()
            .any(|m| m.service == d.c.service && m.target == mount.target);
        let line = Missing {
            service: d.c.service.clone(),
            target: mount.target.clone(),
            source: mount.source.clone(),
            suggestion,
            span: mount.span.clone(),
        };
        let record = d.note(field, Class::Dropped, Severity::Blocker, &mount.span);
        record.declared.clone_from(&mount.source);
        record.reason = "an inspection does not show what files hold".to_owned();
        record.raise = block(std::slice::from_ref(&line));
        if !known {
            self.missing.push(line);
        }
    }

    /// What `supply` gives takes the place of a path of the host.
    fn give(&mut self, d: &mut Draft<'_>, mount: &Mount, supplied: &Supplied) {
        let place = &supplied.node.span;
        let mut severity = Severity::Low;
        let actual = match &supplied.given {
            Given::Path(path) => {
                let mut given = mount.clone();
                given.kind = "bind".to_owned();
                given.source = path.to_string_lossy().into_owned();
                given.options = Mapping::default();
                let mut node = given.node();
                node.add_via_leaves(&ViaKind::Supply, place);
                d.push("volumes", node);
                let shown = path.strip_prefix(self.sources.root).unwrap_or(path);
                shown.to_string_lossy().into_owned()
            }
            Given::Content(content) => {
                let name = self.config(&d.c.service, &mount.target, content, place);
                d.push("configs", secret::grant(&name, &mount.target, place));
                "the text of mirror.yaml".to_owned()
            }
            Given::Secret(name) => {
                self.secrets.add(name, &mount.source, place);
                d.push("secrets", secret::grant(name, &mount.target, place));
                format!("the secret {name}")
            }
            Given::Empty => {
                severity = Severity::Medium;
                let source = if mount.source.is_empty() {
                    &mount.target
                } else {
                    &mount.source
                };
                let mut given = mount.clone();
                given.kind = "volume".to_owned();
                let name = format!("supplied-{}", slug(source));
                given.source = self.volume(&name, None, place);
                given.options = Mapping::default();
                given
                    .options
                    .insert("nocopy", Node::bool(true, place.clone()));
                d.push("volumes", given.node());
                "an empty volume".to_owned()
            }
            Given::Host => return d.push("volumes", mount.node()),
        };
        let field = format!("volumes[{}].content", mount.target);
        let record = d.note(field, Class::Substituted, severity, &mount.span);
        record.declared.clone_from(&mount.source);
        record.actual = actual;
        record.reason = "`supply` gives it; an inspection does not show what files hold".to_owned();
    }

    fn config(&mut self, service: &str, target: &str, content: &str, span: &Span) -> String {
        let name = format!("{service}-{}", slug(target));
        let mut text = Node::str(content, span.clone());
        text.add_via(ViaKind::Supply, span.clone());
        let node = mapping(span, [("content", Some(text))]);
        self.configs.insert(name.clone(), node);
        name
    }

    /// Files that are given although no mount is shown: those that Compose copied.
    pub fn files_beyond_mounts(&mut self, d: &mut Draft<'_>) {
        let given: Vec<(String, Supplied)> = self
            .supply
            .of_service(&d.c.service)
            .filter(|(target, _)| !d.targets.iter().any(|t| t == target))
            .map(|(target, s)| (target.to_owned(), s.clone()))
            .collect();
        for (target, supplied) in given {
            let mount = Mount {
                kind: "bind".to_owned(),
                source: String::new(),
                target,
                read_only: true,
                options: Mapping::default(),
                span: supplied.node.span.clone(),
            };
            self.give(d, &mount, &supplied);
        }
    }

    /// Secrets that the service reads from files which no inspection shows.
    fn named_secrets(&mut self, d: &mut Draft<'_>) {
        for (path, span) in secret::named(d) {
            let given = self.supply.of(&d.c.service, &path).is_some();
            if given || d.targets.contains(&path) {
                continue;
            }
            let Some(name) = secret::in_directory(&path).map(str::to_owned) else {
                continue;
            };
            self.secrets.add(&name, "", &span);
            d.push("secrets", secret::grant(&name, &path, &span));
            let record = d.note(
                format!("secrets.{name}"),
                Class::Unknown,
                Severity::Low,
                &span,
            );
            record.declared = path;
            record.reason =
                "the service names this file; an inspection does not show secrets that Compose copied"
                    .to_owned();
        }
    }

    /// Commands that somebody ran by hand are no part of production.
    fn left_out(&mut self) {
        let one_off = self
            .capture
            .containers
            .iter()
            .filter(|n| container::is_one_off(n));
        for node in one_off {
            let name = text(node, "Name").unwrap_or("").trim_start_matches('/');
            let object = format!("container:{name}");
            let mut record =
                Record::new(object, "container", Class::Dropped, Severity::Info).at(&node.span);
            record.rule = super::draft::RULE.to_owned();
            record.reason =
                "`docker compose run` made it: somebody's command, no service".to_owned();
            self.records.push(record);
        }
    }
}

fn is_of_the_host(source: &str) -> bool {
    let below = |dir: &str| {
        source
            .strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    source == "/" || source.ends_with(".sock") || OF_THE_HOST.iter().any(|d| below(d))
}

/// A path as a part of a name.
fn slug(path: &str) -> String {
    let parts = path.split(|c: char| !c.is_ascii_alphanumeric());
    let parts: Vec<String> = parts
        .filter(|p| !p.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if parts.is_empty() {
        "root".to_owned()
    } else {
        parts.join("-")
    }
}

/// What to write for a path: where Compose had it, as seen from its file.
fn suggestion(c: &Container<'_>, mount: &Mount) -> String {
    let in_project = c
        .label(labels::WORKING_DIR)
        .and_then(|dir| mount.source.strip_prefix(dir)?.strip_prefix('/'));
    let name = mount.source.trim_end_matches('/').rsplit('/').next();
    let path = in_project.or(name).unwrap_or("PATH");
    let is_file = path
        .rsplit('/')
        .next()
        .is_some_and(|n| n.trim_start_matches('.').contains('.'));
    if mount.read_only || is_file {
        format!("{{ file: {} }}", encode::key(path))
    } else {
        "{ empty: true }".to_owned()
    }
}

/// The block for `mirror.yaml`.
fn block(missing: &[Missing]) -> String {
    let mut lines = vec!["supply:".to_owned(), "  files:".to_owned()];
    let mut services: Vec<&str> = missing.iter().map(|m| m.service.as_str()).collect();
    services.dedup();
    for service in services {
        lines.push(format!("    {}:", encode::key(service)));
        for m in missing.iter().filter(|m| m.service == service) {
            let key = encode::key(&m.target);
            lines.push(format!("      {key}: {}", m.suggestion));
        }
    }
    lines.join("\n")
}

/// All that is missing, at once.
fn missing(missing: &[Missing]) -> Option<Problem> {
    let first = missing.first()?;
    let what = match missing.len() {
        1 => format!(
            "`{}` mounts `{}` of its host, whose content an inspection does not show",
            first.service, first.source
        ),
        n => format!("{n} mounts of the host's files: an inspection does not show their content"),
    };
    let mut problem = Problem::at(ProblemKind::Missing, &first.span, what);
    for m in missing.iter().skip(1) {
        problem = problem.related(&m.span, format!("`{}` mounts `{}`", m.service, m.source));
    }
    Some(problem.help(format!(
        "supply them in mirror.yaml ({{ file: PATH }}, {{ content: TEXT }}, {{ secret: NAME }}, {{ empty: true }}):\n{}",
        block(missing)
    )))
}
