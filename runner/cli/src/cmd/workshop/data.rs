//! `snapshot save` and `snapshot restore`: the data of a mirror that stands, remembered and put
//! back.

use prodmirror_engine::live::{StackData, Standing};
use prodmirror_model::diag::{Problem, ProblemKind};
use serde_json::json;

use crate::args::Format;
use crate::cmd::Session;
use crate::exit::Exit;

/// What is done to the data of a mirror.
pub enum Playing<'a> {
    /// It is remembered under a name.
    Save(&'a str),
    /// It is put back; without a name, the only one that there is.
    Restore(Option<&'a str>),
    /// What was remembered is listed.
    List,
}

/// Does it.
pub async fn run(session: &Session, playing: &Playing<'_>) -> Exit {
    let stack = match session.standing().await {
        Ok(stack) => stack,
        Err(exit) => return exit,
    };
    // Services that are stopped for it are started again whatever comes: a signal is heard, and
    // changes nothing.
    let _stop = crate::signals::stop();
    let store = &session.global.store;
    let done = match playing {
        Playing::Save(name) => {
            let done = stack.save_data(store, name).await;
            done.map(|done| tell(session, &done, &format!("saved as `{name}`")))
        }
        Playing::Restore(name) => restore(session, &stack, *name).await,
        Playing::List => list(session, &stack).await,
    };
    done.map_or_else(|p| session.fail(p), |()| Exit::Ok)
}

async fn restore(session: &Session, stack: &Standing, name: Option<&str>) -> Result<(), Problem> {
    let store = &session.global.store;
    let name = match name {
        Some(name) => name.to_owned(),
        None => {
            let mut names: Vec<String> = stack.saved_data(store).await?.into_keys().collect();
            match (names.pop(), names.is_empty()) {
                (Some(only), true) => only,
                (Some(last), false) => {
                    names.push(last);
                    let what = "several states of the data were saved";
                    let problem = Problem::new(ProblemKind::UnknownReference, what);
                    return Err(problem.help(format!("name one: {}", names.join(", "))));
                }
                (None, _) => {
                    let what = "no data of this mirror was saved";
                    let problem = Problem::new(ProblemKind::UnknownReference, what);
                    return Err(problem.help("`prodmirror snapshot save NAME` saves what is there"));
                }
            }
        }
    };
    let done = stack.restore_data(store, &name).await?;
    tell(session, &done, &format!("as it was saved as `{name}`"));
    Ok(())
}

fn tell(session: &Session, done: &StackData, what: &str) {
    if session.global.format == Format::Json {
        let left: Vec<_> = done
            .left
            .iter()
            .map(|(volume, why)| json!({"volume": volume, "reason": why}))
            .collect();
        let value = json!({
            "volumes": done.volumes, "left": left, "services": done.services,
            "took_ms": u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX),
        });
        session.print(&format!("{value}\n"));
        return;
    }
    for (volume, why) in &done.left {
        session.note(&format!("{volume}: left as it is: {why}\n"));
    }
    let services = match done.services.is_empty() {
        true => String::new(),
        false => format!("; {} stopped and started", done.services.join(", ")),
    };
    session.note(&format!(
        "{}: {what} in {:.2} s{services}\n",
        done.volumes.join(", "),
        done.took.as_secs_f64()
    ));
}

async fn list(session: &Session, stack: &Standing) -> Result<(), Problem> {
    let names = stack.saved_data(&session.global.store).await?;
    if session.global.format == Format::Json {
        session.print(&format!("{}\n", json!(names)));
        return Ok(());
    }
    for (name, volumes) in &names {
        session.print(&format!("{name}  {}\n", volumes.join(", ")));
    }
    if names.is_empty() {
        session.note("no data of this mirror was saved\n");
    }
    Ok(())
}
