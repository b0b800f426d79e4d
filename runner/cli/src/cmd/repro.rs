//! `repro`: a failure again, from the file that it left.

mod verdict;

use prodmirror_engine::docker::Engine;
use prodmirror_model::bundle::Manifest;
use prodmirror_model::diag::Problem;

use super::Session;
use super::bundled::{Bundled, Stopped, Taken, Terms, plain_name, shown};
use super::run as running;
use crate::args::{PauseOn, ReproArgs};
use crate::bundle::from_root;
use crate::bundle::sign::PublicKey;
use crate::exit::Exit;
use crate::runs::Runs;

/// Runs it.
pub async fn run(session: &Session, args: &ReproArgs) -> Exit {
    go(session, args)
        .await
        .unwrap_or_else(|stopped| stopped.tell(session))
}

async fn go(session: &Session, args: &ReproArgs) -> Result<Exit, Stopped> {
    let trusted = trusted(session, args)?;
    let bundle = Bundled::get(session, &args.bundle).await?;
    if let Some((keys, file)) = &trusted {
        bundle.reading.verify(keys, file)?;
    }
    session.note(&bundle.about(trusted.is_some()));
    let engine = session.engine().await?;
    if bundle.manifest().run.allow_shell && !args.allow_shell {
        session.note(
            "note: it was run with --allow-shell; give it here, too, if you trust the bundle\n",
        );
    }
    let terms = Terms {
        trust: &args.trust,
        offline: args.offline,
        command: "prodmirror repro",
        mark: if args.dry_run { "-dry-run" } else { "" },
    };
    let taken = bundle.take(session, &engine, terms).await?;
    let done = play(session, args, (bundle.manifest(), &taken), &engine).await;
    if done.is_err() || args.dry_run {
        // Nothing was done in it.
        taken.dir.remove();
    }
    done
}

/// Runs what was unpacked, and says what came of it.
async fn play(
    session: &Session,
    args: &ReproArgs,
    (m, taken): (&Manifest, &Taken),
    engine: &Engine,
) -> Result<Exit, Stopped> {
    let inner = &taken.session;
    if args.dry_run {
        let opened = inner.open(&engine.facts().arch)?;
        inner.tell(&opened.problems, &opened.redactor);
        return Ok(if opened.problems.has_errors() {
            Exit::Invalid
        } else {
            Exit::Ok
        });
    }
    let exit = running::run(inner, &arguments(m, args)).await;
    let last = Runs::of(&taken.dir.root).last();
    match (exit, last) {
        (Exit::Ok | Exit::Failed | Exit::Stack, Some(last)) => {
            let told = verdict::tell(session, m, (&taken.dir.shown, &last));
            told.map_err(Into::into)
        }
        (exit, _) => Ok(exit),
    }
}

/// The keys by which a bundle must be signed, and what messages call their file.
fn trusted(
    session: &Session,
    args: &ReproArgs,
) -> Result<Option<(Vec<PublicKey>, String)>, Problem> {
    let Some(path) = &args.verify else {
        return Ok(None);
    };
    let shown = path.display().to_string();
    let keys = PublicKey::read_all(&session.context.cwd.join(path), &shown)?;
    Ok(Some((keys, shown)))
}

/// What is run.
fn arguments(m: &Manifest, args: &ReproArgs) -> crate::args::RunArgs {
    let files = std::iter::once(&m.case.file).chain(&m.also);
    let mut given: Vec<String> = files.map(|f| from_root(&m.root, f)).collect();
    given.extend([
        "--seed".to_owned(),
        m.run.seed.to_string(),
        "--repeat".to_owned(),
        args.repeat.to_string(),
        "--bundle".to_owned(),
        "never".to_owned(),
    ]);
    for (name, value) in &m.run.vars {
        given.push(format!("--var={name}={value}"));
    }
    for flag in &m.run.flags {
        given.push(format!("--flag={flag}"));
    }
    let mut arguments = running::arguments(&given);
    arguments.allow_shell = args.allow_shell;
    arguments.offline = args.offline;
    arguments.again = Some(format!("prodmirror repro {}", shown(&args.bundle)));
    let case = plain_name(&m.case.name);
    let before = m.before.iter().cloned();
    arguments.only = Some(before.chain([case.clone()]).collect());
    if args.hold {
        arguments.inner.pause_on = Some(PauseOn::Fail);
    }
    if args.until {
        let step = m.failure.step.as_ref();
        arguments.inner.at = step.map(|s| (case, s.position.clone()));
    }
    arguments
}
