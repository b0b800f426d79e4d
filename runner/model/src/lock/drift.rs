//! What is no longer as the lock says.

use std::collections::BTreeMap;

use super::{Facts, Lock, Needed, Pin};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::mirror::Sourced;
use crate::source::Span;

/// What an image reference stands for at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// This.
    Is(Pin),
    /// Nothing that the registry or the engine knows; why.
    Missing(String),
    /// Nobody could say; why.
    Unanswered(String),
}

/// A mirror at present.
#[derive(Debug, Clone, Default)]
pub struct Now {
    /// The images that it needs, each with what it stands for.
    pub images: BTreeMap<String, (Needed, Seen)>,
    /// What its files say.
    pub facts: Facts,
    /// Version of the tool.
    pub tool: String,
}

/// Compares a lock with a mirror at present: an error ([`ProblemKind::Drift`]) for everything
/// that drifted, a warning for what could not be compared or holds only here.
pub fn drift(lock: &Lock, now: &Now) -> Problems {
    let mut found = Found::default();
    for (name, (needed, seen)) in &now.images {
        match lock.images.get(name) {
            Some(pin) => found.image(name, pin, (needed, seen)),
            None if needed.given => {}
            None => found.drift(
                None,
                format!("the image {name} of {} is not in the lock", of(needed)),
                "`prodmirror lock` adds it",
            ),
        }
    }
    // An image of the command line stands for one that is not needed in this run.
    let replaced = now.images.values().any(|(n, _)| n.given);
    for (name, pin) in &lock.images {
        if !replaced && !now.images.contains_key(name) {
            found.drift(
                Some(&pin.span),
                format!("no service needs the image {name} any more"),
                "`prodmirror lock` takes it out",
            );
        }
    }
    let (then, facts) = (&lock.facts, &now.facts);
    found.all("the section of mirror.yaml", &then.project, &facts.project);
    found.all("the source", &then.sources, &facts.sources);
    found.all("the config", &then.configs, &facts.configs);
    found.all("the variable of the shell", &then.env, &facts.env);
    // A snapshot that is not here is told when it is needed.
    let data = super::renew::with_manifests(facts.clone(), then).data;
    found.all("the data of the volume", &then.data, &data);
    if lock.tool != now.tool {
        found.note(
            None,
            format!(
                "the lock was written by version {}, this is {}",
                lock.tool, now.tool
            ),
            "`prodmirror lock` writes it anew",
        );
    }
    found.problems
}

fn of(needed: &Needed) -> String {
    needed.services.join(", ")
}

#[derive(Default)]
struct Found {
    problems: Problems,
}

impl Found {
    fn image(&mut self, name: &str, pin: &Sourced<Pin>, (needed, seen): (&Needed, &Seen)) {
        let services = of(needed);
        let update = format!(
            "the locked one runs all the same; `prodmirror lock --update {}` takes the new one",
            needed.services.join(" ")
        );
        match (&pin.value, seen) {
            (_, Seen::Unanswered(why)) => self.note(
                Some(&pin.span),
                format!("nobody could say whether the image {name} of {services} moved: {why}"),
                "the locked one runs; ask again when its registry answers",
            ),
            (Pin::Local { id, .. }, Seen::Missing(_)) => self.drift(
                Some(&pin.span),
                format!(
                    "the image {name} of {services} is local only, and this engine does not have {}",
                    id.short()
                ),
                "build it here and run `prodmirror lock --update`, or push it so that others can have it",
            ),
            (Pin::Registry { .. }, Seen::Missing(why)) => self.drift(
                Some(&pin.span),
                format!("the image {name} of {services} is gone from its registry: {why}"),
                "push it again, or name another one; its locked digest may still be there",
            ),
            (Pin::Local { id, .. }, Seen::Is(Pin::Local { id: now, .. })) if id == now => self.note(
                Some(&pin.span),
                format!("the image {name} of {services} is local only: no registry has {}", id.short()),
                "push it, then run `prodmirror lock --update`, so that others can have it",
            ),
            (Pin::Registry { digest, .. }, Seen::Is(Pin::Registry { digest: now, .. }))
                if digest == now => {}
            (Pin::Registry { .. }, Seen::Is(now @ Pin::Local { .. })) => self.drift(
                Some(&pin.span),
                format!(
                    "the image {name} of {services} is local only now: locked {}, here {}",
                    pin.described(),
                    now.described()
                ),
                update,
            ),
            (_, Seen::Is(now)) => self.drift(
                Some(&pin.span),
                format!(
                    "the image {name} of {services} moved from {} to {}",
                    pin.described(),
                    now.described()
                ),
                update,
            ),
        }
    }

    /// Compares the facts of a section.
    fn all<T: PartialEq>(
        &mut self,
        what: &str,
        then: &BTreeMap<String, Sourced<T>>,
        now: &BTreeMap<String, Sourced<T>>,
    ) {
        const TAKE: &str = "see what changed; `prodmirror lock` takes it as it is now";
        for (name, old) in then {
            let how = match now.get(name) {
                None => "is gone",
                Some(new) if new.value != old.value => "changed",
                Some(_) => continue,
            };
            self.drift(Some(&old.span), format!("{what} {name} {how}"), TAKE);
        }
        for name in now.keys().filter(|name| !then.contains_key(*name)) {
            self.drift(None, format!("{what} {name} is not in the lock"), TAKE);
        }
    }

    fn drift(&mut self, span: Option<&Span>, message: String, help: impl Into<String>) {
        let mut problem = Problem::new(ProblemKind::Drift, message).help(help);
        if let Some(span) = span {
            problem = problem.or_at(span);
        }
        self.problems.push(problem);
    }

    fn note(&mut self, span: Option<&Span>, message: String, help: &str) {
        self.drift(span, message, help);
        if let Some(p) = self.problems.0.pop() {
            self.problems.push(p.warning());
        }
    }
}
