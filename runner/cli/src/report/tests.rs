mod hostile;
mod killed;
mod tape;

use std::sync::{Arc, Mutex};

use prodmirror_engine::bus::Subscriber as _;

use super::terminal::{Options, Terminal};
use super::*;
use tape::{Tape, sample};

/// A writer whose content can be looked at.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Shared {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn on_screen(tape: &Tape, colour: bool) -> String {
    let out = Shared::default();
    let mut terminal = Terminal::new(Options {
        live: false,
        colour,
        width: 80,
        reports: vec![("junit".into(), "out/junit.xml".into())],
        out: Box::new(out.clone()),
    });
    tape.play(&mut terminal);
    out.text()
}

fn in_file(tape: &Tape, kind: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report");
    let mut reports = Reports::new(&[Wanted::file(kind, &path).unwrap()]);
    tape.play(&mut reports);
    assert_eq!(reports.problems().all(), Vec::<String>::new());
    std::fs::read_to_string(path).unwrap()
}

/// A report whose maker has a fault.
struct Faulty;

impl Reporter for Faulty {
    fn on(&mut self, _: &Event, _: &Summary) -> io::Result<()> {
        panic!("on purpose");
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        panic!("asked again");
    }
}

#[test]
fn a_report_that_breaks_down_takes_no_other_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("junit.xml");
    let mut reports = Reports::new(&[]);
    reports.add("the faulty report", Box::new(Faulty));
    reports
        .running
        .push(Wanted::file("junit", &path).unwrap().make());
    let tape = sample();
    tape.play(&mut reports);
    let problems = reports.problems().all();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("the faulty report broke down"));
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        in_file(&tape, "junit")
    );
}

#[test]
fn terminal_lines() {
    let tape = sample();
    insta::assert_snapshot!(on_screen(&tape, false));
    let coloured = on_screen(&tape, true);
    assert!(coloured.contains("\u{1b}["));
    let mut text = String::new();
    for line in coloured.lines() {
        text.push_str(&prodmirror_model::plain::without_controls(line));
        text.push('\n');
    }
    assert_eq!(text, on_screen(&tape, false), "colours change nothing else");
}

#[test]
fn without_scenarios_a_stack_that_fails_is_explained_at_once() {
    let mut t = Tape { events: Vec::new() };
    t.add(
        1,
        prodmirror_model::event::What::StackFailed {
            stack: "up".into(),
            service: Some("db".into()),
            reason: "db exited with code 1\nhelp: see its log".into(),
            log: vec!["FATAL: \u{1b}[1mno space".into()],
        },
    );
    assert_eq!(
        on_screen(&t, false),
        "  ERROR  db\n        db exited with code 1\n        help: see its log\n        │ FATAL: no space\n"
    );
}

#[test]
fn junit_document() {
    insta::assert_snapshot!(in_file(&sample(), "junit"));
}

#[test]
fn junit_names_files_of_cases_for_gitlab_only() {
    let tape = sample();
    assert!(!in_file(&tape, "junit").contains("file=\""));
    let gitlab = in_file(&tape, "junit-gitlab");
    assert!(
        gitlab.contains("file=\"scenarios/checkout.yaml\""),
        "{gitlab}"
    );
}

#[test]
fn json_document() {
    let text = in_file(&sample(), "json");
    let v: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(v["totals"]["all"], 8);
    assert_eq!(v["totals"]["flaky"], 1);
    assert_eq!(v["cases"][1]["outcome"], "failed");
    assert_eq!(v["cases"][1]["steps"][1]["mismatches"][0]["actual"], "500");
    assert_eq!(v["cases"][7]["outcome"], "not_run");
}

#[test]
fn html_document() {
    let text = in_file(&sample(), "html");
    assert!(text.starts_with("<!doctype html>"));
    assert!(text.contains("&lt;b&gt;sold out&lt;/b&gt;"), "escaped");
    assert!(!text.contains("<script") && !text.contains("http-equiv=\"refresh"));
    for link in ["src=", "href=", "@import", "url("] {
        assert!(!text.contains(link), "{link} would load something");
    }
    // Every tag that is opened is closed: the file can be read by a strict reader, too.
    for tag in ["details", "div", "pre", "span", "table", "summary"] {
        let open =
            text.matches(&format!("<{tag}>")).count() + text.matches(&format!("<{tag} ")).count();
        assert_eq!(open, text.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn github_annotations() {
    insta::assert_snapshot!(github::annotations(&sample().summary()));
}

#[test]
fn junit_is_there_from_the_start_and_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("junit.xml");
    let mut reports = Reports::new(&[Wanted::file("junit", &path).unwrap()]);
    let tape = sample();
    let mut ended = 0;
    for event in &tape.events {
        reports.on(event);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("<testcase ").count(), 8);
        if let prodmirror_model::event::What::CaseFinished { .. } = event.what {
            ended += 1;
        }
        let not_run = text.matches("type=\"not run\"").count();
        // One of those that ended is a second attempt.
        assert!(
            not_run + ended >= 8 && not_run + ended <= 9,
            "{not_run} {ended}"
        );
    }
    assert_eq!(ended, 8);
}

#[test]
fn a_killed_run_can_be_reported() {
    let dir = tempfile::tempdir().unwrap();
    let events = dir.path().join("events.jsonl");
    let junit = dir.path().join("junit.xml");
    let tape = sample();
    let mut text = String::new();
    for event in &tape.events[..12] {
        text.push_str(&serde_json::to_string(event).unwrap());
        text.push('\n');
    }
    text.push_str("{\"v\":1,\"seq\":13,\"at\":\"2026-01-");
    std::fs::write(&events, text).unwrap();
    let read = replay::read(&events).unwrap();
    assert_eq!(read.damaged.len(), 1);
    replay::complete_junit(&events, &junit).unwrap();
    let text = std::fs::read_to_string(&junit).unwrap();
    assert_eq!(text.matches("<testcase ").count(), 8);
    assert!(text.contains("not run"));
    assert!(replay::read(&dir.path().join("none")).is_err());
    std::fs::write(&events, "").unwrap();
    assert!(replay::read(&events).is_err());
}

#[test]
fn a_report_that_cannot_be_written_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    let fine = dir.path().join("fine.xml");
    let mut reports = Reports::new(&[
        Wanted::file("junit", &taken).unwrap(),
        Wanted::file("junit", &fine).unwrap(),
    ]);
    sample().play(&mut reports);
    let problems = reports.problems().all();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("junit report "), "{problems:?}");
    assert!(fine.exists());
}

#[test]
fn what_is_asked_for_is_checked() {
    let said = |text: &str| Wanted::parse(text).unwrap_err().to_string();
    assert!(said("junit").contains("does not say where"));
    assert!(said("junti=x").contains("did you mean `junit`?"));
    assert!(said("pdf=x").contains("kinds: junit ("));
    assert!(said("junit=").contains("is empty"));
    assert_eq!(Wanted::parse("json=-").unwrap().target, Target::Stdout);
    for kind in KINDS {
        assert!(Wanted::parse(&format!("{}=x", kind.name)).is_ok());
        assert!(!kind.help.is_empty());
    }
}

/// Files for other programs to read back, with what they must find (see `ci/junit-readers`).
#[test]
fn samples_for_other_readers() {
    let Some(dir) = std::env::var_os("PRODMIRROR_SAMPLES").map(PathBuf::from) else {
        return;
    };
    let tapes = [
        ("usual", sample()),
        ("nothing", Tape::new(&[])),
        (
            "killed",
            Tape {
                events: sample().events[..12].to_vec(),
            },
        ),
        ("hostile", hostile::tape()),
    ];
    for (name, tape) in tapes {
        for kind in ["junit", "junit-gitlab", "html"] {
            let path = dir.join(kind).join(format!("{name}.xml"));
            let mut reports = Reports::new(&[Wanted::file(kind, path).unwrap()]);
            tape.play(&mut reports);
            assert_eq!(reports.problems().all(), Vec::<String>::new());
        }
        let s = tape.summary();
        let t = s.totals();
        let expected = serde_json::json!({
            "suites": s.suites().len(),
            "tests": t.all(),
            "failures": t.failed + t.timed_out,
            "errors": t.errored + t.not_run,
            "skipped": t.skipped,
        });
        let path = dir.join("junit").join(format!("{name}.json"));
        std::fs::write(path, expected.to_string()).unwrap();
    }
}

#[test]
fn five_hundred_files_are_five_hundred_suites() {
    let cases: Vec<_> = (0..500)
        .map(|i| tape::id(&format!("scenarios/{i}.yaml"), "a scenario"))
        .collect();
    let mut t = Tape::new(&cases);
    for case in &cases {
        t.start(1, case, "s1");
        for s in 0..20 {
            let step = format!("steps[{s}]");
            t.step(
                1,
                case,
                &step,
                "GET http://gateway/orders",
                tape::at(&case.file, 3, 5),
            );
            t.stepped(1, case, &step, tape::StepEnd::passed());
        }
        t.end(2, case, prodmirror_model::event::Outcome::Passed, None);
    }
    let text = in_file(&t, "junit");
    assert_eq!(text.matches("<testsuite ").count(), 500);
    assert_eq!(text.matches("<testcase ").count(), 500);
    let page = in_file(&t, "html");
    assert!(cases.iter().all(|c| page.contains(&c.file)));
}

#[test]
fn what_a_long_traceback_ends_with_is_not_cut_off() {
    let case = tape::id("scenarios/a.yaml", "a");
    let mut t = Tape::new(std::slice::from_ref(&case));
    t.start(1, &case, "s1");
    t.step(
        2,
        &case,
        "steps[0]",
        "a",
        tape::at("scenarios/a.yaml", 1, 1),
    );
    let frames = "  File \"/a.py\", line 1, in f\n    g()\n".repeat(60);
    let error = format!("Traceback (most recent call last):\n{frames}KeyError: sku");
    let line = serde_json::json!({ "msg": "request failed", "error": error });
    t.log(3, "web", &line.to_string());
    let end = tape::StepEnd {
        outcome: prodmirror_model::event::Outcome::Failed,
        ..tape::StepEnd::passed()
    };
    t.stepped(4, &case, "steps[0]", end);
    t.end(
        5,
        &case,
        prodmirror_model::event::Outcome::Failed,
        Some("no"),
    );
    for text in [on_screen(&t, false), in_file(&t, "junit")] {
        let wanted = "request failed error=KeyError: sku";
        assert!(text.contains(wanted), "{text}");
    }
}
