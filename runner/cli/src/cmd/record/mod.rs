//! `record`: a scenario of what a person clicks, by a proxy before the gateway of a mirror.

mod book;
mod har;
mod proxy;
mod rewrite;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prodmirror_engine::reach::Reach;
use prodmirror_engine::run::Stop;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plain::visible;
use prodmirror_model::redact::Redactor;
use prodmirror_model::scenario::parse_duration;
use prodmirror_model::source::io_reason;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::book::{Book, Exchange};
use self::proxy::Proxy;
use self::rewrite::Site;
use super::Session;
use super::doors::loopback;
use super::engine::host_arch;
use super::new::{self, Hosts, Recording};
use crate::args::RecordArgs;
use crate::exit::Exit;
use crate::open::Opened;

/// How long requests that are under way may take to come to their end.
const GRACE: Duration = Duration::from_secs(2);

/// What was asked for, read.
struct Wanted {
    listen: SocketAddr,
    span: Option<Duration>,
    out: PathBuf,
    host: String,
    port: u16,
    authority: String,
}

/// Records until it is told to stop; then writes the scenario.
pub async fn run(session: &Session, args: &RecordArgs) -> Exit {
    let mut hosts = match Hosts::new(session, args.to.as_deref()) {
        Ok(hosts) => hosts,
        Err(p) => return session.fail(p),
    };
    let wanted = match wanted(session, args, &hosts) {
        Ok(wanted) => wanted,
        Err(p) => return session.fail(p),
    };
    match record(session, args, &wanted, &mut hosts).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn record(
    session: &Session,
    args: &RecordArgs,
    wanted: &Wanted,
    hosts: &mut Hosts,
) -> Result<Exit, Exit> {
    let opened = session.open(host_arch())?;
    let stack = session.standing().await?;
    let reach = stack.reach().await.map_err(|p| session.fail(p))?;
    if !reach.knows(&wanted.host) {
        let what = format!("the mirror has no service `{}`", wanted.host);
        let problem = Problem::new(ProblemKind::UnknownReference, what);
        return Err(session.fail(problem.help("`prodmirror ps` shows what runs")));
    }
    let listener = TcpListener::bind(wanted.listen).await.map_err(|e| {
        let what = format!("cannot listen on {}: {}", wanted.listen, io_reason(&e));
        let problem = Problem::new(ProblemKind::Conflict, what);
        session.fail(problem.help("name another address with --listen, or none for a free port"))
    })?;
    let here = listener.local_addr().map_err(|e| {
        let what = format!("cannot tell the port: {}", io_reason(&e));
        session.fail(Problem::new(ProblemKind::Conflict, what))
    })?;
    let stop = crate::signals::stop();
    let book = Book::new(args.all, teller(opened.redactor.clone()));
    let served = serve(wanted, reach, (listener, here), book.clone());
    session.note(&format!(
        "recording http://{} at http://{here}\nopen it and click; Ctrl-C ends it and writes {}\n",
        wanted.authority,
        wanted.out.display()
    ));
    let (over, tasks) = served;
    let enough = async {
        match args.requests {
            Some(n) => book.has_steps(n as usize).await,
            None => std::future::pending().await,
        }
    };
    let late = async {
        match wanted.span {
            Some(span) => tokio::time::sleep(span).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = enough => {}
        () = late => {}
        () = stop.stopping() => {}
    }
    let _ = over.send(true);
    end(&stop, tasks).await;
    Ok(write(session, args, (wanted, hosts), &book, &opened))
}

/// Serves in the background; ends by what is sent.
fn serve(
    wanted: &Wanted,
    reach: Reach,
    (listener, here): (TcpListener, SocketAddr),
    book: Arc<Book>,
) -> (watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let said: Mutex<BTreeSet<String>> = Mutex::default();
    let warn = move |text: String| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.insert(text.clone()) {
            note(&format!("warning: {}\n", visible(&text)));
        }
    };
    let there = format!("http://{}", wanted.authority);
    let proxy = Proxy {
        reach,
        host: wanted.host.clone(),
        port: wanted.port,
        authority: wanted.authority.clone(),
        site: Site {
            there,
            here: vec![
                format!("http://{here}"),
                format!("http://localhost:{}", here.port()),
            ],
        },
        book,
        warn: Box::new(warn),
    };
    let (over, is_over) = watch::channel(false);
    let task = tokio::spawn(Arc::new(proxy).serve(listener, is_over));
    (over, task)
}

/// Lets requests end, for a moment; those that do not are written down as they are.
async fn end(stop: &Stop, mut tasks: tokio::task::JoinHandle<()>) {
    let ended = tokio::select! {
        _ = &mut tasks => true,
        () = tokio::time::sleep(GRACE) => false,
        () = stop.stopped() => false,
    };
    if !ended {
        tasks.abort();
        let _ = tasks.await;
    }
}

/// Writes what was recorded: the HAR first, which cannot be wrong.
fn write(
    session: &Session,
    args: &RecordArgs,
    (wanted, hosts): (&Wanted, &mut Hosts),
    book: &Book,
    opened: &Opened,
) -> Exit {
    let har = book.har();
    // What the project calls secret is in no file, not even in this one.
    let whole = format!("{har:#}\n");
    let whole = opened.redactor.redact(&whole);
    let known = opened.secrets.iter();
    let known = known.map(|(n, s)| (n.clone(), s.expose().to_owned()));
    let cwd = &session.context.cwd;
    let mut worst = Exit::Ok;
    if let Some(path) = &args.har {
        match new::write_private(&cwd.join(path), path, &whole, args.force) {
            Ok(()) => session.note(&format!(
                "wrote {}: all that passed, with what was typed\n",
                path.display()
            )),
            Err(p) => worst = session.fail(p),
        }
    }
    if book.beyond() > 0 {
        session.note(&format!(
            "warning: {} requests came when no more were kept\n",
            book.beyond()
        ));
    }
    let recording = Recording {
        name: args.name.as_deref(),
        out: &wanted.out,
        force: args.force,
        all: args.all,
        known: known.collect(),
    };
    let Err(p) = new::recorded(session, &har, &recording, hosts) else {
        return worst;
    };
    let exit = session.fail(p);
    if args.har.is_none() && book.steps() > 0 {
        // What a person did is not lost because a file cannot be written.
        let path = saved(&wanted.out);
        match new::write_private(&cwd.join(&path), &path, &whole, false) {
            Ok(()) => session.note(&format!(
                "what passed is in {}; `prodmirror new --from-har` makes a scenario of it\n",
                path.display()
            )),
            Err(p) => {
                session.fail(p);
            }
        }
    }
    exit
}

/// Where a recording is kept of which no scenario could be written.
fn saved(out: &Path) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    let name = format!("{stem}-{}.har", jiff::Timestamp::now().as_millisecond());
    std::env::temp_dir().join(name)
}

fn wanted(session: &Session, args: &RecordArgs, hosts: &Hosts) -> Result<Wanted, Problem> {
    let invalid = |what: String| Problem::new(ProblemKind::InvalidValue, what);
    let listen = loopback("--listen", args.listen.as_deref().unwrap_or("0"))?;
    let span = args.span.as_deref().map(|text| {
        parse_duration(text).map_err(|why| {
            invalid(format!("`--for {text}` is no duration: {why}")).help("for example 90s, or 5m")
        })
    });
    let base = hosts.base().ok_or_else(|| {
        let all = hosts.published();
        let what = match all.is_empty() {
            true => "no service of the project publishes a port".to_owned(),
            false => format!("several services publish ports: {}", all.join(", ")),
        };
        invalid(what).help("say where the requests go, for example --to http://gateway:8080")
    })?;
    let Some(authority) = base.strip_prefix("http://") else {
        let what = format!("{base} cannot be recorded: only plain HTTP can");
        let help = "name a port of it without TLS, for example --to http://gateway:80";
        return Err(Problem::new(ProblemKind::Unsupported, what).help(help));
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (
            host,
            port.parse()
                .map_err(|_| invalid(format!("`{base}` names no port")))?,
        ),
        None => (authority, 80),
    };
    let out = new::out_path(
        session,
        args.out.as_deref(),
        args.name.as_deref(),
        "recorded",
    );
    for path in args.har.iter().chain([&out]) {
        if !args.force && session.context.cwd.join(path).exists() {
            let what = format!("{} is there already", path.display());
            return Err(Problem::new(ProblemKind::Conflict, what)
                .help("name another file, or write over it with --force"));
        }
    }
    Ok(Wanted {
        listen,
        span: span.transpose()?,
        out,
        host: host.to_owned(),
        port,
        authority: authority
            .strip_suffix(":80")
            .unwrap_or(authority)
            .to_owned(),
    })
}

/// Says each request in one line.
fn teller(redactor: Redactor) -> book::Teller {
    Box::new(move |e: &Exchange, number| {
        let path = new::shown_url(&e.url);
        let path = redactor.redact(&path);
        let status = e.status.as_ref().map_or("-".into(), |(s, _)| s.to_string());
        let took = e.took.as_millis();
        let number_of = number.map_or_else(|_| "  -".to_owned(), |n| format!("{n:>3}"));
        let mut line = format!(
            "{number_of}  {} {}  {status}  {took} ms",
            e.method,
            visible(&path)
        );
        if let Err(why) = number {
            line.push_str(&format!("  (left out: {why})"));
        }
        if let Some(error) = &e.error {
            line.push_str(&format!("  {}", visible(error)));
        }
        note(&format!("{line}\n"));
    })
}

/// Writes to standard error. A lost terminal is no error.
fn note(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
