//! The program: one mode per run, chosen by its first argument.

mod config;
mod dns;
mod front;
mod gateway;
mod hold;
mod keeper;
mod limits;
mod netlink;
mod output;
mod probe;
mod relay;
mod reverse;
mod rewrite;
mod sandbox;
mod store;
mod stub;
mod tunnel;

use output::Failure;
use prodmirror_agent::wire::Event;

const USAGE: &str = "prodmirror-agent <sandbox|stub|relay|keeper|tunnel|reverse|rewrite|reread|front|gateway|store|hold|limits|probe|resolve|mail|version> [--config PATH]";

/// Exit code for bad usage or configuration.
const EXIT_USAGE: u8 = 2;

fn main() -> ! {
    std::process::exit(run().into())
}

fn run() -> u8 {
    let mut args = std::env::args().skip(1);
    let Some(mode) = args.next() else {
        return usage("no mode was given");
    };
    let rest: Vec<String> = args.collect();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&Failure::new("the runtime could not be started", error)),
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = dispatch(&mode, rest) => ended,
            () = stopped() => Ok(0),
        }
    });
    // A thread that reads stdin cannot be stopped, so it is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(failure) if failure.is_usage() => usage(&failure.why),
        Err(failure) => failed(&failure),
    }
}

async fn dispatch(mode: &str, rest: Vec<String>) -> Result<u8, Failure> {
    match mode {
        "sandbox" => sandbox::run(config::read(&rest)?).await,
        "resolve" => dns::run(&rest).await,
        "mail" => stub::mail::read(&rest).await,
        "stub" => stub::run(config::read(&rest)?).await,
        "relay" => relay::run(config::read(&rest)?).await,
        "keeper" => keeper::run(config::read(&rest)?).await,
        "tunnel" => tunnel::run().await,
        "reverse" => reverse::run(&rest).await,
        "front" => front::run(&rest).await,
        "gateway" => gateway::run(&rest).await,
        "store" => store::run(config::read(&rest)?).await,
        "pack" => store::pack(&rest),
        "rewrite" => rewrite::run(&rest),
        "reread" => rewrite::read(&rest),
        "unpack" => store::unpack(&rest),
        "hold" => hold::run().await,
        "limits" => limits::run(),
        "probe" => probe::run(&rest).await,
        "version" => {
            output::line(env!("CARGO_PKG_VERSION"));
            Ok(0)
        }
        other => Err(Failure::usage(format!("unknown mode `{other}`"))),
    }
}

/// Waits for TERM or INT. As process 1 of a container these do nothing unless asked for.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let both = signal(SignalKind::terminate())
        .and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    match both {
        Ok((mut term, mut int)) => {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        }
        Err(_) => std::future::pending().await,
    }
}

fn usage(why: &str) -> u8 {
    output::emit(&Event::Error {
        what: format!("usage: {USAGE}"),
        why: why.to_owned(),
    });
    EXIT_USAGE
}

fn failed(failure: &Failure) -> u8 {
    output::emit(&Event::Error {
        what: failure.what.clone(),
        why: failure.why.clone(),
    });
    1
}
