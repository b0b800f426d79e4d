//! `new --from-…`: what becomes of commands, recordings, descriptions and logs.

use serde_json::{Value, json};

use super::new::made;
use super::shop;

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "missing {part:?} in\n{text}");
    }
}

#[test]
fn curl_as_browsers_copy_it() {
    let p = shop(&[]);
    let command = "curl 'https://shop.example/api/orders?page=2' \\\n  -X 'POST' \\\n  -H 'accept: application/json' \\\n  -H 'Authorization: Bearer s3cr3t-t0ken' \\\n  -H 'content-type: application/json' \\\n  -b 'session=abc123; theme=dark' \\\n  --data-raw $'{\"name\":\"Ann\\'s\\u0021\",\"password\":\"hunter22\",\"tags\":[1,2.5,null]}' \\\n  --compressed";
    let (text, err) = made(&p, &["--from-curl", command]);
    has(
        &text,
        &[
            "scenario: POST /api/orders is answered",
            "url: \"http://gateway/api/orders?page=2\"",
            "auth: { bearer: \"{{ secrets.TOKEN }}\" }",
            "Cookie: \"session={{ secrets.COOKIE_SESSION }}; theme={{ secrets.COOKIE_THEME }}\"",
            "json: { name: \"Ann's!\", password: \"{{ secrets.PASSWORD }}\", tags: [1, 2.5, null] }",
            "redirects: 0",
            "- status < 400",
        ],
    );
    has(
        &err,
        &[
            "requests to https://shop.example are sent to http://gateway",
            "COOKIE_SESSION, COOKIE_THEME, PASSWORD, TOKEN",
        ],
    );
    for secret in ["s3cr3t-t0ken", "hunter22", "abc123"] {
        assert!(!text.contains(secret) && !err.contains(secret), "{secret}");
    }
}

#[test]
fn curl_options_and_their_clusters() {
    let p = shop(&[("data.json", "{\"from\": \"a file\"}\n")]);
    let (text, err) = made(
        &p,
        &[
            "--from-curl",
            "curl -sSLkXPUT -HX-A:1 -d@data.json -H 'Content-Type: application/json' -m2 --connect-timeout 0.5 --http2 db:8080/x",
        ],
    );
    has(
        &text,
        &[
            "method: PUT",
            "json: { from: a file }",
            "timeout: 2s",
            "connect_timeout: 500ms",
            "version: \"2\"",
            "verify: false",
            "http://db:8080/x",
            "X-A: \"1\"",
        ],
    );
    assert!(!text.contains("redirects"), "{text}");
    has(&err, &["-s, -S"]);
    let (text, _) = made(
        &p,
        &[
            "--from-curl",
            "curl -G gateway/s -d a=1 --data-urlencode 'q=x y&z' -I -A agent -e http://r/",
        ],
    );
    has(
        &text,
        &[
            "method: HEAD",
            "\"http://gateway/s?a=1&q=x%20y%26z\"",
            "User-Agent: agent",
            "Referer: \"http://r/\"",
        ],
    );
    let (text, _) = made(
        &p,
        &[
            "--from-curl",
            "curl gateway/f -F a=b -F 'f=@data.json;type=text/plain' -u ann:pa55word",
        ],
    );
    has(
        &text,
        &[
            "multipart/form-data; boundary=",
            "filename=\\\"data.json\\\"",
            "basic: { user: ann, password: \"{{ secrets.PASSWORD }}\" }",
        ],
    );
    let (text, _) = made(
        &p,
        &[
            "--from-curl",
            "curl gateway/a gateway/b --next --json '{\"a\":\"{{ x }}\"}' gateway/c",
        ],
    );
    assert_eq!(text.matches("- http:").count(), 3, "{text}");
    has(&text, &["{% raw %}{{ x }}{% endraw %}"]);
    let (text, _) = made(
        &p,
        &[
            "--from-curl",
            "curl gateway/login -d 'user=a+b&password=x%26y'",
        ],
    );
    has(
        &text,
        &["form: { user: a b, password: \"{{ secrets.PASSWORD }}\" }"],
    );
}

#[test]
fn nothing_of_curl_is_dropped_silently() {
    let p = shop(&[]);
    let (_, err) = made(
        &p,
        &[
            "--from-curl",
            "curl --proxy http://u:pw@x:1 --frobnicate --cert c.pem -c jar -Y 3 -b cookies.txt -d @none gateway/a | jq . ",
        ],
    );
    has(
        &err,
        &[
            "--proxy",
            "--frobnicate is left out",
            "--cert",
            "-c (--cookie-jar)",
            "-Y (--speed-limit)",
            "-b cookies.txt",
            "-d @none is left out",
            "| jq .",
        ],
    );
    assert!(!err.contains("u:pw"), "{err}");
    for (bad, why) in [
        ("wget x", "the command is `wget`, not `curl`"),
        ("curl 'x", "a single quote is not closed"),
        ("curl -X", "the value of -X is missing"),
        ("curl -s", "names no URL"),
        ("curl ftp://x/y", "no URL of HTTP"),
        ("", "the command is empty"),
    ] {
        p.run(&["new", "--from-curl", bad]).is(2, &[why]);
    }
}

fn entry(method: &str, url: &str, send: Value, status: u16, kind: &str, answer: &str) -> Value {
    let mut request = json!({ "method": method, "url": url, "headers": [
        { "name": "User-Agent", "value": "Browser" }, { "name": ":method", "value": method },
    ] });
    for (k, v) in send.as_object().unwrap() {
        match k.as_str() {
            "postData" => request[k] = v.clone(),
            name => request["headers"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "name": name, "value": v })),
        }
    }
    json!({
        "request": request,
        "response": { "status": status, "headers": [], "content": { "mimeType": kind, "text": answer } },
    })
}

fn shop_har() -> Value {
    let site = "https://shop.example";
    let json = "application/json";
    let mut login = entry(
        "POST",
        &format!("{site}/login"),
        json!({
            "postData": { "mimeType": json, "text": "{\"user\":\"ann\",\"password\":\"hunter22\"}" },
        }),
        200,
        json,
        "{\"accessToken\":\"eyJhbGciOi.J9x1\",\"user\":{\"id\":7},\"cart_id\":2}",
    );
    login["response"]["headers"] = json!([{ "name": "Set-Cookie", "value": "sid=s1; Path=/" }]);
    let bearer = "Bearer eyJhbGciOi.J9x1";
    let mut order = entry(
        "POST",
        &format!("{site}/orders"),
        json!({
            "Authorization": bearer, "Cookie": "sid=s1; other=o1",
            "postData": { "mimeType": json, "text": "{\"user_id\":7,\"sku\":\"A1\",\"qty\":2}" },
        }),
        201,
        json,
        "{\"id\":90210,\"sku\":\"A1\",\"total\":12.5}",
    );
    order["startedDateTime"] = json!("2026-01-01T00:00:02Z");
    login["startedDateTime"] = json!("2026-01-01T00:00:01Z");
    let mut later = entry(
        "GET",
        &format!("{site}/orders/90210?user_id=7#top"),
        json!({ "Authorization": bearer }),
        200,
        json,
        "{\"id\":90210}",
    );
    later["startedDateTime"] = json!("2026-01-01T00:00:03Z");
    let mut old = entry("GET", &format!("{site}/old"), json!({}), 302, "", "");
    old["response"]["headers"] = json!([{ "name": "Location", "value": "/new" }]);
    old["startedDateTime"] = json!("2026-01-01T00:00:04Z");
    let image = entry(
        "GET",
        &format!("{site}/a.png"),
        json!({}),
        200,
        "image/png",
        "",
    );
    let other = entry("GET", "https://ads.example/x", json!({}), 200, json, "{}");
    let socket = entry("GET", &format!("{site}/ws"), json!({}), 101, "", "");
    let flight = entry(
        "OPTIONS",
        &format!("{site}/orders"),
        json!({ "Access-Control-Request-Method": "POST" }),
        204,
        "",
        "",
    );
    let lost = entry("GET", &format!("{site}/lost"), json!({}), 0, "", "");
    // Not in the order in which they began.
    json!({ "log": { "version": "1.2", "entries": [image, order, login, later, old, other, socket, flight, lost] } })
}

#[test]
fn recordings_are_linked_and_hold_no_secret() {
    let p = shop(&[("shop.har", &shop_har().to_string())]);
    let (text, err) = made(&p, &["--from-har", "shop.har"]);
    has(
        &text,
        &[
            "url: \"http://gateway/login\"",
            "json: { user: ann, password: \"{{ secrets.PASSWORD }}\" }",
            "access_token: { jsonpath: \"$.accessToken\" }",
            "user_id: { jsonpath: \"$.user.id\" }",
            "auth: { bearer: \"{{ access_token }}\" }",
            "json: { user_id: \"{{ user_id }}\", sku: A1, qty: 2 }",
            "Cookie: \"other={{ secrets.COOKIE_OTHER }}\"",
            "order_id: { jsonpath: \"$.id\" }",
            "url: \"http://gateway/orders/{{ order_id }}?user_id={{ user_id }}\"",
            "- status == 201",
            "redirects: 0",
            "The answer had: id, sku, total".to_lowercase().as_str(),
            "- { jsonpath: $, partial: { sku: A1 } }",
            "- { jsonpath: $, partial: { id: \"{{ order_id }}\" } }",
            "required: [id, sku, total]",
        ],
    );
    for secret in ["hunter22", "eyJhbGci", "s1;", "o1", "90210", "Browser"] {
        assert!(!text.contains(secret), "{secret}\n{text}");
    }
    assert_eq!(text.matches("- http:").count(), 4, "{text}");
    has(
        &err,
        &[
            "1 static files",
            "1 requests to https://ads.example",
            "WebSockets",
            "preflight",
            "1 requests without an answer",
        ],
    );
}

#[test]
fn what_is_no_recording_is_refused() {
    let p = shop(&[
        ("a.har", "{}"),
        ("b.har", "no"),
        ("c.har", "{\"log\":{\"entries\":[]}}"),
        (
            "d.har",
            "{\"log\":{\"entries\":[1,{},{\"request\":{\"url\":7}}]}}",
        ),
    ]);
    for (file, why) in [
        ("a.har", "is no HAR"),
        ("b.har", "not JSON"),
        ("c.har", "no request"),
        ("d.har", "no request"),
        ("e.har", "cannot be read"),
    ] {
        p.run(&["new", "--from-har", file]).is(2, &[why]);
    }
}

const API: &str = r##"
openapi: 3.0.3
info: { title: shop, version: "1" }
servers: [{ url: "https://api.shop.example/v1" }]
security: [{ key: [] }]
paths:
  /customers/{customerId}/orders:
    parameters:
      - { name: customerId, in: path, required: true, schema: { type: integer, minimum: 5 } }
    post:
      operationId: createOrder
      summary: Create an order.
      parameters:
        - { name: dry, in: query, required: true, schema: { type: boolean } }
        - { name: page, in: query, schema: { type: integer } }
        - { name: X-Trace, in: header, required: true, example: t1, schema: { type: string } }
      requestBody:
        content:
          application/json: { schema: { $ref: "#/components/schemas/New" } }
      responses:
        "409": { description: sold out }
        "201":
          description: made
          content:
            application/json: { schema: { $ref: "#/components/schemas/Order" } }
    get:
      security: [{ bearer: [] }]
      responses: { default: { description: all } }
components:
  securitySchemes:
    key: { type: apiKey, in: header, name: X-Api-Key }
    bearer: { type: http, scheme: bearer }
  schemas:
    New:
      type: object
      required: [sku]
      properties:
        id: { type: integer, readOnly: true }
        sku: { type: string, example: A1 }
        qty: { type: integer, default: 2 }
        pin: { type: string }
        at: { type: string, format: date }
        lines: { type: array, items: { $ref: "#/components/schemas/New" } }
    Order:
      type: object
      required: [id]
      properties:
        id: { type: integer, minimum: 0, exclusiveMinimum: true }
        note: { type: string, nullable: true, example: x }
        next: { $ref: "#/components/schemas/Order" }
        secret: { type: string, writeOnly: true }
"##;

#[test]
fn operations_of_openapi() {
    let p = shop(&[("api.yaml", API)]);
    let (text, err) = made(&p, &["--openapi", "api.yaml", "--operation", "createOrder"]);
    has(
        &text,
        &[
            "scenario: Create an order\n",
            "customer_id: 5",
            "dry: true",
            "\"http://gateway/v1/customers/{{ customer_id | urlencode }}/orders?dry={{ dry | urlencode }}\"",
            "X-Trace: \"{{ x_trace }}\"",
            "X-Api-Key: \"{{ secrets.X_API_KEY }}\"",
            "sku: A1",
            "qty: 2",
            "pin: \"{{ secrets.PIN }}\"",
            "It also takes: page (query).",
            "- status == 201",
            "- jsonpath: $",
            "\"#/$defs/Order\"",
            "[string, \"null\"]",
            "exclusiveMinimum: 0",
            "Also documented: 409",
        ],
    );
    assert!(
        !text.contains("nullable") && !text.contains("writeOnly") && !text.contains("secret:"),
        "{text}"
    );
    has(&err, &["are sent to http://gateway"]);
    let (text, _) = made(
        &p,
        &[
            "--openapi",
            "api.yaml",
            "--operation",
            "get /customers/{customerId}/orders",
        ],
    );
    has(
        &text,
        &["bearer: \"{{ secrets.TOKEN }}\"", "- status < 400"],
    );
    p.run(&["new", "--openapi", "api.yaml", "--operation", "createOrde"])
        .is(2, &["did you mean `createOrder`?"]);
    p.write("old.json", b"{\"swagger\": \"2.0\"}");
    p.run(&["new", "--openapi", "old.json", "--operation", "x"])
        .is(2, &["Swagger 2"]);
}

/// What speaks TLS stands before the gateway, and a step asks the gateway: it would not send them.
#[test]
fn cookies_that_need_tls_are_captured() {
    let site = "http://gateway";
    let mut login = entry("POST", &format!("{site}/login"), json!({}), 303, "", "");
    login["response"]["headers"] = json!([
        { "name": "Set-Cookie", "value": "__Host-sid=s3cr3t; Path=/; Secure\ntheme=dark; Path=/" },
        { "name": "Location", "value": "/home" },
    ]);
    let cookie = json!({ "Cookie": "__Host-sid=s3cr3t; theme=dark" });
    let home = entry("GET", &format!("{site}/home"), cookie.clone(), 200, "", "");
    let again = entry("GET", &format!("{site}/again"), cookie, 200, "", "");
    let har = json!({ "log": { "entries": [login, home, again] } });
    let p = shop(&[("shop.har", &har.to_string())]);
    let (text, _) = made(&p, &["--from-har", "shop.har"]);
    has(
        &text,
        &[
            "cookie_host_sid: { cookie: __Host-sid }",
            "Cookie: \"__Host-sid={{ cookie_host_sid }}\"",
            // The last part of a redirect is an id where it looks like one.
            "url: \"http://gateway/home\"",
        ],
    );
    assert_eq!(text.matches("{ cookie:").count(), 1, "{text}");
    assert!(
        !text.contains("s3cr3t") && !text.contains("theme"),
        "{text}"
    );
}

/// A body that is no text, one that was not kept, and what the browser had already.
#[test]
fn what_a_recording_lacks_is_said() {
    let site = "https://shop.example";
    let send = |data: Value| json!({ "postData": data });
    let binary = entry(
        "POST",
        &format!("{site}/a"),
        send(json!({ "mimeType": "image/png", "encoding": "base64", "text": "iVBORw0K" })),
        200,
        "",
        "",
    );
    let long = entry(
        "POST",
        &format!("{site}/b"),
        send(
            json!({ "mimeType": "text/plain", "text": "", "comment": "it was too long to be recorded" }),
        ),
        200,
        "",
        "",
    );
    let parts =
        "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhunter22\r\n--b--\r\n";
    let upload = entry(
        "POST",
        &format!("{site}/c"),
        send(json!({ "mimeType": "multipart/form-data; boundary=b", "text": parts })),
        200,
        "",
        "",
    );
    let kept = entry("GET", &format!("{site}/d"), json!({}), 304, "", "");
    let har = json!({ "log": { "entries": [binary, long, upload, kept] } });
    let p = shop(&[("shop.har", &har.to_string())]);
    let (text, err) = made(&p, &["--from-har", "shop.har"]);
    has(
        &text,
        &[
            "# The body is left out: it is no text; add it by hand.",
            "# The body is left out: it was too long to be recorded; add it by hand.",
            "name=\\\"password\\\"\\r\\n\\r\\n{{ secrets.PASSWORD }}\\r\\n--b--",
            "had this already (304)",
        ],
    );
    has(
        &err,
        &[
            "the body of POST /a is left out: it is no text",
            "the body of POST /b is left out: it was too long",
        ],
    );
    assert!(
        !text.contains("hunter22") && !text.contains("== 304"),
        "{text}"
    );
}

const LOG: &str = r#"1.2.3.4 - - [10/Oct/2026:13:57:40 +0000] "GET /old HTTP/1.1" 301 0
1.2.3.4 - - [10/Oct/2026:13:55:36 +0000] "GET /orders?token=t0k3n9 HTTP/1.1" 200 5 "-" "x"
started
9.9.9.9 - ann [10/Oct/2026:13:55:36 +0000] "GET /health HTTP/1.1" 200 5
{"method":"POST","uri":"/orders","status":201,"host":"shop.example","remote_addr":"1.2.3.4","ts":"2026-10-10T15:55:37.5+02:00","trace_id":"t1"}
1.2.3.4 - - [10/Oct/2026:13:55:36 +0000] "GET /orders?token=t0k3n9 HTTP/1.1" 200 5
"#;

#[test]
fn access_logs_are_what_one_client_asked() {
    let p = shop(&[("access.log", LOG)]);
    let (text, err) = made(&p, &["--from-log", "access.log"]);
    has(
        &text,
        &[
            "requests of one client",
            "no bodies, cookies or other headers: none is made up",
            "Logged 2 times in a row.",
            "\"http://gateway/orders?token={{ secrets.TOKEN }}\"",
            "- status == 200",
            "It came 1.5 s after the one before.",
            "method: POST",
            "A log does not have the body",
            "- status == 201",
            "It came 2 min 2 s after the one before.",
            "redirects: 0",
            "- status == 301",
        ],
    );
    // By time, whatever the order of the lines is.
    let at = |t: &str| text.find(t).unwrap();
    assert!(
        at("== 200") < at("== 201") && at("== 201") < at("== 301"),
        "{text}"
    );
    for other in ["t0k3n9", "/health", "1.2.3.4"] {
        assert!(!text.contains(other), "{text}");
    }
    has(
        &err,
        &[
            "left out: 1 lines that are no requests, such as `started`",
            "4 of 5 requests are taken, those of client=1.2.3.4, which asked most; --match KEY=VALUE takes others",
            "requests to http://shop.example are sent",
        ],
    );
    let line = LOG.lines().next().unwrap();
    let (text, _) = made(&p, &["--from-log", line]);
    has(&text, &["scenario: GET /old is answered as it was logged"]);
    p.run(&["new", "--from-log", "nothing like it"])
        .is(2, &["neither a file nor a line of an access log"]);
}

#[test]
fn requests_of_logs_are_chosen_by_what_they_have_in_common() {
    let p = shop(&[("access.log", LOG), ("b.log", LOG)]);
    for (matched, wanted) in [
        ("client=9.9.9.9", "GET /health"),
        ("user=ann", "GET /health"),
        ("trace=t1", "POST /orders"),
        ("host=shop.example", "POST /orders"),
        ("status=301", "GET /old"),
    ] {
        let (text, err) = made(&p, &["--from-log", "access.log", "--match", matched]);
        has(&text, &[&format!("scenario: {wanted} is answered")]);
        has(&err, &[&format!("1 of 5 requests have {matched}")]);
    }
    // Files of one service that are rotated, or of several: their lines are put together.
    let two = [
        "--from-log",
        "access.log",
        "--from-log",
        "b.log",
        "--match",
        "path=/orders",
    ];
    let (text, _) = made(&p, &two);
    has(
        &text,
        &["Logged 4 times in a row.", "Logged 2 times in a row."],
    );
    let none = ["new", "--from-log", "access.log", "--match", "client=9"];
    p.run(&none).is(
        2,
        &["none of 5 requests has client=9; there are: user=ann (1), client=1.2.3.4 (4)"],
    );
    let none = ["new", "--from-log", "access.log", "--match", "client"];
    p.run(&none).is(2, &["`--match client` is not KEY=VALUE"]);
    p.run(&["new", "--match", "a=b"]).is(2, &["--from-log"]);
}

fn span(trace: &str, id: &str, parent: &str, kind: Value, at: u64, attributes: Value) -> Value {
    let attributes: Vec<Value> = attributes
        .as_object()
        .unwrap()
        .iter()
        .map(|(k, v)| {
            let value = match v {
                Value::Number(n) => json!({ "intValue": n.to_string() }),
                Value::Array(a) => {
                    let all: Vec<Value> = a.iter().map(|v| json!({ "stringValue": v })).collect();
                    json!({ "arrayValue": { "values": all } })
                }
                v => json!({ "stringValue": v }),
            };
            json!({ "key": k, "value": value })
        })
        .collect();
    json!({
        "traceId": trace, "spanId": id, "parentSpanId": parent, "name": format!("span {id}"), "kind": kind,
        "startTimeUnixNano": (1_791_640_536_000_000_000 + at * 1_000_000).to_string(),
        "attributes": attributes,
    })
}

/// As the collector's file exporter writes: an object for each export, each in a line.
fn traces() -> String {
    let order = [
        span(
            "t1",
            "a1",
            "",
            json!(2),
            0,
            json!({
                "http.request.method": "POST", "url.path": "/orders", "http.response.status_code": 201,
                "http.request.header.x-api-key": ["k3y-of-ann"], "user_agent.original": "x",
                "http.response.header.location": ["/orders/90210"], "session.id": "s1",
            }),
        ),
        span(
            "t1",
            "a2",
            "a1",
            json!(3),
            10,
            json!({
                "db.system": "postgresql", "db.name": "shop",
                "db.statement": "INSERT INTO cards (id, card_token) VALUES (1, 'c4rd')",
            }),
        ),
        span(
            "t1",
            "a3",
            "a2",
            json!(3),
            20,
            json!({
                "db.system.name": "postgresql", "db.response.returned_rows": 1,
                "db.query.text": "SELECT state FROM orders WHERE id = 90210 AND token = 'x1'",
            }),
        ),
        span(
            "t1",
            "a4",
            "a1",
            json!(3),
            30,
            json!({
                "db.system.name": "postgresql", "server.address": "db",
                "db.query.text": "SELECT 1 FROM stock WHERE sku = $1", "db.query.parameter.0": "A1",
            }),
        ),
        span(
            "t1",
            "a5",
            "a1",
            json!(3),
            40,
            json!({
                "db.system.name": "postgresql", "db.query.text": "SELECT 1 FROM stock WHERE sku = $1 FOR UPDATE",
            }),
        ),
    ];
    let look = [
        span(
            "t2",
            "b1",
            "lost",
            json!("SPAN_KIND_SERVER"),
            2500,
            json!({
                "http.method": "GET", "http.target": "/customers/7/orders/90210?token=t0k3n9",
                "http.route": "/customers/{customer_id}/orders/:id", "http.status_code": 200,
                "http.host": "shop.example", "http.scheme": "https",
            }),
        ),
        span(
            "t2",
            "b2",
            "b1",
            json!(2),
            2600,
            json!({
                "http.method": "GET", "http.target": "/inner", "http.status_code": 200,
            }),
        ),
        span(
            "t2",
            "b3",
            "b2",
            json!(3),
            2700,
            json!({
                "db.system": "postgresql", "db.statement": "SELECT 2 FROM s WHERE id = ?",
            }),
        ),
    ];
    let export = |service: &str, spans: &[Value]| {
        json!({ "resourceSpans": [{
            "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": service } }] },
            "scopeSpans": [{ "spans": spans }],
        }] })
    };
    // The later request was exported first.
    format!(
        "{}\n{}\n",
        export("orders", &look),
        export("orders", &order)
    )
}

#[test]
fn traces_of_opentelemetry() {
    let p = shop(&[("t.json", &traces())]);
    let (text, err) = made(&p, &["--from-trace", "t.json"]);
    has(
        &text,
        &[
            "headers only where they are captured: none is made up",
            "customer_id: 7",
            "A trace does not have the body",
            "# orders -> postgresql shop: INSERT INTO cards (id, card_token) VALUES (***, '***')",
            "# orders -> postgresql: SELECT state FROM orders WHERE id = 90210 AND token = '***'",
            "x-api-key: \"{{ secrets.X_API_KEY }}\"",
            "- status == 201",
            "order_id: { header: location",
            "It came 2.5 s after the one before.",
            "http://gateway/customers/{{ customer_id }}/orders/{{ order_id }}?token={{ secrets.TOKEN }}",
            "# orders -> postgresql: SELECT 2 FROM s WHERE id = ?",
        ],
    );
    assert_eq!(text.matches("- http:").count(), 2, "{text}");
    for other in ["c4rd", "x1", "k3y-of-ann", "t0k3n9", "/inner", "- sql:"] {
        assert!(!text.contains(other), "{other} in\n{text}");
    }
    has(
        &err,
        &["requests to https://shop.example are sent to http://gateway"],
    );
}

#[test]
fn what_a_traced_request_read_can_be_asked_again() {
    let p = shop(&[("t.json", &traces())]);
    let sql = ["--from-trace", "t.json", "--sql", "--trace-id", "T1"];
    let (text, _) = made(&p, &sql);
    has(
        &text,
        &[
            "query: \"SELECT state FROM orders WHERE id = {{ order_id }} AND token = '{{ secrets.TOKEN }}'\"",
            "- size(rows) == 1",
            "query: \"SELECT 1 FROM stock WHERE sku = $1\", params: [A1]",
        ],
    );
    assert_eq!(text.matches("- sql:").count(), 2, "{text}");
    let (text, err) = made(&p, &["--from-trace", "t.json", "--sql"]);
    assert_eq!(text.matches("- http:").count(), 2, "{text}");
    has(
        &err,
        &["1 statements are comments only: the trace does not have the values"],
    );
    let (text, err) = made(&p, &["--from-trace", "t.json", "--match", "session.id=s1"]);
    has(&text, &["scenario: span a1 is answered as it was traced"]);
    has(&err, &["left out: 1 requests that do not match"]);
}

#[test]
fn what_is_no_trace_is_refused() {
    let p = shop(&[
        ("no", "no"),
        ("empty", "{}"),
        (
            "odd",
            "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{},7,{\"kind\":2,\"attributes\":[1,{}]}]}]}]}",
        ),
        ("t.json", &traces()),
    ]);
    for (args, why) in [
        (&["no"][..], "it is not JSON"),
        (&["empty"], "holds no spans"),
        (&["odd"], "none of its 3 spans is a request"),
        (&["gone"], "cannot be read"),
        (
            &["t.json", "--trace-id", "t3"],
            "no request of the trace t3",
        ),
        (
            &["t.json", "--match", "a=b"],
            "no request in it has what --match asks for",
        ),
    ] {
        let mut all = vec!["new", "--from-trace"];
        all.extend(args);
        p.run(&all).is(2, &[why]);
    }
    p.run(&["new", "--sql"]).is(2, &["--from-trace"]);
}
