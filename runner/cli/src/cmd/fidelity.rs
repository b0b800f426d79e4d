//! How near a mirror is to production: what was decided, then what is read back from the
//! running containers, and the gate on both.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use prodmirror_engine::bus::Sink;
use prodmirror_engine::run::Observer;
use prodmirror_model::diag::{Problem, Problems};
use prodmirror_model::event::What;
use prodmirror_model::fidelity::{Fidelity, Record, Severity};
use prodmirror_model::flags::apply_to_mirror;
use prodmirror_model::mirror::Mirror;
use prodmirror_model::plan::{Observation, Plan, read_back_stack};
use prodmirror_model::project::FidelityGate;
use prodmirror_model::redact::Redactor;

use super::Session;
use super::flagged::Flagged;
use crate::exit::Exit;
use crate::open::Opened;

/// What policy and plan have decided.
pub fn planned(opened: &Opened, plan: &Plan) -> Fidelity {
    let mut fidelity = opened.compiled.fidelity.clone();
    fidelity
        .records
        .extend(plan.fidelity.records.iter().cloned());
    fidelity.accept(&opened.project.fidelity);
    fidelity
}

/// The fidelity of a run, as far as it is known, and where it is written.
pub struct Book {
    fidelity: Mutex<Fidelity>,
    gate: FidelityGate,
    /// The stack's mirror with the values of its secrets.
    mirror: Mirror,
    plan: Plan,
    root: PathBuf,
    redactor: Redactor,
    /// `fidelity.json`; absent = it is not written.
    file: Option<PathBuf>,
}

impl Book {
    /// What is known before anything runs; it is written at once.
    ///
    /// # Errors
    /// The stack has variables without a value, or the file cannot be written.
    pub fn open(
        opened: &Opened,
        plan: &Plan,
        file: Option<PathBuf>,
        flagged: &Flagged,
    ) -> Result<(Arc<Self>, std::io::Result<()>), Problems> {
        let stack = opened.stack().ok_or_else(Problems::default)?;
        let mut mirror = stack.with_values(&opened.project, &opened.values(stack)?)?;
        // What a local process took the place of has a record of its own.
        let played = |name: &str| {
            let mut own = plan.containers.iter().filter(|c| c.service == name);
            own.any(|c| !c.replaced.is_empty())
        };
        mirror.services.retain(|name, _| !played(name));
        let plan = match flagged.plans.get(&flagged.observed_key()) {
            Some(plan) => plan,
            None => plan,
        };
        if let Some(set) = &opened.flags.set {
            apply_to_mirror(&mut mirror, set, &flagged.observed);
        }
        let mut fidelity = planned(opened, plan);
        // The run knows in which cases.
        let told = |r: &Record| flagged.records.iter().any(|f| f.object == r.object);
        fidelity.records.retain(|r| !told(r));
        fidelity.add(flagged.records.iter().cloned());
        fidelity.accept(&opened.project.fidelity);
        let book = Self {
            fidelity: Mutex::new(fidelity),
            gate: opened.project.fidelity.clone(),
            mirror,
            plan: plan.clone(),
            root: opened.project.root.clone(),
            redactor: opened.redactor.clone(),
            file,
        };
        let written = book.write();
        Ok((Arc::new(book), written))
    }

    /// Takes what the engine shows of a running stack: into the book, its file, and the events.
    pub fn observer(self: &Arc<Self>, sink: Arc<dyn Sink>) -> Observer {
        let book = self.clone();
        Arc::new(move |stack, observation| book.observe(stack, &observation, &*sink))
    }

    fn observe(&self, stack: &str, observation: &Observation, sink: &dyn Sink) {
        let found = read_back_stack(&self.mirror, &self.plan, &self.root, observation);
        let what = {
            let mut fidelity = self.lock();
            fidelity.add(found);
            fidelity.accept(&self.gate);
            let totals = fidelity.totals().into_iter();
            What::Fidelity {
                stack: stack.to_owned(),
                mirrored: fidelity.mirrored(),
                differing: totals.map(|(s, n)| (s.to_string(), n)).collect(),
            }
        };
        sink.emit(what);
        if let Err(e) = self.write() {
            sink.emit(What::Warning {
                message: format!("fidelity.json could not be written: {e}"),
            });
        }
    }

    /// What the gate says in the end. `unread`: something ran, and could not be read back.
    pub fn shut(&self, unread: bool) -> Shut {
        let fidelity = self.lock();
        Shut {
            over: fidelity.over(&self.gate),
            // A gate that the project has set must not pass what nobody has seen.
            unread: unread && self.gate.is_set(),
            stale: if unread {
                Vec::new()
            } else {
                fidelity.stale(&self.gate)
            },
        }
    }

    fn write(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let json = serde_json::to_string_pretty(&*self.lock())?;
        std::fs::write(file, self.redactor.redact(&json).as_bytes())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Fidelity> {
        self.fidelity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the gate has to say of a run.
#[must_use]
pub struct Shut {
    /// Severities of which there are more differences than the project lets pass.
    over: Vec<(Severity, u32, u32)>,
    /// Nothing was read back.
    unread: bool,
    /// Accepted differences that there are none of.
    stale: Vec<Problem>,
}

impl Shut {
    /// Whether the run does not pass.
    pub fn is_shut(&self) -> bool {
        self.unread || !self.over.is_empty()
    }

    /// Says why the gate is closed, and what of it is out of date.
    pub fn tell(self, session: &Session) {
        session.tell(&Problems(self.stale), &Redactor::new());
        if self.unread {
            session.note(
                "the fidelity gate is closed: what ran could not be read back, so nobody knows how \
                 near it was to production\n  help: the warning above says why; \
                 run it again\n",
            );
        }
        gate(session, &self.over);
    }
}

/// Says which gate closed.
pub fn gate(session: &Session, over: &[(Severity, u32, u32)]) -> Exit {
    for (severity, found, allowed) in over {
        session.note(&format!(
            "the fidelity gate is closed: {found} facts of production with severity \
             {severity} are not mirrored, {allowed} are allowed\n  help: `prodmirror check \
             --format json` lists them; accept each by name under `fidelity.accept`\n"
        ));
    }
    Exit::Gate
}

/// Totals of what is not mirrored, in a line.
pub fn line(fidelity: &Fidelity) -> String {
    let totals: Vec<String> = fidelity
        .totals()
        .into_iter()
        .rev()
        .filter(|(_, n)| *n > 0)
        .map(|(severity, n)| format!("{n} {severity}"))
        .collect();
    if totals.is_empty() {
        "fidelity: every fact is mirrored\n".to_owned()
    } else {
        format!("fidelity: {}\n", totals.join(", "))
    }
}
