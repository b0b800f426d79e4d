//! What is open on this host to a mirror that `up -d` left running: a small process of its own
//! keeps it open, and ends with the mirror.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use prodmirror_engine::live::standing;
use prodmirror_engine::reach::Forwards;

use super::Session;
use super::doors::{self, Asked, Doors, Listed};
use crate::args::ForwardArgs;
use crate::exit::Exit;

/// How often it looks whether the mirror is still there.
const LOOK: Duration = Duration::from_secs(2);
/// How long `up` waits for everything to be open.
const OPEN: Duration = Duration::from_secs(10);

/// Starts the process and waits until everything is open; what that is.
pub async fn start(session: &Session, (run, project): (&str, &str), asked: &Asked) -> Listed {
    let failed = |why: String| Listed {
        skipped: vec![format!("nothing is forwarded: {why}")],
        ..Listed::default()
    };
    let Some(program) = &session.context.exe else {
        return failed("the program's own file cannot be found".to_owned());
    };
    let asked = serde_json::to_string(asked).unwrap_or_default();
    let mut command = tokio::process::Command::new(program);
    command
        .args(["forward", "--run", run, "--of", project, &asked])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // SAFETY: `setsid` is async-signal-safe and touches nothing of this process. The ports
    // must outlive the terminal from which the mirror was started.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(|_| ()).map_err(Into::into));
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => return failed(format!("the process that does it cannot be started: {e}")),
    };
    let mut said = None;
    if let Some(out) = child.stdout.take() {
        use tokio::io::AsyncBufReadExt as _;
        let mut lines = tokio::io::BufReader::new(out).lines();
        let line = tokio::time::timeout(OPEN, lines.next_line()).await;
        said = line.ok().and_then(Result::ok).flatten();
    }
    match said.as_deref() {
        Some("open") => doors::read(run),
        _ => failed("the process that does it could not reach the mirror".to_owned()),
    }
}

/// Keeps everything open until the mirror is gone.
pub async fn run(session: &Session, args: &ForwardArgs) -> Exit {
    let Ok(asked) = serde_json::from_str::<Asked>(&args.asked) else {
        return Exit::Invalid;
    };
    let engine = match session.engine().await {
        Ok(engine) => engine,
        Err(exit) => return exit,
    };
    let stacks = standing(&engine, Some(&args.of)).await.unwrap_or_default();
    let Some(stack) = stacks.into_iter().find(|s| s.run == args.run) else {
        return Exit::Invalid;
    };
    let Ok(reach) = stack.reach().await else {
        return Exit::Engine;
    };
    let mirror = doors::Mirror {
        engine,
        project: args.of.clone(),
        run: args.run.clone(),
    };
    let mut forwards = Forwards::default();
    doors::open_debuggers(&mirror, &asked.debuggers, &mut forwards).await;
    let doors = Doors::open(&asked, &reach, forwards).await;
    let written = doors::write(&args.run, &doors.listed);
    // Whoever started this waits for the line; then its output has no reader any more.
    let _ = writeln!(
        std::io::stdout(),
        "{}",
        if written.is_ok() { "open" } else { "failed" }
    );
    let stop = crate::signals::stop();
    let mut away = 0;
    loop {
        tokio::select! {
            () = stop.stopping() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
        match stack.is_there().await {
            Ok(true) => away = 0,
            Ok(false) => break,
            // The engine may be restarting; it is not asked for ever.
            Err(_) if away < 150 => away += 1,
            Err(_) => break,
        }
    }
    drop(doors);
    doors::forget(&args.run);
    Exit::Ok
}
