//! `dns`: what a service is told about a name.

use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::template::{Document, Text};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::context::reach_error;
use super::fields::args;
use super::target::Target;
use super::world::Lookup;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Types that can be asked for.
const TYPES: [&str; 8] = ["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"];

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "dns",
    fields: &[
        "addresses",
        "records",
        "status",
        "source",
        "name",
        "duration",
    ],
    help: "resolves a name as a service does, in its own network",
    example: "dns: { name: api.payments.example, from: orders }",
    usual: Some("status == \"NOERROR\""),
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    name: Text,
    from: Spanned<String>,
    #[serde(default, rename = "type")]
    kind: Option<Spanned<String>>,
    #[serde(default)]
    replica: Option<u32>,
}

struct DnsAct {
    name: Text,
    from: Spanned<String>,
    kind: &'static str,
    replica: u32,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    let mut kind = "A";
    if let Some(written) = &a.kind {
        match TYPES.iter().find(|t| t.eq_ignore_ascii_case(written)) {
            Some(known) => kind = known,
            None => {
                let message = format!("`{}` is no type of a record", written.value);
                let p = Problem::at(ProblemKind::InvalidValue, &written.span, message);
                let upper = written.to_ascii_uppercase();
                problems.push(match nearest(&upper, TYPES) {
                    Some(n) => p.help(format!("did you mean `{n}`?")),
                    None => p.help(format!("types: {}", TYPES.join(", "))),
                });
            }
        }
    }
    if let Some(name) = a.name.plain() {
        problems.extend(check(name, &a.name).err());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(DnsAct {
        name: a.name,
        from: a.from,
        kind,
        replica: a.replica.unwrap_or(0),
    }
    .into())
}

/// Whether it can be a name.
fn check(name: &str, written: &Text) -> Result<(), Problem> {
    let bad = |help: &str| {
        let message = format!("`{name}` is no name that could be resolved");
        Err(Problem::at(ProblemKind::InvalidValue, written.span(), message).help(help))
    };
    if name.contains("://") || name.contains(['/', ':']) {
        return bad("write the host alone: `name: api.payments.example`");
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return bad(
            "an address needs no resolution; for its name ask for `type: PTR` of 1.0.0.10.in-addr.arpa",
        );
    }
    let labels = name.strip_suffix('.').unwrap_or(name).split('.');
    let fits = |l: &str| {
        (1..64).contains(&l.len()) && !l.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    if name.len() > 253 || !labels.into_iter().all(fits) {
        return bad("a name has labels of 1 to 63 bytes with dots between them");
    }
    Ok(())
}

impl DnsAct {
    async fn ask(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let name = self.name.render(context.scope)?;
        check(&name, &self.name)?;
        let question = format!("{} {name} from {}", self.kind, self.from.value);
        context.trail.add("question", question);
        let lookup = Lookup {
            service: self.from.value.clone(),
            replica: self.replica,
            name,
            kind: self.kind.to_owned(),
        };
        let told = context.world.resolve(&lookup).await.map_err(reach_error)?;
        let lines: Vec<String> = told
            .records
            .iter()
            .map(|r| format!("{} {} {} {}", r.name, r.ttl, r.kind, r.data))
            .collect();
        let answer = format!("{} by {}\n{}", told.status, told.source, lines.join("\n"));
        context.trail.add("answer", answer.trim_end());
        let addresses: Vec<Json> = told
            .records
            .iter()
            .filter(|r| matches!(r.kind.as_str(), "A" | "AAAA"))
            .map(|r| r.data.clone().into())
            .collect();
        let records: Vec<Json> = told
            .records
            .iter()
            .map(|r| json!({"name": r.name, "type": r.kind, "ttl": r.ttl, "data": r.data}))
            .collect();
        let mut document = Document::default()
            .with("addresses", addresses)
            .with("records", records)
            .with("status", told.status)
            .with("source", told.source)
            .with("name", told.name);
        document.took(Duration::from_micros(told.micros));
        Ok(document.into())
    }
}

impl Act for DnsAct {
    fn title(&self) -> String {
        let (kind, name) = (self.kind, self.name.source());
        format!("{kind} {name} from {}", self.from.value)
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::service(&self.from));
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.ask(context))
    }
}
