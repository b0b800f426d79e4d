//! `render`: the stack that would be started.

use super::Session;
use super::engine::host_arch;
use crate::exit::Exit;
use crate::open::Opened;

/// Prints the stack.
pub fn run(session: &Session) -> Exit {
    let opened = match Opened::open(&session.global, &session.context, host_arch()) {
        Ok(opened) => opened,
        Err(problems) => {
            session.tell(&problems, &prodmirror_model::redact::Redactor::new());
            return Exit::Invalid;
        }
    };
    session.tell(&opened.problems, &opened.redactor);
    match opened.shown_stack() {
        Some(stack) => {
            session.print(&opened.redactor.redact(&stack.text.file.text));
            Exit::Ok
        }
        None => Exit::Invalid,
    }
}
