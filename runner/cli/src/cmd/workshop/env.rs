//! `env`: production's environment of a service, for a process of this machine.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use prodmirror_engine::agent::CA_PATH;
use prodmirror_engine::docker::Engine;
use prodmirror_engine::live::Standing;
use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::plain::visible;
use prodmirror_model::plan::{ContainerPlan, Plan};
use prodmirror_model::source::io_reason;
use serde_json::json;

use super::addresses::List;
use super::carrier;
use super::files::{self, Exported, export};
use super::rewrite::{Book, Names};
use super::written;
use crate::args::{EnvArgs, EnvForm, Format};
use crate::cmd::Session;
use crate::cmd::engine::host_arch;
use crate::exit::Exit;
use crate::open::Opened;

/// Variables that are about the machine, whatever an image says.
const OF_MACHINE: [&str; 5] = ["PATH", "HOME", "HOSTNAME", "PWD", "USER"];

/// A service's environment.
struct Environment {
    variables: BTreeMap<String, String>,
    /// Names of those that hold a secret.
    secret: Vec<String>,
    files: Vec<Exported>,
    /// What to know of it.
    notes: Vec<String>,
}

/// Writes or prints it, or runs a program with it.
pub async fn run(session: &Session, args: &EnvArgs) -> Exit {
    match made(session, args).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn made(session: &Session, args: &EnvArgs) -> Result<Exit, Exit> {
    let opened = session.open(host_arch())?;
    let stack = session.standing().await?;
    let engine = stack.engine().clone();
    let planned = crate::cmd::planned::bare_plan(session, &opened, &engine).await;
    let (plan, _) = planned.map_err(|problems| {
        session.tell(&problems, &opened.redactor);
        Exit::Invalid
    })?;
    let container = find(&plan, &args.service).map_err(|p| session.fail(p))?;
    let of = (&plan, stack.run.as_str());
    let list = carrier::ensure(session, &opened, &engine, of).await;
    let list = list.map_err(|p| session.fail(p))?;
    let dir = files::directory_of(&opened.project.root);
    files::prepare(&dir).map_err(|e| session.fail(unwritable(&dir, &e)))?;
    let name = files::file_name(&args.service);
    let (dir, file) = (dir.join(&name), dir.join(format!("{name}.env")));
    let environment = environment(&opened, &engine, (&plan, container), &list, &stack, &dir);
    let environment = environment.await.map_err(|p| session.fail(p))?;
    for note in &environment.notes {
        session.note(&format!("{}\n", visible(&opened.redactor.redact(note))));
    }
    if !args.command.is_empty() {
        return Err(become_program(session, args, &environment));
    }
    give(session, args, &environment, &file)
}

fn unwritable(path: &Path, e: &std::io::Error) -> Problem {
    let what = format!("{} cannot be written: {}", path.display(), io_reason(e));
    Problem::new(ProblemKind::PathEscape, what)
}

/// The service's container.
fn find<'p>(plan: &'p Plan, service: &str) -> Result<&'p ContainerPlan, Problem> {
    let mut own = plan.containers.iter().filter(|c| !c.is_agent());
    if let Some(found) = own.clone().find(|c| c.service == service) {
        return Ok(found);
    }
    let what = format!("production has no service `{service}`");
    let problem = Problem::new(ProblemKind::UnknownReference, what);
    let help = match nearest(service, own.clone().map(|c| c.service.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => match own.next() {
            Some(_) => "`prodmirror ps` shows which there are".to_owned(),
            None => "there is none at all".to_owned(),
        },
    };
    Err(problem.help(help))
}

async fn environment(
    opened: &Opened,
    engine: &Engine,
    (plan, container): (&Plan, &ContainerPlan),
    list: &List,
    stack: &Standing,
    dir: &Path,
) -> Result<Environment, Problem> {
    let book = Book::new(Names::of(plan), list);
    let mut notes = Vec::new();
    let authority = match &list.authority {
        Some(pem) => Some(pem.clone()),
        None => authority(plan, stack).await,
    };
    let trusts = container.files.iter().any(|f| f.target == CA_PATH);
    if trusts && authority.is_none() {
        notes.push(
            "the certificate of the mirror's stubs could not be had: TLS to them fails".to_owned(),
        );
    }
    let exported = export(dir, container, &book, authority.as_deref());
    let files = exported.map_err(|e| unwritable(dir, &e))?;
    let (raw, image_only) = raw(container, engine, &mut notes).await;
    let mut variables = BTreeMap::new();
    let mut secret = Vec::new();
    let mut named = vec![false; files.len()];
    for (name, value) in &raw {
        if container.secret_env.contains_key(name) || opened.redactor.redact(value) != *value {
            secret.push(name.clone());
        }
        if let Some(path) = here(value, &files, &mut named) {
            variables.insert(name.clone(), path);
            continue;
        }
        // Paths that only an image has are not here.
        if image_only.contains(name) && value.starts_with('/') {
            notes.push(format!("{name} is left out: `{value}` is in the image"));
            continue;
        }
        let new = book.variable(name, value, &raw);
        notes.extend(new.doubts.iter().map(|d| format!("{name}: {d}")));
        variables.insert(name.clone(), new.text);
    }
    for (file, named) in files.iter().zip(named) {
        notes.extend(file.doubts.iter().cloned());
        if !named {
            notes.push(format!(
                "no variable names {}: it is at {}",
                file.target,
                file.path.display()
            ));
        }
    }
    notes.extend(volumes(container));
    Ok(Environment {
        variables,
        secret,
        files,
        notes,
    })
}

/// The variables as production has them, and which of them only the image says.
async fn raw(
    container: &ContainerPlan,
    engine: &Engine,
    notes: &mut Vec<String>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let mut all = BTreeMap::new();
    match engine.image_config(&container.image).await {
        Ok(config) => all.extend(config.env.iter().filter_map(|e| pair(e))),
        Err(_) => notes.push(format!(
            "the image {} is not here, so variables that only it sets are missing",
            container.image
        )),
    }
    all.retain(|name, _| !OF_MACHINE.contains(&name.as_str()));
    let of_spec = container.body["Env"].as_array().into_iter().flatten();
    let mut of_spec: BTreeMap<String, String> = of_spec.filter_map(|v| pair(v.as_str()?)).collect();
    let secret = container.secret_env.iter();
    of_spec.extend(secret.map(|(name, value)| (name.clone(), value.expose().to_owned())));
    let image_only = all.keys().filter(|n| !of_spec.contains_key(*n)).cloned();
    let image_only = image_only.collect();
    all.extend(of_spec);
    (all, image_only)
}

/// The path here of what a value names: a file that production mounts, something below it, or
/// the directory of such files.
fn here(value: &str, files: &[Exported], named: &mut [bool]) -> Option<String> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    for (i, file) in files.iter().enumerate() {
        let Some(rest) = value.strip_prefix(file.target.as_str()) else {
            continue;
        };
        if rest.is_empty() {
            named[i] = true;
            return Some(text(file.path.clone()));
        }
        if let Some(below) = rest.strip_prefix('/') {
            named[i] = true;
            return Some(text(file.path.join(below)));
        }
    }
    let wanted = Path::new(value);
    let inside = |f: &Exported| Path::new(&f.target).parent() == Some(wanted);
    let at = files.iter().position(inside).filter(|_| value.len() > 1)?;
    for (i, file) in files.iter().enumerate() {
        named[i] |= inside(file);
    }
    files[at].path.parent().map(|p| text(p.to_owned()))
}

/// What is mounted and not here.
fn volumes(container: &ContainerPlan) -> Vec<String> {
    let host = &container.body["HostConfig"];
    let binds = host["Binds"].as_array().into_iter().flatten();
    let binds = binds.filter_map(|b| b.as_str()?.split(':').nth(1));
    let mounts = host["Mounts"].as_array().into_iter().flatten();
    let mounts = mounts
        .filter(|m| m["Type"].as_str() == Some("volume"))
        .filter_map(|m| m["Target"].as_str());
    let said = |path: &str| format!("the volume at {path} is not here");
    binds.chain(mounts).map(said).collect()
}

/// The certificate that signs the mirror's stubs, out of a service that has it.
async fn authority(plan: &Plan, stack: &Standing) -> Option<String> {
    let holds = |c: &&ContainerPlan| c.files.iter().any(|f| f.target == CA_PATH);
    let dir = tempfile::tempdir().ok()?;
    let to = dir.path().join("ca.pem");
    for c in plan.containers.iter().filter(holds) {
        let Ok(member) = stack.member(&c.service, c.replica) else {
            continue;
        };
        if stack.copy_out(&member, CA_PATH, &to).await.is_ok() {
            return std::fs::read_to_string(&to).ok();
        }
    }
    None
}

/// Writes it to a file, or prints it.
fn give(
    session: &Session,
    args: &EnvArgs,
    environment: &Environment,
    file: &Path,
) -> Result<Exit, Exit> {
    let form = match (args.form, session.global.format) {
        (Some(form), _) => form,
        (None, Format::Json) => EnvForm::Json,
        (None, _) => EnvForm::Dotenv,
    };
    let printed = args.print || args.show_secrets;
    let mut variables = environment.variables.clone();
    if printed && !args.show_secrets {
        for name in &environment.secret {
            // The whole value: an address in it may be another than in the secret, which then
            // would not be found in it.
            if let Some(value) = variables.get_mut(name) {
                "***".clone_into(value);
            }
        }
        if !environment.secret.is_empty() {
            let names = environment.secret.join(", ");
            session.note(&format!(
                "secrets are left out of {names}; --show-secrets prints them\n"
            ));
        }
    }
    if form == EnvForm::Shell {
        variables.retain(|name, _| written::is_name(name));
    }
    let text = match form {
        EnvForm::Dotenv => written::dotenv(&variables),
        EnvForm::Shell => written::shell(&variables),
        EnvForm::Json => object(args, environment, &variables),
    };
    if printed {
        session.print(&text);
        return Ok(Exit::Ok);
    }
    let written = files::write(file, text.as_bytes(), 0o600);
    written.map_err(|e| session.fail(unwritable(file, &e)))?;
    session.print(&format!("{}\n", file.display()));
    Ok(Exit::Ok)
}

fn object(
    args: &EnvArgs,
    environment: &Environment,
    variables: &BTreeMap<String, String>,
) -> String {
    let files: Vec<_> = environment
        .files
        .iter()
        .map(|f| json!({"target": f.target, "path": f.path, "secret": f.is_secret}))
        .collect();
    let value = json!({
        "service": args.service,
        "env": variables,
        "secret": environment.secret,
        "files": files,
        "notes": environment.notes,
    });
    format!(
        "{}\n",
        serde_json::to_string_pretty(&value).unwrap_or_default()
    )
}

/// Lets a program take the place of this one. Comes back only when that cannot be.
fn become_program(session: &Session, args: &EnvArgs, environment: &Environment) -> Exit {
    let Some((program, rest)) = args.command.split_first() else {
        return Exit::Invalid;
    };
    let mut command = std::process::Command::new(program);
    command.args(rest).envs(&environment.variables);
    let e = command.exec();
    let what = format!("`{program}` cannot be run: {}", io_reason(&e));
    session.fail(Problem::new(ProblemKind::MissingFile, what))
}
