//! A run whose engine goes away, at its start, in a scenario and while a stack is removed: the
//! exit code says so, what had ended keeps its verdict, and nothing is left behind.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::project::{Project, Said};
use super::rig::{clean_within, has_engine, says, sleeper};

const SOCKET: &str = "/var/run/docker.sock";

/// A door to the engine's socket. Cut, it breaks every connection and takes no more; silent,
/// it keeps them and lets nothing through.
struct Door {
    path: PathBuf,
    open: Arc<Mutex<Vec<UnixStream>>>,
    attached: Arc<Mutex<Vec<UnixStream>>>,
    cut: Arc<AtomicBool>,
    silent: Arc<AtomicBool>,
}

impl Door {
    fn open(dir: &Path) -> Self {
        let door = Self {
            path: dir.join("door.sock"),
            open: Arc::default(),
            attached: Arc::default(),
            cut: Arc::default(),
            silent: Arc::default(),
        };
        let listener = UnixListener::bind(&door.path).unwrap();
        let (open, cut, silent) = (door.open.clone(), door.cut.clone(), door.silent.clone());
        let attached = door.attached.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let far = UnixStream::connect(SOCKET).unwrap();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (silent, attached) = (silent.clone(), attached.clone());
                    std::thread::spawn(move || pass(from, to, &silent, &attached));
                }
                open.lock().unwrap().extend([near, far]);
            }
        });
        door
    }

    fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        std::fs::rename(&self.path, self.path.with_extension("shut")).unwrap();
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Breaks the connections to the input and output of containers: the keeper's. The engine
    /// answers as before.
    fn cut_attached(&self) {
        let attached = std::mem::take(&mut *self.attached.lock().unwrap());
        assert!(!attached.is_empty(), "nothing is attached");
        for stream in attached {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn silence(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    /// The engine can be reached again.
    fn mend(&self) {
        if self.cut.swap(false, Ordering::SeqCst) {
            std::fs::rename(self.path.with_extension("shut"), &self.path).unwrap();
        }
        self.silent.store(false, Ordering::SeqCst);
    }
}

fn pass(
    mut from: UnixStream,
    mut to: UnixStream,
    silent: &AtomicBool,
    attached: &Mutex<Vec<UnixStream>>,
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n) = from.read(&mut buffer) {
        let line = buffer[..n].split(|b| *b == b'\n').next().unwrap();
        if line.starts_with(b"POST ") && line.windows(8).any(|w| w == b"/attach?") {
            let both = [&from, &to].map(|s| s.try_clone().unwrap());
            attached.lock().unwrap().extend(both);
        }
        if n == 0 {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        while silent.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(50));
        }
        if to.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}

fn has_door() -> bool {
    has_engine() && Path::new(SOCKET).exists()
}

const FIRST: &str = "scenario: first\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n";
const SECOND: &str = "scenario: second\nsteps:\n  - exec: { service: app, cmd: [sleep, \"300\"] }\n    timeout: 5m\n";
const THIRD: &str = "scenario: third\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n";

/// The `testcase` elements of a report, by the name in them.
fn case<'x>(xml: &'x str, name: &str) -> &'x str {
    let from = xml.find(&format!("name=\"{name}\"")).expect(xml);
    let rest = &xml[from..];
    &rest[..rest.find("</testsuite>").unwrap_or(rest.len())]
}

/// What had ended keeps its verdict, the rest are errors that say why.
#[track_caller]
fn is_told(project: &Project, first_passed: bool) {
    let xml = project.of_run("junit.xml");
    assert_eq!(
        !case(&xml, "first").contains("<error"),
        first_passed,
        "{xml}"
    );
    for name in ["second", "third"] {
        let case = case(&xml, name);
        assert!(case.contains("<error") && case.contains("engine"), "{xml}");
    }
    let told = project.events();
    let end = told.iter().find(|e| e["event"] == "run_finished").unwrap();
    assert_eq!(
        (&end["exit"], &end["clean"]),
        (&5.into(), &false.into()),
        "{end}"
    );
}

/// The keeper has a socket of its own: it removes all while nobody here reaches the engine.
/// The reaper waits until it can see that.
#[track_caller]
fn is_cleaned_up(project: &Project, door: &Door, by_keeper: bool) {
    let run = project.run_id();
    if by_keeper {
        clean_within(&run, Duration::from_secs(30));
        assert!(!reapers(&run).is_empty(), "the reaper gave up");
    }
    door.mend();
    clean_within(&run, Duration::from_secs(30));
    let begun = Instant::now();
    while !reapers(&run).is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the reaper stays"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn reapers(run: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    lines
        .map(|l| String::from_utf8_lossy(&l).replace('\0', " "))
        .filter(|l| l.contains(" reaper ") && l.contains(run))
        .collect()
}

/// Three scenarios through a door that is harmed at an event, and what came of it.
fn harmed(event: &str, of: &str, harm: impl Fn(&Door)) -> (Project, Door, Said) {
    let project = sleeper(&[
        ("scenarios/1.yaml", FIRST),
        ("scenarios/2.yaml", SECOND),
        ("scenarios/3.yaml", THIRD),
    ]);
    let door = Door::open(project.path());
    let mut running = project.start(&["run"], &[("DOCKER_HOST", &door.host())]);
    running.until_event(event, says(event, of));
    harm(&door);
    let said = running.end(Duration::from_secs(150));
    (project, door, said)
}

fn lost(event: &str, of: &str, harm: impl Fn(&Door)) -> (Project, Door) {
    let (project, door, said) = harmed(event, of, harm);
    said.is(5, &["the engine was lost"]);
    (project, door)
}

#[test]
fn cut_in_a_scenario() {
    if has_door() {
        let (project, door) = lost("step_started", "second", Door::cut);
        is_told(&project, true);
        is_cleaned_up(&project, &door, true);
    }
}

#[test]
fn silent_in_a_scenario() {
    if has_door() {
        let (project, door) = lost("step_started", "second", Door::silence);
        is_told(&project, true);
        is_cleaned_up(&project, &door, true);
    }
}

/// Only the keeper's connection breaks: it takes that for the runner's death and removes the
/// stacks. That the engine answers as before makes no verdict of what fails then.
#[test]
fn cut_from_its_keeper() {
    if !has_door() {
        return;
    }
    let (project, _door, said) = harmed("step_started", "second", Door::cut_attached);
    said.is(
        5,
        &[
            "the lease of the run lapsed",
            "the connection to its keeper on the engine broke",
        ],
    );
    let xml = project.of_run("junit.xml");
    assert!(!case(&xml, "first").contains("<error"), "{xml}");
    for name in ["second", "third"] {
        let case = case(&xml, name);
        let message = &case[case.find("<error").expect(&xml)..];
        let message = &message[..message.find("><").expect(&xml)];
        assert!(message.contains("the lease of the run lapsed"), "{xml}");
    }
    clean_within(&project.run_id(), Duration::from_secs(30));
}

#[test]
fn cut_while_a_stack_starts() {
    if has_door() {
        let (project, door) = lost("stack_starting", "s1", Door::cut);
        is_told(&project, false);
        // The keeper may not have been there yet.
        is_cleaned_up(&project, &door, false);
    }
}

#[test]
fn cut_while_a_stack_is_removed() {
    if has_door() {
        let (project, door) = lost("case_finished", "first", Door::cut);
        is_told(&project, true);
        is_cleaned_up(&project, &door, true);
    }
}
