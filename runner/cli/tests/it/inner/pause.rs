//! `--step`, `--pause-on fail`, `--from`, `--until`.

use std::process::Stdio;
use std::time::Duration;

use super::super::project::Project;
use super::super::rig::{clean_within, has_engine, says, sleeper};
use super::fed;

const THREE: &str = r#"scenario: three
steps:
  - id: first
    exec: { service: app, cmd: [sh, -c, "echo one >> /did; echo 7"] }
    capture: { number: "int(stdout.trim())" }
  - id: second
    exec: { service: app, cmd: [sh, -c, "echo {{ number }} >> /did; cat /did"] }
    expect: stdout.contains("7")
  - id: third
    exec: { service: app, cmd: [cat, /did] }
"#;

fn three() -> Project {
    sleeper(&[("scenarios/a.yaml", THREE)])
}

#[test]
fn step_by_step() {
    if !has_engine() {
        return;
    }
    let project = three();
    let said = fed(
        &project,
        &["run", "--step"],
        "\nvars\n= number + 1\ndoc\nn\nc\n",
    );
    said.is(
        0,
        &[
            "next steps[0] first",
            "next steps[1] second",
            "number = 7",
            "(prodmirror) = number + 1\n8\n",
            "there is no result yet",
            "next steps[2] third",
            "1 passed",
        ],
    );
    clean_within(&project.run_id(), Duration::ZERO);
}

#[test]
fn quitting_ends_the_run_and_removes_everything() {
    if !has_engine() {
        return;
    }
    let project = three();
    let said = fed(&project, &["run", "--step"], "n\nq\n");
    said.is(130, &["next steps[1] second", "the run was interrupted"]);
    let events = project.events();
    assert!(events.iter().any(says("step_finished", "steps[0]")));
    assert!(!events.iter().any(says("step_started", "steps[1]")));
    clean_within(&project.run_id(), Duration::ZERO);
}

#[test]
fn a_failed_step_can_be_looked_at_and_done_again() {
    if !has_engine() {
        return;
    }
    let scenario = r#"scenario: stops
vars: { wanted: there }
steps:
  - exec: { service: app, cmd: [sh, -c, "cat /file || echo none"] }
    expect: stdout.contains(wanted)
  - exec: { service: app, cmd: ["true"] }
"#;
    let project = sleeper(&[("scenarios/a.yaml", scenario)]);
    let lines = "doc\n\
         stdout.startsWith('none')\n\
         = stdout +\n\
         vars\n\
         logs nobody\n\
         run exec: { service: app, cmd: [sh, -c, 'echo {{ wanted }} > /file'] }\n\
         run exec: { service: nothing }\n\
         sh app\n\
         echo from the shell\n\
         wc -l < /file\n\
         exit\n\
         again\n\
         continue\n";
    let said = fed(&project, &["run", "--pause-on", "fail"], lines);
    said.is(
        0,
        &[
            "stopped at steps[0]",
            "\"stdout\": \"none\\n\"",
            "(prodmirror) stdout.startsWith('none')\ntrue\n",
            "wanted = \"there\"",
            "there is no service `nobody`; there are: app",
            "from the shell",
            "(prodmirror) again\npassed",
            "1 passed",
        ],
    );
    clean_within(&project.run_id(), Duration::ZERO);
    // As it is without `again`; and when the lines end, the run goes on by itself.
    let project = sleeper(&[("scenarios/a.yaml", scenario)]);
    let said = fed(&project, &["run", "--pause-on", "fail"], "doc\n");
    said.is(1, &["standard input has ended", "1 failed"]);
}

#[test]
fn pausing_is_refused_where_nobody_could_answer() {
    let project = three();
    let output = project
        .command(&["run", "--step"], &[])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("neither a terminal"), "{err}");
    let said = fed(
        &project,
        &["run", "--pause-on", "fail", "--jobs", "2"],
        "c\n",
    );
    said.is(
        2,
        &["asks about one scenario at a time", "leave --jobs out"],
    );
}

#[test]
fn a_part_of_the_steps() {
    if !has_engine() {
        return;
    }
    let run = |args: &[&str]| {
        let project = three();
        let said = project.start(args, &[]).end(Duration::from_secs(180));
        (project, said)
    };
    let (project, said) = run(&["run", "--until", "first"]);
    said.is(0, &["1 passed"]);
    let ended = |e: &serde_json::Value| e["event"] == "step_finished" && e["outcome"] == "skipped";
    assert_eq!(project.events().into_iter().filter(ended).count(), 2);
    let (_, said) = run(&["run", "--from", "second"]);
    said.is(
        1,
        &[
            "`number` would be captured by steps[0], which --from leaves out",
            "--var number=VALUE",
        ],
    );
    let (project, said) = run(&[
        "run", "--from", "second", "--until", "second", "--var", "number=7",
    ]);
    said.is(0, &["1 passed"]);
    assert_eq!(project.events().into_iter().filter(ended).count(), 2);
}

#[test]
fn a_step_that_is_not_there() {
    let project = three();
    project.run(&["run", "--from", "secnd"]).is(
        2,
        &[
            "none of the `steps` of `three` has this id",
            "did you mean `second`?",
        ],
    );
    project
        .run(&["run", "--from", "third", "--until", "first"])
        .is(2, &["stands before the step of `--from`"]);
}
