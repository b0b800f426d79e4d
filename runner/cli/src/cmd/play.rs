//! Playing the scenarios of a run: images, the lease, the stacks, and what it all came to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prodmirror_engine::bus::Sink;
use prodmirror_engine::docker::Engine;
use prodmirror_engine::image::provide_all;
use prodmirror_engine::live::UpOptions;
use prodmirror_engine::live::lease::{Hold, Lease, LeaseOptions};
use prodmirror_engine::run::{
    Aftermath, Case, CaseOptions, Dispatcher, EngineStacks, Keep as KeepStacks, Limits, Observer,
    RunEnd, Seed, Stop, pulse,
};
use prodmirror_engine::step::Program;
use prodmirror_engine::store::Clones;
use prodmirror_model::diag::{ProblemKind, Problems};
use prodmirror_model::event::{Outcome, What};
use prodmirror_model::lock::Lock;
use prodmirror_model::plan::Plan;
use prodmirror_model::redact::Redactor;
use prodmirror_model::secret::Secret;

use super::Session;
use super::flagged::Flagged;
use super::planned::images_of;
use crate::args::{Keep, RunArgs};
use crate::exit::Exit;

/// How long a stack may take to start.
pub const START: Duration = Duration::from_secs(300);

/// What is played, and with what.
pub struct Play<'a> {
    /// The command.
    pub session: &'a Session,
    /// Its options.
    pub args: &'a RunArgs,
    /// The run's identity.
    pub run: &'a str,
    /// The run's directory.
    pub dir: &'a Path,
    /// The engine.
    pub engine: Engine,
    /// What each stack consists of.
    pub plan: Arc<Plan>,
    /// And those whose feature flags differ.
    pub flagged: Flagged,
    /// What images are pinned to.
    pub lock: Option<Lock>,
    /// Certificates (DER) of the authorities that steps trust.
    pub roots: Vec<Vec<u8>>,
    /// Values of `secrets.<name>`.
    pub secrets: BTreeMap<String, Secret>,
    /// Takes secrets out of what is printed.
    pub redactor: Redactor,
    /// Is told what runs.
    pub observer: Observer,
    /// Where facts go.
    pub sink: Arc<dyn Sink>,
    /// What ends the run before its time.
    pub stop: Stop,
    /// Who gives clones of snapshots.
    pub data: Option<Arc<Clones>>,
    /// Is told of cases that do not pass.
    pub aftermath: Option<Arc<dyn Aftermath>>,
}

impl Play<'_> {
    /// Plays cases, and returns when every stack is removed.
    pub async fn cases(self, cases: Vec<Case>) -> Played {
        let lease = self
            .session
            .lease(&self.plan.project, self.run, Some(self.dir));
        let keeper_end = lease.keeper_end.clone();
        let pulse = tokio::spawn(pulse(
            self.engine.clone(),
            self.stop.clone(),
            self.sink.clone(),
            keeper_end,
        ));
        let played = self.with_lease(&cases, &lease).await;
        pulse.abort();
        played
    }

    async fn with_lease(&self, cases: &[Case], lease: &LeaseOptions) -> Played {
        let (sink, stop) = (&self.sink, &self.stop);
        let images = images_of(&self.plan, self.lock.as_ref(), self.args.offline);
        let logins = self.session.logins();
        let provided = tokio::select! {
            provided = provide_all(&self.engine, &images, (&logins, &**sink)) => provided,
            () = stop.stopping() => return Played::stopped(cases, &**sink, stop),
        };
        if let Err(problems) = provided {
            return self.refused(cases, &problems, Exit::Stack);
        }
        let taken = tokio::select! {
            taken = Lease::take(&self.engine, lease, sink.clone()) => taken,
            // One signal waits for it: it is quick, and can then be given back.
            () = stop.stopped() => return Played::stopped(cases, &**sink, stop),
        };
        let lease = match taken {
            Ok(lease) => lease,
            Err(p) => return self.refused(cases, &p.into(), Exit::Stack),
        };
        let limits = Limits {
            jobs: self.args.jobs,
            retries: self.args.retries,
            fail_fast: self.args.fail_fast || self.args.until_fail.is_some(),
        };
        let stacks = Arc::new(self.stacks());
        let read_back = stacks.read_back.clone();
        let mut dispatcher = Dispatcher::new(stacks, sink.clone(), limits, stop.clone());
        if let Some(aftermath) = &self.aftermath {
            dispatcher = dispatcher.with_aftermath(aftermath.clone());
        }
        let end = dispatcher.run(cases.to_vec()).await;
        if let Some(data) = &self.data {
            data.close().await;
        }
        Played {
            exit: match verdict(&end) {
                Exit::Ok if self.args.fail_on_flaky && end.counts.flaky > 0 => Exit::Failed,
                exit => exit,
            },
            interrupted: end.interrupted,
            // Of a lost engine it is not known.
            clean: !end.left && end.lost.is_none(),
            unread: read_back.is_missing(),
            lease: Some(lease),
        }
    }

    /// Tells what kept the run from its first stack.
    fn refused(&self, cases: &[Case], problems: &Problems, exit: Exit) -> Played {
        self.session.tell(problems, &self.redactor);
        let lost = problems.0.iter().any(|p| p.kind == ProblemKind::Engine);
        let exit = if lost { Exit::Engine } else { exit };
        let messages: Vec<&str> = problems.0.iter().map(|p| p.message.as_str()).collect();
        Played::nothing(cases, &*self.sink, exit, &messages.join("; "))
    }

    fn stacks(&self) -> EngineStacks {
        let hold = hold(self.args);
        EngineStacks {
            engine: self.engine.clone(),
            plan: self.plan.clone(),
            flag_plans: self.flagged.plans.clone(),
            observed: self.flagged.observed_key(),
            run: self.run.to_owned(),
            sink: self.sink.clone(),
            keep: match self.args.keep {
                Keep::Never => KeepStacks::Never,
                Keep::OnFailure => KeepStacks::OnFailure,
                Keep::Always => KeepStacks::Always,
            },
            roots: self.roots.clone(),
            secrets: self.secrets.clone(),
            timeout: START,
            observer: Some(self.observer.clone()),
            read_back: Arc::default(),
            data: self.data.clone(),
            options: Arc::new(move |options| UpOptions { hold, ..options }),
        }
    }
}

/// Who keeps what a run starts.
pub fn hold(args: &RunArgs) -> Hold {
    // A stack that may be left must not look like one whose runner died.
    match args.keep {
        Keep::Never => Hold::Run,
        Keep::OnFailure | Keep::Always => Hold::Kept,
    }
}

/// The cases of a run: all programs, then all again for each repetition.
pub fn cases(
    session: &Session,
    args: &RunArgs,
    programs: &[Arc<Program>],
    options: &CaseOptions,
    unmet: impl Fn(&Program) -> Option<String>,
) -> Vec<Case> {
    let times = args.until_fail.unwrap_or(args.repeat).max(1);
    let mut cases = Vec::new();
    for turn in 1..=times {
        let mut programs: Vec<&Arc<Program>> = programs.iter().collect();
        if let Some(seed) = args.shuffle {
            let seed = seed.unwrap_or(options.seed);
            shuffle(
                &mut programs,
                &Seed::new(seed).part(&format!("shuffle {turn}")),
            );
        }
        for program in programs {
            let options = CaseOptions {
                rerun: Some(rerun(&session.global, args, program, options.seed)),
                repetition: (times > 1).then_some((turn, times)),
                ..options.clone()
            };
            cases.push(Case {
                program: program.clone(),
                options,
                unmet: unmet(program),
            });
        }
    }
    cases
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], seed: &Seed) {
    let mut seed = seed.clone();
    for last in (1..items.len()).rev() {
        let other = usize::try_from(seed.below(last as u64 + 1)).unwrap_or(last);
        items.swap(last, other);
    }
}

/// How the playing of a run's scenarios ended.
pub struct Played {
    /// What the process ends with.
    pub exit: Exit,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Whether nothing is left on the engine.
    pub clean: bool,
    /// Whether stacks were ready and none could be read back.
    pub unread: bool,
    /// To be given back when the reports are written.
    pub lease: Option<Lease>,
}

impl Played {
    /// A run that ended before its first stack, with the reason for every case.
    fn nothing(cases: &[Case], sink: &dyn Sink, exit: Exit, reason: &str) -> Self {
        for case in cases.iter().filter(|_| exit != Exit::Interrupted) {
            sink.emit(What::CaseFinished {
                case: case.id(),
                outcome: Outcome::Errored,
                took_ms: 0,
                reason: Some(reason.to_owned()),
                rerun: case.options.rerun.clone(),
            });
        }
        Self {
            exit,
            interrupted: exit == Exit::Interrupted,
            clean: true,
            unread: false,
            lease: None,
        }
    }

    /// A run that was ended before its first stack.
    fn stopped(cases: &[Case], sink: &dyn Sink, stop: &Stop) -> Self {
        let exit = match stop.lost() {
            Some(_) => Exit::Engine,
            None => Exit::Interrupted,
        };
        Self::nothing(cases, sink, exit, stop.why())
    }
}

/// What a run of cases came to.
pub fn verdict(end: &RunEnd) -> Exit {
    let c = &end.counts;
    if end.lost.is_some() {
        Exit::Engine
    } else if end.interrupted {
        Exit::Interrupted
    } else if end.stack_refused.is_some() && c.failed == 0 {
        Exit::Stack
    } else if c.failed + c.errored + c.timed_out + c.not_run > 0 {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

/// The command that runs just one scenario again.
fn rerun(global: &crate::args::Global, args: &RunArgs, program: &Program, seed: u64) -> String {
    if let Some(again) = &args.again {
        return again.clone();
    }
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
    for var in &args.vars {
        command.push_str(&format!(" --var {}", quoted(var)));
    }
    for flag in &args.flags {
        command.push_str(&format!(" --flag {}", quoted(flag)));
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
