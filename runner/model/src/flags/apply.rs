//! A combination of flags in a plan: the files and variables that services read them from.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;

use super::{Choice, FlagSet, Origin};
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Record, Severity};
use crate::mirror::Mirror;
use crate::plan::{FileContent, FilePlan, Plan};
use crate::secret::Secret;

/// The name of the rule in fidelity records.
const RULE: &str = "flag-override";

/// What tells the stacks of combinations apart: the flags that differ from production, each
/// with its variant. Empty = production's own.
pub type OverrideKey = Vec<(String, String)>;

/// The key of a combination.
pub fn key_of(choices: &[Choice]) -> OverrideKey {
    let differs = choices.iter().filter(|c| c.differs);
    let mut key: OverrideKey = differs
        .map(|c| (c.flag.clone(), c.variant.name.clone()))
        .collect();
    key.sort();
    key
}

/// The plan of the stacks of a combination: where services read the flags they find the chosen
/// values, and nothing else changes.
///
/// # Errors
/// A choice that would reach no container.
pub fn apply(plan: &Plan, set: &FlagSet, choices: &[Choice]) -> Result<Plan, Problem> {
    let mut plan = plan.clone();
    let differs: Vec<&Choice> = choices.iter().filter(|c| c.differs).collect();
    let Some(first) = differs.first() else {
        return Ok(plan);
    };
    match &set.origin {
        Origin::Variables => {
            for choice in &differs {
                let mut reached = false;
                for container in plan
                    .containers
                    .iter_mut()
                    .filter(|c| set.is_for(&c.service))
                {
                    reached |= set_variable(&mut container.body, &choice.flag, text_of(choice));
                }
                if !reached {
                    return Err(reaches_nobody(set, choice));
                }
            }
        }
        Origin::File { path, .. } => {
            let document = set.rendered(&differs).unwrap_or_default();
            let new = Rewritten {
                set,
                path: path.canonicalize().unwrap_or_else(|_| path.clone()),
                text: pretty(&document),
                line: document.to_string(),
            };
            let mut reached = false;
            for container in plan
                .containers
                .iter_mut()
                .filter(|c| set.is_for(&c.service))
            {
                reached |= new.files(&mut container.files);
                for var in environment(&mut container.body) {
                    if let Some((name, value)) = split(var)
                        && set.is_said_by(value)
                    {
                        *var = Json::from(format!("{name}={}", new.line));
                        reached = true;
                    }
                }
            }
            if !reached {
                return Err(reaches_nobody(set, first));
            }
        }
    }
    Ok(plan)
}

/// The stack's mirror with the values of a combination, as [`apply`] puts them into its plan:
/// what runs is compared with it.
pub fn apply_to_mirror(mirror: &mut Mirror, set: &FlagSet, choices: &[Choice]) {
    let differs: Vec<&Choice> = choices.iter().filter(|c| c.differs).collect();
    if differs.is_empty() {
        return;
    }
    let line = set.rendered(&differs).map(|d| d.to_string());
    let services = mirror.services.values_mut();
    for service in services.filter(|s| set.is_for(&s.name.value)) {
        for var in &mut service.env {
            let choice = differs.iter().find(|c| c.flag == var.name.value);
            let Some(value) = &mut var.value else {
                continue;
            };
            match (&set.origin, choice, &line) {
                (Origin::Variables, Some(choice), _) => value.value = text_of(choice),
                (Origin::File { .. }, _, Some(line)) if set.is_said_by(&value.value) => {
                    value.value.clone_from(line);
                }
                _ => {}
            }
        }
    }
}

/// What a run does to flags on purpose: a record for each flag, with the cases on whose stacks
/// it is so.
pub fn records<'c>(
    set: &FlagSet,
    cases: impl Iterator<Item = (&'c [Choice], Option<&'c str>)>,
) -> Vec<Record> {
    let mut of: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for (choices, case) in cases {
        for choice in choices.iter().filter(|c| c.differs) {
            let variants = of.entry(choice.flag.as_str()).or_default();
            variants
                .entry(choice.variant.name.as_str())
                .or_default()
                .extend(case);
        }
    }
    let record = |(name, variants): (&str, BTreeMap<&str, Vec<&str>>)| {
        let flag = set.flags.get(name)?;
        let mut r = Record::new(
            format!("flag:{name}"),
            "value",
            Class::Substituted,
            Severity::Info,
        )
        .at(&flag.span);
        let each = variants.into_iter().map(|(variant, mut cases)| {
            cases.dedup();
            match cases.as_slice() {
                [] => format!("{variant}, only in the stacks of cases with `{name}={variant}`"),
                cases => format!("{variant}, only in the stacks of: {}", cases.join("; ")),
            }
        });
        r.declared = flag.served_in_words();
        r.actual = each.collect::<Vec<_>>().join(" | ");
        r.reason =
            "both sides of a flag are tried on purpose; all other stacks have production's value"
                .into();
        if let Some(rules) = &flag.targeting {
            r.reason.push_str(&format!("; its rules ({rules}) stay"));
        }
        r.rule = RULE.into();
        Some(r)
    };
    of.into_iter().filter_map(record).collect()
}

fn reaches_nobody(set: &FlagSet, choice: &Choice) -> Problem {
    let text = format!(
        "the flag `{}` cannot be set to `{}`: no container of the stack is given {}",
        choice.flag,
        choice.variant.name,
        set.held_by()
    );
    Problem::new(ProblemKind::Unsupported, text)
        .help("the stack's template, or `services` under `flags`, leaves out those that read it")
}

/// The value as a variable has it.
pub(super) fn text_of(choice: &Choice) -> String {
    match (&choice.variant.text, &choice.variant.value) {
        (Some(text), _) | (None, Json::String(text)) => text.clone(),
        (None, other) => other.to_string(),
    }
}

pub(super) fn pretty(document: &Json) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_else(|_| document.to_string());
    text.push('\n');
    text
}

fn environment(body: &mut Json) -> impl Iterator<Item = &mut Json> {
    let list = body.get_mut("Env").and_then(Json::as_array_mut);
    list.into_iter().flatten()
}

fn split(var: &Json) -> Option<(&str, &str)> {
    var.as_str()?.split_once('=')
}

fn set_variable(body: &mut Json, name: &str, value: String) -> bool {
    let mut all = environment(body);
    let Some(var) = all.find(|v| split(v).is_some_and(|(n, _)| n == name)) else {
        return false;
    };
    *var = format!("{name}={value}").into();
    true
}

/// The file of flags with other values.
struct Rewritten<'s> {
    set: &'s FlagSet,
    path: std::path::PathBuf,
    /// As a file has it.
    text: String,
    /// As a variable has it.
    line: String,
}

impl Rewritten<'_> {
    /// Puts it wherever the file is; says whether it was somewhere.
    fn files(&self, files: &mut Vec<FilePlan>) -> bool {
        let mut reached = false;
        let mut over = Vec::new();
        for file in files.iter_mut() {
            match &mut file.content {
                FileContent::HostPath(path) => {
                    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
                    if real == self.path {
                        file.mode = file.mode.or_else(|| permissions(&self.path));
                        file.content = FileContent::Text(self.text.clone());
                        reached = true;
                    } else if let Ok(below) = self.path.strip_prefix(&real) {
                        // A directory is copied as it is; the file is put over its copy.
                        over.push(FilePlan {
                            target: format!(
                                "{}/{}",
                                file.target.trim_end_matches('/'),
                                slashes(below)
                            ),
                            content: FileContent::Text(self.text.clone()),
                            mode: permissions(&self.path),
                            uid: file.uid,
                            gid: file.gid,
                            read_only: file.read_only,
                        });
                    }
                }
                FileContent::Text(text) if self.set.is_said_by(text) => {
                    text.clone_from(&self.text);
                    reached = true;
                }
                FileContent::Secret(secret) if self.set.is_said_by(secret.expose()) => {
                    *secret = Secret::new(self.text.clone());
                    reached = true;
                }
                FileContent::Directory(inside) => reached |= self.files(inside),
                _ => {}
            }
        }
        reached |= !over.is_empty();
        files.append(&mut over);
        reached
    }
}

fn slashes(path: &Path) -> String {
    let parts = path.components().map(|c| c.as_os_str().to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(unix)]
fn permissions(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let meta = std::fs::metadata(path).ok()?;
    Some(meta.permissions().mode() & 0o7777)
}

#[cfg(not(unix))]
fn permissions(_: &Path) -> Option<u32> {
    None
}
