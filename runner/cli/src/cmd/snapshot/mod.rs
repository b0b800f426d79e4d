//! `snapshot`: production's data, sealed and described.

mod create;
mod made;
mod moved;
mod remove;
mod show;

pub(super) use moved::{export_masked, import_from};

use std::collections::BTreeMap;

use prodmirror_engine::docker::Engine;
use prodmirror_engine::live::label::{Role, Tags};
use prodmirror_engine::live::lease::{Hold, Owner};
use prodmirror_engine::store::{Catalogue, Helper, Open};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::redact::Redactor;
use prodmirror_model::snapshot::bytes;

use super::Session;
use super::workshop::data::{self, Playing};
use crate::args::{Format, SnapshotArgs, SnapshotVerb};
use crate::exit::Exit;
use crate::signals;

/// Does it.
pub async fn run(session: &Session, args: &SnapshotArgs) -> Exit {
    let engine = match session.engine().await {
        Ok(engine) => engine,
        Err(exit) => return exit,
    };
    let of_mirror = match &args.verb {
        SnapshotVerb::Save { name } => Some(Playing::Save(name)),
        SnapshotVerb::Restore { name } => Some(Playing::Restore(name.as_deref())),
        SnapshotVerb::Saved => Some(Playing::List),
        _ => None,
    };
    if let Some(playing) = of_mirror {
        return data::run(session, &playing).await;
    }
    let work = Work::new(session, engine);
    let stop = signals::stop();
    let doing = async {
        match &args.verb {
            SnapshotVerb::Create(args) => work.create(args).await,
            SnapshotVerb::Ls => work.ls().await,
            SnapshotVerb::Inspect { name } => work.inspect(name).await,
            SnapshotVerb::Verify { name } => work.verify(name).await,
            SnapshotVerb::Diff { before, after } => work.diff(before, after).await,
            SnapshotVerb::Export { name, file } => work.export(name, file).await,
            SnapshotVerb::Import { file, name } => work.import(file, name.as_deref()).await,
            SnapshotVerb::Push { name, reference } => work.push(name, reference).await,
            SnapshotVerb::Pull { reference, name } => work.pull(reference, name.as_deref()).await,
            SnapshotVerb::Rm { names, force } => work.rm(names, *force).await,
            // Done above: what is remembered of a mirror is in no catalogue.
            SnapshotVerb::Save { .. } | SnapshotVerb::Restore { .. } | SnapshotVerb::Saved => {
                Ok(())
            }
        }
    };
    let done = tokio::select! {
        done = doing => Some(done),
        () = stop.stopping() => None,
    };
    work.tidy().await;
    match done {
        Some(Ok(())) => Exit::Ok,
        Some(Err(problems)) => work.refused(&problems),
        None => {
            session.note("interrupted; nothing is left of it\n");
            Exit::Interrupted
        }
    }
}

/// What the commands share.
struct Work<'a> {
    session: &'a Session,
    engine: Engine,
    catalogue: Catalogue,
    run: String,
    tags: Tags,
}

impl<'a> Work<'a> {
    fn new(session: &'a Session, engine: Engine) -> Self {
        let run = format!(
            "snapshot-{}-{}",
            jiff::Timestamp::now().as_millisecond(),
            std::process::id()
        );
        let owner = Owner::this_process();
        Self {
            session,
            catalogue: Catalogue::of(&engine, &session.global.store),
            tags: Tags::new("snapshot", &run, "", Hold::Run, &owner),
            engine,
            run,
        }
    }

    fn store(&self) -> &str {
        &self.session.global.store
    }

    fn labels(&self) -> BTreeMap<String, String> {
        self.tags.labels(Role::Store)
    }

    async fn helper(&self) -> Result<Helper, Problem> {
        let how = Open {
            labels: self.labels(),
            ..Open::of(self.store())
        };
        Helper::open(&self.engine, &how).await
    }

    /// Removes what was made on the way.
    async fn tidy(&self) {
        let filters = self.tags.filters();
        let report = prodmirror_engine::live::sweep(&self.engine, &filters, super::SWEEP).await;
        for left in report.left {
            self.session
                .note(&format!("warning: could not remove {left}\n"));
        }
    }

    fn refused(&self, problems: &Problems) -> Exit {
        self.session.tell(problems, &Redactor::new());
        let has = |kind| problems.0.iter().any(|p| p.kind == kind);
        if has(ProblemKind::Engine) {
            Exit::Engine
        } else if has(ProblemKind::Drift) {
            Exit::Gate
        } else if has(ProblemKind::Start) {
            Exit::Stack
        } else {
            Exit::Invalid
        }
    }

    /// Shows how far something is, on a terminal.
    fn progress(&self, what: &'static str) -> impl Fn(u64) + Send + Sync + use<> {
        let live = self.session.context.live() && self.session.global.format == Format::Human;
        let bar = live.then(indicatif::ProgressBar::new_spinner);
        move |count| {
            if let Some(bar) = &bar {
                bar.set_message(format!("{what}: {}", bytes(count)));
                bar.tick();
            }
        }
    }

    fn say(&self, text: &str) {
        if self.session.global.format == Format::Human {
            self.session.note(text);
        }
    }
}
