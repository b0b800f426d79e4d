//! What a statement gave, whichever engine it was.

use prodmirror_model::template::Document;
use serde_json::{Value as Json, json};

use crate::step::StepError;

/// Rows that a statement may give.
pub(super) const MOST_ROWS: usize = 10_000;

/// What one statement gave.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Json>,
    pub affected: u64,
}

impl Rows {
    /// As the fields of a result.
    pub fn document(self) -> Document {
        let count = self.rows.len();
        Document::default()
            .with("rows", self.rows)
            .with("columns", self.columns)
            .with("count", count)
            .with("affected", self.affected)
    }

    /// As an item of `results`.
    fn json(&self) -> Json {
        json!({ "rows": self.rows, "columns": self.columns, "count": self.rows.len(), "affected": self.affected })
    }
}

/// Sets of results that came together: the rows of the last that has some, the changes of the
/// last.
#[cfg(any(feature = "mysql", feature = "sqlite"))]
pub(super) fn of_sets(mut all: Vec<Rows>) -> Rows {
    let affected = all.last().map_or(0, |r| r.affected);
    let with_rows = all.iter().rposition(|r| !r.columns.is_empty());
    let last = with_rows.map(|i| all.swap_remove(i));
    Rows {
        affected,
        ..last.unwrap_or_default()
    }
}

/// What a list of statements gave: the rows of the last that has some, the changed rows of those
/// that have none, and what each gave.
pub(super) fn of_several(all: Vec<Rows>) -> Document {
    let results: Vec<Json> = all.iter().map(Rows::json).collect();
    let mut whole = Rows::default();
    all.into_iter().for_each(|rows| follow(&mut whole, rows));
    whole.document().with("results", results)
}

/// Adds what the next statement gave.
pub(super) fn follow(whole: &mut Rows, next: Rows) {
    if next.columns.is_empty() {
        whole.affected += next.affected;
    } else {
        whole.columns = next.columns;
        whole.rows = next.rows;
    }
}

/// What the server says is wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerError {
    /// The SQLSTATE; of SQLite, its number.
    pub code: String,
    /// MySQL's own number.
    pub number: Option<u16>,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// The character of the statement that is wrong, from 1.
    pub position: Option<u32>,
    /// Which statement: `orders.sql:12`, `statement 2`.
    pub place: Option<String>,
}

impl ServerError {
    /// Whether this is its SQLSTATE or its number.
    pub fn is(&self, code: &str) -> bool {
        self.code == code || self.number.is_some_and(|n| n.to_string() == code)
    }

    /// The line that is wrong, in a file where the statement begins on line `first`.
    pub fn line(&self, statement: &str, first: usize) -> usize {
        let before = self.position.map_or(0, |p| p.saturating_sub(1) as usize);
        let breaks = statement.chars().take(before).filter(|c| *c == '\n');
        first + breaks.count()
    }

    pub fn text(&self) -> String {
        let place = self
            .place
            .as_ref()
            .map_or_else(String::new, |p| format!("{p}: "));
        let number = self
            .number
            .map_or_else(String::new, |n| format!(", error {n}"));
        let code = match self.code.len() {
            5 => format!("SQLSTATE {}", self.code),
            _ => format!("error {}", self.code),
        };
        let detail = self
            .detail
            .as_ref()
            .map_or_else(String::new, |d| format!(" ({d})"));
        format!("{place}{code}{number}: {}{detail}", self.message)
    }

    pub fn json(&self) -> Json {
        json!({
            "code": self.code, "number": self.number, "message": self.message,
            "detail": self.detail, "hint": self.hint, "place": self.place,
        })
    }
}

/// Why a statement gave nothing.
pub(super) enum Failure {
    Server(Box<ServerError>),
    Step(StepError),
}

impl From<StepError> for Failure {
    fn from(e: StepError) -> Self {
        Failure::Step(e)
    }
}

/// The refusal of a result that has no end.
pub(super) fn too_many() -> StepError {
    let text =
        format!("the statement gives more than {MOST_ROWS} rows; add a `limit` or count them");
    prodmirror_model::diag::Problem::new(prodmirror_model::diag::ProblemKind::TooLarge, text).into()
}

/// The refusal of parameters that are more or fewer than the statement has.
pub(super) fn wrong_number(wanted: usize, given: usize) -> StepError {
    let text = format!("the statement has {wanted} parameters and `params` {given}");
    prodmirror_model::diag::Problem::new(prodmirror_model::diag::ProblemKind::InvalidValue, text)
        .into()
}

/// Names of columns; a second one of the same name gets a number.
pub(super) fn names<'a>(columns: impl Iterator<Item = std::borrow::Cow<'a, str>>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for c in columns {
        let mut name = c.to_string();
        let mut n = 1;
        while names.contains(&name) {
            n += 1;
            name = format!("{c}_{n}");
        }
        names.push(name);
    }
    names
}

/// A statement with its parameters, as people read it.
pub(super) fn shown(query: &str, params: &[Json]) -> String {
    let mut text = query.trim().to_owned();
    for (i, p) in params.iter().enumerate() {
        text.push_str(&format!("\n${} = {p}", i + 1));
    }
    text
}

/// The first rows, one a line.
pub(super) fn show_rows(document: &Document, error: Option<&ServerError>) -> String {
    const SHOWN: usize = 20;
    if let Some(e) = error {
        return e.text();
    }
    let rows = document
        .get("rows")
        .and_then(Json::as_array)
        .map_or(&[][..], Vec::as_slice);
    let mut text = format!(
        "{} rows, {} affected",
        rows.len(),
        document.get("affected").unwrap_or(&Json::Null)
    );
    for row in rows.iter().take(SHOWN) {
        text.push('\n');
        text.push_str(&row.to_string());
    }
    if rows.len() > SHOWN {
        text.push_str(&format!("\n… ({} rows more)", rows.len() - SHOWN));
    }
    text
}
