//! `snapshots`: how production's data is made into snapshots.

use std::path::Path;

use super::ProjectPath;
use super::decode::{keep, known_keys, mapping};
use super::path;
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::scenario::parse_duration;
use crate::snapshot::{JsonPath, Mask, MaskRule, json_path, wrong_name};
use crate::yaml::{Mapping, Node, Spanned};

/// How a snapshot is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// What it is made from.
    pub from: From,
    /// The service whose image and configuration load and serve it.
    pub service: Option<Spanned<String>>,
    /// The database that is loaded and measured; absent = the one that the service makes.
    pub database: Option<Spanned<String>>,
    /// Columns whose values are replaced.
    pub mask: Vec<Spanned<MaskRule>>,
    /// Whether it may be given to anybody: it is refused while anything in it looks personal.
    pub public: bool,
    /// What is kept of it.
    pub subset: Option<Spanned<Subset>>,
    /// How many rows it grows to, by table.
    pub grow: Vec<Spanned<Grow>>,
    /// The snapshot whose manifest says how many rows tables grow to.
    pub grow_like: Option<Spanned<String>>,
    /// Where it stands.
    pub at: Spanned<String>,
}

/// What a snapshot is made from.
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    /// A dump that the service's own tools load.
    Dump(ProjectPath),
    /// A script that the service's own client runs.
    Script(ProjectPath),
    /// A directory.
    Directory(ProjectPath),
    /// A tar archive.
    Tar(ProjectPath),
    /// A volume of the engine.
    Volume(Spanned<String>),
    /// A volume of the mirror that is up.
    Mirror(Spanned<String>),
    /// Another snapshot.
    Snapshot(Spanned<String>),
}

/// A part of the rows of a database, whole by its foreign keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Subset {
    /// Table that decides.
    pub table: String,
    /// Which of its rows: an SQL condition.
    pub rows: String,
}

/// How large a table becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grow {
    /// Table.
    pub table: String,
    /// Rows.
    pub rows: u64,
}

const KEYS: [&str; 14] = [
    "dump",
    "script",
    "directory",
    "tar",
    "volume",
    "mirror",
    "snapshot",
    "service",
    "database",
    "mask",
    "public",
    "subset",
    "grow",
    "grow_like",
];
/// Those of them of which there is one.
const SOURCES: usize = 7;

/// Reads a recipe.
pub(super) fn read(
    root: &Path,
    name: &Spanned<String>,
    node: &Node,
    problems: &mut Problems,
) -> Option<Recipe> {
    if let Some(why) = wrong_name(name) {
        problems.push(Problem::at(
            ProblemKind::InvalidValue,
            &name.span,
            format!("`{}` is no name of a snapshot: {why}", name.as_str()),
        ));
    }
    let what = format!("the snapshot `{}`", name.as_str());
    let map = mapping(node, &what, problems)?;
    known_keys(map, &KEYS, &what, problems);
    let text = |key: &str, problems: &mut Problems| -> Option<Spanned<String>> {
        let node = map.get(key)?;
        match node.scalar_text() {
            Some(text) => Some(Spanned::new(text, node.span.clone())),
            None => {
                problems.push(wrong_type(node, &format!("`{key}` is a text")));
                None
            }
        }
    };
    let from = source(root, name, map, problems);
    let public = match map.get("public") {
        None => false,
        Some(node) => node.as_bool().unwrap_or_else(|| {
            problems.push(wrong_type(node, "`public` is true or false"));
            false
        }),
    };
    Some(Recipe {
        service: text("service", problems),
        database: text("database", problems),
        mask: masks(map, problems),
        public,
        subset: subset(map, problems),
        grow: grow(map, problems),
        grow_like: text("grow_like", problems),
        at: name.clone(),
        from: from?,
    })
}

fn wrong_type(node: &Node, what: &str) -> Problem {
    let message = format!("{what}, found {}", node.kind());
    Problem::at(ProblemKind::WrongType, &node.span, message)
}

fn source(
    root: &Path,
    name: &Spanned<String>,
    map: &Mapping,
    problems: &mut Problems,
) -> Option<From> {
    let mut found: Vec<(&str, &Node)> = Vec::new();
    for key in &KEYS[..SOURCES] {
        if let Some(node) = map.get(key) {
            found.push((key, node));
        }
    }
    let (key, node) = match found[..] {
        [one] => one,
        [] => {
            problems.push(
                Problem::at(
                    ProblemKind::Missing,
                    &name.span,
                    format!("nothing says what `{}` is made from", name.as_str()),
                )
                .help("name one of dump, script, directory, tar, volume, mirror and snapshot"),
            );
            return None;
        }
        [(first, _), (second, node), ..] => {
            problems.push(Problem::at(
                ProblemKind::Conflict,
                &node.span,
                format!("it is made from a {first} already: `{second}` is one too many"),
            ));
            return None;
        }
    };
    let Some(text) = node.scalar_text() else {
        problems.push(wrong_type(node, &format!("`{key}` is a text")));
        return None;
    };
    let text = Spanned::new(text, node.span.clone());
    let inside = |problems: &mut Problems| {
        let path = keep(path::inside(root, root, &text), problems)?;
        // It may not be there yet: production's data is rarely in the repository.
        Some(ProjectPath {
            written: text.clone(),
            path,
        })
    };
    Some(match key {
        "dump" => From::Dump(inside(problems)?),
        "script" => From::Script(inside(problems)?),
        "directory" => From::Directory(inside(problems)?),
        "tar" => From::Tar(inside(problems)?),
        "volume" => From::Volume(text),
        "mirror" => From::Mirror(text),
        _ => From::Snapshot(text),
    })
}

fn masks(map: &Mapping, problems: &mut Problems) -> Vec<Spanned<MaskRule>> {
    let Some(node) = map.get("mask") else {
        return Vec::new();
    };
    let Some(rules) = mapping(node, "`mask`", problems) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (column, entry) in &rules.0 {
        let Some((table, name)) = column.rsplit_once('.') else {
            problems.push(
                Problem::at(
                    ProblemKind::InvalidValue,
                    &entry.key,
                    format!("`{column}` names no column"),
                )
                .help("write TABLE.COLUMN or SCHEMA.TABLE.COLUMN"),
            );
            continue;
        };
        if let Some(mask) = keep(mask(&entry.node), problems) {
            let rule = MaskRule {
                table: table.to_owned(),
                column: name.to_owned(),
                mask,
            };
            all.push(Spanned::new(rule, entry.key.clone()));
        }
    }
    all
}

/// A word, or a mapping for what needs more than one.
fn mask(node: &Node) -> Result<Mask, Problem> {
    let help = format!(
        "one of {}, {{ value: TEXT }}, {{ shift: 30d, by: COLUMN }} and {{ json: {{ \"$.path\": … }} }}",
        Mask::WORDS.join(", ")
    );
    let wrong =
        |what: String| Problem::at(ProblemKind::InvalidValue, &node.span, what).help(help.clone());
    if node.is_null() {
        return Ok(Mask::Null);
    }
    let Some(map) = node.as_map() else {
        let word = node.scalar_text().unwrap_or_default();
        return Mask::of_word(&word).ok_or_else(|| {
            let near = nearest(&word, Mask::WORDS.iter().copied());
            let hint = near.map_or(String::new(), |n| format!(" (did you mean `{n}`?)"));
            wrong(format!("`{word}` is no mask{hint}"))
        });
    };
    let text = |key: &str| map.get(key).and_then(Node::scalar_text);
    if let Some(value) = text("value") {
        return Ok(Mask::Value(value));
    }
    if let Some(most) = text("shift") {
        let most = days(&most).ok_or_else(|| wrong(format!("`{most}` is no duration")))?;
        let by = text("by").ok_or_else(|| wrong("a shift needs the column `by`".into()))?;
        return Ok(Mask::Shift { most, by });
    }
    let Some(parts) = map.get("json").and_then(Node::as_map) else {
        return Err(wrong("this is no mask".into()));
    };
    let mut all: Vec<(JsonPath, Mask)> = Vec::new();
    for (path, entry) in &parts.0 {
        let Some(read) = json_path(path) else {
            let what = format!("`{path}` is no path");
            return Err(Problem::at(ProblemKind::InvalidValue, &entry.key, what)
                .help("write $.key, $.key.key or $.list[*].key"));
        };
        all.push((read, mask(&entry.node)?));
    }
    Ok(Mask::Json(all))
}

/// A duration; `30d` is days.
fn days(text: &str) -> Option<std::time::Duration> {
    if let Some(days) = text.strip_suffix('d').and_then(|n| n.parse::<u64>().ok()) {
        return Some(std::time::Duration::from_secs(days.checked_mul(86_400)?));
    }
    parse_duration(text).ok()
}

fn subset(map: &Mapping, problems: &mut Problems) -> Option<Spanned<Subset>> {
    let node = map.get("subset")?;
    let of = mapping(node, "`subset`", problems)?;
    known_keys(of, &["table", "rows"], "`subset`", problems);
    let text = |key: &str| of.get(key).and_then(Node::scalar_text);
    let (Some(table), Some(rows)) = (text("table"), text("rows")) else {
        problems.push(
            Problem::at(
                ProblemKind::Missing,
                &node.span,
                "a subset needs `table` and `rows`",
            )
            .help("for example { table: customers, rows: \"id % 100 = 0\" }"),
        );
        return None;
    };
    Some(Spanned::new(Subset { table, rows }, node.span.clone()))
}

fn grow(map: &Mapping, problems: &mut Problems) -> Vec<Spanned<Grow>> {
    let Some(node) = map.get("grow") else {
        return Vec::new();
    };
    let Some(tables) = mapping(node, "`grow`", problems) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (table, entry) in &tables.0 {
        let text = entry.node.scalar_text().unwrap_or_default();
        match text.replace('_', "").parse() {
            Ok(rows) => {
                let grow = Grow {
                    table: table.clone(),
                    rows,
                };
                all.push(Spanned::new(grow, entry.key.clone()));
            }
            Err(_) => problems.push(Problem::at(
                ProblemKind::InvalidValue,
                &entry.node.span,
                format!("`{text}` is no number of rows"),
            )),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::{Project, find};
    use super::*;

    fn load(snapshots: &str) -> Result<Project, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mirror.yaml");
        std::fs::write(dir.path().join("compose.yaml"), "services: {}\n").unwrap();
        let text = format!("production: [compose.yaml]\nsnapshots:\n{snapshots}");
        std::fs::write(&file, text).unwrap();
        Project::load(&file).map_err(|all| {
            let lines = all.0.iter().map(|p| {
                let at = p.span.as_ref().map_or(0, |s| s.line);
                format!("{at}: {}", p.message)
            });
            lines.collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn recipes_are_read() {
        let project = load(
            "  orders:\n    dump: backup/orders.dump\n    service: db\n    public: true\n    mask:\n      \
             customers.email: email\n      app.customers.born: { shift: 30d, by: id }\n      \
             events.body: { json: { \"$.user.email\": email, \"$.notes[*].text\": text } }\n    \
             subset: { table: customers, rows: id < 10 }\n    grow: { orders: 1_000_000 }\n",
        )
        .unwrap();
        let recipe = find(&project.snapshots, "orders").unwrap();
        assert!(matches!(&recipe.from, From::Dump(p) if p.path.ends_with("backup/orders.dump")));
        assert_eq!(recipe.mask.len(), 3);
        assert_eq!(recipe.mask[1].value.table, "app.customers");
        assert_eq!(
            recipe.mask[2].value.mask.word(),
            "$.user.email email, $.notes[*].text text"
        );
        assert_eq!(recipe.grow[0].value.rows, 1_000_000);
        assert!(recipe.public);
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let told = load(
            "  a:\n    dump: x\n    volume: y\n  b: {}\n  c:\n    tar: x\n    mask:\n      email: email\n      \
             t.c: emial\n      t.d: { shift: soon, by: x }\n      t.e: { json: { a: email } }\n  \
             d: { dump: ../../x }\n",
        )
        .unwrap_err();
        for line in [
            "5: it is made from a dump already: `volume` is one too many",
            "6: nothing says what `b` is made from",
            "10: `email` names no column",
            "11: `emial` is no mask (did you mean `email`?)",
            "12: `soon` is no duration",
            "13: `a` is no path",
        ] {
            assert!(told.contains(line), "{line}\n{told}");
        }
        assert!(told.contains("14: "), "{told}");
    }
}
