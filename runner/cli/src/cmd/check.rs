//! `check`: project, specs and scenarios, without starting anything.

use prodmirror_model::diag::{Problem, ProblemKind};

use super::Session;
use super::engine::host_arch;
use crate::args::{CheckArgs, Format};
use crate::exit::Exit;
use crate::open::Opened;

/// Checks everything and says all that is wrong at once.
pub fn run(session: &Session, args: &CheckArgs) -> Exit {
    let opened = match Opened::open(&session.global, &session.context, host_arch()) {
        Ok(opened) => opened,
        Err(problems) => {
            session.tell(&problems, &prodmirror_model::redact::Redactor::new());
            return Exit::Invalid;
        }
    };
    let scenarios = opened.scenarios(&args.scenarios, &session.context.cwd);
    let mut problems = opened.problems.clone();
    problems
        .0
        .extend(opened.redactor.unsafe_secrets().iter().map(|s| {
            Problem::new(
                ProblemKind::InvalidValue,
                format!(
                    "the secret `{}` cannot be taken out of what is printed: {}",
                    s.name, s.reason
                ),
            )
            .warning()
            .help("use a longer value; what a mirror is given need not be production's")
        }));
    problems.0.extend(scenarios.problems.0.clone());
    session.tell(&problems, &opened.redactor);
    if problems.has_errors() {
        return Exit::Invalid;
    }
    let over = opened.compiled.fidelity.over(&opened.project.fidelity);
    if session.global.format == Format::Human {
        let services = opened.compiled.production.services.len();
        session.note(&format!(
            "{} scenario{} in {} file{}, {services} services of production: nothing is wrong\n{}",
            scenarios.programs.len(),
            plural(scenarios.programs.len()),
            scenarios.files.len(),
            plural(scenarios.files.len()),
            super::fidelity::line(&opened.compiled.fidelity),
        ));
    }
    if over.is_empty() {
        Exit::Ok
    } else {
        super::fidelity::gate(session, &over)
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
