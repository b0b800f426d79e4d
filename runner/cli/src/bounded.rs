//! Running another program for what it prints, with a limit of time and of output.

use std::io::{self, Read};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether the program has ended, once its output has.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a program to its end, with nothing on its stdin. It and all that it started are killed
/// when it takes longer than `within`, or prints more than `largest` bytes.
///
/// # Errors
/// It cannot be started, took too long, or printed too much.
pub fn output(mut command: Command, within: Duration, largest: u64) -> io::Result<Output> {
    use std::os::unix::process::CommandExt;
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: what it starts is killed with it.
        .process_group(0)
        .spawn()?;
    let (tell, told) = mpsc::channel();
    let pipes = (child.stdout.take(), child.stderr.take());
    read_all(true, pipes.0, largest, &tell);
    read_all(false, pipes.1, largest, &tell);
    drop(tell);
    let mut end = || {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let left = within.saturating_sub(begun.elapsed());
            let (is_out, read) = told.recv_timeout(left).map_err(|_| too_long(within))?;
            let bytes = read?;
            if bytes.len() as u64 > largest {
                let what = format!("it prints more than {} MiB", largest >> 20);
                return Err(io::Error::other(what));
            }
            *if is_out { &mut stdout } else { &mut stderr } = bytes;
        }
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Output {
                    status,
                    stdout,
                    stderr,
                });
            }
            if begun.elapsed() > within {
                return Err(too_long(within));
            }
            thread::sleep(LOOK);
        }
    };
    let ended = end();
    if ended.is_err() {
        let group = i32::try_from(child.id()).ok();
        if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    ended
}

fn too_long(within: Duration) -> io::Error {
    let what = format!("it was not done after {:.0} s", within.as_secs_f64());
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// Reads a pipe to its end beside the caller, but not further than shows that it is too much.
fn read_all(
    is_out: bool,
    pipe: Option<impl Read + Send + 'static>,
    largest: u64,
    tell: &mpsc::Sender<(bool, io::Result<Vec<u8>>)>,
) {
    let tell = tell.clone();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = match pipe {
            Some(pipe) => pipe.take(largest + 1).read_to_end(&mut bytes),
            None => Ok(0),
        };
        // Nobody listens any more when it took too long.
        let _ = tell.send((is_out, read.map(|_| bytes)));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_it_prints_and_how_it_ends() {
        let done = output(shell("echo out; echo err >&2; read x || exit 3"), LONG, 100).unwrap();
        assert_eq!(done.status.code(), Some(3));
        assert_eq!(
            (&done.stdout[..], &done.stderr[..]),
            (&b"out\n"[..], &b"err\n"[..])
        );
        let none = output(Command::new("/nowhere/at-all"), LONG, 100).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn it_and_its_children_are_killed_when_it_takes_too_long() {
        let marker = format!("{}.5", 70_000 + std::process::id());
        let script = format!("sleep {marker} & sleep {marker}");
        let late = output(shell(&script), Duration::from_millis(300), 100).unwrap_err();
        assert!(late.to_string().contains("not done"), "{late}");
        let begun = Instant::now();
        while shell(&format!("pgrep -f '^sleep {marker}'"))
            .output()
            .unwrap()
            .status
            .success()
        {
            assert!(begun.elapsed() < LONG, "its children live");
            thread::sleep(LOOK);
        }
    }

    #[test]
    fn too_much_output_is_an_error() {
        let much = output(shell("yes"), LONG, 1000).unwrap_err();
        assert!(much.to_string().contains("prints more"), "{much}");
    }
}
