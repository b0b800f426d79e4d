//! Files of flags: which format one has, and the same file with other values.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::{Choice, Flag, FlagSet, Format, Origin, flagd, launchdarkly, unleash};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::source::SourceFile;
use crate::yaml::{Node, parse_json, parse_one};

/// Flags at most: more are no file of flags.
const MOST: usize = 10_000;

/// The flags of a format, by name.
pub(super) type Flags = IndexMap<String, Flag>;

/// Reads a file of flags. Without a format it is found out.
///
/// # Errors
/// All that is wrong in it.
pub fn read_file(
    file: &Arc<SourceFile>,
    path: &Path,
    format: Option<Format>,
    environment: Option<String>,
) -> Result<FlagSet, Problems> {
    let is_json = file.name.ends_with(".json");
    let node = if is_json {
        let mut all = parse_json(file)?;
        match all.len() {
            1 => all.remove(0),
            _ => return Err(nothing(file, "it holds no value, or several").into()),
        }
    } else {
        parse_one(file)?
    };
    let format = match format {
        Some(format) => format,
        None => found_out(&node).ok_or_else(|| unknown(file, &node))?,
    };
    let mut problems = Problems::default();
    let mut environment = environment;
    let flags = match format {
        Format::Flagd => flagd::read(&node, &mut problems),
        Format::LaunchDarkly => launchdarkly::read(&node, &mut problems),
        Format::Unleash => unleash::read(&node, &mut environment, &mut problems),
        Format::Env => Flags::new(),
    };
    if flags.is_empty() && problems.0.is_empty() {
        problems.push(nothing(file, "no flag stands in it"));
    }
    if flags.len() > MOST {
        let text = format!(
            "{} has {} flags; at most {MOST} are read",
            file.name,
            flags.len()
        );
        problems.push(Problem::at(ProblemKind::TooLarge, &node.span, text));
    }
    if problems.has_errors() {
        return Err(problems);
    }
    // As it is written: numbers keep their digits.
    let document = match serde_json::from_str(&file.text) {
        Ok(document) => document,
        Err(_) => node.to_json(),
    };
    Ok(FlagSet {
        format,
        flags,
        services: Vec::new(),
        origin: Origin::File {
            file: file.clone(),
            path: path.to_owned(),
            document,
            environment,
        },
    })
}

/// The format that a file has, by the keys that only it has.
fn found_out(node: &Node) -> Option<Format> {
    if node.get("features").is_some() {
        return Some(Format::Unleash);
    }
    if node.get("flagValues").is_some() {
        return Some(Format::LaunchDarkly);
    }
    let flags = node.get("flags")?;
    let mut each: Vec<&Node> = Vec::new();
    each.extend(flags.as_seq().into_iter().flatten());
    each.extend(
        flags
            .as_map()
            .into_iter()
            .flat_map(|m| m.iter().map(|(_, n)| n)),
    );
    let has = |keys: [&str; 3]| each.iter().any(|f| keys.iter().any(|k| f.get(k).is_some()));
    if has(["variants", "state", "defaultVariant"]) {
        Some(Format::Flagd)
    } else if has(["variations", "fallthrough", "offVariation"]) {
        Some(Format::LaunchDarkly)
    } else {
        None
    }
}

fn unknown(file: &SourceFile, node: &Node) -> Problem {
    let text = format!(
        "{} is in no format of flags that is known: it has no `flags`, `flagValues` or `features`",
        file.name
    );
    Problem::at(ProblemKind::Unsupported, &node.span, text)
        .help("name its format in mirror.yaml (flagd, launchdarkly, unleash); without `file`, flags are variables of services")
}

fn nothing(file: &Arc<SourceFile>, what: &str) -> Problem {
    let span = crate::source::Span::in_line(file, 1, 1, 1);
    let text = format!("{} holds no flags: {what}", file.name);
    Problem::at(ProblemKind::Missing, &span, text)
        .help("name the file that production serves flags from")
}

impl FlagSet {
    /// The file with these choices in the place of what production serves by default. Nothing
    /// else of it changes but its layout. Nothing when flags are in no file.
    pub fn rendered(&self, choices: &[&Choice]) -> Option<Json> {
        let Origin::File {
            document,
            environment,
            ..
        } = &self.origin
        else {
            return None;
        };
        let mut document = document.clone();
        for choice in choices {
            let flag = self.flags.get(&choice.flag)?;
            match self.format {
                Format::Flagd => flagd::set(&mut document, flag, &choice.variant),
                Format::LaunchDarkly => launchdarkly::set(&mut document, flag, &choice.variant),
                Format::Unleash => {
                    unleash::set(&mut document, flag, &choice.variant, environment.as_deref());
                }
                Format::Env => None?,
            }
        }
        Some(document)
    }

    /// Whether a text says the same of the flags as the file: a config or a variable that an
    /// orchestrator was given the file's content by.
    pub(super) fn is_said_by(&self, text: &str) -> bool {
        let Origin::File {
            file, environment, ..
        } = &self.origin
        else {
            return false;
        };
        if text == file.text {
            return true;
        }
        if self.flags.keys().any(|name| !text.contains(name.as_str())) {
            return false;
        }
        let name = match text.trim_start().starts_with('{') {
            true => "text.json",
            false => "text.yaml",
        };
        let other = SourceFile::new(name, text);
        let other = read_file(
            &other,
            Path::new(""),
            Some(self.format),
            environment.clone(),
        );
        other.is_ok_and(|o| o.flags.len() == self.flags.len() && self.changed_from(&o).is_empty())
    }
}
