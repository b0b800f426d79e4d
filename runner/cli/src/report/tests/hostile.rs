//! Services that print whatever they like.

use std::time::Duration;

use prodmirror_engine::bus::{BusOptions, Sink as _};
use prodmirror_model::event::{Event, Evidence, Mismatch, Outcome, What};
use prodmirror_model::redact::Redactor;
use prodmirror_model::secret::Secret;

use super::tape::{StepEnd, Tape, at, id};
use super::*;
use forms::forms;

// The tests of the whole program look for the same forms.
#[path = "../../../tests/it/forms.rs"]
mod forms;

const SECRETS: [&str; 3] = [
    "hunter2-Ünsäfe/&<\"'$+ key",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\n-----END KEY-----\n",
];

/// What breaks readers: control sequences, NUL, what was not UTF-8, ends of CDATA, code points
/// that XML does not have, and text that looks like markup.
const NASTY: &str = "\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7} NUL \0 bell \u{7} \u{fffd}\u{fffd} ]]> \
    ]]]]>> <![CDATA[x]]> &#0; &nbsp; </testcase> <!-- -- --> <?x?> \u{fffe}\u{ffff}\u{85}\u{9b}1m\u{2028} \r\n end\r";

/// A run whose every text holds something nasty and `extra`.
fn nasty_tape(extra: &[String]) -> Tape {
    let text = |i: usize| {
        let extra = extra.get(i % extra.len().max(1)).map_or("", String::as_str);
        format!("{NASTY} {extra} after")
    };
    let cases = [
        id("scenarios/a.yaml", &text(0)),
        id("scenarios/]]>&\"'<\u{1b}[1m.yaml", "passes"),
        id("scenarios/a.yaml", "errors"),
    ];
    let mut t = Tape::new(&cases);
    t.start(1, &cases[0], "s1");
    t.step(
        2,
        &cases[0],
        "steps[0]",
        &text(1),
        at("scenarios/a.yaml", 3, 5),
    );
    for i in 0..extra.len().max(1) {
        t.log(3, "web", &text(i));
    }
    t.stepped(
        4,
        &cases[0],
        "steps[0]",
        StepEnd {
            outcome: Outcome::Failed,
            mismatches: vec![Mismatch {
                expectation: text(2),
                kind: text(3),
                place: Some(at("scenarios/a.yaml", 3, 9)),
                expected: text(4),
                actual: format!("{}\n{}\n{}", text(5), text(6), text(7)),
                path: Some(text(8)),
                hint: Some(text(9)),
            }],
            error: Some(text(10)),
            evidence: extra
                .iter()
                .map(|e| Evidence {
                    title: text(11),
                    text: format!("{NASTY}\n{e}\n"),
                })
                .collect(),
        },
    );
    t.end(5, &cases[0], Outcome::Failed, Some(&text(12)));
    t.start(6, &cases[1], "s1");
    t.end(7, &cases[1], Outcome::Failed, Some(&text(13)));
    t.start(8, &cases[1], "s1");
    t.end(9, &cases[1], Outcome::Passed, None);
    t.add(
        10,
        What::StackFailed {
            stack: "s2".into(),
            service: Some(text(14)),
            reason: text(15),
            log: extra.to_vec(),
        },
    );
    t.start(11, &cases[2], "s2");
    t.end(12, &cases[2], Outcome::Errored, None);
    t.add(13, What::Warning { message: text(16) });
    t.add(
        14,
        What::Egress {
            stack: "s1".into(),
            service: text(17),
            protocol: "dns".into(),
            target: text(18),
            by: String::new(),
        },
    );
    t.add(
        15,
        What::RunFinished {
            clean: true,
            interrupted: false,
            exit: 1,
            took_ms: 15,
        },
    );
    t
}

/// For other readers.
pub fn tape() -> Tape {
    nasty_tape(&[])
}

#[test]
fn no_secret_gets_into_any_report_and_each_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let redactor = Redactor::new();
    let mut extra = Vec::new();
    for secret in SECRETS {
        redactor.add("s", &Secret::new(secret));
        for form in forms(secret) {
            let form = String::from_utf8(form).unwrap();
            extra.push(format!("a{form}b"));
            // Hidden by what a report leaves out.
            extra.push(form.chars().flat_map(|c| [c, '\0']).collect());
            let half = form.char_indices().nth(3).unwrap().0;
            extra.push(format!("{}\u{1b}[1m{}", &form[..half], &form[half..]));
        }
    }
    extra.extend(SECRETS[2].lines().skip(1).take(2).map(Into::into));
    let wanted: Vec<Wanted> = KINDS
        .iter()
        .map(|k| Wanted::file(k.name, dir.path().join(k.name)).unwrap())
        .collect();
    let screen = Shared::default();
    let reports = Reports::new(&wanted);
    let problems = reports.problems();
    let terminal = Terminal::new(Options {
        live: false,
        colour: true,
        width: 100,
        reports: Vec::new(),
        out: Box::new(screen.clone()),
    });
    let bus = BusOptions::new(redactor)
        .events_file(&dir.path().join("events.jsonl"))
        .unwrap()
        .subscriber("reports", Box::new(reports))
        .subscriber("terminal", Box::new(terminal))
        .start()
        .unwrap();
    for event in nasty_tape(&extra).events {
        bus.emit(event.what);
    }
    let end = bus.finish(Duration::from_secs(60));
    assert_eq!(end.problems, Vec::<String>::new());
    assert_eq!(problems.all(), Vec::<String>::new());
    std::fs::write(dir.path().join("screen"), screen.text()).unwrap();
    let summary = replay::read(&dir.path().join("events.jsonl"))
        .unwrap()
        .summary;
    let github = github::annotations(&summary);
    std::fs::write(dir.path().join("github"), &github).unwrap();

    for file in std::fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in SECRETS {
            for form in forms(secret) {
                let found = bytes.windows(form.len()).any(|w| w == form);
                let form = String::from_utf8_lossy(&form);
                assert!(!found, "{form} in {}", path.display());
            }
        }
        for line in SECRETS[2].lines().skip(1).take(2) {
            assert!(
                !String::from_utf8_lossy(&bytes).contains(line),
                "{}",
                path.display()
            );
        }
    }
    assert!(!screen.text().contains("\u{1b}]") && !screen.text().contains('\0'));
    for line in github.lines() {
        assert!(line.starts_with("::"), "{line:?}");
    }
    let events = std::fs::read_to_string(dir.path().join("events.jsonl")).unwrap();
    for line in events.lines() {
        serde_json::from_str::<Event>(line).unwrap();
    }
}
