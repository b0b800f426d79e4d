//! Several causes, failures that come and go, and searches that are interrupted.

use std::time::Duration;

use super::{answers, bisect, cause, causes, project, report, runs};
use crate::project::Project;
use crate::rig::{clean_within, has_engine};

/// A small pair of environments with a scenario of its own.
fn small(theirs: &[(&str, &str)], scenario: &str) -> Project {
    let p = project(&[], theirs, "", "true");
    for side in ["good", "bad"] {
        let name = format!("{side}.compose.yaml");
        let text = std::fs::read_to_string(p.path().join(&name)).unwrap();
        let few = text.lines().filter(|l| !l.contains("HARMLESS_1"));
        let few: Vec<&str> = few.filter(|l| !l.contains("labels")).collect();
        p.write(&name, few.join("\n").as_bytes());
    }
    p.write("s.yaml", scenario.as_bytes());
    p
}

#[test]
fn each_of_two_causes_is_named() {
    if !has_engine() {
        return;
    }
    let test = "test -z \"$FIRST\" && test -z \"$SECOND\"";
    let p = project(&[], &[("FIRST", "on"), ("SECOND", "on")], "", test);
    answers(&bisect(&p, &[]), 0, &["there is another cause (--all"]);
    assert_eq!(cause(&report(&p)).len(), 1);

    answers(
        &bisect(&p, &["--all"]),
        0,
        &[
            "fails because `app` has",
            "and it fails because `app` has",
            "B without them passes: that is the whole story",
        ],
    );
    let mut found = causes(&report(&p));
    found.sort();
    assert_eq!(
        found,
        [["app: env FIRST none → on"], ["app: env SECOND none → on"]]
    );
}

#[test]
fn a_failure_that_does_not_show_at_first_is_waited_for() {
    if !has_engine() {
        return;
    }
    // B fails in every second run: not in the first.
    let p = small(&[("MODE", "strict")], "");
    let count = p.path().join("count");
    let scenario = format!(
        r#"scenario: it works at times
steps:
  - id: count
    shell: {{ cmd: 'n=$(( $(cat {count} 2>/dev/null || echo 0) + 1 )); echo $n > {count}; echo $(( n % 2 ))' }}
  - exec: {{ service: app, cmd: [sh, -c, 'test "$MODE" != strict || test {{{{ steps.count.stdout | trim }}}} = 1'] }}
"#,
        count = count.display()
    );
    p.write("s.yaml", scenario.as_bytes());
    let more = ["--allow-shell", "--repeats", "4", "--confidence", "0.6"];
    answers(
        &bisect(&p, &more),
        0,
        &[
            "fails because `app` has MODE=strict in bad, and no MODE in good",
            "; B fails in ",
            "; confidence ",
        ],
    );
    let report = report(&p);
    assert_eq!(cause(&report), ["app: env MODE none → strict"]);
    let verdicts: Vec<&str> = report["runs"].as_array().unwrap()[..2]
        .iter()
        .map(|r| r["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["pass", "same"], "{report:#}");
    assert_eq!(report["failure"]["step"]["position"], "steps[1]");

    // One run does not see it, and says so.
    std::fs::remove_file(&count).unwrap();
    answers(
        &bisect(&p, &["--allow-shell"]),
        1,
        &["it passes in bad: there is nothing to search for"],
    );
}

#[test]
fn a_signal_ends_the_search_and_leaves_nothing() {
    if !has_engine() {
        return;
    }
    let slow = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [sh, -c, 'test \"$MODE\" = strict || sleep 300'] }\n    timeout: 5m\n  - exec: { service: app, cmd: [\"false\"] }\n";
    for jobs in ["1", "2"] {
        let p = project(&[], &[("MODE", "strict")], "", "true");
        p.write("s.yaml", slow.as_bytes());
        let args = ["bisect", "good", "bad", "s.yaml", "--jobs", jobs];
        let mut running = p.start(&args, &[]);
        // A sleeps: B has ended by then.
        running.until(|| {
            p.path().join(".prodmirror/bisect").is_dir()
                && runs(&p).iter().any(|run| {
                    let events = std::fs::read_to_string(run.join("events.jsonl"));
                    run.to_string_lossy().contains("/run-2/")
                        && events.is_ok_and(|e| e.contains("\"step_started\""))
                })
        });
        running.signal("INT");
        let said = running.end(Duration::from_secs(60));
        said.is(130, &["B as it is: fails"]);
        assert!(!said.out.contains("fails because"), "{}", said.out);
        let all = runs(&p);
        assert!(all.len() >= 2, "{all:?}");
        for run in all {
            let id = run.file_name().unwrap().to_string_lossy().into_owned();
            clean_within(&id, Duration::ZERO);
        }
    }
}
