//! `file`, `mail`, `dns`: what is in containers, what services send, what they are told.

use std::sync::Arc;

use prodmirror_agent::wire::StubConfig;
use prodmirror_engine::agent::RunCa;
use prodmirror_engine::step::{StackWorld, World};
use prodmirror_model::event::Outcome;
use prodmirror_model::plan::{FileContent, Plan};
use prodmirror_model::secret::Secret;
use serde_json::json;

use super::services::image;
use super::{fails, passes};
use crate::live::plan::{Service, plan, service};
use crate::live::rig::{Rig, on_engine};

const HOST: &str = "smtp.mail.example";

/// Writes files of every kind, sends mail when it is asked to, and never ends.
const APP: &str = r#"
import os, time
os.makedirs("/data/sub/deep", exist_ok=True)
open("/data/out.csv", "w").write("id,state\n1,paid\n")
os.chmod("/data/out.csv", 0o640)
os.chown("/data/out.csv", 7, 8)
os.utime("/data/out.csv", (0, 1700000000))
open("/data/state.json", "w").write('{"n": 12, "ok": true}')
open("/data/raw", "wb").write(b"\x00\xff")
open("/data/empty", "w").close()
open("/data/sub/deep/x", "w").close()
os.symlink("../data/out.csv", "/data/link")
os.symlink("link", "/data/link2")
os.symlink("nowhere", "/data/dangling")
os.symlink("loop", "/data/loop")
os.mkfifo("/data/pipe")
print("ready", flush=True)
while True: time.sleep(60)
"#;

/// What a service sends with the client of Python's library.
const SEND: &str = r#"
import smtplib, ssl, sys
from email.message import EmailMessage
how, to, subject = sys.argv[1:4]
m = EmailMessage()
m["From"], m["To"], m["Subject"] = "Shop <shop@shop.example>", to, subject
m.set_content("Thank you.\n.\n..and a dot\n")
m.add_alternative("<p>Thank you.</p>", subtype="html")
m.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="invoice.pdf")
context = ssl.create_default_context(cafile="/ca.pem") if how != "plain" else None
host = "smtp.mail.example"
if how == "tls":
    s = smtplib.SMTP_SSL(host, 465, context=context)
else:
    s = smtplib.SMTP(host, 587 if how == "starttls" else 25)
with s:
    if how == "starttls":
        s.starttls(context=context)
    if how != "plain":
        s.login("mailer", "do-not-tell")
    s.send_message(m, to_addrs=[to, "archive@shop.example"])
"#;

fn app(ca: &RunCa) -> Service {
    image("app", "python:3.11", &[])
        .with(|c| c.body["Cmd"] = json!(["python3", "-c", APP]))
        .file("/ca.pem", FileContent::Text(ca.pem().to_owned()))
        .file("/send.py", FileContent::Text(SEND.to_owned()))
}

fn mail_stub(rig: &Rig, ca: &RunCa) -> Service {
    let mut config: StubConfig = serde_json::from_value(json!({
        "name": HOST,
        "listen": [
            {"port": 25, "mail": {"starttls": false}},
            {"port": 587, "mail": {"starttls": true}},
            {"port": 465, "mail": {"starttls": false}},
        ],
    }))
    .unwrap();
    for listen in config.listen.iter_mut().skip(1) {
        listen.tls = Some(ca.issue(&[HOST.to_owned()]).unwrap());
    }
    let text = serde_json::to_string(&config).unwrap();
    service("stub-smtp", &["stub", "--config", "/stub.json"])
        .file("/stub.json", FileContent::Secret(Secret::new(text)))
        .with(|c| {
            c.image = rig.agent.clone();
            c.body["NetworkingConfig"]["EndpointsConfig"]["default"]["Aliases"] = json!([HOST]);
        })
}

/// Runs a test on a stack with the service, one without a shell, and the stub.
async fn on_stack<T, F>(test: T)
where
    T: FnOnce(Arc<dyn World>) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    on_engine(|rig| async move {
        let ca = RunCa::new(&rig.run()).unwrap();
        let over = service("over", &["hold"]);
        let plan: Plan = plan([app(&ca), over, mail_stub(&rig, &ca)]);
        let live = Arc::new(rig.up(plan.clone()).await.expect("the stack"));
        let world: Arc<dyn World> = Arc::new(StackWorld::new(live.clone(), &plan));
        passes(
            &world,
            "  - wait: { for: { log: { service: app, contains: ready, since: stack } } }\n",
        )
        .await;
        test(world).await;
        live.down(None).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_seen_as_they_are() {
    on_stack(|world| async move {
        files(&world).await;
        no_files(&world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_services_send_is_waited_for_and_read() {
    on_stack(|world| async move {
        sent(&world).await;
        not_sent(&world).await;
        later(&world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_resolved_as_the_service_does() {
    on_stack(|world| async move { names(&world).await }).await;
}

async fn files(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - file: { service: app, path: /data/out.csv }
    expect:
      - exists && kind == "file" && size == 16 && link == null && entries == null
      - content == "id,state\n1,paid\n" && json == null
      - mode == "0640" && uid == 7 && gid == 8
      - modified == "2023-11-14T22:13:20Z"
      - sha256 == "3a3174f47cea2fc3c7643209fb8cc22e0277f24f810c59e7dc8a84a8749d9d31"
  - file: { service: app, path: "/data/{{ 'state' }}.json", replica: 1 }
    expect: json.ok && json.n == 12
  - file: { service: app, path: /data/raw }
    expect: content == null && size == 2
  - file: { service: app, path: /data/empty }
    expect: content == "" && size == 0
  - file: { service: app, path: /data/link2 }
    expect: kind == "file" && link == "link" && size == 16
  - file: { service: app, path: /data/link2, follow: false }
    expect: exists && kind == "link" && link == "link" && content == null
  - file: { service: app, path: /data/pipe }
    expect: kind == "pipe" && size == null
  - file: { service: app, path: /data }
    expect:
      - kind == "directory" && content == null
      - 'entries == ["dangling", "empty", "link", "link2", "loop", "out.csv", "pipe", "raw", "state.json", "sub"]'
  - file: { service: app, path: /data/none }
    expect: "!exists && kind == null && mode == null"
  - file: { service: app, path: /data/dangling }
    expect: "!exists"
  - scale: { service: over, replicas: 0 }
    expect: running == 0
  - file: { service: over, path: /prodmirror-agent }
    expect: kind == "file" && size > 1000000
"#,
    )
    .await;
}

async fn no_files(world: &Arc<dyn World>) {
    let step = fails(world, "  - file: { service: app, path: /data/none }\n").await;
    assert_eq!(step.said(), ["exists: expected true, got false"]);
    let step = fails(world, "  - file: { service: app, path: /data/loop }\n").await;
    assert!(step.error().contains("links"), "{}", step.error());
    let step = fails(
        world,
        "  - file: { service: app, path: /data, replica: 4 }\n",
    )
    .await;
    assert_eq!(step.error(), "service `app` has no replica 4");
    let step = fails(
        world,
        "  - file: { service: app, path: \"{{ 'data' }}\" }\n",
    )
    .await;
    assert!(
        step.error().contains("no absolute path"),
        "{}",
        step.error()
    );
}

async fn sent(world: &Arc<dyn World>) {
    let played = passes(
        world,
        r#"
  - exec: { service: app, cmd: [python3, /send.py, plain, ann@shop.example, "Your order"] }
  - mail: { count: 1, to: ANN@shop.example, from: shop@shop.example, subject_contains: order }
    expect:
      - count == 1 && messages[0].subject == "Your order"
      - messages[0].from == "shop@shop.example" && messages[0].sender == "shop@shop.example"
      - 'messages[0].to == ["ann@shop.example", "archive@shop.example"]'
      - messages[0].text == "Thank you.\n.\n..and a dot\n"
      - messages[0].html.contains("<p>Thank you.</p>")
      - messages[0].headers.to == "ann@shop.example"
      - messages[0].attachments[0].name == "invoice.pdf"
      - messages[0].attachments[0].type == "application/pdf" && messages[0].attachments[0].size == 4
      - messages[0].port == 25 && !messages[0].tls && messages[0].user == null
  - id: more
    exec: { service: app, cmd: [python3, /send.py, starttls, bob@shop.example, Begun] }
  - exec: { service: app, cmd: [python3, /send.py, tls, bob@shop.example, "Sûr"] }
  - mail: { stub: smtp.mail.example, to: bob@shop.example, count: 2 }
    expect:
      - messages.map(m, m.subject) == ["Begun", "Sûr"]
      - messages.map(m, m.port) == [587, 465]
      - messages.all(m, m.tls && m.user == "mailer")
  - mail: { to: archive@shop.example, since: more, count: 2 }
  - mail: { to: archive@shop.example, count: 3 }
  - mail: { to: carl@shop.example, count: 0, within: 300ms }
    expect: duration >= duration("300ms")
"#,
    )
    .await;
    let evidence: String = played.steps().iter().map(|s| s.evidence.clone()).collect();
    assert!(!evidence.contains("do-not-tell"), "{evidence}");
    // Another scenario begins with no messages.
    passes(world, "  - mail: { count: 0, within: 100ms }\n").await;
    passes(world, "  - mail: { since: stack, count: 3 }\n").await;
    // Services do not see what was sent.
    let told = world.log_lines("stub-smtp", prodmirror_engine::live::Cursor::default());
    assert!(told.iter().any(|l| l.text.contains("\"stub_mail\"")));
    assert!(!told.iter().any(|l| l.text.contains("do-not-tell")));
}

async fn not_sent(world: &Arc<dyn World>) {
    let step = fails(
        world,
        "  - mail: { to: dora@shop.example, within: 200ms }\n",
    )
    .await;
    assert_eq!(
        step.said(),
        [
            "mail to dora@shop.example: expected a message to dora@shop.example within 200ms, got none came"
        ]
    );
    let step = fails(
        world,
        "  - exec: { service: app, cmd: [python3, /send.py, plain, e@shop.example, Hello] }\n  - mail: { to: e@shop.example, count: 0 }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert!(
        step.said()[0].ends_with("got 1: shop@shop.example to e@shop.example and 1 more: Hello"),
        "{:?}",
        step.said()
    );
    let step = fails(world, "  - mail: { stub: app }\n").await;
    assert_eq!(
        step.error(),
        "s.yaml:3:19: `app` is no stub that takes mail\n  help: stubs that take mail: smtp.mail.example"
    );
}

/// What comes while it is waited for ends the wait.
async fn later(world: &Arc<dyn World>) {
    let begun = std::time::Instant::now();
    passes(
        world,
        r#"
  - parallel:
      - mail: { to: late@shop.example, within: 60s }
      - exec: { service: app, cmd: [python3, /send.py, plain, late@shop.example, Late] }
"#,
    )
    .await;
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

async fn names(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - id: own
    dns: { name: app, from: app }
    expect: size(addresses) == 1 && records[0].type == "A" && status == "NOERROR"
  - exec: { service: app, cmd: [python3, -c, "import socket; print(socket.gethostbyname('smtp.mail.example'))"] }
    capture: { address: stdout.trim() }
  - dns: { name: smtp.mail.example, from: app, type: a }
    expect:
      - addresses == [address] && source == "dns"
      - records[0].name == "smtp.mail.example" && records[0].ttl >= 0
  - dns: { name: api.nowhere.example, from: app }
    expect: status == "NXDOMAIN" && addresses == []
  - dns: { name: smtp.mail.example, from: app, type: MX }
    expect: size(records) == 0
  - dns: { name: localhost, from: app }
    expect: 'source == "hosts" && addresses == ["127.0.0.1"]'
"#,
    )
    .await;
    let step = fails(world, "  - dns: { name: api.nowhere.example, from: app }\n").await;
    assert_eq!(
        step.said(),
        ["status: expected == \"NOERROR\", got \"NXDOMAIN\""]
    );
    let step = fails(world, "  - dns: { name: app, from: nobody }\n").await;
    assert!(step.error().contains("nobody"), "{}", step.error());
}

/// A stack without such a stub says how to get one.
#[tokio::test]
async fn mail_needs_a_stub() {
    let world = super::local::Local::default().world();
    let step = fails(&world, "  - mail: {}\n").await;
    assert!(
        step.error().contains("no stub of this stack takes mail")
            && step.error().contains("stub: mail"),
        "{}",
        step.error()
    );
}
