//! `new`: a scenario file to start from.

mod curl;
mod draft;
mod emit;
mod files;
mod har;
mod host;
mod kind;
mod link;
mod log;
mod openapi;
mod options;
mod sample;
mod schema;
mod shell;
mod stable;
mod statement;
mod trace;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use prodmirror_engine::step::compile;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::project::Project;
use prodmirror_model::scenario::format;
use prodmirror_model::source::{SourceFile, io_reason};
use serde_json::json;

use self::draft::Draft;
pub use self::har::{TOO_LONG, useless};
pub use self::host::Hosts;
use super::Session;
use crate::args::{Format, NewArgs};
use crate::exit::Exit;

/// A command that is longer is none.
const LONGEST: u64 = 4 * 1024 * 1024;

/// Writes a scenario file, and says what was left out.
pub fn run(session: &Session, args: &NewArgs) -> Exit {
    match make(session, args) {
        Ok(exit) => exit,
        Err(p) => session.fail(p),
    }
}

/// What is written.
struct Made {
    name: String,
    text: String,
    secrets: Vec<String>,
    warnings: Vec<String>,
}

fn make(session: &Session, args: &NewArgs) -> Result<Exit, Problem> {
    let mut hosts = Hosts::new(session, args.host.as_deref())?;
    let made = text(session, args, &mut hosts)?;
    let path = out_path(
        session,
        args.out.as_deref(),
        args.name.as_deref(),
        &made.name,
    );
    put(session, &made, &path, args.force)?;
    Ok(Exit::Ok)
}

/// A recording that just ended, and where its scenario goes.
pub struct Recording<'a> {
    /// The name that it was given.
    pub name: Option<&'a str>,
    /// Where the scenario is written; `-` is standard output.
    pub out: &'a Path,
    /// Whether a file that is there is written over.
    pub force: bool,
    /// Whether static files become steps too.
    pub all: bool,
    /// Values of the project's secrets, by their names.
    pub known: Vec<(String, String)>,
}

/// Writes the scenario of a recording (HAR), and says what was left out.
///
/// # Errors
/// It holds no request, or the file cannot be written.
pub fn recorded(
    session: &Session,
    har: &serde_json::Value,
    recording: &Recording<'_>,
    hosts: &mut Hosts,
) -> Result<(), Problem> {
    let mut draft = Draft::default();
    for (name, value) in &recording.known {
        draft.secrets.know(name, value);
    }
    let draft = har::of(har, hosts, (draft, recording.all)).map_err(|why| {
        let what = format!("no scenario is written: {why}");
        Problem::new(ProblemKind::InvalidValue, what)
    })?;
    let made = of_draft(&draft, recording.name);
    put(session, &made, recording.out, recording.force)
}

fn put(session: &Session, made: &Made, path: &Path, force: bool) -> Result<(), Problem> {
    let text = checked(&made.text)?;
    let to_output = path == Path::new("-");
    if to_output {
        session.print(&text);
    } else {
        write(&session.context.cwd.join(path), path, &text, force)?;
    }
    tell(session, made, path, to_output);
    Ok(())
}

/// Where a scenario is written: where it was said, or by its name.
pub fn out_path(session: &Session, out: Option<&Path>, name: Option<&str>, usual: &str) -> PathBuf {
    match out {
        Some(path) => path.to_owned(),
        None => default_path(session, name.unwrap_or(usual)),
    }
}

fn tell(session: &Session, made: &Made, path: &Path, to_output: bool) {
    if session.global.format == Format::Json && !to_output {
        let document = json!({
            "file": path.to_string_lossy(),
            "scenario": made.name,
            "secrets": made.secrets,
            "warnings": made.warnings,
        });
        session.print(&format!("{document}\n"));
        return;
    }
    for w in &made.warnings {
        let shown = prodmirror_model::plain::visible(w).into_owned();
        session.note(&format!("warning: {}\n", shown.replace('\n', " ")));
    }
    if !made.secrets.is_empty() {
        session.note(&format!(
            "mirror.yaml must give these under `secrets`: {}\n",
            made.secrets.join(", ")
        ));
    }
    if !to_output {
        let path = path.display();
        session.note(&format!(
            "wrote {path}\nnext: `prodmirror check {path}`, then `prodmirror run {path}`\n"
        ));
    }
}

fn text(session: &Session, args: &NewArgs, hosts: &mut Hosts) -> Result<Made, Problem> {
    let cwd = &session.context.cwd;
    let invalid =
        |of: &str, why: String| Problem::new(ProblemKind::InvalidValue, format!("{of}: {why}"));
    let draft = if let Some(command) = &args.from_curl {
        let command = match command.as_str() {
            "-" => standard_input()?,
            text => text.to_owned(),
        };
        curl::draft(&command, hosts, cwd).map_err(|w| invalid("--from-curl", w))?
    } else if let Some(path) = &args.from_har {
        let of = format!("--from-har {}", path.display());
        let text = files::source(&cwd.join(path)).map_err(|w| invalid("--from-har", w))?;
        har::draft(&text, hosts).map_err(|w| invalid(&of, w))?
    } else if let Some(path) = &args.openapi {
        let of = format!("--openapi {}", path.display());
        let operation = args.operation.as_deref().unwrap_or_default();
        openapi::draft(&cwd.join(path), operation, hosts).map_err(|w| invalid(&of, w))?
    } else if !args.from_log.is_empty() {
        let matches = matches(&args.matches)?;
        log::draft(&args.from_log, (&matches, cwd), hosts).map_err(|w| invalid("--from-log", w))?
    } else if let Some(path) = &args.from_trace {
        let of = format!("--from-trace {}", path.display());
        let asked = trace::Asked {
            matches: &matches(&args.matches)?,
            trace: args.trace_id.as_deref(),
            sql: args.sql,
        };
        trace::draft(&cwd.join(path), &asked, hosts).map_err(|w| invalid(&of, w))?
    } else {
        let kind = args.kind.as_deref().unwrap_or("http");
        let (name, text) =
            kind::text(kind, args.name.as_deref(), hosts).map_err(|w| invalid("--kind", w))?;
        return Ok(Made {
            name,
            text,
            secrets: Vec::new(),
            warnings: Vec::new(),
        });
    };
    Ok(of_draft(&draft, args.name.as_deref()))
}

/// `KEY=VALUE` each.
fn matches(given: &[String]) -> Result<Vec<(String, String)>, Problem> {
    let pair = |text: &String| {
        let pair = text
            .split_once('=')
            .filter(|(k, v)| !k.is_empty() && !v.is_empty());
        let pair = pair.map(|(k, v)| (k.to_owned(), v.to_owned()));
        pair.ok_or_else(|| {
            let what = format!("`--match {text}` is not KEY=VALUE");
            Problem::new(ProblemKind::InvalidValue, what)
                .help("for example --match client=203.0.113.9")
        })
    };
    given.iter().map(pair).collect()
}

/// How long after the one before a request came, for people; nothing where that is no time.
fn after(gap: std::time::Duration) -> Option<String> {
    let millis = gap.as_millis();
    let text = match millis {
        0..10 => return None,
        10..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", millis / 60_000, millis / 1000 % 60),
        _ => format!("{} h {} min", millis / 3_600_000, millis / 60_000 % 60),
    };
    Some(format!(
        "It came {} after the one before.",
        text.replace(".0 s", " s")
    ))
}

fn of_draft(draft: &Draft, name: Option<&str>) -> Made {
    let name = name.unwrap_or(&draft.name).to_owned();
    let mut warnings: Vec<String> = Vec::new();
    for w in &draft.warnings {
        if !warnings.contains(w) {
            warnings.push(w.clone());
        }
    }
    Made {
        text: emit::file(draft, &name),
        secrets: draft.secrets.names().map(str::to_owned).collect(),
        name,
        warnings,
    }
}

/// The text in the form of `fmt`, when the reader of scenarios takes it.
fn checked(text: &str) -> Result<String, Problem> {
    let file = SourceFile::new("(the new scenario)", text);
    let text = format(&file).map_or_else(|_| text.to_owned(), |f| f.text);
    let file = SourceFile::new("(the new scenario)", text.as_str());
    let (_, problems) = compile(&file);
    match problems.into_iter().find(Problem::is_error) {
        None => Ok(text),
        Some(p) => Err(Problem::new(
            ProblemKind::Unsupported,
            format!("no scenario can be made of this: {}", p.message),
        )
        .help(format!("the line that cannot be: {}", line_of(&p)))),
    }
}

fn line_of(p: &Problem) -> String {
    let span = p.span.as_ref();
    let line = span.and_then(|s| s.file.text.lines().nth(s.line.saturating_sub(1) as usize));
    line.unwrap_or("").trim().chars().take(120).collect()
}

fn standard_input() -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let fail =
        |why: String| Problem::new(ProblemKind::InvalidValue, format!("standard input {why}"));
    std::io::stdin()
        .lock()
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| fail(format!("cannot be read: {}", io_reason(&e))))?;
    if bytes.len() as u64 > LONGEST {
        return Err(fail(format!("has more than {LONGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| fail("is not UTF-8".into()))
}

/// `scenarios/NAME.yaml` beside the project file, relative to the working directory.
fn default_path(session: &Session, name: &str) -> PathBuf {
    let cwd = &session.context.cwd;
    let given = session.global.project.as_ref().map(|p| cwd.join(p));
    let project = given.or_else(|| Project::find(cwd).ok());
    let root = project.as_deref().and_then(Path::parent).unwrap_or(cwd);
    let whole = root.join("scenarios").join(format!("{}.yaml", slug(name)));
    whole.strip_prefix(cwd).map(Path::to_owned).unwrap_or(whole)
}

/// A name as the name of a file.
fn slug(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c.is_ascii_alphanumeric() {
            true => out.push(c.to_ascii_lowercase()),
            false if !out.ends_with('-') => out.push('-'),
            false => {}
        }
        if out.len() >= 60 {
            break;
        }
    }
    let out = out.trim_matches('-');
    if out.is_empty() {
        "new".into()
    } else {
        out.to_owned()
    }
}

/// A URL's path and query for people, without values of secret parameters.
pub fn shown_url(url: &str) -> String {
    let mut secrets = draft::Secrets::default();
    let shown = secrets.clean_url(draft::split_url(url).1);
    draft::without_marks(&shown, "***")
}

/// The path of a URL, for names.
fn path_of(url: &str) -> String {
    let path = draft::split_url(url)
        .1
        .split(['?', '#'])
        .next()
        .unwrap_or("");
    let path = draft::template(path);
    if path.is_empty() { "/".into() } else { path }
}

/// Writes a file that only its owner can read.
///
/// # Errors
/// It is there already and `force` is not given, or it cannot be written.
pub fn write_private(path: &Path, shown: &Path, text: &str, force: bool) -> Result<(), Problem> {
    write_as(path, shown, text, (force, 0o600))
}

fn write(path: &Path, shown: &Path, text: &str, force: bool) -> Result<(), Problem> {
    write_as(path, shown, text, (force, 0o666))
}

fn write_as(path: &Path, shown: &Path, text: &str, how: (bool, u32)) -> Result<(), Problem> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let (force, mode) = how;
    let fail = |e: std::io::Error| {
        let what = format!("cannot write {}: {}", shown.display(), io_reason(&e));
        Problem::new(ProblemKind::Conflict, what)
    };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(fail)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(mode);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let mut file = options.open(path).map_err(|e| {
        if e.kind() == std::io::ErrorKind::AlreadyExists {
            let what = format!("{} is there already", shown.display());
            Problem::new(ProblemKind::Conflict, what)
                .help("name another file with --out, or write over it with --force")
        } else {
            fail(e)
        }
    })?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(fail)
}
