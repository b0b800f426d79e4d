//! Requests and responses against OpenAPI files: verdicts, messages, coverage.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Coverage, CoverageBook, Spec};
use crate::check::{Hooks, Verdict, check, read_expectations};
use crate::source::SourceFile;
use crate::template::{Document, Scope};
use crate::yaml::parse_one;

const SHOP: &str = r##"
openapi: 3.0.3
info: { title: shop, version: "1" }
servers: [ { url: "https://{host}/v1", variables: { host: { default: shop.example } } } ]
paths:
  /orders:
    parameters:
      - { name: X-Trace, in: header, schema: { type: string, minLength: 3 } }
    get:
      operationId: listOrders
      parameters:
        - { name: page, in: query, required: true, schema: { type: integer, minimum: 1 } }
        - { name: state, in: query, schema: { type: array, items: { $ref: "#/components/schemas/State" } } }
        - { name: filter, in: query, style: deepObject, schema: { type: object, properties: { max: { type: number } }, additionalProperties: false } }
      responses:
        "200":
          description: some
          headers: { X-Total: { required: true, schema: { type: integer } } }
          content: { application/json: { schema: { type: array, items: { $ref: "#/components/schemas/Order" } } } }
    post:
      operationId: addOrder
      requestBody:
        required: true
        content:
          application/json: { schema: { $ref: "#/components/schemas/Order" } }
          application/x-www-form-urlencoded: { schema: { $ref: "#/components/schemas/Order" } }
      responses:
        "201": { $ref: "#/components/responses/Created" }
        4XX: { description: bad, content: { application/problem+json: { schema: { type: object, required: [title] } } } }
  /orders/{id}:
    get:
      operationId: getOrder
      parameters: [ { name: id, in: path, required: true, schema: { type: integer } } ]
      responses:
        "200": { description: one, content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } } }
        "204": { description: none }
        default: { description: other, content: { text/plain: { schema: { type: string, maxLength: 5 } } } }
  /orders/latest:
    get: { operationId: latest, responses: { "200": { description: one, content: { "application/*": {} } } } }
components:
  responses:
    Created: { description: made, content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } } }
  schemas:
    State: { type: string, enum: [open, paid] }
    Order:
      type: object
      required: [id, sku, secret]
      properties:
        id: { type: integer, readOnly: true }
        secret: { type: string, writeOnly: true }
        sku: { type: string }
        note: { type: string, nullable: true }
        state: { allOf: [ { $ref: "#/components/schemas/State" } ], nullable: true }
        total: { type: number, minimum: 0, exclusiveMinimum: true }
        at: { type: string, format: date-time }
        next: { $ref: "#/components/schemas/Order" }
"##;

struct Bench {
    text: String,
    document: Document,
}

fn exchange(method: &str, url: &str, body: &str, status: u16, response: &Json) -> Bench {
    let mut request_headers = json!({"accept": "*/*"});
    if !body.is_empty() {
        request_headers["content-type"] = json!("application/json");
    }
    let document = Document::default()
        .with(
            "request",
            json!({"method": method, "url": url, "headers": request_headers, "body": body}),
        )
        .with("status", status)
        .with(
            "headers",
            json!({"content-type": "application/json", "x-total": "1"}),
        )
        .with(
            "body",
            if response.is_null() {
                String::new()
            } else {
                response.to_string()
            },
        );
    Bench {
        text: SHOP.into(),
        document,
    }
}

impl Bench {
    fn text(mut self, text: &str) -> Self {
        self.text = text.into();
        self
    }

    fn header(mut self, side: &str, name: &str, value: Json) -> Self {
        if side == "request" {
            let mut r = self.document.get("request").cloned().unwrap();
            r["headers"][name] = value;
            self.document.set("request", r);
        } else {
            let mut h = self.document.get("headers").cloned().unwrap();
            h[name] = value;
            self.document.set("headers", h);
        }
        self
    }

    fn told(&self, with: &str) -> Vec<String> {
        self.told_and_noted(with).0
    }

    fn told_and_noted(&self, with: &str) -> (Vec<String>, Coverage) {
        let folder = tempfile::tempdir().unwrap();
        let (api, file) = (folder.path().join("api.yaml"), folder.path().join("s.yaml"));
        std::fs::write(&api, &self.text).unwrap();
        std::fs::write(
            &file,
            format!("expect:\n- {{ openapi: {{ file: api.yaml{with} }} }}\n"),
        )
        .unwrap();
        let node = parse_one(&SourceFile::read(&file, "s.yaml").unwrap()).unwrap();
        let fields = ["request", "status", "headers", "body"];
        let read = match read_expectations(node.get("expect").unwrap(), &fields) {
            Ok(r) => r,
            Err(problems) => {
                let told = problems
                    .into_iter()
                    .map(|p| format!("{} ({})", p.message, p.help.unwrap_or_default()));
                return (told.collect(), Coverage::default());
            }
        };
        let book = Arc::new(CoverageBook::default());
        let mut scope = Scope::default();
        scope.set_hooks(Hooks {
            snapshots: None,
            coverage: Some(book.clone()),
        });
        let Verdict { mismatches } = check(&read, &self.document, &scope).unwrap();
        let told = mismatches.into_iter().map(|m| {
            let hint = m.hint.map_or_else(String::new, |h| format!(" ({h})"));
            assert_eq!(m.kind, "openapi");
            format!(
                "{}: expected {}, got {}{hint}",
                m.path.unwrap_or_default(),
                m.expected,
                m.actual
            )
        });
        (told.collect(), book.so_far())
    }
}

#[test]
fn what_is_described_holds() {
    let order = json!({"id": 1, "sku": "A1", "note": null, "state": null, "total": 0.5, "at": "2024-02-29T12:00:00Z"});
    for bench in [
        exchange(
            "GET",
            "https://shop.example/v1/orders?page=2&state=open&state=paid&filter[max]=3",
            "",
            200,
            &json!([order]),
        ),
        exchange("GET", "http://gateway/orders?page=2", "", 200, &json!([])),
        exchange("GET", "http://gateway/v1/orders/7", "", 200, &order),
        exchange("GET", "http://gateway/v1/orders/7", "", 204, &Json::Null),
        exchange(
            "GET",
            "http://gateway/v1/orders/latest",
            "",
            200,
            &json!("anything"),
        ),
        // What is read only need not be sent, what is write only need not come.
        exchange(
            "POST",
            "http://gateway/v1/orders",
            "{\"sku\": \"A1\", \"secret\": \"s\"}",
            201,
            &json!({"id": 1, "sku": "A1"}),
        ),
        exchange(
            "POST",
            "http://gateway/v1/orders",
            "sku=A1&secret=s&total=2",
            201,
            &json!({"id": 1, "sku": "A1"}),
        )
        .header(
            "request",
            "content-type",
            json!("application/x-www-form-urlencoded"),
        ),
        // A request that is refused was meant to be wrong.
        exchange(
            "POST",
            "http://gateway/v1/orders",
            "{}",
            422,
            &json!({"title": "no sku"}),
        )
        .header(
            "response",
            "content-type",
            json!("application/problem+json; charset=utf-8"),
        ),
        exchange("GET", "http://gateway/v1/orders/x", "", 418, &json!("abc")).header(
            "response",
            "content-type",
            json!("text/plain"),
        ),
    ] {
        assert_eq!(
            bench.told(""),
            [""; 0],
            "{:?}",
            bench.document.get("request")
        );
    }
}

#[test]
fn every_violation_is_told_at_once() {
    let bad = json!([{"id": "1", "sku": "A1", "state": "gone", "total": 0, "at": "today", "next": {"id": 2}}]);
    let bench = exchange(
        "GET",
        "http://gateway/v1/orders?page=0&state=lost&pge=1&filter[min]=1",
        "",
        200,
        &bad,
    )
    .header("request", "x-trace", json!("t"))
    .header("response", "x-total", json!("many"));
    let told = bench.told("");
    let has = |start: &str| {
        assert!(
            told.iter().any(|t| t.starts_with(start)),
            "no {start} in {told:#?}"
        );
    };
    has("request.query.page: expected 0 is less than the minimum of 1, got 0");
    has(
        "request.query.state[0]: expected \"lost\" is not one of \"open\" or \"paid\", got \"lost\"",
    );
    has(
        "request.query.filter: expected Additional properties are not allowed ('min' was unexpected), got {\"min\":\"1\"}",
    );
    has(
        "request.query.pge: expected no such parameter, by the OpenAPI file, got \"1\" (it has `page`)",
    );
    has("request.header.X-Trace: expected \"t\" is shorter than 3 characters, got \"t\"");
    has("response.headers.x-total: expected \"many\" is not of type \"integer\", got \"many\"");
    has("response.body[0].id: ");
    has("response.body[0].state: ");
    has("response.body[0].total: ");
    has("response.body[0].at: ");
    has("response.body[0].next: ");
    assert_eq!(told.len(), 11, "{told:#?}");
}

#[test]
fn requests() {
    let url = "http://gateway/v1/orders";
    let created = json!({"id": 1, "sku": "A1"});
    assert_eq!(
        exchange("GET", url, "", 200, &json!([])).told(""),
        ["request.query.page: expected a required parameter, got nothing"]
    );
    assert_eq!(
        exchange("POST", url, "", 201, &created).told(""),
        ["request.body: expected a required body, got nothing"]
    );
    assert_eq!(
        exchange(
            "POST",
            url,
            "{\"sku\": 1, \"secret\": \"s\"}",
            201,
            &created
        )
        .told(""),
        ["request.body.sku: expected 1 is not of type \"string\", got 1"]
    );
    assert_eq!(
        exchange("POST", url, "<a/>", 201, &created)
            .header("request", "content-type", json!("application/xml"))
            .told(""),
        [
            "request.headers.content-type: expected one of application/json, application/x-www-form-urlencoded, got application/xml"
        ]
    );
    assert_eq!(
        exchange("GET", "http://gateway/v1/orders/7", "{}", 204, &Json::Null).told(""),
        ["request.body: expected no body, by the OpenAPI file, got \"{}\""]
    );
    assert_eq!(
        exchange(
            "GET",
            "http://gateway/v1/orders/seven",
            "",
            204,
            &Json::Null
        )
        .told(""),
        ["request.path.id: expected \"seven\" is not of type \"integer\", got \"seven\""]
    );
    assert_eq!(
        exchange("DELETE", url, "", 204, &Json::Null).told(""),
        ["request.method: expected one of GET, POST for /orders, got DELETE"]
    );
    assert_eq!(
        exchange("GET", "http://gateway/order", "", 200, &Json::Null).told(""),
        ["request.path: expected a path of api.yaml, got /order (there is /orders)"]
    );
}

#[test]
fn responses() {
    let one = "http://gateway/v1/orders/7";
    let order = json!({"id": 1, "sku": "A1"});
    assert_eq!(
        exchange(
            "POST",
            "http://gateway/v1/orders",
            "{\"sku\": \"A1\", \"secret\": \"s\"}",
            200,
            &order
        )
        .told(""),
        ["response.status: expected one of 201, 4XX, got 200"]
    );
    assert_eq!(
        exchange("GET", one, "", 200, &Json::Null).told(""),
        ["response.body: expected a body, got nothing"]
    );
    assert_eq!(
        exchange("GET", one, "", 204, &order).told(""),
        [
            "response.body: expected no body, by the OpenAPI file, got \"{\\\"id\\\":1,\\\"sku\\\":\\\"A1\\\"}\""
        ]
    );
    assert_eq!(
        exchange("GET", one, "", 200, &order)
            .header(
                "response",
                "content-type",
                json!("text/html; charset=utf-8")
            )
            .told(""),
        ["response.headers.content-type: expected one of application/json, got text/html"]
    );
    let mut broken = exchange("GET", one, "", 200, &order);
    broken.document.set("body", "{");
    assert!(
        broken.told("")[0]
            .starts_with("response.body: expected JSON, got \"{\" (EOF while parsing"),
        "{:?}",
        broken.told("")
    );
    assert_eq!(
        exchange(
            "GET",
            "http://gateway/v1/orders?page=1",
            "",
            200,
            &json!([])
        )
        .header("response", "x-total", Json::Null)
        .told("")
        .len(),
        1
    );
}

#[test]
fn operations_by_name() {
    let bench = exchange("GET", "http://gateway/v1/orders/7", "", 204, &Json::Null);
    assert_eq!(bench.told(", operation: getOrder"), [""; 0]);
    assert_eq!(
        bench.told(", operation: listOrders"),
        ["request: expected the operation listOrders, got getOrder (GET /orders/{id})"]
    );
    assert_eq!(
        bench.told(", operation: getOrdr"),
        ["api.yaml has no operation `getOrdr` (did you mean `getOrder`?)"]
    );
}

#[test]
fn version_3_1() {
    let text = r##"
openapi: 3.1.0
paths:
  /a:
    get:
      responses:
        "200": { content: { application/json: { schema: { type: object, properties: { n: { type: [integer, "null"], exclusiveMinimum: 0 }, m: { $ref: "#/components/schemas/M", maxLength: 2 } } } } } }
components: { schemas: { M: { type: string } } }
"##;
    let ok = exchange(
        "GET",
        "http://gateway/a",
        "",
        200,
        &json!({"n": null, "m": "ab"}),
    )
    .text(text);
    assert_eq!(ok.told(""), [""; 0]);
    let bad = exchange(
        "GET",
        "http://gateway/a",
        "",
        200,
        &json!({"n": 0, "m": "abc"}),
    )
    .text(text);
    assert_eq!(
        bad.told(""),
        [
            "response.body.n: expected 0 is less than or equal to the minimum of 0, got 0",
            "response.body.m: expected \"abc\" is longer than 2 characters, got \"abc\"",
        ]
    );
}

#[test]
fn files_that_cannot_be_used() {
    let of = |text: &str| {
        exchange("GET", "http://gateway/a", "", 200, &Json::Null)
            .text(text)
            .told("")
    };
    assert_eq!(
        of("swagger: '2.0'"),
        ["api.yaml is Swagger 2, not OpenAPI 3 (convert it, for example with swagger2openapi)"]
    );
    assert_eq!(
        of("a: 1"),
        ["api.yaml is not OpenAPI 3.0 or 3.1 (it has no `openapi: 3.0.x` or `3.1.x` at its top)"]
    );
    assert_eq!(
        of("openapi: 3.0.0\npaths: { /a: { $ref: other.yaml } }"),
        [
            "api.yaml refers to another file, `other.yaml`, and such references are not followed (bundle it into one file, for example with `redocly bundle`)"
        ]
    );
    assert_eq!(of("openapi: [").len(), 1);
    // References in a circle end somewhere.
    assert_eq!(
        of("openapi: 3.0.0\npaths: { /a: { $ref: '#/paths/~1a' } }"),
        ["request.path: expected a path of api.yaml, got /a"]
    );
}

#[test]
fn a_file_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.yaml");
    std::fs::write(&file, "expect:\n- openapi: nowhere.yaml\n").unwrap();
    let node = parse_one(&SourceFile::read(&file, "a/s.yaml").unwrap()).unwrap();
    let problems = read_expectations(node.get("expect").unwrap(), &["request"]).unwrap_err();
    assert_eq!(
        problems[0].message,
        "cannot read a/nowhere.yaml: no such file or directory"
    );
    let problems = read_expectations(node.get("expect").unwrap(), &["rows"]).unwrap_err();
    assert_eq!(
        problems[0].message,
        "this step sends no HTTP request that an OpenAPI file could describe"
    );
}

#[test]
fn paths_with_several_parameters() {
    let text = "openapi: 3.0.0\npaths: { '/r/{from}-{to}.{ext}': { get: { operationId: r, responses: { '204': {} } } } }";
    assert_eq!(
        exchange("GET", "http://gateway/r/a-b.csv", "", 204, &Json::Null)
            .text(text)
            .told(""),
        [""; 0]
    );
    assert_eq!(
        exchange("GET", "http://gateway/r/ab.csv", "", 204, &Json::Null)
            .text(text)
            .told("")
            .len(),
        1
    );
    assert_eq!(
        exchange("GET", "http://gateway/r/ü-.csv", "", 204, &Json::Null)
            .text(text)
            .told("")
            .len(),
        1
    );
}

#[test]
fn coverage_knows_what_was_not_used() {
    let (_, mut all) =
        exchange("GET", "http://gateway/v1/orders/7", "", 204, &Json::Null).told_and_noted("");
    let (_, more) =
        exchange("GET", "http://gateway/v1/orders/8", "", 200, &json!({})).told_and_noted("");
    all.merge(more);
    let file = &all.files["api.yaml"];
    assert_eq!(file.used(), 1);
    assert_eq!(file.operations["GET /orders/{id}"].times, 2);
    assert_eq!(
        file.operations["GET /orders/{id}"]
            .statuses
            .iter()
            .copied()
            .collect::<Vec<_>>(),
        [200, 204]
    );
    assert_eq!(
        all.to_string(),
        "api.yaml: 1 of 4 operations were used\n  not used: GET /orders\n  not used: GET /orders/latest\n  not used: POST /orders\n"
    );
    let back: Coverage = serde_json::from_str(&serde_json::to_string(&all).unwrap()).unwrap();
    assert_eq!(back, all);
}

#[test]
fn a_file_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.yaml");
    std::fs::write(&path, SHOP).unwrap();
    let first = Spec::load(&path, "api.yaml").unwrap();
    assert!(Arc::ptr_eq(&first, &Spec::load(&path, "api.yaml").unwrap()));
    assert_eq!(first.operations().len(), 4);
}
