//! Other files that a scenario names: fragments, and data.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::read::Reader;
use crate::diag::{Problem, ProblemKind};
use crate::flags::Choices;
use crate::source::SourceFile;
use crate::yaml::{Entry, Node, parse_all, parse_one};

/// Rows of a data file at most.
const MOST_ROWS: usize = 100_000;

/// Files that were read, so that a fragment that many scenarios use is read once.
#[derive(Debug, Default)]
pub struct Files {
    read: HashMap<PathBuf, Read>,
    /// The project's feature flags; absent when files are read without their project.
    pub(super) flags: Option<Arc<Choices>>,
}

/// A file with its documents, or why there is none.
type Read = Result<(Arc<SourceFile>, Arc<Vec<Node>>), Problem>;

impl Files {
    /// For the scenarios of a project with these feature flags.
    pub fn with_flags(flags: Arc<Choices>) -> Self {
        Self {
            read: HashMap::new(),
            flags: Some(flags),
        }
    }

    /// A file of YAML documents that another file names.
    pub(super) fn documents(&mut self, from: &SourceFile, relative: &str) -> Read {
        let path = from.beside(relative);
        let name = from.name_beside(relative);
        self.read
            .entry(path.clone())
            .or_insert_with(|| {
                let file = SourceFile::read(&path, name)?;
                let documents = parse_all(&file)?;
                Ok((file, Arc::new(documents)))
            })
            .clone()
    }
}

impl Reader<'_> {
    /// One entry of `load`: a data file, as a value.
    pub(super) fn load(&mut self, name: &str, entry: &Entry) -> Json {
        self.variable_name(name, &entry.key);
        let Some(path) = entry.node.as_str() else {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &entry.node.span,
                    format!("`load` names a file, found {}", entry.node.kind()),
                )
                .help("write `load: { orders: data/orders.csv }`"),
            );
            return Json::Null;
        };
        self.data_file(path).unwrap_or_else(|p| {
            self.problem(p.or_at(&entry.node.span));
            Json::Null
        })
    }

    fn data_file(&mut self, relative: &str) -> Result<Json, Problem> {
        let path = self.file.beside(relative);
        let file = SourceFile::read(&path, self.file.name_beside(relative))?;
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        let value = match extension.as_deref() {
            Some("csv") => csv_rows(&file, b',')?,
            Some("tsv") => csv_rows(&file, b'\t')?,
            Some("json") => serde_json::from_str(&file.text).map_err(|e| {
                let place = crate::source::Span::in_line(
                    &file,
                    u32::try_from(e.line()).unwrap_or(1).max(1),
                    u32::try_from(e.column()).unwrap_or(1).max(1),
                    1,
                );
                Problem::at(
                    ProblemKind::Syntax,
                    &place,
                    format!("{} is not JSON: {e}", file.name),
                )
            })?,
            Some("jsonl" | "ndjson") => json_lines(&file)?,
            Some("yaml" | "yml") => parse_one(&file)?.to_json(),
            _ => {
                return Err(Problem::new(
                    ProblemKind::Unsupported,
                    format!("{} is no data file that can be read", file.name),
                )
                .help("data files are .csv, .tsv, .json, .jsonl, .yaml"));
            }
        };
        let rows = value.as_array().map_or(0, Vec::len);
        if rows > MOST_ROWS {
            let text = format!(
                "{} has {rows} rows; at most {MOST_ROWS} are read",
                file.name
            );
            return Err(Problem::new(ProblemKind::TooLarge, text));
        }
        self.sources.push(file);
        Ok(value)
    }
}

/// Rows as objects by the names of the first line; all values are texts.
fn csv_rows(file: &Arc<SourceFile>, delimiter: u8) -> Result<Json, Problem> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(file.text.as_bytes());
    let wrong = |e: csv::Error| {
        let line = e.position().map_or(1, csv::Position::line);
        let place = crate::source::Span::in_line(file, u32::try_from(line).unwrap_or(1), 1, 1);
        let text = match e.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!(
                "this row has {len} field{}, and the first line names {expected_len}",
                if *len == 1 { "" } else { "s" }
            ),
            _ => format!("{} is not CSV: {e}", file.name),
        };
        Problem::at(ProblemKind::Syntax, &place, text)
    };
    let names: Vec<String> = reader
        .headers()
        .map_err(wrong)?
        .iter()
        .map(|n| n.trim().to_owned())
        .collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let fields = names.iter().cloned().zip(record.iter().map(Json::from));
        rows.push(Json::Object(fields.collect::<Map<_, _>>()));
    }
    Ok(Json::Array(rows))
}

fn json_lines(file: &Arc<SourceFile>) -> Result<Json, Problem> {
    let lines = file.text.lines().enumerate();
    let full = lines.filter(|(_, l)| !l.trim().is_empty());
    full.map(|(i, line)| {
        serde_json::from_str(line).map_err(|e| {
            let number = u32::try_from(i + 1).unwrap_or(u32::MAX);
            let place = crate::source::Span::in_line(file, number, 1, 1);
            Problem::at(
                ProblemKind::Syntax,
                &place,
                format!("this line is not JSON: {e}"),
            )
        })
    })
    .collect::<Result<Vec<Json>, _>>()
    .map(Json::Array)
}
