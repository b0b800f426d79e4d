//! `exec`, `container`, `shell`, `process`, `restart` and `scale`.

use prodmirror_model::schema::{Arg, Shape, either, integer, map, pairs, text, word};

use super::{Entry, MANY, WORDS, field, service};

const CMD: Arg = either(
    "cmd",
    "Program and arguments, or a line for sh",
    &[Shape::Text, WORDS],
)
.eg("[\"worker\", \"drain\"]");
const ENV: Arg = pairs("env", "Variables of the environment");
const STDIN: Arg = text("stdin", "What it reads");
const REPLICA: Arg = integer("replica", "Which container; 0 is the first", 0, MANY).or("0");

const EXIT_CODE: (&str, &str) = ("exit_code", "The exit code");
const STDOUT: (&str, &str) = ("stdout", "What it printed");
const STDERR: (&str, &str) = ("stderr", "What it printed on its error output");
const JSON: (&str, &str) = (
    "json",
    "What it printed as JSON, where that is an object or a list; else null",
);

pub(super) static EXEC: Entry = Entry {
    kind: "exec",
    shape: Shape::Object(&[
        service("The service in whose container it runs"),
        CMD.required(),
        ENV,
        text("user", "As whom").or("as the service"),
        text("workdir", "Where").or("where the service does"),
        STDIN,
        REPLICA,
    ]),
    notes: "\nA command in a running container of a service. A step may take 60 s unless it says otherwise.\n",
    results: &[EXIT_CODE, STDOUT, STDERR, JSON, field::DURATION],
    examples: &[
        (
            "A program of the service",
            "- exec: { service: worker, cmd: [worker, drain] }",
        ),
        (
            "A line for the shell, and what it prints",
            r#"- exec: { service: worker, cmd: "ls /tmp | wc -l", user: "0", env: { LANG: C }, workdir: /tmp, stdin: "in" }
  expect: int(stdout.trim()) < 5"#,
        ),
        (
            "A program that must refuse",
            r#"- exec: { service: orders, cmd: [orders, import, --dry-run], stdin: "not a file" }
  expect:
    - exit_code == 2
    - stderr.contains("line 1")"#,
        ),
    ],
    experimental: None,
};

pub(super) static CONTAINER: Entry = Entry {
    kind: "container",
    shape: Shape::Object(&[
        text("image", "The image")
            .required()
            .eg("\"grafana/k6:0.49.0\""),
        word("beside", "The service in whose network it runs").required(),
        CMD.or("that of the image"),
        either(
            "entrypoint",
            "In the place of the image's",
            &[Shape::Text, WORDS],
        )
        .or("that of the image"),
        ENV,
        text("user", "As whom").or("as the image says"),
        text("workdir", "Where").or("where the image says"),
        map(
            "files",
            "Files that are put in: paths in the container, each with a file beside the scenario's",
            &Shape::Word,
        )
        .eg("{}"),
        text(
            "junit",
            "The path of a JUnit report that it leaves: each of its tests must pass",
        ),
    ]),
    notes: r#"
Runs an image to its end in the network of a service, where production's names are what they are for that service: a load generator, a
browser, a binary with tests. The files have at most 64 MiB. The container is removed in the end. A step may take 10 minutes unless it
says otherwise. Tests of the JUnit report that failed are told one by one.
"#,
    results: &[
        EXIT_CODE,
        STDOUT,
        STDERR,
        JSON,
        (
            "tests",
            "Of a JUnit report: each with `name`, `passed`, `skipped`, `problem`",
        ),
        field::DURATION,
    ],
    examples: &[
        (
            "A load generator",
            r#"- container:
    image: "grafana/k6:0.49.0"
    beside: gateway
    cmd: [run, --vus, "5", --duration, 20s, /load.js]
    files: { /load.js: load.js }
  timeout: 2m"#,
        ),
        (
            "Tests of another language, by their report",
            r#"- container:
    image: registry.shop.example/shop/acceptance:1
    beside: gateway
    env: { BASE_URL: "http://gateway" }
    junit: /reports/junit.xml
  expect: tests.all(t, t.passed) && size(tests) > 10"#,
        ),
    ],
    experimental: None,
};

pub(super) static SHELL: Entry = Entry {
    kind: "shell",
    shape: Shape::Object(&[
        CMD.required(),
        ENV,
        text("workdir", "Where, relative to the scenario's file").or("beside the scenario's file"),
        STDIN,
    ]),
    notes: r#"
A program on the machine of whoever runs the scenario, with what that person may do: it needs `run --allow-shell`, and is errored without
it. [`exec`](exec.md) and [`container`](container.md) need no permission. 4 MiB of each output are kept. A step may take 60 s unless it
says otherwise. A signal is told as shells do: 128 and its number.
"#,
    results: &[EXIT_CODE, STDOUT, STDERR, JSON, field::DURATION],
    examples: &[
        (
            "What is checked out",
            r#"- shell: { cmd: "git rev-parse HEAD" }
  capture: { commit: stdout.trim() }"#,
        ),
        (
            "A tool of the team, with its input",
            r#"- shell: { cmd: [./tools/sign, --key, test], env: { LANG: C }, stdin: "{{ order_id }}" }
  expect: json.signature != """#,
        ),
    ],
    experimental: None,
};

pub(super) static PROCESS: Entry = Entry {
    kind: "process",
    shape: Shape::Object(&[
        service("The service"),
        REPLICA,
        text("contains", "Only processes whose command contains this").or("all"),
    ]),
    notes: "",
    results: &[
        (
            "processes",
            "Each with `pid`, `parent`, `user`, `seconds` (its age), `memory_kib`, `command`",
        ),
        ("count", "How many there are"),
        field::DURATION,
    ],
    examples: &[
        (
            "So many workers, none of them as root",
            r#"- process: { service: worker, contains: celery }
  expect:
    - count == 4
    - processes.all(p, p.user != "root")"#,
        ),
        (
            "What a process needs after the load",
            r#"- process: { service: orders }
  expect: processes.all(p, p.memory_kib < 300000)"#,
        ),
    ],
    experimental: None,
};

pub(super) static RESTART: Entry = Entry {
    kind: "restart",
    shape: Shape::Object(&[service("The service")]),
    notes: "\nA step may take 5 minutes unless it says otherwise.\n",
    results: &[
        ("service", "The service"),
        ("duration", "How long it took until it was ready again"),
    ],
    examples: &[
        (
            "An order outlives a deployment",
            r#"- restart: { service: orders }
- http: { url: "http://gateway/orders/{{ order_id }}" }
  expect: status == 200"#,
        ),
        (
            "It must be ready again soon",
            r#"- restart: { service: orders }
  expect: duration < duration("20s")"#,
        ),
    ],
    experimental: None,
};

pub(super) static SCALE: Entry = Entry {
    kind: "scale",
    shape: Shape::Object(&[
        service("The service"),
        integer("replicas", "How many replicas run then", 0, MANY).required(),
    ]),
    notes: "\nA step may take 5 minutes unless it says otherwise.\n",
    results: &[
        ("service", "The service"),
        ("before", "How many replicas ran before"),
        ("running", "How many run now"),
        field::DURATION,
    ],
    examples: &[
        (
            "Orders wait while nobody ships them",
            r#"- scale: { service: worker, replicas: 0 }
- http: { method: POST, url: "http://gateway/orders/{{ order_id }}/pay" }
- scale: { service: worker, replicas: 1 }
- eventually: 30s
  http: { url: "http://gateway/orders/{{ order_id }}" }
  expect: json.state == "shipped""#,
        ),
        (
            "All of them again",
            r#"- scale: { service: worker, replicas: 2 }
  expect: running == 2"#,
        ),
    ],
    experimental: None,
};
