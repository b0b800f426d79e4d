//! Where a service names hosts.

use std::collections::{BTreeMap, HashMap};

use super::Mention;
use super::hosts::{Candidate, candidates, is_host_key};
use crate::mirror::{Argv, Mirror, MountKind, Service};
use crate::project::{Project, path};
use crate::source::Span;

/// Longer files are not searched for hosts.
const MAX_SEARCHED: u64 = 256 * 1024;

pub(super) struct Search<'s> {
    pub(super) service: &'s str,
    pub(super) found: &'s mut BTreeMap<Candidate, Vec<Mention>>,
}

impl Search<'_> {
    pub(super) fn service(&mut self, s: &Service, mirror: &Mirror, project: &Project) {
        let ports = ports_of(s);
        for var in &s.env {
            let Some(value) = &var.value else { continue };
            let by_key = is_host_key(&var.name);
            let mut hosts = candidates(value, by_key);
            for c in hosts.iter_mut().filter(|c| c.port.is_none()) {
                c.port = sibling_port(&ports, &var.name);
            }
            self.note(
                hosts,
                &format!("environment.{}", var.name.value),
                &value.span,
            );
        }
        for (field, argv) in [
            ("entrypoint", &s.process.entrypoint),
            ("command", &s.process.command),
        ] {
            if let Argv::Set(args) = &argv.value {
                for arg in args {
                    self.note(candidates(arg, false), field, &arg.span);
                }
            }
        }
        for entry in &s.network.extra_hosts {
            let host = entry.host.to_ascii_lowercase();
            let c = Candidate { host, port: None };
            self.note(vec![c], "extra_hosts", &entry.span);
        }
        self.files(s, mirror, project);
    }

    fn files(&mut self, s: &Service, mirror: &Mirror, project: &Project) {
        for used in &s.config_files {
            let Some(name) = &used.source else { continue };
            let Some(object) = mirror.config_files.get(name.as_str()) else {
                continue;
            };
            let field = format!("config {}", name.value);
            if let Some(content) = &object.content {
                self.body(content, &field, &content.span);
            } else if let Some(file) = &object.file {
                self.file(file, &field, &file.span, project);
            }
        }
        for m in s
            .mounts
            .list
            .iter()
            .filter(|m| m.kind.value == MountKind::Bind)
        {
            if let Some(source) = &m.source {
                let field = format!("file {}", source.rsplit('/').next().unwrap_or(source));
                self.file(source, &field, &m.span, project);
            }
        }
    }

    fn file(&mut self, file: &str, field: &str, span: &Span, project: &Project) {
        let written = crate::yaml::Spanned::new(file.to_owned(), span.clone());
        let Ok(path) = path::inside(&project.root, &project.root, &written) else {
            return;
        };
        let searched =
            std::fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= MAX_SEARCHED);
        if searched && let Ok(text) = std::fs::read_to_string(&path) {
            self.body(&text, field, span);
        }
    }

    /// A configuration file: URLs and `host:port` outside of comments.
    fn body(&mut self, text: &str, field: &str, span: &Span) {
        for line in text.lines() {
            let code = line.trim_start();
            if code.starts_with(['#', ';'])
                || code.starts_with("//")
                || code.contains("xmlns")
                || code.contains("$schema")
            {
                continue;
            }
            let hosts = candidates(code, false)
                .into_iter()
                .filter(|c| c.port.is_some() && !NOT_CALLED.contains(&c.host.as_str()))
                .collect();
            self.note(hosts, field, span);
        }
    }

    fn note(&mut self, hosts: Vec<Candidate>, field: &str, span: &Span) {
        for c in hosts {
            let mention = Mention {
                service: self.service.to_owned(),
                field: field.to_owned(),
                span: span.clone(),
            };
            let mentions = self.found.entry(c).or_default();
            // Services are searched one after the other: this one's mentions are the last.
            let known = mentions
                .iter()
                .rev()
                .take_while(|m| m.service == mention.service)
                .any(|m| m.field == mention.field);
            if !known {
                mentions.push(mention);
            }
        }
    }
}

/// Hosts that identify something and are not called.
const NOT_CALLED: [&str; 4] = [
    "www.w3.org",
    "json-schema.org",
    "schemas.xmlsoap.org",
    "xml.org",
];

/// The variables of a service that hold a port, by their names in upper case; the first of a name counts.
fn ports_of(s: &Service) -> HashMap<String, Option<u16>> {
    let mut ports = HashMap::new();
    let named = s.env.iter().filter(|v| ends_as_port(&v.name));
    for var in named {
        let port = || var.value.as_ref()?.parse().ok();
        ports
            .entry(var.name.to_ascii_uppercase())
            .or_insert_with(port);
    }
    ports
}

fn ends_as_port(name: &str) -> bool {
    let end = name.len().checked_sub(4).and_then(|at| name.get(at..));
    end.is_some_and(|end| end.eq_ignore_ascii_case("PORT"))
}

/// `SMTP_PORT` beside `SMTP_HOST`.
fn sibling_port(ports: &HashMap<String, Option<u16>>, name: &str) -> Option<u16> {
    let upper = name.to_ascii_uppercase();
    let stem = ["HOSTNAME", "HOST", "ADDRESS", "ADDR", "SERVER"]
        .iter()
        .find_map(|end| upper.strip_suffix(end))?;
    *ports.get(&format!("{stem}PORT"))?
}
