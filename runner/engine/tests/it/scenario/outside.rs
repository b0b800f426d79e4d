//! Expectations that read files: snapshots and OpenAPI, from the scenario's file to the verdict.

use std::path::Path;

use prodmirror_engine::run::{CaseOptions, Outside, Stop};
use prodmirror_engine::step::compile;
use prodmirror_model::event::Outcome;
use prodmirror_model::source::SourceFile;

use super::local::Local;
use super::site::site;
use super::{Played, passes, played_with};

/// Plays the only scenario of a file.
async fn played_file(folder: &Path, steps: &str, outside: &Outside) -> Played {
    let path = folder.join("s.yaml");
    std::fs::write(
        &path,
        format!("scenario: An order, seen twice\nsteps:\n{steps}"),
    )
    .unwrap();
    let (mut programs, problems) = compile(&SourceFile::read(&path, "scenarios/s.yaml").unwrap());
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told, [""; 0]);
    let world = Local::default().host("gateway", 80, site().await).world();
    let options = CaseOptions {
        outside: outside.clone(),
        ..CaseOptions::default()
    };
    played_with(&world, &programs.remove(0), &options, &Stop::new()).await
}

const STEPS: &str = r#"
  - id: order
    http: { url: "http://gateway/echo?a=AAA", headers: { X-Id: "b9c9e3f2-0d5e-4b9c-8f6a-0c8e2d1a5b7e" } }
    expect:
      - status == 200
      - { snapshot: true, jsonpath: $.query }
      - { snapshot: headers, value: json.headers, mask: [ uuid, "$['user-agent']" ] }
  - http: { url: "http://gateway/html" }
    expect: { snapshot: page }
"#;

#[tokio::test]
async fn snapshots_are_missing_then_written_then_compared() {
    let folder = tempfile::tempdir().unwrap();
    let compare = Outside::default();
    let missing = played_file(folder.path(), STEPS, &compare).await;
    assert_eq!(missing.end.outcome, Outcome::Failed);
    let step = missing.steps().remove(0);
    let at = "scenarios/__snapshots__/an-order-seen-twice";
    let expected: Vec<&str> = step
        .mismatches
        .iter()
        .map(|m| m.expected.as_str())
        .collect();
    assert_eq!(
        expected,
        [
            format!("a snapshot in {at}/order.json"),
            format!("a snapshot in {at}/headers.json"),
        ]
    );
    assert_eq!(
        step.mismatches[0].hint.as_deref(),
        Some("write it with `prodmirror run --update-snapshots`, look at it, and commit it")
    );
    let snapshots = folder.path().join("__snapshots__");
    assert!(!snapshots.exists());

    let update = Outside {
        update_snapshots: true,
        ..Outside::default()
    };
    let written = played_file(folder.path(), STEPS, &update).await;
    assert_eq!(written.end.outcome, Outcome::Passed, "{}", written.told());
    assert_eq!(
        update.written.all(),
        ["order.json", "headers.json", "page.txt"].map(|f| format!("{at}/{f}"))
    );
    let own = snapshots.join("an-order-seen-twice");
    let read = |file: &str| std::fs::read_to_string(own.join(file)).unwrap();
    assert_eq!(read("order.json"), "{\n  \"a\": \"AAA\"\n}\n");
    assert_eq!(read("page.txt"), "<p>Hello</p>");
    assert!(
        read("headers.json").contains("\"x-id\": \"<uuid>\""),
        "{}",
        read("headers.json")
    );
    assert_eq!(std::fs::read_dir(&own).unwrap().count(), 3);

    let same = played_file(folder.path(), STEPS, &compare).await;
    assert_eq!(same.end.outcome, Outcome::Passed, "{}", same.told());

    let changed = played_file(folder.path(), &STEPS.replace("AAA", "BBB"), &compare).await;
    assert_eq!(changed.end.outcome, Outcome::Failed);
    assert_eq!(
        changed.steps()[0].said(),
        [format!("{at}/order.json.a: expected \"AAA\", got \"BBB\"")]
    );
    assert_eq!(read("order.json"), "{\n  \"a\": \"AAA\"\n}\n");
}

const API: &str = r#"
openapi: 3.1.0
paths:
  /echo:
    get:
      operationId: seen
      parameters: [ { name: a, in: query, schema: { type: integer } } ]
      responses: { "200": { content: { application/json: { schema: { type: object, required: [method, nope], properties: { method: { const: GET } } } } } } }
  /login: { get: { responses: { "204": { headers: { Set-Cookie: { required: true } } } } } }
  /html: { get: { responses: { "200": { content: { text/html: {} } } } } }
"#;

#[tokio::test]
async fn openapi_from_the_file_to_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.yaml"), API).unwrap();
    let outside = Outside::default();
    let steps = r#"
  - http: { url: "http://gateway/login" }
    expect: { openapi: api.yaml }
  - http: { url: "http://gateway/echo?a=x&b=1" }
    expect: { openapi: { file: api.yaml, operation: seen } }
"#;
    let played = played_file(folder.path(), steps, &outside).await;
    assert_eq!(played.end.outcome, Outcome::Failed);
    let ends = played.steps();
    assert_eq!(ends[0].outcome, Outcome::Passed, "{}", played.told());
    assert_eq!(
        ends[1].said(),
        [
            "request.query.a: expected \"x\" is not of type \"integer\", got \"x\"".to_owned(),
            "request.query.b: expected no such parameter, by the OpenAPI file, got \"1\""
                .to_owned(),
            ends[1].said().remove(2),
        ]
    );
    assert!(
        ends[1].said()[2]
            .starts_with("response.body: expected \"nope\" is a required property, got {"),
        "{:?}",
        ends[1].said()
    );
    assert_eq!(
        outside.coverage.so_far().to_string(),
        "scenarios/api.yaml: 2 of 3 operations were used\n  not used: GET /html\n"
    );
}

#[tokio::test]
async fn what_expectations_see_of_requests_and_bodies() {
    let world = Local::default().host("gateway", 80, site().await).world();
    passes(
        &world,
        r#"
  - http: { method: POST, url: "http://gateway/echo", auth: { bearer: s3cret }, json: { a: 1 } }
    expect:
      - request.method == "POST"
      - request.url == "http://gateway/echo"
      - request.body == '{"a":1}'
      - request.headers.authorization == "***"
      - json.headers.authorization == "Bearer s3cret"
      - certificate == null
  - http: { url: "http://gateway/binary" }
    expect:
      - { bytes: { equals: 009f9296, size: 4, contains: 9f92, not_contains: f929 } }
      - { bytes: { filters: base64_encode, equals: AJ+Slg== } }
    capture: { hash: { bytes: true, filters: sha256 } }
  - http: { url: "http://gateway/login" }
    expect:
      - { cookie: session, equals: abc }
      - { cookie: "session[Path]", equals: / }
    capture: { session: { cookie: session, filters: upper } }
  - http: { url: "http://gateway/echo?x={{ session }}&y={{ hash }}" }
    expect:
      - json.query.x == "ABC"
      - { jsonpath: $.query.y, length: 64, type: hex }
"#,
    )
    .await;
}
