//! JUnit XML: one suite for each scenario file, one case for each scenario.
//!
//! The file exists from the first event on, with every selected case as an error "not run",
//! and is replaced as each case ends: whatever happens to the run, what finished is there.

mod mend;

use std::io;

use junit_report::{Duration, OffsetDateTime, ReportBuilder, TestCase, TestSuite};
use prodmirror_model::event::{Event, Outcome, What};
use prodmirror_model::summary::{Case, Status, Step, Summary};

use super::failure::{self, Depth};
use super::look::{Look, time, word};
use super::{Kind, Reporter, Target};
use mend::{Retried, SuiteFacts, clean};

/// JUnit as Jenkins' schema has it.
pub const KIND: Kind = Kind {
    name: "junit",
    help: "JUnit XML, valid by Jenkins' schema",
    make: |target| Box::new(Junit::new(target, Flavour::Strict)),
};

/// JUnit with the source file at each case.
pub const GITLAB: Kind = Kind {
    name: "junit-gitlab",
    help: "JUnit XML with a `file` at each case, which GitLab links to",
    make: |target| Box::new(Junit::new(target, Flavour::Gitlab)),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flavour {
    Strict,
    Gitlab,
}

/// Writes the report anew whenever a case has ended.
struct Junit {
    target: Target,
    flavour: Flavour,
    /// The suites as they were last written; only what changed is made again.
    suites: Vec<(String, String)>,
}

impl Junit {
    fn new(target: Target, flavour: Flavour) -> Self {
        Self {
            target,
            flavour,
            suites: Vec::new(),
        }
    }

    fn write(&mut self, summary: &Summary, changed: Option<&str>) -> io::Result<()> {
        let current = summary.suites();
        let mut suites = Vec::with_capacity(current.len());
        for (i, (file, cases)) in current.iter().enumerate() {
            let known = self
                .suites
                .get_mut(i)
                .filter(|(f, _)| f == file && changed.is_some_and(|c| c != *file));
            let xml = match known {
                Some((_, xml)) => std::mem::take(xml),
                None => suite(summary, i, file, cases, self.flavour)?,
            };
            suites.push(((*file).to_owned(), xml));
        }
        self.suites = suites;
        let xml = document(summary, &self.suites);
        self.target.put(xml.as_bytes())
    }
}

impl Reporter for Junit {
    fn on(&mut self, event: &Event, so_far: &Summary) -> io::Result<()> {
        if !self.target.is_replaceable() {
            return Ok(());
        }
        match &event.what {
            What::RunStarted { .. } => self.write(so_far, None),
            What::CaseFinished { case, .. } => self.write(so_far, Some(&case.file)),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.write(summary, None)
    }
}

fn document(summary: &Summary, suites: &[(String, String)]) -> String {
    let t = summary.totals();
    let took = summary.end.map_or(summary.last_ms, |e| e.took_ms);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    out.push_str(&mend::root(&[
        ("name", &clean(&summary.project)),
        ("tests", &t.all().to_string()),
        ("failures", &(t.failed + t.timed_out).to_string()),
        ("errors", &(t.errored + t.not_run).to_string()),
        ("time", &seconds(took)),
    ]));
    for (_, xml) in suites {
        out.push_str(xml);
        out.push('\n');
    }
    out.push_str("</testsuites>\n");
    out
}

/// One suite as XML: written by the JUnit library, completed by [`mend`].
fn suite(
    summary: &Summary,
    index: usize,
    file: &str,
    cases: &[&Case],
    flavour: Flavour,
) -> io::Result<String> {
    let mut suite = TestSuite::new(&clean(file));
    suite.package = clean(&summary.project);
    suite.hostname = "localhost".into();
    suite.timestamp = suite_start(summary, cases);
    for case in cases {
        suite.add_testcase(test_case(summary, case, flavour));
    }
    let mut xml = Vec::new();
    ReportBuilder::new()
        .add_testsuite(suite)
        .build()
        .write_xml(&mut xml)
        .map_err(|e| io::Error::other(e.to_string()))?;
    let facts = SuiteFacts {
        id: index,
        skipped: cases
            .iter()
            .filter(|c| c.verdict() == Outcome::Skipped)
            .count(),
        time: seconds(cases.iter().map(|c| c.took_ms).sum()),
        // Once: they are facts about the run, and there are readers that refuse a name that
        // stands in two suites.
        properties: if index == 0 {
            properties(summary)
        } else {
            Vec::new()
        },
        retried: cases.iter().map(|c| retried(c)).collect(),
    };
    mend::suite(&String::from_utf8_lossy(&xml), &facts)
}

fn suite_start(summary: &Summary, cases: &[&Case]) -> OffsetDateTime {
    let began = summary.started.unwrap_or_default().as_millisecond();
    let offset = cases.iter().filter_map(|c| c.started_ms).min().unwrap_or(0);
    let ms = i128::from(began) + i128::from(offset);
    OffsetDateTime::from_unix_timestamp_nanos(ms * 1_000_000)
        .ok()
        .filter(|t| (0..=9999).contains(&t.year()))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn properties(summary: &Summary) -> Vec<(String, String)> {
    let own = [
        ("prodmirror.run", summary.run.clone()),
        ("prodmirror.version", summary.version.clone()),
        ("prodmirror.project", summary.project.clone()),
        ("prodmirror.seed", summary.seed.to_string()),
    ];
    own.into_iter()
        .map(|(k, v)| (k.to_owned(), clean(&v)))
        .chain(summary.properties.iter().map(|(k, v)| (clean(k), clean(v))))
        .collect()
}

fn test_case(summary: &Summary, case: &Case, flavour: Flavour) -> TestCase {
    let name = clean(&case.id.name).replace(['\n', '\t'], " ");
    let took = Duration::milliseconds(i64::try_from(case.took_ms).unwrap_or(i64::MAX / 2));
    let why = first_line(&clean(&case.why()));
    let kind = clean(&kind_of(summary, case));
    let mut t = match case.verdict() {
        Outcome::Passed => TestCase::success(&name, took),
        Outcome::Failed | Outcome::TimedOut => TestCase::failure(&name, took, &kind, &why),
        Outcome::Errored => TestCase::error(&name, took, &kind, &why),
        Outcome::Skipped => TestCase::skipped_with_cause(&name, &kind, &why),
    };
    if !matches!(case.verdict(), Outcome::Passed | Outcome::Skipped) {
        let text = failure::explain(summary, case, Look::PLAIN, Depth::FILE);
        let text = clean(&text);
        if let junit_report::TestResult::Failure { cause, .. }
        | junit_report::TestResult::Error { cause, .. } = &mut t.result
        {
            *cause = Some(text);
        }
    }
    t.set_classname(&class_name(&case.id.file));
    if flavour == Flavour::Gitlab {
        t.set_filepath(&clean(&case.id.file));
    }
    let out = story(case);
    if !out.is_empty() {
        t.set_system_out(&clean(&out));
    }
    t
}

/// The class of what went wrong, for tools that group by it.
fn kind_of(summary: &Summary, case: &Case) -> String {
    if matches!(case.status, Status::NotRun | Status::Running) {
        return "not run".into();
    }
    if case.verdict() == Outcome::TimedOut {
        return "timeout".into();
    }
    if case.verdict() == Outcome::Skipped {
        return "skipped".into();
    }
    let step = case.failed_step();
    match step.and_then(|s| s.mismatches.first()) {
        Some(m) => m.kind.clone(),
        None if summary.stack_failure(case).is_some() => "stack".into(),
        None => step.map_or_else(|| "error".into(), |s| s.kind.clone()),
    }
}

/// `scenarios/checkout.yaml` as Jenkins groups it: `scenarios.checkout`.
fn class_name(file: &str) -> String {
    let file = clean(file);
    let stem = file
        .strip_suffix(".yaml")
        .or_else(|| file.strip_suffix(".yml"))
        .unwrap_or(&file);
    stem.trim_start_matches(['.', '/']).replace('/', ".")
}

/// What the case did, step by step, with the evidence that was kept.
fn story(case: &Case) -> String {
    let mut out = String::new();
    for s in &case.steps {
        let end = s.outcome.map_or("not ended", word);
        out.push_str(&format!(
            "{end:<7}  {}  {}  {}\n",
            s.position,
            s.title,
            time(s.took_ms)
        ));
        for e in &s.evidence {
            if !e.text.trim().is_empty() {
                out.push_str(&format!("         {}:\n", e.title));
                for line in e.text.lines() {
                    out.push_str(&format!("         | {line}\n"));
                }
            }
        }
    }
    out
}

/// Earlier attempts at a case that was tried again.
fn retried(case: &Case) -> Option<Retried> {
    if case.earlier.is_empty() {
        return None;
    }
    let passed = case.verdict() == Outcome::Passed;
    let attempts = case
        .earlier
        .iter()
        .filter(|a| a.outcome != Some(Outcome::Passed))
        .map(|a| {
            let failed = matches!(a.outcome, Some(Outcome::Failed | Outcome::TimedOut));
            mend::Attempt {
                element: match (passed, failed) {
                    (true, true) => "flakyFailure",
                    (true, false) => "flakyError",
                    (false, true) => "rerunFailure",
                    (false, false) => "rerunError",
                },
                kind: clean(
                    a.steps
                        .iter()
                        .find(|s| s.is_bad())
                        .map_or("error", step_kind),
                ),
                message: first_line(&clean(&a.why())),
                trace: clean(&a.why()),
            }
        })
        .collect();
    Some(Retried { attempts })
}

fn step_kind(step: &Step) -> &str {
    step.mismatches.first().map_or(&step.kind, |m| &m.kind)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("").replace('\t', " ")
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
