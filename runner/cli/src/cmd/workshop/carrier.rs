//! The process that carries connections between a mirror and this machine: those to replaced
//! services to the processes that took their place, and those to loopback addresses to the
//! services. It ends with the mirror.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use prodmirror_engine::agent::CA_PATH;
use prodmirror_engine::docker::Engine;
use prodmirror_engine::live::standing;
use prodmirror_engine::reach::{Connection, Reach, carry_run};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::{FileContent, Plan};
use prodmirror_model::source::io_reason;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::addresses::{self, List};
use crate::args::CarryArgs;
use crate::cmd::Session;
use crate::exit::Exit;
use crate::open::Opened;

/// How often it looks whether the mirror is still there.
const LOOK: Duration = Duration::from_secs(2);
/// How often the engine may not answer that before the process ends.
const PATIENCE: u32 = 150;
/// How long its ports may take to be open.
const OPEN: Duration = Duration::from_secs(20);
/// What it is told when it is to stay as long as the mirror does.
const STAY: &str = "stay";

/// The process. It ends with this unless it was told to stay.
pub struct Carrier {
    child: Child,
}

impl Carrier {
    /// Starts it for a mirror that is about to start, or stands, and waits until its ports are
    /// open.
    pub async fn start(
        session: &Session,
        opened: &Opened,
        engine: &Engine,
        (plan, run): (&Plan, &str),
        authority: bool,
    ) -> Result<Self, Problem> {
        let failed = |why: String| {
            let what = format!("the addresses of the mirror's services cannot be opened: {why}");
            Problem::new(ProblemKind::Start, what)
        };
        let path = List::path(&opened.project.root);
        let mut list = List::wanted(opened, engine, plan, run).await;
        list.authority = authority.then(|| authority_of(plan)).flatten();
        list.write(&path)
            .map_err(|e| failed(format!("{}: {}", path.display(), io_reason(&e))))?;
        let program = session.context.exe.as_ref();
        let program = program.ok_or_else(|| failed("the program cannot find itself".into()))?;
        let mut command = Command::new(program);
        command
            .args(["carry", "--run", run, "--of", &plan.project, "--list"])
            .arg(&path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        // SAFETY: `setsid` is async-signal-safe and touches nothing of this process. Keys that
        // stop a program in the terminal are not meant for this one.
        unsafe {
            command.pre_exec(|| rustix::process::setsid().map(|_| ()).map_err(Into::into));
        }
        let mut child = command.spawn().map_err(|e| failed(io_reason(&e)))?;
        let mut said = None;
        if let Some(out) = child.stdout.take() {
            let mut lines = BufReader::new(out).lines();
            let line = tokio::time::timeout(OPEN, lines.next_line()).await;
            said = line.ok().and_then(Result::ok).flatten();
        }
        match said.as_deref() {
            Some("open") => Ok(Self { child }),
            Some(why) => Err(failed(why.to_owned())),
            None => Err(failed("the process that opens them ended".to_owned())),
        }
    }

    /// Lets it stay as long as the mirror does.
    pub async fn stay(mut self) {
        if let Some(mut stdin) = self.child.stdin.take() {
            let _ = stdin.write_all(format!("{STAY}\n").as_bytes()).await;
        }
    }
}

/// The addresses of a mirror that stands; they are opened if they are not.
pub async fn ensure(
    session: &Session,
    opened: &Opened,
    engine: &Engine,
    (plan, run): (&Plan, &str),
) -> Result<List, Problem> {
    let path = List::path(&opened.project.root);
    if let Some(list) = List::read(&path).filter(|l| l.run == run && runs(l)) {
        return Ok(list);
    }
    let carrier = Carrier::start(session, opened, engine, (plan, run), false).await?;
    carrier.stay().await;
    List::read(&path).ok_or_else(|| {
        let what = format!(
            "{} is gone: the mirror was removed meanwhile",
            path.display()
        );
        Problem::new(ProblemKind::Missing, what)
    })
}

/// Whether the process that listens at the addresses of a list is there.
fn runs(list: &List) -> bool {
    let pid = list.pid.and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

/// The certificate of the authority that a plan's stubs are signed by.
fn authority_of(plan: &Plan) -> Option<String> {
    let mut files = plan.containers.iter().flat_map(|c| &c.files);
    let file = files.find(|f| f.target == CA_PATH)?;
    match &file.content {
        FileContent::Text(pem) => Some(pem.clone()),
        _ => None,
    }
}

/// `carry`: the process itself.
pub async fn run(session: &Session, args: &CarryArgs) -> Exit {
    let Some(mut list) = List::read(&args.list) else {
        session.print(&format!("{} cannot be read\n", args.list.display()));
        return Exit::Invalid;
    };
    let engine = match session.engine().await {
        Ok(engine) => engine,
        Err(exit) => return exit,
    };
    let (open, _lock) = addresses::open(&mut list).await;
    list.pid = i32::try_from(std::process::id()).ok();
    if let Err(e) = list.write(&args.list) {
        session.print(&format!("{}: {}\n", args.list.display(), io_reason(&e)));
        return Exit::Invalid;
    }
    // Whoever started this waits for the line; then its output has no reader any more.
    session.print("open\n");
    let way = Arc::new(Way {
        engine: engine.clone(),
        of: args.of.clone(),
        run: args.run.clone(),
        reach: Mutex::new(None),
    });
    let mut serving = JoinSet::new();
    for (listener, service, port) in open {
        serving.spawn(serve(listener, way.clone(), service, port));
    }
    let stop = crate::signals::stop();
    tokio::select! {
        () = carry_run(&engine, &args.run) => {}
        () = over(&way) => {}
        () = stop.stopping() => {}
    }
    // Another mirror's may be there by now.
    if List::read(&args.list).is_some_and(|now| now.run == args.run) {
        let _ = std::fs::remove_file(&args.list);
    }
    Exit::Ok
}

/// Waits until whoever started this is gone; if it said so, until the mirror is.
async fn over(way: &Way) {
    let mut line = String::new();
    let mut stdin = BufReader::new(tokio::io::stdin());
    let read = stdin.read_line(&mut line).await;
    if read.is_err() || line.trim() != STAY {
        return;
    }
    let mut away = 0;
    while away < PATIENCE {
        tokio::time::sleep(LOOK).await;
        match way.stands().await {
            Ok(true) => away = 0,
            Ok(false) => return,
            // The engine may be restarting; it is not asked for ever.
            Err(_) => away += 1,
        }
    }
}

/// The way to the services of a mirror, which may still be starting.
struct Way {
    engine: Engine,
    of: String,
    run: String,
    reach: Mutex<Option<Reach>>,
}

impl Way {
    async fn stands(&self) -> Result<bool, Problem> {
        let stacks = standing(&self.engine, Some(&self.of)).await?;
        Ok(stacks.iter().any(|s| s.run == self.run))
    }

    async fn connect(&self, service: &str, port: u16) -> Result<Connection, Problem> {
        let known = self.reach.lock().await.clone();
        if let Some(known) = known.filter(|r| r.knows(service)) {
            return known.connect(service, port).await;
        }
        // More of the mirror may be there by now.
        let stacks = standing(&self.engine, Some(&self.of)).await?;
        let stack = stacks.into_iter().find(|s| s.run == self.run);
        let gone = || Problem::new(ProblemKind::Missing, "the mirror is not there");
        let reach = stack.ok_or_else(gone)?.reach().await?;
        *self.reach.lock().await = Some(reach.clone());
        reach.connect(service, port).await
    }
}

/// Joins every connection to one to the service.
async fn serve(listener: TcpListener, way: Arc<Way>, service: String, port: u16) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => {
                    let (way, service) = (way.clone(), service.clone());
                    open.spawn(async move { join(near, &way, &service, port).await });
                }
                // Out of file descriptors: some must be closed first.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = open.join_next() => {}
        }
    }
}

async fn join(mut near: TcpStream, way: &Way, service: &str, port: u16) {
    let _ = near.set_nodelay(true);
    let moved = match way.connect(service, port).await {
        Ok(mut far) => tokio::io::copy_bidirectional(&mut near, &mut far)
            .await
            .is_ok(),
        Err(_) => false,
    };
    if !moved {
        // A reset, not an end that looks like the service's.
        let _ = near.set_zero_linger();
    }
}
