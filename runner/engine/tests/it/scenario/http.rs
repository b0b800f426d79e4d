//! `http` against a web server, and against servers that behave badly.

use prodmirror_model::event::Outcome;

use super::local::Local;
use super::site::{answers, closed, endless, site};
use super::{fails, passes, played};

#[tokio::test]
async fn requests_and_responses() {
    let world = Local::default().host("gateway", 80, site().await).world();
    passes(&world, r#"
  - id: get
    http: { url: "http://gateway/x?a=1", query: { b: 2, c: "x y" } }
    expect:
      - status == 200
      - json.items[1].sku == "B2"
      - headers["content-type"] == "application/json"
      - { header: Content-Type, equals: application/json }
      - url == "http://gateway/x?a=1&b=2&c=x+y"
      - version == "1.1"
      - size > 10
      - duration < duration("5s")
    capture: { id: json.id, sku: { jsonpath: "$.items[0].sku" }, part: { regex: '"na(me)"' } }
  - http: { method: POST, url: "http://gateway/echo", json: { id: "{{ id }}", sku: "{{ sku }}", n: [1, true, null, 1.50] } }
    expect:
      - json.method == "POST"
      - json.headers["content-type"] == "application/json"
      - json.headers.host == "gateway"
      - json.body == '{"id":7,"sku":"A1","n":[1,true,null,1.50]}'
  - http: { url: "http://gateway/echo", form: { a: "x y", b: "{{ id }}" } }
    expect:
      - json.method == "POST"
      - json.body == "a=x+y&b=7"
  - http: { method: PUT, url: "http://gateway/echo", body: "plain {{ part }}", headers: { Content-Type: text/plain, X-Id: "{{ id }}" } }
    expect:
      - json.body == "plain me"
      - json.headers["x-id"] == "7"
      - json.headers["content-type"] == "text/plain"
  - http: { url: "http://gateway/echo", auth: { basic: { user: ann, password: "s:3" } } }
    expect: json.headers.authorization == "Basic YW5uOnM6Mw=="
  - http: { url: "http://gateway/echo", auth: { bearer: "{{ steps.get.json.name }}" } }
    expect: json.headers.authorization == "Bearer Ann"
  - http: { url: "http://gateway/gzip" }
    expect: json.packed
  - http: { url: "http://gateway/html" }
    expect:
      - json == null
      - body.contains("Hello")
  - http: { url: "http://gateway/binary" }
    expect: size == 4
  - http: { method: HEAD, url: "http://gateway/" }
    expect: [ status == 200, body == "" ]
"#).await;
}

#[tokio::test]
async fn redirects_and_cookies() {
    let world = Local::default()
        .host("gateway", 80, site().await)
        .host("other", 81, site().await)
        .world();
    passes(
        &world,
        r#"
  - http: { url: "http://gateway/redirect?to=/echo" }
    expect:
      - status == 200
      - url == "http://gateway/echo"
      - redirects == ["http://gateway/echo"]
  - http: { url: "http://gateway/redirect?to=/echo", redirects: 0 }
    expect: [ status == 302, headers.location == "/echo" ]
  - http: { url: "http://gateway/redirect?status=303&to=/echo", json: { a: 1 } }
    expect: [ json.method == "GET", json.body == "" ]
  - http: { url: "http://gateway/redirect?status=307&to=/echo", json: { a: 1 } }
    expect:
      - json.method == "POST"
      - json.body == '{"a":1}'

  - http: { url: "http://gateway/redirect?to=http://other:81/echo", auth: { bearer: t } }
    expect: "!has(json.headers.authorization)"
  - http: { url: "http://gateway/login" }
    expect:
      - status == 204
      - cookies.session == "abc"
      - size(headers["set-cookie"]) == 2
  - http: { url: "http://gateway/echo" }
    expect: json.headers.cookie == "session=abc"
  - http: { url: "http://other:81/echo" }
    expect: "!has(json.headers.cookie)"
"#,
    )
    .await;
}

#[tokio::test]
async fn a_scenario_keeps_its_connection() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let mut steps = String::new();
    for _ in 0..20 {
        steps.push_str("  - http: { url: \"http://gateway/\" }\n");
    }
    steps.push_str(
        "  - http: { url: \"http://gateway/connections\" }\n    expect: json.connections == 1\n",
    );
    passes(&world, &steps).await;
}

#[tokio::test]
async fn only_names_of_the_stack_are_reached() {
    let world = Local::default().host("gateway", 80, site().await).world();
    for (url, said) in [
        (
            "http://example.com/",
            "example.com:80 is not part of the stack",
        ),
        (
            "http://127.0.0.1:22/",
            "127.0.0.1:22 is not part of the stack",
        ),
        ("http://[::1]:22/", "::1:22 is not part of the stack"),
        (
            "http://gateway/redirect?to=http://169.254.169.254/latest",
            "169.254.169.254:80 is not part of the stack",
        ),
        (
            "http://gateway/redirect?to=//example.com/",
            "example.com:80 is not part of the stack",
        ),
    ] {
        let step = fails(
            &world,
            &format!("  - retry: 5\n    http: {{ url: \"{url}\" }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Errored, "{url}");
        assert!(step.error().contains(said), "{url}: {}", step.error());
        // What is not there does not come by asking again.
        assert_eq!(step.attempts, 1, "{url}");
    }
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    // The variables are set for this process only where each test has its own.
    let proxy = closed().await;
    // SAFETY: no other thread of this test reads the environment.
    unsafe { std::env::set_var("http_proxy", format!("http://{proxy}")) };
    let world = Local::default().host("gateway", 80, site().await).world();
    passes(&world, "  - http: { url: \"http://gateway/\" }\n").await;
}

#[tokio::test]
async fn wrong_answers_fail_and_no_answers_error() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let step = fails(&world, "  - http: { url: \"http://gateway/status/500\" }\n    expect: [ status == 201, json.status == \"201\" ]\n").await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert_eq!(
        step.said(),
        [
            "status: expected == 201, got 500",
            "json.status: expected == \"201\", got \"500\""
        ]
    );
    assert!(
        step.evidence.contains("GET http://gateway/status/500\n"),
        "{}",
        step.evidence
    );
    assert!(
        step.evidence
            .contains("HTTP/1.1 500 Internal Server Error\n"),
        "{}",
        step.evidence
    );

    // Without expectations, an error of the server is still one.
    let step = fails(&world, "  - http: { url: \"http://gateway/status/500\" }\n").await;
    assert_eq!(step.said(), ["status: expected < 400, got 500"]);
}

#[tokio::test]
async fn servers_that_behave_badly() {
    for (address, said) in [
        (
            closed().await,
            "could not connect to bad:80: Connection refused",
        ),
        (
            answers(b"").await,
            "the connection was closed before the response was complete",
        ),
        (
            answers(b"SSH-2.0-OpenSSH_9.2\r\n").await,
            "does not speak HTTP",
        ),
        (
            answers(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await,
            "the response broke off",
        ),
        (endless().await, "the body is larger than 16 MiB"),
    ] {
        let world = Local::default().host("bad", 80, address).world();
        let step = fails(&world, "  - http: { url: \"http://bad/\" }\n").await;
        assert_eq!(step.outcome, Outcome::Errored, "{said}");
        assert!(step.error().contains(said), "{said}\n{}", step.error());
    }
}

#[tokio::test]
async fn a_slow_answer_times_out() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let step = fails(
        &world,
        "  - http: { url: \"http://gateway/slow/5000\" }\n    timeout: 100ms\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::TimedOut);
    assert_eq!(step.error(), "no result within 100ms");
}

#[tokio::test]
async fn secrets_are_not_evidence() {
    let mut local = Local::default().host("gateway", 80, site().await);
    local.secrets.insert("TOKEN".into(), "s3cr3t-token".into());
    let world = local.world();
    let played = played(&world, "scenario: a\nsteps:\n  - http: { url: \"http://gateway/html\", auth: { bearer: \"{{ secrets.TOKEN }}\" } }\n").await;
    assert_eq!(played.end.outcome, Outcome::Passed);
    assert!(!played.told().contains("s3cr3t"), "{}", played.told());
}
