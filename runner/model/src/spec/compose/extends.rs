//! `extends`: services that build on others, of the same file or of another one.

use std::sync::Arc;

use super::document::{self, Mode};
use super::files::{is_remote, remote_refused};
use super::lexical;
use super::merge;
use super::paths::Base;
use super::reset::Resets;
use super::session::{Context, Session};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::source::Span;
use crate::yaml::{Mapping, Node, Value, ViaKind};

/// A file that services are taken from: its services, canonical, their paths absolute.
pub(super) struct Extended {
    services: Mapping,
    resets: Resets,
}

/// Replaces every service of a document that extends another one by the two merged.
pub(super) fn apply(
    session: &mut Session<'_>,
    context: &Context,
    document: &mut Node,
    resets: &Resets,
    file: &str,
) -> Result<(), Problem> {
    let Some(node) = document.as_map_mut().and_then(|m| m.get_mut("services")) else {
        return Ok(());
    };
    let (kind, span) = (node.kind(), node.span.clone());
    let Some(services) = node.as_map_mut() else {
        return Err(Problem::at(
            ProblemKind::WrongType,
            &span,
            format!("`services` must be a mapping, not {kind}"),
        ));
    };
    let names: Vec<String> = services.keys().map(str::to_owned).collect();
    let mut extender = Extender { session, context };
    for name in names {
        let place = Place { file, resets };
        extender.service(&name, services, &place, &mut Vec::new())?;
    }
    Ok(())
}

/// Where the services are that are being looked at.
struct Place<'a> {
    file: &'a str,
    resets: &'a Resets,
}

/// One step of the way from a service to what it extends.
type Step = (String, String, Span);

struct Extender<'a, 's> {
    session: &'a mut Session<'s>,
    context: &'a Context,
}

/// What `extends` says.
struct Wanted {
    service: String,
    file: Option<(String, Span)>,
    span: Span,
}

impl Extender<'_, '_> {
    /// Merges a service with what it extends, in place.
    fn service(
        &mut self,
        name: &str,
        services: &mut Mapping,
        place: &Place<'_>,
        way: &mut Vec<Step>,
    ) -> Result<(), Problem> {
        let Some(node) = services.get(name).filter(|n| !n.is_null()) else {
            return Ok(());
        };
        let Some(service) = node.as_map() else {
            return Err(Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!("`services.{name}` must be a mapping, not {}", node.kind()),
            ));
        };
        let Some(extends) = service.get("extends") else {
            return Ok(());
        };
        let wanted = Wanted::read(extends, name)?;
        step(self.session, way, place.file, name, &wanted.span)?;
        let base = match &wanted.file {
            Some((path, span)) => self.base_in_file(name, &wanted, path, span, way)?,
            None => {
                if !services.contains_key(&wanted.service) {
                    return Err(missing(
                        name,
                        &wanted,
                        services,
                        &self.session.store.shown(place.file),
                    ));
                }
                self.service(&wanted.service, services, place, way)?;
                services.get(&wanted.service).cloned()
            }
        };
        way.pop();
        let Some(mut base) = base.filter(|b| !b.is_null()) else {
            return Ok(());
        };
        base.add_via_leaves(&ViaKind::Extends, &wanted.span);
        place.resets.apply_to_service(name, &mut base);
        let Some(node) = services.get_mut(name) else {
            return Ok(());
        };
        let span = node.span.clone();
        let own = std::mem::replace(node, Node::new(Value::Null, span.clone()));
        let mut merged = merge::services(base, own, name)?;
        merged.span = span;
        if let Some(map) = merged.as_map_mut() {
            map.remove("extends");
        }
        *node = merged;
        Ok(())
    }

    fn base_in_file(
        &mut self,
        name: &str,
        wanted: &Wanted,
        path: &str,
        span: &Span,
        way: &mut Vec<Step>,
    ) -> Result<Option<Node>, Problem> {
        if is_remote(path) {
            return Err(remote_refused(path, span));
        }
        let path = lexical::absolute(&self.context.dir, path);
        let extended = self.read(&path, name, span)?;
        let Some(service) = extended.services.get(&wanted.service) else {
            let shown = self.session.store.shown(&path);
            return Err(missing(name, wanted, &extended.services, &shown));
        };
        if service.get("extends").is_none() {
            return Ok(Some(service.clone()));
        }
        let mut services = extended.services.clone();
        let place = Place {
            file: &path,
            resets: &extended.resets,
        };
        self.service(&wanted.service, &mut services, &place, way)?;
        Ok(services.remove(&wanted.service))
    }

    /// The services of another file. Each file is brought into canonical form once for each
    /// set of variables.
    fn read(&mut self, path: &str, name: &str, span: &Span) -> Result<Arc<Extended>, Problem> {
        let env = Arc::as_ptr(&self.context.env) as usize;
        let known = (path.to_owned(), env);
        if let Some(extended) = self.session.extended.get(&known) {
            return Ok(extended.clone());
        }
        let empty = Node::map(span.clone());
        let at = (path.to_owned(), span.clone());
        let (mut document, resets) =
            document::load_file(self.session, self.context, &at, empty, Mode::Extended)?;
        Base {
            dir: &lexical::directory(path),
            home: self.session.home.as_deref(),
            store: &self.session.store,
        }
        .resolve(&mut document)?;
        let shown = self.session.store.shown(path);
        let services = document.as_map_mut().and_then(|m| m.remove("services"));
        let services = match services.map(|n| n.value) {
            Some(Value::Map(map)) => map,
            Some(_) => {
                return Err(Problem::at(
                    ProblemKind::WrongType,
                    span,
                    format!(
                        "service `{name}` extends one of {shown}, whose `services` is no mapping"
                    ),
                ));
            }
            None => {
                return Err(Problem::at(
                    ProblemKind::UnknownReference,
                    span,
                    format!("service `{name}` extends one of {shown}, which has no services"),
                ));
            }
        };
        let extended = Arc::new(Extended { services, resets });
        self.session.extended.insert(known, extended.clone());
        Ok(extended)
    }
}

impl Wanted {
    fn read(extends: &Node, name: &str) -> Result<Self, Problem> {
        let wrong = |at: &Node, what: &str| {
            Problem::at(
                ProblemKind::WrongType,
                &at.span,
                format!("`services.{name}.extends{what}, not {}", at.kind()),
            )
        };
        let (service, file) = match &extends.value {
            Value::Str(service) => (service.clone(), None),
            Value::Map(map) => {
                let service = match map.get("service") {
                    Some(node) => node
                        .as_str()
                        .ok_or_else(|| wrong(node, ".service` must be a name"))?,
                    None => {
                        return Err(Problem::at(
                            ProblemKind::Missing,
                            &extends.span,
                            format!("`services.{name}.extends` lacks `service`"),
                        ));
                    }
                };
                let file = match map.get("file").filter(|f| !f.is_null()) {
                    Some(node) => {
                        let path = node
                            .as_str()
                            .ok_or_else(|| wrong(node, ".file` must be a path"))?;
                        Some((path.to_owned(), node.span.clone()))
                    }
                    None => None,
                };
                (service.to_owned(), file)
            }
            _ => return Err(wrong(extends, "` must be a name or a mapping")),
        };
        Ok(Self {
            service,
            file,
            span: extends.span.clone(),
        })
    }
}

/// Notes a step of the way, and refuses to go in a circle.
fn step(
    session: &Session<'_>,
    way: &mut Vec<Step>,
    file: &str,
    name: &str,
    span: &Span,
) -> Result<(), Problem> {
    if let Some(from) = way.iter().position(|(f, n, _)| f == file && n == name) {
        let names = way[from..].iter().map(|(_, n, _)| n.as_str()).chain([name]);
        let names: Vec<&str> = names.collect();
        let shown = session.store.shown(file);
        return Err(Problem::at(
            ProblemKind::Cycle,
            span,
            format!(
                "services of {shown} extend each other in a circle: {}",
                names.join(" -> ")
            ),
        )
        .help("remove one of these `extends`"));
    }
    if way.len() > 100 {
        return Err(Problem::at(
            ProblemKind::TooLarge,
            span,
            "services extend each other over more than 100 steps",
        ));
    }
    way.push((file.to_owned(), name.to_owned(), span.clone()));
    Ok(())
}

fn missing(name: &str, wanted: &Wanted, services: &Mapping, file: &str) -> Problem {
    let problem = Problem::at(
        ProblemKind::UnknownReference,
        &wanted.span,
        format!(
            "service `{name}` extends `{}`, which is not in {file}",
            wanted.service
        ),
    );
    match nearest(&wanted.service, services.keys()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    }
}
