//! What a bundle shows people of the failure: what was seen, and production's files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use prodmirror_model::bundle::{EVIDENCE, SOURCES};
use prodmirror_model::check::snapshot::slug;
use serde_json::Value as Json;

use super::One;
use crate::bundle::archive::Content;

/// Lines of events that are kept, in bytes: a bundle is to be sent around.
const MOST_EVENTS: u64 = 256 << 20;

impl One<'_> {
    /// What was seen: events, logs, containers.
    pub(super) fn evidence(
        &mut self,
        entries: &mut BTreeMap<String, Content>,
    ) -> std::io::Result<()> {
        let stack = self.summary.cases.iter().find(|c| c.id == *self.case);
        let stack = stack.and_then(|c| c.stack.clone());
        let mut events = String::new();
        let mut logs: BTreeMap<String, String> = BTreeMap::new();
        let file = File::open(self.dir.path.join("events.jsonl"))?;
        for line in BufReader::new(file).lines() {
            let line = line?;
            let Ok(event) = serde_json::from_str::<Json>(&line) else {
                continue;
            };
            if !self.is_ours(&event, stack.as_deref()) {
                continue;
            }
            if event["event"] == "log" {
                let name = format!("{}-{}", text(&event["service"]), event["replica"]);
                let log = logs.entry(name).or_default();
                let told = format!(
                    "{:>8} {} {}\n",
                    event["ms"],
                    text(&event["stream"]),
                    text(&event["line"])
                );
                log.push_str(&told);
            }
            if (events.len() as u64) < MOST_EVENTS {
                events.push_str(&line);
                events.push('\n');
            }
        }
        entries.insert(format!("{EVIDENCE}events.jsonl"), self.safe(&events));
        for (name, log) in logs {
            entries.insert(
                format!("{EVIDENCE}logs/{}.log", slug(&name)),
                self.safe(&log),
            );
        }
        for r in std::mem::take(&mut self.remains) {
            let name = format!("{EVIDENCE}containers/{}-{}", slug(&r.service), r.replica);
            let documents = [
                (r.shown, "inspect"),
                (r.processes, "processes"),
                (r.usage, "usage"),
            ];
            for (document, what) in documents {
                if let Some(json) = document {
                    let text = serde_json::to_string_pretty(&json).unwrap_or_default();
                    entries.insert(format!("{name}.{what}.json"), self.safe(&text));
                }
            }
            if let Some(changes) = r.changes {
                entries.insert(
                    format!("{name}.changes.txt"),
                    self.safe(&changes.join("\n")),
                );
            }
        }
        for name in ["fidelity.json", "stack.yaml"] {
            if let Ok(text) = std::fs::read_to_string(self.dir.path.join(name)) {
                entries.insert(format!("{EVIDENCE}{name}"), self.safe(&text));
            }
        }
        Ok(())
    }

    /// Whether an event is one of this case, of its stack, or of the whole run.
    fn is_ours(&self, event: &Json, stack: Option<&str>) -> bool {
        let case = &event["case"];
        let case = case.is_null()
            || (case["file"] == self.case.file.as_str() && case["name"] == self.case.name.as_str());
        let of = event["stack"].as_str();
        case && (of.is_none() || of == stack)
    }

    /// Production's files as they are, without secrets, for people.
    pub(super) fn sources(&self, entries: &mut BTreeMap<String, Content>) {
        let project = &self.opened.project;
        let inputs = self.opened.compiled.production.inputs.iter();
        let mut paths: Vec<PathBuf> = inputs.map(|i| project.root.join(&i.path)).collect();
        paths.push(project.path.clone());
        paths.push(project.root.join(prodmirror_model::lock::FILE_NAME));
        for path in paths {
            // What is elsewhere, or was made by other programs, is in the stack.
            let Ok(inside) = path.strip_prefix(&project.root) else {
                continue;
            };
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let name = inside.to_string_lossy().replace('\\', "/");
            entries.insert(format!("{SOURCES}{name}"), self.safe(&text));
        }
    }

    /// A text without secrets.
    fn safe(&self, text: &str) -> Content {
        let mut text = text.to_owned();
        self.redactor().redact_shown(&mut text);
        Content::Bytes(text.into_bytes())
    }
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}
