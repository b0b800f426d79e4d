//! `run`: scenarios against fresh stacks, with reports.

mod affected;
mod bundles;
mod describe;
mod kept;
mod seen;
mod shape;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_engine::agent::RunCa;
use prodmirror_engine::bus::{Bus, BusOptions, Sink, Subscriber};
use prodmirror_engine::docker::Engine;
use prodmirror_engine::run::{Aftermath, Case, CaseOptions, Inspector, Outside, Window};
use prodmirror_engine::step::Program;
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::{CaseId, What};
use prodmirror_model::lock::Digest;
use prodmirror_model::plan::Plan;
use prodmirror_model::redact::Redactor;
use prodmirror_model::source::io_reason;

use super::Session;
use super::data;
use super::engine::host_arch;
use super::fidelity::Book;
use super::flagged::Flagged;
use super::pause::{self, Pause};
use super::planned::{authority, plan_with};
use super::play::{self, Play};
use crate::args::{BundleWhen, Keep, RunArgs};
use crate::bundle::{self, Bundler, sign::Signer};
use crate::exit::Exit;
use crate::open::{Opened, Scenarios};
use crate::report::{ReportProblems, Reports, Wanted, github::Github, terminal};
use crate::runs::{RunDir, Runs};
use crate::select::{Filter, with_needs};
use crate::signals;

/// How long reports may take to be written once everything is over.
const REPORTS: Duration = Duration::from_secs(20);

/// Runs scenarios.
pub async fn run(session: &Session, args: &RunArgs) -> Exit {
    match prepare(session, args).await {
        Ok(Some(ready)) if args.inner.watch => ready.watch(session, args).await,
        Ok(Some(ready)) => ready.go(session, args).await,
        Ok(None) => Exit::Ok,
        Err(exit) => exit,
    }
}

/// Everything that is needed, checked, before anything starts.
struct Ready {
    opened: Opened,
    engine: Engine,
    plan: Plan,
    /// The authority that its services know.
    ca: RunCa,
    flagged: Flagged,
    roots: Vec<Vec<u8>>,
    programs: Vec<Program>,
    files: Vec<Arc<prodmirror_model::source::SourceFile>>,
    reports: Vec<Wanted>,
    vars: BTreeMap<String, serde_json::Value>,
    seed: u64,
    /// Who signs its bundles.
    signer: Option<Arc<Signer>>,
}

/// `run` with these arguments, as the command line would give them.
pub fn arguments(given: &[String]) -> RunArgs {
    use clap::{Args as _, FromArgMatches as _};
    let command = RunArgs::augment_args(clap::Command::new("run").no_binary_name(true));
    let matches = command.get_matches_from(given);
    match RunArgs::from_arg_matches(&matches) {
        Ok(args) => args,
        Err(e) => e.exit(),
    }
}

async fn prepare(session: &Session, args: &RunArgs) -> Result<Option<Ready>, Exit> {
    let reports = parse_all(session, &args.report, Wanted::parse)?;
    let vars = parse_all(session, &args.vars, variable)?
        .into_iter()
        .collect();
    let signer = bundles::signer(session, args).map_err(|p| session.fail(p))?;
    pause::refuse(session, args).map_err(|p| session.fail(p))?;
    if args.inner.watch && args.jobs != 1 {
        let what =
            "with `--watch` all scenarios share one stack, one after the other: leave --jobs out";
        return Err(session.fail(Problem::new(ProblemKind::InvalidValue, what)));
    }
    let fixed = parse_all(session, &args.flags, crate::flags::fixed)?;
    let (opened, scenarios) = open(session, args, &fixed, host_arch())?;
    let filter = filter(session, args, &opened)?;
    let mut programs = filter.apply(scenarios.programs);
    if let Some(only) = &args.only {
        let cases = named(&programs, only);
        programs = with_needs(programs, cases);
    }
    if programs.is_empty() {
        return Err(session.fail(nothing_selected(args, scenarios.files.len())));
    }
    check_window(args, &programs).map_err(|problems| {
        session.tell(&problems, &opened.redactor);
        Exit::Invalid
    })?;
    if let Some(p) = refuse_shell(args, &programs) {
        return Err(session.fail(p));
    }
    if args.dry_run {
        for p in &programs {
            let case = p.case();
            session.print(&format!("{}: {}\n", case.file, case.name));
        }
        return Ok(None);
    }
    let engine = session.engine().await?;
    let opened = if engine.facts().arch == host_arch() {
        opened
    } else {
        open(session, args, &fixed, &engine.facts().arch)?.0
    };
    super::lock::gate(session, &opened, &engine, (args.locked, args.offline)).await?;
    let ca = authority(&opened).map_err(|p| session.fail(p))?;
    let (plan, roots) = plan_with(session, &opened, &engine, &ca).await?;
    let flagged = Flagged::of(&plan, &opened.flags, &programs).map_err(|p| session.fail(p))?;
    let seed = args.seed.unwrap_or_else(drawn_seed);
    let files = scenarios.files;
    Ok(Some(Ready {
        opened,
        engine,
        plan,
        ca,
        flagged,
        roots,
        programs,
        files,
        reports,
        vars,
        seed,
        signer,
    }))
}

/// The cases of these names; where there is none, those that are called so but for the mark of
/// their flags.
fn named(programs: &[Program], only: &[String]) -> Vec<CaseId> {
    let all = || programs.iter().map(Program::case);
    let exactly: Vec<CaseId> = all().filter(|c| only.contains(&c.name)).collect();
    if !exactly.is_empty() {
        return exactly;
    }
    let is_like = |c: &CaseId| only.iter().any(|o| unmarked(o) == unmarked(&c.name));
    all().filter(is_like).collect()
}

/// The name of a case without the mark of its flags.
fn unmarked(name: &str) -> &str {
    let marked = name.strip_suffix(']');
    let marked = marked.and_then(|n| n.rsplit_once(" [flag "));
    marked.map_or(name, |(plain, _)| plain)
}

/// Programs on this machine are run only where that is allowed.
fn refuse_shell(args: &RunArgs, programs: &[Program]) -> Option<Problem> {
    if args.allow_shell {
        return None;
    }
    let place = programs.iter().find_map(|p| p.first_of("shell"))?;
    let text = "a `shell` step runs a program on this machine, and that was not allowed";
    let p = Problem::at(ProblemKind::Forbidden, &place, text);
    Some(p.help("run with --allow-shell, or use `exec` or `container`"))
}

/// Which steps of scenarios are done.
fn window(args: &RunArgs) -> Window {
    Window {
        from: args.inner.from.clone(),
        until: args.inner.until.clone(),
    }
}

/// Each scenario has the steps that `--from` and `--until` name, but for those that are there
/// only because others need them.
fn check_window(args: &RunArgs, programs: &[Program]) -> Result<(), Problems> {
    let window = window(args);
    let needed: Vec<_> = programs.iter().flat_map(Program::needs).collect();
    let problems: Vec<Problem> = programs
        .iter()
        .filter(|p| !needed.contains(&&p.case()))
        .filter_map(|p| window.check(p).err())
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problems(problems))
    }
}

fn nothing_selected(args: &RunArgs, files: usize) -> Problem {
    let narrowed = !args.label.is_empty() || !args.filter.is_empty() || args.shard.is_some();
    if narrowed && files > 0 {
        return Problem::new(ProblemKind::Missing, "no scenario was selected").help(
            "`prodmirror run --dry-run` without --label, --filter and --shard lists them all",
        );
    }
    if let Some(revision) = args.only_changed.as_ref().filter(|_| files > 0) {
        let text = format!("no scenario changed since {revision}");
        return Problem::new(ProblemKind::Missing, text)
            .help("leave --only-changed out to run all");
    }
    if args
        .scenarios
        .iter()
        .any(|p| p.to_string_lossy().contains(':'))
        && files > 0
    {
        return Problem::new(ProblemKind::Missing, "no scenario stands at that line")
            .help("name any line between its `scenario:` and the next");
    }
    if args.last_failed && files > 0 {
        return Problem::new(ProblemKind::Missing, "no scenario failed in the last run")
            .help("leave --last-failed out to run all");
    }
    Problem::new(ProblemKind::Missing, "no scenario was found")
        .help("write one in scenarios/ beside mirror.yaml, or name a file or directory")
}

fn open(
    session: &Session,
    args: &RunArgs,
    fixed: &[(String, serde_json::Value)],
    arch: &str,
) -> Result<(Opened, Scenarios), Exit> {
    let mut opened = session.open(arch)?;
    if let Err(problems) = opened.set_flags(fixed) {
        session.tell(&problems, &opened.redactor);
        return Err(Exit::Invalid);
    }
    let scenarios = opened.scenarios(&args.scenarios, &session.context.cwd);
    let mut problems = opened.problems.clone();
    problems.0.extend(scenarios.problems.0.clone());
    if problems.has_errors() {
        session.tell(&problems, &opened.redactor);
        return Err(Exit::Invalid);
    }
    Ok((opened, scenarios))
}

/// What expectations did beside comparing: snapshots that they wrote, operations that they saw.
fn tell_outside(session: &Session, outside: &Outside) {
    for name in outside.written.all() {
        session.note(&format!("wrote {name}\n"));
    }
    session.note(&outside.coverage.so_far().to_string());
}

impl Session {
    /// Opens the project; what keeps it from being read is told.
    pub fn open(&self, arch: &str) -> Result<Opened, Exit> {
        Opened::open(&self.global, &self.context, arch).map_err(|problems| {
            self.tell(&problems, &Redactor::new());
            Exit::Invalid
        })
    }
}

impl Ready {
    async fn go(self, session: &Session, args: &RunArgs) -> Exit {
        let began = Instant::now();
        let cannot = |what: &str, e: &std::io::Error| {
            let problem = Problem::new(
                ProblemKind::MissingFile,
                format!("cannot write {what}: {}", io_reason(e)),
            );
            session.fail(problem.help("nothing was started; make room or the directory writable"))
        };
        let runs = Runs::of(&self.opened.project.root);
        let dir = match runs.create(self.seed) {
            Ok(dir) => dir,
            Err(e) => return cannot(&runs.dir().display().to_string(), &e),
        };
        let stop = signals::stop();
        let pause = Pause::of(session, args, &dir.id, &self.opened.redactor, &stop);
        let options = CaseOptions {
            inspector: pause.clone().map(|p| p as Arc<dyn Inspector>),
            ..self.options(args)
        };
        let outside = options.outside.clone();
        let (mut ready, programs) = self.without_programs();
        let programs: Vec<Arc<Program>> = programs.into_iter().map(Arc::new).collect();
        let realism = data::Realism::of(session, &ready.engine, &ready.plan, &programs).await;
        let realism = match realism {
            Ok(realism) => realism,
            Err(p) => return session.fail(p),
        };
        let cases = play::cases(session, args, &programs, &options, |p| realism.unmet(p));
        let hold = play::hold(args);
        let clones = data::clones(
            session,
            &ready.opened,
            &ready.engine,
            (&ready.plan, &dir.id, hold),
            &programs,
        );
        let file = Some(dir.path.join("fidelity.json"));
        let (book, written) = match Book::open(&ready.opened, &ready.plan, file, &ready.flagged) {
            Ok(book) => book,
            Err(problems) => {
                session.tell(&problems, &ready.opened.redactor);
                return Exit::Invalid;
            }
        };
        if let Err(e) = written.and_then(|()| write_stack(&ready.opened, &dir)) {
            return cannot(&dir.path.display().to_string(), &e);
        }
        let (bus, reports) = match ready.bus(session, args, &dir) {
            Ok((bus, reports)) => (Arc::new(bus), reports),
            Err(e) => return cannot(&dir.path.display().to_string(), &e),
        };
        if let Some(pause) = &pause {
            pause.after(&bus);
        }
        bus.emit(ready.started(&dir, &cases));
        let sink: Arc<dyn Sink> = bus.clone();
        let bundler =
            (args.bundle.when == BundleWhen::OnFailure).then(|| Arc::new(Bundler::default()));
        let aftermath = bundler.clone().map(|b| b as Arc<dyn Aftermath>);
        let play = Play {
            session,
            args,
            run: &dir.id,
            dir: &dir.path,
            engine: ready.engine.clone(),
            plan: Arc::new(ready.plan.clone()),
            flagged: std::mem::take(&mut ready.flagged),
            lock: ready.opened.lock.clone(),
            roots: std::mem::take(&mut ready.roots),
            secrets: ready.opened.secrets.clone(),
            redactor: ready.opened.redactor.clone(),
            aftermath,
            observer: book.observer(sink.clone()),
            sink,
            stop,
            data: clones,
        };
        let mut played = play.cases(cases).await;
        let shut = book.shut(played.unread);
        if shut.is_shut() {
            played.exit = worse(played.exit, Exit::Gate);
        }
        bus.emit(What::RunFinished {
            clean: played.clean,
            interrupted: played.interrupted,
            exit: played.exit.code(),
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        let finishing = bus.clone();
        let end = tokio::task::spawn_blocking(move || finishing.finish(REPORTS)).await;
        if played.exit == Exit::Ok && !reports.all().is_empty() {
            // Who reads the reports does not see what passed.
            played.exit = Exit::Failed;
        }
        for problem in end
            .map(|e| e.problems)
            .unwrap_or_default()
            .iter()
            .chain(&reports.all())
        {
            session.note(&format!("warning: {problem}\n"));
        }
        shut.tell(session);
        tell_outside(session, &outside);
        if let Some(bundler) =
            bundler.filter(|_| played.exit == Exit::Failed || played.exit == Exit::Stack)
        {
            ready
                .bundles(session, args, &dir, (&bundler, &programs))
                .await;
        }
        // Last of all, so that whatever happens before, somebody completes the reports.
        match played.lease {
            // What could not be removed is left to those who can wait.
            Some(lease) if !played.clean && args.keep == Keep::Never => lease.abandon(),
            Some(lease) => lease.release().await,
            None => {}
        }
        played.exit
    }

    /// Leaves a file for each case that did not pass, from which it is run again.
    async fn bundles(
        &self,
        session: &Session,
        args: &RunArgs,
        dir: &RunDir,
        (bundler, programs): (&Bundler, &[Arc<Program>]),
    ) {
        let (summary, failed) = match bundle::failed(dir, programs) {
            Ok(found) => found,
            Err(p) => return session.note(&format!("warning: no bundle was written: {p}\n")),
        };
        if failed.is_empty() {
            return;
        }
        let scratch = match tempfile::tempdir_in(&dir.path) {
            Ok(scratch) => scratch,
            Err(e) => {
                session.note(&format!(
                    "warning: no bundle was written: {}\n",
                    io_reason(&e)
                ));
                return;
            }
        };
        let facts = self
            .bundle_facts(session, args, (dir, &failed), scratch.path())
            .await;
        if let Some(signer) = &self.signer {
            let key = signer.public().fingerprint();
            session.note(&format!("bundles are signed with the key {key}\n"));
        }
        for written in bundler.write(dir, &self.opened, (&summary, &failed), &facts) {
            match written {
                Ok(path) => {
                    let shown = path.strip_prefix(&session.context.cwd).unwrap_or(&path);
                    session.note(&format!(
                        "to run it again anywhere: prodmirror repro {}\n",
                        shown.display()
                    ));
                }
                Err(p) => session.note(&format!("warning: {p}\n")),
            }
        }
    }

    fn options(&self, args: &RunArgs) -> CaseOptions {
        CaseOptions {
            seed: self.seed,
            vars: self.vars.clone(),
            allow_shell: args.allow_shell,
            window: window(args),
            outside: Outside {
                update_snapshots: args.update_snapshots,
                ..Outside::default()
            },
            ..CaseOptions::default()
        }
    }

    fn without_programs(mut self) -> (Self, Vec<Program>) {
        let programs = std::mem::take(&mut self.programs);
        (self, programs)
    }

    fn bus(
        &self,
        session: &Session,
        args: &RunArgs,
        dir: &RunDir,
    ) -> std::io::Result<(Bus, ReportProblems)> {
        let mut wanted = Vec::new();
        let mut named = Vec::new();
        for (kind, name) in [("junit", "junit.xml"), ("html", "report.html")] {
            let path = dir.path.join(name);
            wanted.extend(Wanted::file(kind, &path));
            let shown = path.strip_prefix(&session.context.cwd).unwrap_or(&path);
            named.push((kind.to_owned(), shown.to_owned()));
        }
        wanted.extend(self.reports.iter().cloned());
        let context = &session.context;
        let mut reports = Reports::new(&wanted);
        if args.github {
            let summary = context.var("GITHUB_STEP_SUMMARY").map(Into::into);
            reports.add("GitHub annotations", Box::new(Github::new(summary)));
        }
        let problems = reports.problems();
        let terminal = terminal::Terminal::new(terminal::Options {
            // Lines that are drawn again would run over a question.
            live: session.global.quiet.is_none()
                && context.live()
                && !args.inner.asks()
                && !args.inner.watch,
            colour: session.look().colour,
            width: terminal::width(),
            reports: named,
            out: session.notes(),
        });
        let mut options = BusOptions::new(self.opened.redactor.clone())
            .events_file(&dir.path.join("events.jsonl"))?
            .subscriber("reports", Box::new(reports))
            .subscriber(
                "terminal",
                if args.inner.watch {
                    Box::new(watch::Brief(terminal)) as Box<dyn Subscriber>
                } else {
                    Box::new(terminal)
                },
            );
        for file in &self.files {
            options = options.source(file);
        }
        Ok((options.start()?, problems))
    }

    fn started(&self, dir: &RunDir, cases: &[Case]) -> What {
        let facts = self.engine.facts();
        let mut properties = vec![
            ("engine", facts.engine.clone()),
            ("platform", format!("{}/{}", facts.os, facts.arch)),
            ("seed", self.seed.to_string()),
        ];
        if let Some(lock) = &self.opened.lock {
            let text = prodmirror_model::lock::write(lock);
            properties.push(("lock", Digest::of(text.as_bytes()).to_string()));
        }
        let properties = properties.into_iter();
        What::RunStarted {
            run: dir.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            project: self.plan.project.clone(),
            seed: self.seed,
            cases: cases.iter().map(Case::id).collect(),
            properties: properties.map(|(k, v)| (k.to_owned(), v)).collect(),
        }
    }
}

fn worse(a: Exit, b: Exit) -> Exit {
    if a.code() >= b.code() { a } else { b }
}

/// The stack, beside the events.
fn write_stack(opened: &Opened, dir: &RunDir) -> std::io::Result<()> {
    let Some(stack) = &opened.compiled.stack else {
        return Ok(());
    };
    let text = opened.redactor.redact(&stack.text.file.text).into_owned();
    std::fs::write(dir.path.join("stack.yaml"), text)
}

fn filter(session: &Session, args: &RunArgs, opened: &Opened) -> Result<Filter, Exit> {
    let shard = parse_all(session, args.shard.as_slice(), Filter::parse_shard)?.pop();
    let cases = if args.last_failed {
        let failed = Runs::of(&opened.project.root).last_failed();
        if failed.is_none() {
            session.note("there is no earlier run: everything is run\n");
        }
        failed
    } else {
        None
    };
    let changed = match &args.only_changed {
        None => None,
        Some(revision) => match crate::git::changed(&opened.project.root, revision) {
            Ok(changed) => Some(changed),
            Err(p) => return Err(session.fail(p)),
        },
    };
    Ok(Filter {
        lines: crate::select::lines(&args.scenarios, &opened.project.root, &session.context.cwd),
        changed,
        labels: args.label.clone(),
        texts: args.filter.clone(),
        shard,
        cases,
    })
}

/// Reads options of one kind and tells all that are wrong.
fn parse_all<T>(
    session: &Session,
    given: &[String],
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Result<Vec<T>, Exit> {
    let mut read = Vec::new();
    let mut problems = Problems::default();
    for text in given {
        match parse(text) {
            Ok(value) => read.push(value),
            Err(p) => problems.push(p),
        }
    }
    if problems.0.is_empty() {
        return Ok(read);
    }
    session.tell(&problems, &Redactor::new());
    Err(Exit::Invalid)
}

/// `NAME=VALUE`; a value that is JSON keeps its type.
fn variable(text: &str) -> Result<(String, serde_json::Value), Problem> {
    let Some((name, value)) = text.split_once('=').filter(|(n, _)| !n.is_empty()) else {
        let what = format!("`--var {text}` is not NAME=VALUE");
        return Err(Problem::new(ProblemKind::InvalidValue, what));
    };
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

/// A seed from the system's randomness, small enough to be typed.
fn drawn_seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
        & 0xffff_ffff
}
