//! `images`: what recipes describe, built or listed.

use std::path::PathBuf;
use std::sync::Arc;

use prodmirror_engine::bus::{BusOptions, Sink};
use prodmirror_engine::image::{BuildOptions, Logins, Recipes, State, build, states};
use prodmirror_model::diag::Problems;
use prodmirror_model::project::Project;
use prodmirror_model::redact::Redactor;

use super::Session;
use crate::args::{ImagesArgs, ImagesVerb};
use crate::exit::Exit;
use crate::report::terminal::{self, Terminal};

/// Builds or lists.
pub async fn run(session: &Session, args: &ImagesArgs) -> Exit {
    let recipes = match Recipes::read(&directory(session, args)) {
        Ok(recipes) => recipes,
        Err(problems) => {
            session.tell(&problems, &Redactor::new());
            return Exit::Invalid;
        }
    };
    let engine = match session.engine().await {
        Ok(engine) => engine,
        Err(exit) => return exit,
    };
    match &args.verb {
        ImagesVerb::Ls => match states(&engine, &recipes).await {
            Ok(all) => {
                for (name, state) in all {
                    let state = match state {
                        State::Current => "current",
                        State::Outdated => "outdated",
                        State::Missing => "missing",
                    };
                    session.print(&format!("{state:9} {name}\n"));
                }
                Exit::Ok
            }
            Err(p) => fail(session, &Problems::from(p)),
        },
        ImagesVerb::Build { images } => {
            let options = BuildOptions {
                images: images.clone(),
                at_once: 0,
            };
            let terminal = Terminal::new(terminal::Options {
                live: session.context.live(),
                colour: session.context.colour(),
                width: terminal::width(),
                reports: Vec::new(),
                out: Box::new(std::io::stderr()),
            });
            let bus = BusOptions::new(Redactor::new()).subscriber("terminal", Box::new(terminal));
            let bus = match bus.start() {
                Ok(bus) => Arc::new(bus),
                Err(e) => {
                    session.note(&format!("cannot start threads: {e}\n"));
                    return Exit::Invalid;
                }
            };
            let logins = session.logins();
            let sink: &dyn Sink = &*bus;
            let built = build(&engine, &recipes, &options, (&logins, sink)).await;
            let finishing = bus.clone();
            let _ = tokio::task::spawn_blocking(move || finishing.finish(super::LINGER)).await;
            match built {
                Ok(built) => {
                    session.note(&format!(
                        "images: {} built, {} there already\n",
                        built.made.len(),
                        built.kept.len()
                    ));
                    Exit::Ok
                }
                Err(problems) => fail(session, &problems),
            }
        }
    }
}

impl Session {
    /// Logins to registries, as the Docker command line keeps them.
    pub fn logins(&self) -> Logins {
        let env = prodmirror_engine::docker::EngineEnv::from_vars(|name| self.context.var(name));
        Logins::new(
            env.docker_dir(),
            self.context.var("PATH").map(str::to_owned),
        )
    }
}

fn directory(session: &Session, args: &ImagesArgs) -> PathBuf {
    let cwd = &session.context.cwd;
    match (&args.dir, &session.global.project) {
        (Some(dir), _) => cwd.join(dir),
        (None, Some(project)) => cwd.join(project).with_file_name("images"),
        (None, None) => match Project::find(cwd) {
            Ok(project) => project.with_file_name("images"),
            Err(_) => cwd.join("images"),
        },
    }
}

fn fail(session: &Session, problems: &Problems) -> Exit {
    session.tell(problems, &Redactor::new());
    let engine = problems
        .0
        .iter()
        .any(|p| p.kind == prodmirror_model::diag::ProblemKind::Engine);
    if engine { Exit::Engine } else { Exit::Stack }
}
