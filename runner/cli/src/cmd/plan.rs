//! `plan`: what the engine would be asked to do.

use super::Session;
use super::engine::host_arch;
use crate::exit::Exit;

/// Prints the plan as JSON; secrets stand in it as `***`.
pub async fn run(session: &Session) -> Exit {
    match print(session).await {
        Ok(()) => Exit::Ok,
        Err(exit) => exit,
    }
}

async fn print(session: &Session) -> Result<(), Exit> {
    let opened = session.open(host_arch())?;
    let engine = session.engine().await?;
    let (plan, _) = super::planned::plan_of(session, &opened, &engine).await?;
    let text = serde_json::to_string_pretty(&plan).unwrap_or_default();
    session.print(&format!("{}\n", opened.redactor.redact(&text)));
    Ok(())
}
