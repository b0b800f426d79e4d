//! `run --watch`: a first turn on a stack that then stays, and another turn at every save.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use prodmirror_engine::bus::{NoSink, Sink, Subscriber};
use prodmirror_engine::image::provide_all;
use prodmirror_engine::live::UpOptions;
use prodmirror_engine::live::lease::{Hold, Lease};
use prodmirror_engine::run::{Counts, Dispatcher, EngineStacks, Keep, Limits, Stop, pulse};
use prodmirror_engine::step::Program;
use prodmirror_engine::store::Clones;
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::{CaseId, Event, What};
use prodmirror_model::flags::OverrideKey;
use prodmirror_model::lock;
use prodmirror_model::plan::Plan;
use prodmirror_model::project::SecretSource;

use super::affected::{is_part_of, with_needs};
use super::kept::{Kept, Relay, Shapes};
use super::seen::{self, Changes, Seen};
use super::shape::Shape;
use super::{REPORTS, Ready, check_window, filter, parse_all, refuse_shell};
use crate::args::RunArgs;
use crate::cmd::flagged::Flagged;
use crate::cmd::planned::{images_of, plan_with};
use crate::cmd::{Session, data, play};
use crate::exit::Exit;
use crate::report::look::count;
use crate::report::terminal::Terminal;
use crate::runs::{RunDir, Runs};
use crate::select;
use crate::signals;

/// How often files are looked at.
const EVERY: Duration = Duration::from_millis(50);
/// How many of these looks come before one for new files.
const NEW_EVERY: u32 = 5;
/// A save is over when nothing changed for so long: editors write in several pieces.
const QUIET: Duration = Duration::from_millis(10);
/// What is empty has not been written yet, mostly: so long it is waited for.
const EMPTY: Duration = Duration::from_millis(250);
/// What changes all the time is not waited for.
const BUSY: Duration = Duration::from_secs(1);
/// A save that is said to be older was not seen when it happened.
const OLD: Duration = Duration::from_secs(60);
/// How long lines of a turn may take to be on the screen.
const SHOWN: Duration = Duration::from_secs(2);

/// A terminal that shows what happens, without the first and last words of a run.
pub struct Brief(pub Terminal);

impl Subscriber for Brief {
    fn on(&mut self, event: &Event) {
        match &event.what {
            What::RunStarted { .. } | What::RunFinished { .. } => self.0.learn(event),
            _ => self.0.on(event),
        }
    }

    fn finish(&mut self) {
        self.0.finish();
    }
}

struct Watch<'a> {
    session: &'a Session,
    args: &'a RunArgs,
    dir: RunDir,
    stop: Stop,
    relay: Arc<Relay>,
    kept: Arc<Kept>,
    clones: Option<Arc<Clones>>,
    /// What a stack is planned as, before certificates are made for it.
    bare: Option<Plan>,
    /// Files that changed since what was planned last.
    pending: BTreeSet<PathBuf>,
    turn: u32,
    /// Whether its images have not been looked for yet.
    new_plan: bool,
    /// Mistakes of scenarios that are there and were told.
    told: BTreeSet<String>,
    /// How the last turn ended.
    exit: Exit,
}

impl Ready {
    /// Plays the selected scenarios, then again whatever a save is part of, until a signal.
    pub(super) async fn watch(self, session: &Session, args: &RunArgs) -> Exit {
        let runs = Runs::of(&self.opened.project.root);
        let dir = match runs.create(self.seed) {
            Ok(dir) => dir,
            Err(e) => {
                let what = format!("cannot write {}: {e}", runs.dir().display());
                return session.fail(Problem::new(ProblemKind::MissingFile, what));
            }
        };
        let stop = signals::stop();
        let (mut ready, programs) = self.without_programs();
        let programs: Vec<Arc<Program>> = programs.into_iter().map(Arc::new).collect();
        let relay = Arc::new(Relay::new(Arc::new(NoSink)));
        let clones = clones(session, &ready, &dir.id, &programs);
        let maker = maker(&ready, &dir.id, &relay, clones.clone());
        let mut watch = Watch {
            session,
            args,
            stop: stop.clone(),
            relay: relay.clone(),
            kept: Arc::new(Kept::new(maker)),
            clones,
            bare: Shape::plan_of(&ready.opened, &ready.engine),
            pending: BTreeSet::new(),
            turn: 0,
            new_plan: true,
            told: BTreeSet::new(),
            exit: Exit::Ok,
            dir,
        };
        let lease = session.lease(&ready.plan.project, &watch.dir.id, Some(&watch.dir.path));
        let keeper_end = lease.keeper_end.clone();
        let sink: Arc<dyn Sink> = relay.clone();
        let taken = tokio::select! {
            taken = Lease::take(&ready.engine, &lease, sink.clone()) => taken,
            () = stop.stopped() => return Exit::Interrupted,
        };
        let lease = match taken {
            Ok(lease) => lease,
            Err(p) => return session.fail(p),
        };
        let pulse = tokio::spawn(pulse(ready.engine.clone(), stop.clone(), sink, keeper_end));
        session.note(
            "--watch: all scenarios share one stack, which is kept from save to save; Ctrl-C ends \
             and removes it\n",
        );
        watch.turns(&mut ready, programs).await;
        pulse.abort();
        relay.turn_to(Arc::new(NoSink));
        let finished = watch.kept.end().await;
        if let Some(clones) = &watch.clones {
            clones.close().await;
        }
        if finished.left || finished.lost.is_some() {
            session.note("warning: not everything could be removed; `prodmirror gc` tries again\n");
            lease.abandon();
        } else {
            lease.release().await;
        }
        if stop.lost().is_some() || finished.lost.is_some() {
            return Exit::Engine;
        }
        watch.exit
    }
}

impl Watch<'_> {
    async fn turns(&mut self, ready: &mut Ready, programs: Vec<Arc<Program>>) {
        let mut seen = Seen::default();
        let mut known = programs.clone();
        // Before the first turn: what is saved while it runs is a save, too.
        seen.watch(self.files(ready, &known));
        let began = Instant::now();
        self.turn(ready, programs, None, began).await;
        while !self.stop.is_stopping() {
            self.session.note("waiting for a save\n");
            let changes = tokio::select! {
                changes = self.changes(ready, &mut seen) => changes,
                () = self.stop.stopping() => return,
            };
            let began = Instant::now();
            let whole = match self.production(ready, &changes).await {
                Ok(whole) => whole,
                // It was told what is wrong.
                Err(_) => continue,
            };
            if let Some(chosen) = self.scenarios(ready, &changes, whole, &mut known)
                && !chosen.is_empty()
            {
                self.turn(ready, chosen, changes.saved, began).await;
            }
            seen.watch(self.files(ready, &known));
        }
    }

    /// All files that a save is waited for of.
    fn files(&self, ready: &Ready, programs: &[Arc<Program>]) -> BTreeSet<PathBuf> {
        let mut all = self.production_files(ready);
        all.extend(self.scenario_files(ready));
        for source in programs.iter().flat_map(|p| &p.scenario.sources) {
            if let Some(path) = &source.path {
                all.insert(path.clone());
                // What steps read (bodies, statements, protos) stands beside, mostly.
                let beside = path
                    .parent()
                    .into_iter()
                    .flat_map(std::fs::read_dir)
                    .flatten();
                let files = beside.flatten().map(|e| e.path());
                all.extend(files.filter(|p| p.is_file()));
            }
        }
        all
    }

    /// Files below the places where scenarios are looked for.
    fn scenario_files(&self, ready: &Ready) -> BTreeSet<PathBuf> {
        let root = &ready.opened.project.root;
        let cwd = &self.session.context.cwd;
        let mut all: BTreeSet<PathBuf> = select::paths_of(&self.args.scenarios, root, cwd)
            .0
            .into_iter()
            .collect();
        let default = [root.join("scenarios")];
        let named: Vec<PathBuf> = self.args.scenarios.iter().map(|p| cwd.join(p)).collect();
        let dirs = if named.is_empty() {
            &default[..]
        } else {
            &named
        };
        for dir in dirs.iter().filter(|d| d.is_dir()) {
            seen::below(dir, &mut all);
        }
        all
    }

    /// `mirror.yaml`, and what decides what runs.
    fn production_files(&self, ready: &Ready) -> BTreeSet<PathBuf> {
        let opened = &ready.opened;
        let project = &opened.project;
        let mut named: BTreeSet<PathBuf> = BTreeSet::new();
        named.insert(project.path.clone());
        named.insert(project.root.join(lock::FILE_NAME));
        named.extend(project.production.iter().flat_map(|s| s.files.clone()));
        named.extend(project.env_files.iter().map(|p| p.path.clone()));
        named.extend(opened.compiled.rendered.keys().cloned());
        if let Ok(facts) = lock::facts(project, &opened.compiled, &self.session.context.env) {
            let names = facts.sources.keys().chain(facts.configs.keys());
            named.extend(names.map(|n| project.root.join(n)).filter(|p| p.exists()));
        }
        for s in &project.secrets {
            if let SecretSource::File(path) = &s.value.value {
                named.insert(path.clone());
            }
        }
        let shape = self.bare.iter().map(|plan| Shape::of(plan, opened));
        named.extend(shape.flat_map(|s| s.files().cloned().collect::<Vec<_>>()));
        named.extend(
            project
                .flags
                .iter()
                .filter_map(|f| f.file.as_ref().map(|p| p.path.clone())),
        );
        let mut all = BTreeSet::new();
        for path in named {
            seen::below(&path, &mut all);
        }
        all
    }

    /// Waits for a save, to its end.
    async fn changes(&self, ready: &Ready, seen: &mut Seen) -> Changes {
        let mut looks = 0;
        let mut changes = loop {
            looks += 1;
            let new = if looks % NEW_EVERY == 0 {
                self.scenario_files(ready)
            } else {
                BTreeSet::new()
            };
            let changes = seen.changes(new);
            if !changes.paths.is_empty() {
                break changes;
            }
            tokio::time::sleep(EVERY).await;
        };
        let begun = Instant::now();
        while begun.elapsed() < BUSY {
            tokio::time::sleep(QUIET).await;
            let more = seen.changes(BTreeSet::new());
            let is_written = begun.elapsed() >= EMPTY || !seen.has_empty(&changes.paths);
            if more.paths.is_empty() && is_written {
                break;
            }
            changes.add(more);
        }
        changes
    }

    /// Looks what a change makes of production; whether the stack is made again.
    async fn production(&mut self, ready: &mut Ready, changes: &Changes) -> Result<bool, Exit> {
        let ours = self.production_files(ready);
        let changed: Vec<&PathBuf> = changes.paths.intersection(&ours).collect();
        if changed.is_empty() {
            return Ok(false);
        }
        let root = ready.opened.project.root.clone();
        let cwd = &self.session.context.cwd;
        let names: Vec<String> = changed
            .iter()
            .map(|p| select::shown(p, &root, cwd))
            .collect();
        self.session
            .note(&format!("\nsaved {}\n", names.join(", ")));
        // What keeps it from being planned is mended by another save.
        self.pending.extend(changes.paths.iter().cloned());
        let fixed = parse_all(self.session, &self.args.flags, crate::flags::fixed)?;
        let mut opened = self.session.open(&ready.engine.facts().arch)?;
        if let Err(problems) = opened.set_flags(&fixed) {
            self.session.tell(&problems, &opened.redactor);
            return Err(Exit::Invalid);
        }
        self.session.tell(&opened.problems, &opened.redactor);
        if opened.problems.has_errors() {
            return Err(Exit::Invalid);
        }
        let asked = (self.args.locked, self.args.offline);
        crate::cmd::lock::gate(self.session, &opened, &ready.engine, asked).await?;
        let (plan, roots) = plan_with(self.session, &opened, &ready.engine, &ready.ca).await?;
        let bare = Shape::plan_of(&opened, &ready.engine);
        let changed = std::mem::take(&mut self.pending);
        let before = self
            .bare
            .as_ref()
            .map(|plan| Shape::of(plan, &ready.opened));
        let now = bare.as_ref().map(|plan| Shape::of(plan, &opened));
        let same = match (&before, &now) {
            (Some(before), Some(now)) => before.differs(now, &changed).is_nothing(),
            _ => false,
        };
        ready.opened = opened;
        ready.plan = plan;
        ready.roots = roots;
        self.bare = bare;
        self.kept.changed(&changed).await;
        if same {
            self.session
                .note("nothing of what runs is changed by it: the stack stays\n");
        } else {
            self.new_plan = true;
        }
        Ok(true)
    }

    /// Tells of which stacks the turn will be: one for each combination of feature flags.
    async fn aim(&self, ready: &mut Ready, programs: &[Arc<Program>]) -> Result<(), Problem> {
        let choices = &ready.opened.flags;
        ready.flagged = Flagged::of(&ready.plan, choices, programs)?;
        let mut shapes = Shapes::new();
        if let Some(bare) = &self.bare {
            shapes.insert(OverrideKey::new(), Shape::of(bare, &ready.opened));
            let flagged = Flagged::of(bare, choices, programs)?;
            for (key, plan) in &flagged.plans {
                shapes.insert(key.clone(), Shape::of(plan, &ready.opened));
            }
        }
        let maker = maker(ready, &self.dir.id, &self.relay, self.clones.clone());
        self.kept.aim(maker, shapes).await;
        Ok(())
    }

    /// Reads scenarios again, and tells their mistakes; those without that a change is part of.
    fn scenarios(
        &mut self,
        ready: &mut Ready,
        changes: &Changes,
        whole: bool,
        known: &mut Vec<Arc<Program>>,
    ) -> Option<Vec<Arc<Program>>> {
        let (session, args) = (self.session, self.args);
        let cwd = &session.context.cwd;
        let root = ready.opened.project.root.clone();
        let read = ready.opened.scenarios(&args.scenarios, cwd);
        let names: BTreeSet<String> = changes
            .paths
            .iter()
            .map(|p| select::shown(p, &root, cwd))
            .collect();
        let in_file = |p: &Problem| p.span.as_ref().map(|s| s.file.name.clone());
        let errors = read.problems.0.iter().filter(|p| p.is_error());
        let broken: BTreeSet<String> = errors.filter_map(in_file).collect();
        // Other mistakes have been told when they were made.
        let now: BTreeSet<String> = read.problems.0.iter().map(key).collect();
        let is_due = |p: &&Problem| {
            let of_save = in_file(p).is_some_and(|f| names.contains(&f));
            whole || of_save || !self.told.contains(&key(p))
        };
        let due: Vec<Problem> = read.problems.0.iter().filter(is_due).cloned().collect();
        self.told = now;
        if !due.is_empty() {
            let shown: Vec<&str> = names.iter().map(String::as_str).collect();
            session.note(&format!("\nsaved {}\n", shown.join(", ")));
            session.tell(&Problems(due), &ready.opened.redactor);
        }
        ready.files = read.files;
        let sound = |p: &Program| p.scenario.sources.iter().all(|s| !broken.contains(&s.name));
        let sound: Vec<Program> = read.programs.into_iter().filter(sound).collect();
        let selected = match filter(session, args, &ready.opened) {
            Ok(filter) => filter.apply(sound),
            Err(_) => return None,
        };
        if let Some(p) = refuse_shell(args, &selected) {
            session.fail(p);
            return None;
        }
        if let Err(problems) = check_window(args, &selected) {
            session.tell(&problems, &ready.opened.redactor);
            return None;
        }
        let ids: Vec<CaseId> = selected
            .iter()
            .filter(|p| whole || is_part_of(p, &changes.paths))
            .map(Program::case)
            .collect();
        let all: Vec<Arc<Program>> = selected.into_iter().map(Arc::new).collect();
        let chosen = with_needs(&all, ids);
        *known = all;
        Some(chosen)
    }

    /// One turn: cases on the stack, and how it went.
    async fn turn(
        &mut self,
        ready: &mut Ready,
        programs: Vec<Arc<Program>>,
        saved: Option<SystemTime>,
        began: Instant,
    ) {
        self.turn += 1;
        let (session, args) = (self.session, self.args);
        let options = ready.options(args);
        let realism = data::Realism::of(session, &ready.engine, &ready.plan, &programs).await;
        let realism = match realism {
            Ok(realism) => realism,
            Err(p) => {
                session.fail(p);
                return;
            }
        };
        if self.clones.is_none() && programs.iter().any(|p| !p.scenario.data.is_empty()) {
            self.clones = clones(session, ready, &self.dir.id, &programs);
            session.note("a scenario names data: the whole stack is made again\n");
            let maker = maker(ready, &self.dir.id, &self.relay, self.clones.clone());
            self.kept.replace(maker).await;
        }
        if let Err(p) = self.aim(ready, &programs).await {
            session.fail(p);
            return;
        }
        let cases = play::cases(session, args, &programs, &options, |p| realism.unmet(p));
        let (bus, reports) = match ready.bus(session, args, &self.dir) {
            Ok((bus, reports)) => (Arc::new(bus), reports),
            Err(e) => {
                session.note(&format!("warning: {}: {e}\n", self.dir.path.display()));
                return;
            }
        };
        self.relay.turn_to(bus.clone());
        session.note(&format!(
            "\nturn {}: {}\n",
            self.turn,
            count(cases.len(), "scenario")
        ));
        bus.emit(ready.started(&self.dir, &cases));
        let images = images_of(&ready.plan, ready.opened.lock.as_ref(), args.offline);
        let logins = session.logins();
        let sink: Arc<dyn Sink> = bus.clone();
        let provided = if std::mem::take(&mut self.new_plan) {
            tokio::select! {
                provided = provide_all(&ready.engine, &images, (&logins, &*sink)) => provided.map(|_| ()),
                () = self.stop.stopping() => Ok(()),
            }
        } else {
            Ok(())
        };
        if let Err(problems) = provided {
            self.new_plan = true;
            session.tell(&problems, &ready.opened.redactor);
            self.exit = Exit::Stack;
            return;
        }
        let limits = Limits {
            jobs: 1,
            retries: args.retries,
            fail_fast: false,
        };
        let dispatcher = Dispatcher::new(self.kept.clone(), sink, limits, self.stop.clone());
        let end = dispatcher.run(cases).await;
        let shown = bus.clone();
        let _ = tokio::task::spawn_blocking(move || shown.settle(SHOWN)).await;
        let took = began.elapsed();
        let since = saved
            .and_then(|t| SystemTime::now().duration_since(t).ok())
            .filter(|d| *d < OLD);
        self.exit = play::verdict(&end);
        session.note(&format!(
            "turn {}: {}, {}\n",
            self.turn,
            words(&end.counts),
            match since {
                Some(since) => format!("{} ms from the save to the result", since.as_millis()),
                None => format!("in {:.2} s", took.as_secs_f64()),
            }
        ));
        bus.emit(What::RunFinished {
            clean: true,
            interrupted: end.interrupted,
            exit: self.exit.code(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        super::tell_outside(session, &options.outside);
        let finishing = bus.clone();
        let end = tokio::task::spawn_blocking(move || finishing.finish(REPORTS)).await;
        let problems = end.map(|e| e.problems).unwrap_or_default();
        for problem in problems.iter().chain(&reports.all()) {
            session.note(&format!("warning: {problem}\n"));
        }
    }
}

/// What makes a mistake the same as before.
fn key(p: &Problem) -> String {
    let place = p
        .span
        .as_ref()
        .map(|s| (s.file.name.as_str(), s.line, s.col));
    format!("{place:?} {}", p.message)
}

fn words(c: &Counts) -> String {
    let all = [
        (c.passed, "passed"),
        (c.failed, "failed"),
        (c.timed_out, "timed out"),
        (c.errored, "could not be run"),
        (c.skipped, "skipped"),
        (c.not_run, "not run"),
    ];
    let some = all.iter().filter(|(n, _)| *n > 0);
    some.map(|(n, what)| format!("{n} {what}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn clones(
    session: &Session,
    ready: &Ready,
    run: &str,
    programs: &[Arc<Program>],
) -> Option<Arc<Clones>> {
    let of = (&ready.plan, run, Hold::Run);
    data::clones(session, &ready.opened, &ready.engine, of, programs)
}

fn maker(ready: &Ready, run: &str, sink: &Arc<Relay>, data: Option<Arc<Clones>>) -> EngineStacks {
    EngineStacks {
        engine: ready.engine.clone(),
        plan: Arc::new(ready.plan.clone()),
        flag_plans: ready.flagged.plans.clone(),
        observed: Default::default(),
        run: run.to_owned(),
        sink: sink.clone(),
        keep: Keep::Never,
        roots: ready.roots.clone(),
        secrets: ready.opened.secrets.clone(),
        timeout: play::START,
        // Fidelity is that of the plan, whose gate was asked: reading it back is for `run`.
        observer: None,
        read_back: Arc::default(),
        data,
        options: Arc::new(|options| UpOptions {
            hold: Hold::Run,
            ..options
        }),
    }
}
