use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::secret::Secret;
use prodmirror_model::source::SourceFile;

use super::*;

fn problems() -> Vec<Problem> {
    let compose = SourceFile::new(
        "production/compose.yaml",
        "services:\n  web:\n    image: shop/web:1\n    replica: 2\n    environment:\n      KEY: s3cr3t-value\n    depends_on: [dbb]\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n  db:\n    image: postgres\n",
    );
    let project = SourceFile::new("mirror.yaml", "production: [production/compose.yaml]\n");
    let env = SourceFile::new("production/.env", "A=1\nPASSWORD='open ${NAME:?}\n");
    let long = SourceFile::new(
        "big.json",
        format!("{{\"a\": \"{}\", \"b\": oops}}\n", "x".repeat(2000)),
    );
    vec![
        Problem::at(
            ProblemKind::UnknownKey,
            &Span::in_line(&compose, 4, 5, 7),
            "unknown key `replica` in service `web`",
        )
        .help("did you mean `replicas`, under `deploy`?"),
        Problem::at(
            ProblemKind::UnknownReference,
            &Span::in_line(&compose, 7, 18, 3),
            "service `web` depends on `dbb`, which is not there",
        )
        .label("no such service")
        .related(&Span::in_line(&compose, 22, 3, 2), "did you mean this one?")
        .related(&Span::in_line(&project, 1, 14, 23), "read because of this"),
        Problem::at(
            ProblemKind::Deprecated,
            &Span::in_line(&compose, 6, 12, 12),
            "a value that looks like a secret: s3cr3t-value",
        )
        .warning(),
        Problem::at(
            ProblemKind::Syntax,
            &Span::in_line(&env, 2, 10, 1),
            "the quote is not closed",
        ),
        Problem::at(
            ProblemKind::Syntax,
            &Span::in_line(&long, 1, 2018, 4),
            "expected a value",
        ),
        Problem::new(
            ProblemKind::MissingFile,
            "cannot read x: \u{1b}[31mno such file",
        )
        .help("check the path"),
    ]
}

fn redactor() -> Redactor {
    let r = Redactor::new();
    r.add("KEY", &Secret::new("s3cr3t-value"));
    r
}

#[test]
fn drawn_for_people() {
    let look = Look {
        colour: false,
        width: 80,
    };
    insta::assert_snapshot!(human(&problems(), look, &redactor()));
}

#[test]
fn narrow_ones_are_lines() {
    let look = Look {
        colour: false,
        width: 40,
    };
    let text = human(&problems()[..1], look, &redactor());
    assert_eq!(
        text,
        "error: production/compose.yaml:4:5: unknown key `replica` in service `web`\n  help: did you mean `replicas`, under `deploy`?\n\n"
    );
}

#[test]
fn for_programs() {
    let text = json(&problems(), &redactor());
    let v: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(v["errors"], 5);
    assert_eq!(v["warnings"], 1);
    assert_eq!(v["problems"][0]["kind"], "unknown_key");
    assert_eq!(v["problems"][0]["line"], 4);
    assert!(!text.contains("s3cr3t"));
}

#[test]
fn for_github() {
    let text = github(&problems()[..1], &redactor());
    assert_eq!(
        text,
        "::error file=production/compose.yaml,line=4,col=5,title=prodmirror::unknown key `replica` in service `web`%0Ahelp: did you mean `replicas`, under `deploy`?\n"
    );
}

#[test]
fn no_place_panics() {
    let file = SourceFile::new("x.yaml", "é: [1,\n\t2\n");
    let empty = SourceFile::new("y.yaml", "");
    for f in [&file, &empty] {
        for line in [1, 2, 4] {
            for col in [1, 2, 400] {
                for len in [0, 90] {
                    let span = Span::in_line(f, line, col, len);
                    let mut to_end = span.clone();
                    to_end.end_line = line + 3;
                    for span in [span, to_end] {
                        let p = Problem::at(ProblemKind::Syntax, &span, "bad")
                            .related(&Span::in_line(f, 1, 1, 1), "first");
                        for width in [20, 80] {
                            let look = Look {
                                colour: true,
                                width,
                            };
                            assert!(
                                human(std::slice::from_ref(&p), look, &redactor()).contains("bad")
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn many_are_counted() {
    let all: Vec<Problem> = (0..50)
        .map(|i| Problem::new(ProblemKind::Syntax, format!("problem {i}")))
        .collect();
    let look = Look {
        colour: false,
        width: 80,
    };
    let text = human(&all, look, &redactor());
    assert!(text.contains("… and 20 more errors"), "{text}");
    assert!(text.ends_with("50 errors\n"), "{text}");
}
