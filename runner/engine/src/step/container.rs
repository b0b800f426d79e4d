//! `container`: a one-off container from any image, in the place of a service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Data, Text};
use prodmirror_model::yaml::{Node, Spanned};
use quick_xml::events::{BytesStart, Event};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::context::reach_error;
use super::exec::{document, environment, shown, words};
use super::fields::{Pairs, args, lossy};
use super::files;
use super::target::Target;
use super::world::OneOff;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError, cut};

/// Bytes of all files that are put in.
const MOST_BYTES: u64 = 64 << 20;

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "container",
    fields: &["exit_code", "stdout", "stderr", "json", "tests", "duration"],
    help: "runs an image to its end in the network of a service: a load generator, a browser, a test binary",
    example: "container: { image: \"grafana/k6:0.49.0\", beside: gateway, cmd: [run, --duration, 20s, /load.js] }",
    usual: Some("exit_code == 0"),
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    image: Text,
    beside: Spanned<String>,
    #[serde(default)]
    cmd: Option<Node>,
    #[serde(default)]
    entrypoint: Option<Node>,
    #[serde(default)]
    env: Pairs,
    #[serde(default)]
    user: Option<Text>,
    #[serde(default)]
    workdir: Option<Text>,
    #[serde(default)]
    files: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    junit: Option<Text>,
}

struct ContainerAct {
    image: Text,
    beside: Spanned<String>,
    cmd: Vec<Data>,
    entrypoint: Option<Vec<Data>>,
    env: Pairs,
    user: Option<Text>,
    workdir: Option<Text>,
    files: BTreeMap<String, Vec<u8>>,
    /// A file beside a scenario that is not in a file.
    nowhere: Option<Spanned<String>>,
    junit: Option<Text>,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    let (mut put, mut nowhere) = (BTreeMap::new(), None);
    let mut all = 0;
    for (to, from) in &a.files {
        if !to.starts_with('/') || to.split('/').any(|p| p == "..") {
            let text = format!("`{to}` is no absolute path in the container");
            problems.push(
                Problem::at(ProblemKind::InvalidValue, &from.span, text)
                    .help("write `files: { /tests/load.js: load.js }`"),
            );
            continue;
        }
        match files::read_now(&from.value, &from.span) {
            Ok(Some(bytes)) => {
                all += bytes.len() as u64;
                put.insert(to.clone(), bytes);
            }
            Ok(None) => nowhere = Some(from.clone()),
            Err(p) => problems.push(p),
        }
    }
    if all > MOST_BYTES {
        let text =
            format!("`files` has {all} bytes; at most {MOST_BYTES} are put into a container");
        problems.push(
            Problem::at(ProblemKind::TooLarge, &node.span, text)
                .help("make an image that has them"),
        );
    }
    let list = |n: &Option<Node>| n.as_ref().map(words).transpose();
    let (cmd, entrypoint) = match (list(&a.cmd), list(&a.entrypoint)) {
        (Ok(c), Ok(e)) if problems.is_empty() => (c.unwrap_or_default(), e),
        (c, e) => {
            problems.extend(c.err().into_iter().chain(e.err()).flatten());
            return Err(problems);
        }
    };
    Ok(ContainerAct {
        image: a.image,
        beside: a.beside,
        cmd,
        entrypoint,
        env: a.env,
        user: a.user,
        workdir: a.workdir,
        files: put,
        nowhere,
        junit: a.junit,
    }
    .into())
}

impl ContainerAct {
    async fn act(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        if let Some(name) = &self.nowhere {
            files::find(name, &name.span)?;
        }
        let scope = context.scope;
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(scope)).transpose();
        let list = |w: &[Data]| {
            w.iter()
                .map(|d| d.render_text(scope))
                .collect::<Result<Vec<_>, _>>()
        };
        let one = OneOff {
            beside: self.beside.value.clone(),
            image: self.image.render(scope)?,
            command: list(&self.cmd)?,
            entrypoint: self.entrypoint.as_deref().map(list).transpose()?,
            env: environment(&self.env, scope)?,
            user: text(&self.user)?,
            working_dir: text(&self.workdir)?,
            files: self.files.clone(),
            take: text(&self.junit)?,
            memory: 0,
        };
        context.trail.add(
            "command",
            format!("{} {}", one.image, one.command.join(" ")),
        );
        let begun = Instant::now();
        let done = context.world.run_once(one).await.map_err(reach_error)?;
        let took = begun.elapsed();
        let (stdout, stderr) = (lossy(&done.output.stdout), lossy(&done.output.stderr));
        context
            .trail
            .add("exit code", done.output.exit_code.to_string());
        for (title, text) in [("stdout", &stdout), ("stderr", &stderr)] {
            if !text.is_empty() {
                context.trail.add(title, text);
            }
        }
        let mut mismatches = Vec::new();
        let tests = match (&self.junit, &done.taken) {
            (None, _) => Json::Null,
            (Some(path), None) => {
                let text = format!(
                    "the container left no report at {}: `junit` is the path at which its program writes one",
                    path.source()
                );
                return Err(StepError::transport(text));
            }
            (Some(path), Some(xml)) => {
                let tests = junit(xml).map_err(|why| {
                    StepError::transport(format!("{} is no JUnit report: {why}", path.source()))
                })?;
                mismatches.extend(tests.iter().filter(|t| !t.problem.is_empty()).map(|t| {
                    Mismatch {
                        expectation: t.name.clone(),
                        kind: "junit".into(),
                        place: Some((&self.beside.span).into()),
                        expected: "that it passes".into(),
                        actual: cut(&t.problem, 2000),
                        path: None,
                        hint: None,
                    }
                }));
                let cases = tests.iter().map(|t| {
                    json!({"name": t.name, "passed": t.problem.is_empty(), "skipped": t.skipped, "problem": t.problem})
                });
                Json::Array(cases.collect())
            }
        };
        let mut document = document(done.output.exit_code, &stdout, &stderr).with("tests", tests);
        document.took(took);
        Ok(Done {
            document,
            mismatches,
        })
    }
}

/// A case of a JUnit report.
#[derive(Debug, Default, PartialEq)]
struct Test {
    name: String,
    /// Why it did not pass; empty when it did.
    problem: String,
    skipped: bool,
}

/// Reads a JUnit report as the many programs that write it do: suites may hold suites.
fn junit(xml: &[u8]) -> Result<Vec<Test>, String> {
    let mut reader = quick_xml::Reader::from_reader(xml);
    let mut tests: Vec<Test> = Vec::new();
    let (mut root, mut in_case, mut in_problem) = (false, false, false);
    loop {
        match reader.read_event().map_err(|e| e.to_string())? {
            Event::Eof => break,
            event @ (Event::Start(_) | Event::Empty(_)) => {
                let is_start = matches!(event, Event::Start(_));
                let (Event::Start(e) | Event::Empty(e)) = event else {
                    continue;
                };
                match e.name().as_ref() {
                    b"testsuites" | b"testsuite" => root = true,
                    b"testcase" => {
                        in_case = is_start;
                        let class = attribute(&e, "classname");
                        let name = attribute(&e, "name").unwrap_or_default();
                        tests.push(Test {
                            name: class.map_or(name.clone(), |c| format!("{c}: {name}")),
                            ..Test::default()
                        });
                    }
                    b"failure" | b"error" if in_case => {
                        in_problem = is_start;
                        let said = attribute(&e, "message").unwrap_or_default();
                        if let Some(t) = tests.last_mut() {
                            t.problem = if said.is_empty() {
                                "it failed".into()
                            } else {
                                said
                            };
                        }
                    }
                    b"skipped" if in_case => {
                        if let Some(t) = tests.last_mut() {
                            t.skipped = true;
                        }
                    }
                    _ => {}
                }
            }
            Event::End(e) => match e.name().as_ref() {
                b"testcase" => in_case = false,
                b"failure" | b"error" => in_problem = false,
                _ => {}
            },
            Event::Text(t) if in_problem => {
                let said = t.decode().map_err(|e| e.to_string())?;
                if let (Some(test), false) = (tests.last_mut(), said.trim().is_empty()) {
                    test.problem = format!("{}\n{}", test.problem, said.trim());
                }
            }
            _ => {}
        }
    }
    if root {
        Ok(tests)
    } else {
        Err("it has no `testsuite`".into())
    }
}

fn attribute(e: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = e.try_get_attribute(name).ok()??;
    Some(String::from_utf8_lossy(&found.value).into_owned()).map(|raw| {
        quick_xml::escape::unescape(&raw)
            .map(Into::into)
            .unwrap_or(raw.clone())
    })
}

impl Act for ContainerAct {
    fn title(&self) -> String {
        format!("{} {}", self.image.source(), shown(&self.cmd))
            .trim()
            .to_owned()
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::service(&self.beside));
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(600)
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.act(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_junit_report_is_read() {
        let xml = br#"<?xml version="1.0"?>
<testsuites><testsuite name="a"><testsuite name="b">
  <testcase classname="shop" name="pays"/>
  <testcase name="ships"><failure message="expected &quot;1&quot;">line 3</failure><system-out>no</system-out></testcase>
  <testcase name="later"><skipped/></testcase>
</testsuite></testsuite></testsuites>"#;
        let tests = junit(xml).unwrap();
        let short: Vec<(&str, &str, bool)> = tests
            .iter()
            .map(|t| (t.name.as_str(), t.problem.as_str(), t.skipped))
            .collect();
        assert_eq!(
            short,
            [
                ("shop: pays", "", false),
                ("ships", "expected \"1\"\nline 3", false),
                ("later", "", true)
            ]
        );
        assert!(junit(b"<html></html>").is_err());
        assert!(junit(b"<testsuite><testcase").is_err());
    }
}
