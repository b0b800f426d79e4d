//! `init`: a first project file and a first scenario.

use std::path::{Path, PathBuf};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::source::io_reason;

use super::Session;
use crate::args::InitArgs;
use crate::exit::Exit;

/// Where production's Compose files are looked for, best first.
const PLACES: [&str; 8] = [
    "production/compose.yaml",
    "deploy/compose.yaml",
    "compose.prod.yaml",
    "docker-compose.prod.yml",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// Writes `mirror.yaml` and `scenarios/first.yaml`, and never over anything.
pub fn run(session: &Session, args: &InitArgs) -> Exit {
    match write(session, args) {
        Ok(()) => Exit::Ok,
        Err(p) => session.fail(p),
    }
}

fn write(session: &Session, args: &InitArgs) -> Result<(), Problem> {
    let cwd = &session.context.cwd;
    let specs = if args.specs.is_empty() {
        found(cwd)?
    } else {
        args.specs.clone()
    };
    for spec in &specs {
        if !cwd.join(spec).is_file() {
            let what = format!("there is no file {}", spec.display());
            return Err(Problem::new(ProblemKind::MissingFile, what));
        }
    }
    let listed: Vec<String> = specs
        .iter()
        .map(|s| s.to_string_lossy().into_owned())
        .collect();
    let dir = specs
        .first()
        .and_then(|s| s.parent())
        .unwrap_or(Path::new(""));
    let dotenv = dir.join(".env");
    let env_files = if cwd.join(&dotenv).is_file() {
        format!("env_files: [{}]\n", dotenv.display())
    } else {
        String::new()
    };
    let project = format!(
        "# How production becomes a local mirror. Nothing of production is written here again.\n\
         production: [{}]\n{env_files}\n\
         # Stand-ins for production's secrets: {{ stub: … }}, {{ env: NAME }} or {{ file: path }}.\n\
         secrets: {{}}\n\n\
         # Hosts outside of production that its services call, and who answers for them.\n\
         egress: {{}}\n\n\
         # The change being tested: {{ service: \"image:tag\" }}. All else stays production's.\n\
         images:\n  under_test: {{}}\n",
        listed.join(", ")
    );
    create(&cwd.join("mirror.yaml"), &project)?;
    session.note("wrote mirror.yaml\n");
    let first = cwd.join("scenarios").join("first.yaml");
    if !cwd.join("scenarios").exists() {
        let text = "scenario: the front door answers\nsteps:\n  \
                    # Names and ports are production's own.\n  \
                    - http: { url: \"http://gateway/\" }\n    expect: status < 500\n";
        create(&first, text)?;
        session.note("wrote scenarios/first.yaml\n");
    }
    session.note("next: `prodmirror check`, then `prodmirror run`\n");
    Ok(())
}

fn found(cwd: &Path) -> Result<Vec<PathBuf>, Problem> {
    let spec = PLACES
        .iter()
        .map(PathBuf::from)
        .find(|p| cwd.join(p).is_file());
    spec.map(|s| vec![s]).ok_or_else(|| {
        Problem::new(ProblemKind::MissingFile, "no Compose file was found here")
            .help("name what production runs from: `prodmirror init path/to/compose.yaml`")
    })
}

fn create(path: &Path, text: &str) -> Result<(), Problem> {
    let fail = |e: std::io::Error| {
        let what = format!("cannot write {}: {}", path.display(), io_reason(&e));
        Problem::new(ProblemKind::Conflict, what)
    };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(fail)?;
    }
    let mut file = std::fs::File::create_new(path).map_err(|e| {
        if e.kind() == std::io::ErrorKind::AlreadyExists {
            let what = format!("{} is there already", path.display());
            Problem::new(ProblemKind::Conflict, what).help("edit it, or remove it first")
        } else {
            fail(e)
        }
    })?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(fail)
}
