//! `file`, `mail` and `dns`: what is inside of the stack, and what services send and are told.

use prodmirror_model::schema::{Shape, choice, duration, flag, integer, text, word};

use super::{Entry, MANY, field, service};

pub(super) static FILE: Entry = Entry {
    kind: "file",
    shape: Shape::Object(&[
        service("The service in whose container it is"),
        text("path", "Its absolute path in the container")
            .required()
            .eg("\"/data/out.csv\""),
        integer("replica", "Which replica", 0, MANY).or("the first"),
        flag("follow", "Whether links are followed").or("true"),
    ]),
    notes: "\nWhat stands at a path of a container, read by the engine: the image needs no shell, and the container need not run. What is \
            in memory (`tmpfs`) is not seen. A file may have 256 MiB; a directory tells its first 10000 names. What does not apply is null.\n",
    results: &[
        ("exists", "Whether anything is there"),
        (
            "kind",
            "`file`, `directory`, `link`, `device`, `pipe` or `other`",
        ),
        (
            "content",
            "What is in it, where that is text; its first 4 MiB",
        ),
        (
            "json",
            "Its content as JSON, where it is JSON of up to 16 MiB",
        ),
        ("size", "Its bytes"),
        ("sha256", "The hash of its content"),
        ("mode", "Its permissions, such as \"0644\""),
        ("uid", "The number of its owner"),
        ("gid", "The number of its group"),
        ("modified", "When it was written last"),
        ("link", "Where the link at the path leads"),
        ("entries", "The names in a directory, in order"),
        field::DURATION,
    ],
    examples: &[
        (
            "A file that was written, and who may read it",
            r#"- file: { service: orders, path: /data/out.csv }
  expect: mode == "0640" && content.startsWith("id,state")"#,
        ),
        (
            "Nothing is left behind",
            r#"- file: { service: orders, path: /data/tmp }
  expect: entries == []"#,
        ),
        (
            "No lock is there",
            r#"- file: { service: orders, path: /data/lock, replica: 2 }
  expect: "!exists""#,
        ),
    ],
    experimental: None,
};

pub(super) static MAIL: Entry = Entry {
    kind: "mail",
    shape: Shape::Object(&[
        word("stub", "The host of the stub").or("the only one"),
        text("to", "Messages to this recipient").eg("\"ann@shop.example\""),
        text("from", "Messages from this sender"),
        text("subject_contains", "Messages with this text in the subject"),
        integer("count", "So many must come; 0 = none", 0, MANY).or("at least one"),
        word("since", "Since a step began (its id), or the `stack`").or("the scenario began"),
        duration("within", "How long they may take to come").or("10 s; with `count: 0`, 1 s"),
    ]),
    notes: "\nMessages that services sent to a [stub that takes mail](../mirror-yaml.md#mail). `to` is a recipient of the envelope, so that \
            blind copies count; `from` is the address of the `From` header or the sender of the envelope; both in any case of letters. The \
            step ends when they are there. The password of a login is kept nowhere.\n",
    results: &[
        (
            "messages",
            "Each with `from`, `to`, `subject`, `text`, `html`, `headers` (names in lower case), `attachments` (`name`, `type`, `size`, `sha256`), `at`, `sender`, `size`, `port`, `tls`, `user`, `id`",
        ),
        ("count", "How many there are"),
        field::DURATION,
    ],
    examples: &[
        (
            "The customer gets a mail with the invoice",
            r#"- mail: { to: ann@shop.example, subject_contains: Your order, count: 1 }
  expect: messages[0].text.contains("Thank you") && messages[0].attachments[0].name == "invoice.pdf""#,
        ),
        (
            "One that was sent since a step",
            r#"- mail: { stub: smtp.mail.example, from: shop@shop.example, since: order, within: 30s }"#,
        ),
        (
            "Nobody else gets one",
            r#"- mail: { to: bob@shop.example, count: 0, within: 2s }"#,
        ),
    ],
    experimental: None,
};

pub(super) static DNS: Entry = Entry {
    kind: "dns",
    shape: Shape::Object(&[
        text("name", "The name")
            .required()
            .eg("\"api.payments.example\""),
        word("from", "The service that asks").required(),
        choice(
            "type",
            "The type of record",
            &["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"],
        )
        .or("A"),
        integer("replica", "Which replica asks", 0, MANY).or("the first"),
    ]),
    notes: "\nWhat a service is told when it resolves a name: asked in its own network, of its own resolver, with its `/etc/hosts` and \
            search list.\n",
    results: &[
        ("addresses", "The addresses of the answer"),
        (
            "records",
            "Each with `name`, `type`, `ttl`, `data` as zone files write it",
        ),
        ("status", "`NOERROR`, `NXDOMAIN`, `SERVFAIL`…"),
        ("source", "`dns` or `hosts`"),
        (
            "name",
            "The name, with the suffix of the search list that led to the answer",
        ),
        field::DURATION,
    ],
    examples: &[
        (
            "A name outside leads to its stub",
            r#"- dns: { name: api.payments.example, from: orders }
  expect: size(addresses) == 1"#,
        ),
        (
            "A record that is not there",
            r#"- dns: { name: _pg._tcp.db.example, type: SRV, from: orders, replica: 2 }
  expect: status == "NXDOMAIN""#,
        ),
    ],
    experimental: None,
};
