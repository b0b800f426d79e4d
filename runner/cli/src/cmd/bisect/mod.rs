//! `bisect`: which difference between two environments makes a scenario fail.

mod bundles;
mod environment;
mod pins;
mod same;
mod search;
mod sides;
mod tell;
mod trial;

use std::path::PathBuf;

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::isolate::{Options, Repeats};
use prodmirror_model::source::io_reason;

use self::search::{Ended, search};
use self::sides::Sides;
use self::trial::Bench;
use super::Session;
use super::bundled::Stopped;
use crate::args::BisectArgs;
use crate::exit::Exit;
use crate::report::look::count;
use crate::runs::{RunDir, Runs};

/// Finds it.
pub async fn run(session: &Session, args: &BisectArgs) -> Exit {
    go(session, args)
        .await
        .unwrap_or_else(|stopped| stopped.tell(session))
}

async fn go(session: &Session, args: &BisectArgs) -> Result<Exit, Stopped> {
    let options = options(args);
    let report = report(args)?;
    let dir = directory(session, args)?;
    let done = in_directory(session, args, options, (&dir, report)).await;
    if args.dry_run || done.is_err() {
        // Nothing was done in it.
        let _ = std::fs::remove_dir_all(&dir.path);
    }
    done
}

async fn in_directory(
    session: &Session,
    args: &BisectArgs,
    options: Options,
    (dir, report): (&RunDir, Option<PathBuf>),
) -> Result<Exit, Stopped> {
    let sides = Sides::open(session, args, &dir.path).await?;
    let atoms = sides.atoms();
    prodmirror_model::isolate::Search::new(&atoms, options.clone())
        .map_err(|e| Problem::new(ProblemKind::InvalidValue, e.to_string()))?;
    if args.dry_run {
        session.print(&sides.redact(&tell::differences(session, &sides, &atoms)));
        return Ok(Exit::Ok);
    }
    if atoms.atoms.is_empty() {
        let text = format!("{} and {} do not differ", sides.a.name, sides.b.name);
        let help = "name two environments, or what is otherwise in B: --image-b SERVICE=IMAGE, --flag-b NAME=VALUE";
        return Err(Problem::new(ProblemKind::Missing, text).help(help).into());
    }
    let of_bundle = sides.of_bundle().filter(|_| args.scenarios.is_empty());
    let scenarios = scenarios(session, args, &sides);
    known(session, &sides, &scenarios)?;
    session.engine().await?;
    session.note(&format!(
        "{} between {} (A) and {} (B)\n",
        count(atoms.atoms.len(), "difference"),
        sides.a.name,
        sides.b.name
    ));
    let bench = Bench {
        session,
        args,
        sides: &sides,
        scenarios,
        of_bundle,
        dir: dir.path.clone(),
    };
    let ended = search(&bench, &atoms, options).await?;
    let (exit, answer) = match &ended {
        Ended::Answered(answer) => (tell::exit(&answer.answer), Some(answer)),
        Ended::Early(exit) => (*exit, None),
    };
    if let Some(answer) = answer {
        if let Some(smallest) = answer.smallest() {
            let path = dir.path.join("minimal.stack.yaml");
            write(&path, &bench.stack(&smallest))?;
        }
        let shown = dir
            .path
            .strip_prefix(&session.context.cwd)
            .unwrap_or(&dir.path);
        let document = tell::document(&sides, answer);
        session.print(&sides.redact(&tell::answer(session, &sides, answer, (&document, shown))));
        if let Some(path) = report {
            let text = format!(
                "{}\n",
                serde_json::to_string_pretty(&document).unwrap_or_default()
            );
            write(&session.context.cwd.join(path), &sides.redact(&text))?;
        }
    }
    Ok(exit)
}

fn options(args: &BisectArgs) -> Options {
    Options {
        width: usize::from(args.jobs),
        limit: args.max_runs,
        ends: args.repeats,
        repeats: Repeats::WhenSeen,
        confidence: args.confidence,
        all: args.all,
        ..Options::default()
    }
}

/// Where the report goes.
fn report(args: &BisectArgs) -> Result<Option<PathBuf>, Problem> {
    let path = |text: &String| match text.split_once('=') {
        Some(("json", path)) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => {
            let text = format!("`--report {text}` is not json=PATH");
            Err(Problem::new(ProblemKind::InvalidValue, text).help("bisect writes JSON only"))
        }
    };
    let all = args
        .report
        .iter()
        .map(path)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(all.into_iter().next_back())
}

/// A directory for what the search leaves: `.prodmirror/bisect/<id>/` here.
fn directory(session: &Session, args: &BisectArgs) -> Result<RunDir, Problem> {
    let runs = Runs::of_bisect(&session.context.cwd);
    runs.create(args.seed.unwrap_or(1)).map_err(|e| {
        let text = format!("cannot write {}: {}", runs.dir().display(), io_reason(&e));
        Problem::new(ProblemKind::MissingFile, text)
    })
}

/// The paths of the scenario, whole.
fn scenarios(session: &Session, args: &BisectArgs, sides: &Sides) -> Vec<PathBuf> {
    if args.scenarios.is_empty() {
        if let Some(bundle) = sides.of_bundle() {
            return vec![bundle.scenario.clone()];
        }
        return vec![sides::scenarios_of(&sides.a.opened.project)];
    }
    args.scenarios
        .iter()
        .map(|p| session.context.cwd.join(p))
        .collect()
}

/// What is wrong with the scenarios themselves is told before anything is started.
fn known(session: &Session, sides: &Sides, scenarios: &[PathBuf]) -> Result<(), Problems> {
    let read = sides.b.opened.scenarios(scenarios, &session.context.cwd);
    let mut problems = read.problems;
    problems.0.retain(Problem::is_error);
    if problems.0.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

fn write(path: &std::path::Path, text: &str) -> Result<(), Problem> {
    std::fs::write(path, text).map_err(|e| {
        let text = format!("cannot write {}: {}", path.display(), io_reason(&e));
        Problem::new(ProblemKind::MissingFile, text)
    })
}
