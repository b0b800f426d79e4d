//! `run`: scenarios against fresh stacks, with reports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_engine::agent::{RunCa, trust};
use prodmirror_engine::bus::{Bus, BusOptions, Sink};
use prodmirror_engine::docker::Engine;
use prodmirror_engine::image::{Policy, Wanted as WantedImage, provide_all};
use prodmirror_engine::live::lease::{Hold, Lease};
use prodmirror_engine::live::{UpOptions, nofile_limit};
use prodmirror_engine::run::{
    Case, CaseOptions, Dispatcher, EngineStacks, Keep as KeepStacks, Limits, RunEnd, Stop,
};
use prodmirror_engine::step::Program;
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::What;
use prodmirror_model::fidelity::{Fidelity, Severity};
use prodmirror_model::mirror::highest_nofile;
use prodmirror_model::plan::{self, Plan};
use prodmirror_model::redact::Redactor;

use super::Session;
use super::engine::host_arch;
use crate::args::{Keep, RunArgs};
use crate::exit::Exit;
use crate::open::{Opened, Scenarios};
use crate::report::{ReportProblems, Reports, Wanted, github::Github, terminal};
use crate::runs::{RunDir, Runs};
use crate::select::Filter;
use crate::signals;

/// How long reports may take to be written once everything is over.
const REPORTS: Duration = Duration::from_secs(20);
/// How long a stack may take to start.
const START: Duration = Duration::from_secs(300);

/// Runs scenarios.
pub async fn run(session: &Session, args: &RunArgs) -> Exit {
    match prepare(session, args).await {
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
    roots: Vec<Vec<u8>>,
    programs: Vec<Program>,
    files: Vec<Arc<prodmirror_model::source::SourceFile>>,
    reports: Vec<Wanted>,
    vars: BTreeMap<String, serde_json::Value>,
    seed: u64,
}

async fn prepare(session: &Session, args: &RunArgs) -> Result<Option<Ready>, Exit> {
    let reports = parse_all(session, &args.report, Wanted::parse)?;
    let vars = parse_all(session, &args.vars, variable)?
        .into_iter()
        .collect();
    let (opened, scenarios) = open(session, args, host_arch())?;
    let filter = filter(session, args, &opened)?;
    let programs = filter.apply(scenarios.programs);
    if programs.is_empty() {
        session.note("no scenario was selected\n");
        return Err(Exit::Invalid);
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
        open(session, args, &engine.facts().arch)?.0
    };
    let (plan, roots) = plan_of(session, &opened, &engine).await?;
    let seed = args.seed.unwrap_or_else(drawn_seed);
    let files = scenarios.files;
    Ok(Some(Ready {
        opened,
        engine,
        plan,
        roots,
        programs,
        files,
        reports,
        vars,
        seed,
    }))
}

fn open(session: &Session, args: &RunArgs, arch: &str) -> Result<(Opened, Scenarios), Exit> {
    let opened = session.open(arch)?;
    let scenarios = opened.scenarios(&args.scenarios, &session.context.cwd);
    let mut problems = opened.problems.clone();
    problems.0.extend(scenarios.problems.0.clone());
    if problems.has_errors() {
        session.tell(&problems, &opened.redactor);
        return Err(Exit::Invalid);
    }
    Ok((opened, scenarios))
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

/// A plan, and the certificates (DER) of the authorities that steps trust.
pub type Planned = (Plan, Vec<Vec<u8>>);

/// Plans the stack of an opened project for an engine; the fidelity gate is asked here.
pub async fn plan_of(session: &Session, opened: &Opened, engine: &Engine) -> Result<Planned, Exit> {
    let host = engine_facts(session, opened, engine).await?;
    let planned = opened
        .stack()
        .ok_or_else(Problems::default)
        .and_then(|stack| {
            let values = opened.values(stack)?;
            let mut plan = stack.plan(&opened.project, &values, host)?;
            for secret in plan.secrets() {
                opened.redactor.add("a secret of the stack", secret);
            }
            let ca = RunCa::new(&plan.project)?;
            let root = trust(&mut plan, &stack.extension.stubs, &ca)?;
            Ok((plan, root.into_iter().collect()))
        });
    let (plan, roots) = planned.map_err(|problems| {
        session.tell(&problems, &opened.redactor);
        Exit::Invalid
    })?;
    let mut fidelity = opened.compiled.fidelity.clone();
    fidelity
        .records
        .extend(plan.fidelity.records.iter().cloned());
    let over = fidelity.over(&opened.project.fidelity);
    if over.is_empty() {
        Ok((plan, roots))
    } else {
        Err(gate(session, &over))
    }
}

/// What a plan depends on, of what is known of the engine.
async fn engine_facts(
    session: &Session,
    opened: &Opened,
    engine: &Engine,
) -> Result<plan::HostFacts, Exit> {
    let facts = engine.facts();
    let mut nofile = None;
    if let Some(stack) = opened.stack()
        && let Some(wanted) = highest_nofile(stack.mirror.services.values())
    {
        let probe = format!("limits-{}", std::process::id());
        let marks = (stack.mirror.name.value.as_str(), probe.as_str());
        let known = nofile_limit(engine, marks, wanted).await;
        nofile = known.map_err(|p| session.fail(p))?;
    }
    Ok(plan::HostFacts {
        api: facts.api,
        cpus: facts.cpus,
        nofile_limit: nofile,
        log_driver: facts.log_driver.clone(),
        runtimes: facts.runtimes.clone(),
    })
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
pub fn fidelity_line(fidelity: &Fidelity) -> String {
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

impl Ready {
    async fn go(self, session: &Session, args: &RunArgs) -> Exit {
        let began = Instant::now();
        let dir = match Runs::of(&self.opened.project.root).create(self.seed) {
            Ok(dir) => dir,
            Err(e) => {
                session.note(&format!("cannot make a directory for the run: {e}\n"));
                return Exit::Invalid;
            }
        };
        let (bus, reports) = match self.bus(session, args, &dir) {
            Ok((bus, reports)) => (Arc::new(bus), reports),
            Err(e) => {
                session.note(&format!("cannot write to {}: {e}\n", dir.path.display()));
                return Exit::Invalid;
            }
        };
        let stop = signals::stop();
        bus.emit(self.started(&dir));
        let _ = write_facts(&self.opened, &self.plan, &dir);
        let played = self.play(session, args, &dir, &bus, &stop).await;
        let Played {
            exit,
            interrupted,
            lease,
        } = played;
        let clean = true;
        bus.emit(What::RunFinished {
            clean,
            interrupted,
            exit: exit.code(),
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        let finishing = bus.clone();
        let end = tokio::task::spawn_blocking(move || finishing.finish(REPORTS)).await;
        for problem in end
            .map(|e| e.problems)
            .unwrap_or_default()
            .iter()
            .chain(&reports.all())
        {
            session.note(&format!("warning: {problem}\n"));
        }
        // Last of all, so that whatever happens before, somebody completes the reports.
        if let Some(lease) = lease {
            lease.release().await;
        }
        exit
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
            live: context.live(),
            colour: context.colour(),
            width: terminal::width(),
            reports: named,
            out: Box::new(std::io::stderr()),
        });
        let mut options = BusOptions::new(self.opened.redactor.clone())
            .events_file(&dir.path.join("events.jsonl"))?
            .subscriber("reports", Box::new(reports))
            .subscriber("terminal", Box::new(terminal));
        for file in &self.files {
            options = options.source(file);
        }
        Ok((options.start()?, problems))
    }

    fn started(&self, dir: &RunDir) -> What {
        let facts = self.engine.facts();
        let properties = [
            ("engine", facts.engine.clone()),
            ("platform", format!("{}/{}", facts.os, facts.arch)),
            ("seed", self.seed.to_string()),
        ];
        What::RunStarted {
            run: dir.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            project: self.plan.project.clone(),
            seed: self.seed,
            cases: self.programs.iter().map(Program::case).collect(),
            properties: properties.map(|(k, v)| (k.to_owned(), v)).into(),
        }
    }

    async fn play(
        self,
        session: &Session,
        args: &RunArgs,
        dir: &RunDir,
        bus: &Arc<Bus>,
        stop: &Stop,
    ) -> Played {
        let sink: Arc<dyn Sink> = bus.clone();
        let images = images_of(&self.plan, args.offline);
        let logins = session.logins();
        let provided = tokio::select! {
            provided = provide_all(&self.engine, &images, (&logins, &*sink)) => provided,
            () = stop.stopping() => return Played { exit: Exit::Interrupted, interrupted: true, lease: None },
        };
        if let Err(problems) = provided {
            session.tell(&problems, &self.opened.redactor);
            let lost = problems.0.iter().any(|p| p.kind == ProblemKind::Engine);
            let exit = if lost { Exit::Engine } else { Exit::Stack };
            return Played {
                exit,
                interrupted: false,
                lease: None,
            };
        }
        let lease = session.lease(&self.plan.project, &dir.id, Some(&dir.path));
        let lease = match Lease::take(&self.engine, &lease, sink.clone()).await {
            Ok(lease) => lease,
            Err(p) => {
                return Played {
                    exit: session.fail(p),
                    interrupted: false,
                    lease: None,
                };
            }
        };
        // A stack that may be left must not look like one whose runner died.
        let hold = match args.keep {
            Keep::Never => Hold::Run,
            Keep::OnFailure | Keep::Always => Hold::Kept,
        };
        let options = CaseOptions {
            seed: self.seed,
            vars: self.vars,
            rerun: None,
        };
        let cases = self.programs.into_iter().map(|program| {
            let rerun = rerun(&session.global, &program, self.seed);
            let options = CaseOptions {
                rerun: Some(rerun),
                ..options.clone()
            };
            Case {
                program: Arc::new(program),
                options,
            }
        });
        let cases: Vec<Case> = cases.collect();
        let stacks = EngineStacks {
            engine: self.engine.clone(),
            plan: Arc::new(self.plan),
            run: dir.id.clone(),
            sink: sink.clone(),
            keep: match args.keep {
                Keep::Never => KeepStacks::Never,
                Keep::OnFailure => KeepStacks::OnFailure,
                Keep::Always => KeepStacks::Always,
            },
            roots: self.roots,
            secrets: self.opened.secrets.clone(),
            timeout: START,
            options: Arc::new(move |options| UpOptions { hold, ..options }),
        };
        let limits = Limits {
            jobs: args.jobs,
            retries: args.retries,
            fail_fast: args.fail_fast,
        };
        let dispatcher = Dispatcher::new(Arc::new(stacks), sink, limits, stop.clone());
        let mut exit = Exit::Ok;
        let mut interrupted = false;
        for _ in 0..args.repeat.max(1) {
            let end = dispatcher.run(cases.clone()).await;
            interrupted |= end.interrupted;
            exit = worse(exit, verdict(&end));
            if interrupted {
                break;
            }
        }
        Played {
            exit,
            interrupted,
            lease: Some(lease),
        }
    }
}

/// How the playing of a run's scenarios ended.
struct Played {
    exit: Exit,
    interrupted: bool,
    lease: Option<Lease>,
}

fn verdict(end: &RunEnd) -> Exit {
    let c = &end.counts;
    if end.interrupted {
        Exit::Interrupted
    } else if c.failed + c.errored + c.timed_out > 0 && end.stack_refused.is_none() {
        Exit::Failed
    } else if end.stack_refused.is_some() {
        Exit::Stack
    } else if c.failed + c.errored + c.timed_out + c.not_run > 0 {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

fn worse(a: Exit, b: Exit) -> Exit {
    if a.code() >= b.code() { a } else { b }
}

/// The command that runs just one scenario again.
fn rerun(global: &crate::args::Global, program: &Program, seed: u64) -> String {
    let case = program.case();
    let mut command = String::from("prodmirror run");
    if let Some(project) = &global.project {
        command.push_str(&format!(" -f {}", quoted(&project.to_string_lossy())));
    }
    command.push_str(&format!(
        " {} --filter {}",
        quoted(&case.file),
        quoted(&case.name)
    ));
    for image in &global.image {
        command.push_str(&format!(" --image {}", quoted(image)));
    }
    command.push_str(&format!(" --seed {seed}"));
    command
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

pub fn images_of(plan: &Plan, offline: bool) -> Vec<WantedImage> {
    let mut wanted: Vec<WantedImage> = Vec::new();
    for c in &plan.containers {
        if wanted
            .iter()
            .any(|w| w.reference == c.image && w.platform == c.platform)
        {
            continue;
        }
        if c.image.starts_with("prodmirror/agent:") {
            continue;
        }
        let policy = if offline {
            Policy::Never
        } else {
            Policy::from_spec(c.pull_policy.as_deref())
        };
        wanted.push(WantedImage {
            reference: c.image.clone(),
            platform: c.platform.clone(),
            policy,
        });
    }
    wanted
}

/// The stack and its fidelity, beside the events.
fn write_facts(opened: &Opened, plan: &Plan, dir: &RunDir) -> std::io::Result<()> {
    if let Some(stack) = &opened.compiled.stack {
        let text = opened.redactor.redact(&stack.text.file.text).into_owned();
        std::fs::write(dir.path.join("stack.yaml"), text)?;
    }
    let mut fidelity = opened.compiled.fidelity.clone();
    fidelity
        .records
        .extend(plan.fidelity.records.iter().cloned());
    let json = serde_json::to_string_pretty(&fidelity)?;
    std::fs::write(
        dir.path.join("fidelity.json"),
        opened.redactor.redact(&json).as_bytes(),
    )
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
    Ok(Filter {
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
