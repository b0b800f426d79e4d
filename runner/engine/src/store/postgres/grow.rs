//! Growing a database: its rows are copied, each copy with keys of its own, so that what refers
//! to each other still does, and what is odd about the rows comes along.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::project::Grow;
use prodmirror_model::yaml::Spanned;

use super::names::{Column, Table, table};
use super::subset::Reference;
use super::{Server, ident, literal};

/// Grows tables to a number of rows.
///
/// # Errors
/// A table is not there or has keys that cannot be copied, each with its place; or the server's.
pub async fn grow(server: &Server<'_>, wanted: &[Spanned<Grow>]) -> Result<(), Problems> {
    let tables = server.tables().await?;
    let references = server.references().await?;
    let mut problems = Problems::default();
    let mut targets: BTreeMap<String, u64> = BTreeMap::new();
    for grow in wanted {
        match table(&tables, &grow.value.table) {
            Ok(table) => {
                targets.insert(table.full(), grow.value.rows);
            }
            Err((what, help)) => {
                problems.push(Problem::at(ProblemKind::InvalidValue, &grow.span, what).help(help))
            }
        }
    }
    if !problems.0.is_empty() {
        return Err(problems);
    }
    let options = "PGOPTIONS=-c session_replication_role=replica -c synchronous_commit=off \
                   -c statement_timeout=0 -c work_mem=64MB";
    let mut plan = Plan::new(&tables, &references, &targets);
    for table in &tables {
        if !targets.contains_key(&table.full()) {
            continue;
        }
        let facts = facts(server, table, &plan).await?;
        plan.facts.insert(table.full(), facts);
    }
    let sql = plan.statements().map_err(|why| {
        let span = wanted.first().map(|w| w.span.clone());
        let mut problem = Problem::new(ProblemKind::Unsupported, why);
        problem.span = span;
        problem
    })?;
    server
        .execute("grow the tables", &sql, &[options.to_owned()])
        .await?;
    Ok(())
}

/// What is known of the rows of a table.
#[derive(Debug, Default)]
struct Facts {
    rows: u64,
    /// Greatest value of whole-number keys, by column.
    greatest: BTreeMap<String, i64>,
}

async fn facts(server: &Server<'_>, table: &Table, plan: &Plan<'_>) -> Result<Facts, Problem> {
    let mut wanted = vec!["count(*) AS rows".to_owned()];
    let keys = plan.keys(table);
    for column in keys.iter().filter(|c| is_number(c)) {
        let name = ident(&column.name);
        wanted.push(format!("max({name}) AS {name}"));
    }
    let sql = format!(
        "SELECT row_to_json(t) FROM (SELECT {} FROM {}) t;",
        wanted.join(", "),
        table.sql()
    );
    let row = server.json("look at the keys", &sql).await?;
    let mut facts = Facts {
        rows: row["rows"].as_u64().unwrap_or_default(),
        ..Facts::default()
    };
    for column in keys.iter().filter(|c| is_number(c)) {
        let most = row[&column.name].as_i64().unwrap_or_default();
        facts.greatest.insert(column.name.clone(), most);
    }
    Ok(facts)
}

fn is_number(column: &Column) -> bool {
    matches!(column.base.as_str(), "int2" | "int4" | "int8")
}

struct Plan<'t> {
    tables: &'t [Table],
    references: &'t [Reference],
    targets: &'t BTreeMap<String, u64>,
    facts: BTreeMap<String, Facts>,
}

impl<'t> Plan<'t> {
    fn new(
        tables: &'t [Table],
        references: &'t [Reference],
        targets: &'t BTreeMap<String, u64>,
    ) -> Self {
        Self {
            tables,
            references,
            targets,
            facts: BTreeMap::new(),
        }
    }

    /// The column that decides how a column's values are copied: the one that it refers to, if
    /// that table grows as well.
    fn origin(&self, table: &str, column: &str) -> (String, String) {
        let mut at = (table.to_owned(), column.to_owned());
        // Through keys that are references themselves; a circle ends it.
        for _ in 0..self.references.len() {
            let next = self.references.iter().find_map(|r| {
                if r.from != at.0 || !self.targets.contains_key(&r.to) {
                    return None;
                }
                let i = r.columns.iter().position(|c| *c == at.1)?;
                Some((r.to.clone(), r.keys.get(i)?.clone()))
            });
            match next {
                Some(next) if next != at => at = next,
                _ => break,
            }
        }
        at
    }

    /// Columns whose values must differ from copy to copy.
    fn keys(&self, table: &'t Table) -> Vec<&'t Column> {
        let full = table.full();
        let refers = |c: &Column| self.origin(&full, &c.name) != (full.clone(), c.name.clone());
        let to_others = |c: &Column| {
            // A reference to a table that does not grow keeps its value.
            self.references.iter().any(|r| {
                r.from == full && r.columns.contains(&c.name) && !self.targets.contains_key(&r.to)
            })
        };
        let columns = table.columns.iter().filter(|c| !c.generated);
        columns
            .filter(|c| refers(c) || (c.unique && !to_others(c)))
            .collect()
    }

    /// The value of a key in copy `k`.
    fn copied(&self, table: &str, column: &Column) -> Result<String, String> {
        let name = format!("s.{}", ident(&column.name));
        let (of, key) = self.origin(table, &column.name);
        // Of what is referred to there may be fewer copies: then several refer to the same.
        let n = match of == table {
            true => "k.n".to_owned(),
            false => format!("(k.n % {})", self.copies(&of) + 1),
        };
        let first = |grown: String| match of == table {
            true => grown,
            false => format!("CASE WHEN {n} = 0 THEN {name} ELSE {grown} END"),
        };
        match column.base.as_str() {
            "int2" | "int4" | "int8" => {
                let span = self.facts.get(&of).and_then(|f| f.greatest.get(&key));
                let span = span.copied().unwrap_or_default().max(0) + 1;
                Ok(format!("({name} + {n} * {span})::{}", column.base))
            }
            "uuid" => Ok(first(format!("md5({name}::text || '~' || {n})::uuid"))),
            "text" | "varchar" | "citext" => {
                let grown = format!("{name} || '~' || {n}");
                Ok(first(match column.limit {
                    // What does not fit is told from others by a hash of it.
                    Some(limit) => format!(
                        "CASE WHEN char_length({grown}) <= {limit} THEN {grown} ELSE left(md5({grown}), {limit}) END"
                    ),
                    None => grown,
                }))
            }
            other => Err(format!(
                "`{table}.{}` must have a value of its own in each copy of a row, and its type {other} has no way to make one",
                column.name
            )),
        }
    }

    /// How often the rows of a table are copied.
    fn copies(&self, table: &str) -> u64 {
        let (Some(target), Some(facts)) = (self.targets.get(table), self.facts.get(table)) else {
            return 0;
        };
        match facts.rows {
            0 => 0,
            rows => target.saturating_sub(rows).div_ceil(rows),
        }
    }

    /// Whether another row of a growing table may refer to a row of this one.
    fn is_referred_to(&self, table: &str) -> bool {
        let mut references = self.references.iter();
        references.any(|r| r.to == table && self.targets.contains_key(&r.from))
    }

    fn statements(&self) -> Result<String, String> {
        let mut sql = String::from("BEGIN;\n");
        for table in self.tables {
            let full = table.full();
            let (Some(target), Some(facts)) = (self.targets.get(&full), self.facts.get(&full))
            else {
                continue;
            };
            let missing = target.saturating_sub(facts.rows);
            if facts.rows == 0 && missing > 0 {
                return Err(format!(
                    "the table `{full}` has no row that could be copied"
                ));
            }
            if missing == 0 {
                continue;
            }
            let copies = self.copies(&full);
            // What others refer to is copied whole.
            let limit = match self.is_referred_to(&full) {
                true => String::new(),
                false => format!(" ORDER BY k.n LIMIT {missing}"),
            };
            let keys = self.keys(table);
            let mut columns = Vec::new();
            let mut values = Vec::new();
            for column in table.columns.iter().filter(|c| !c.generated) {
                columns.push(ident(&column.name));
                let is_key = keys.iter().any(|k| k.name == column.name);
                values.push(match is_key {
                    true => self.copied(&full, column)?,
                    false => format!("s.{}", ident(&column.name)),
                });
            }
            let from = table.sql();
            let _ = writeln!(
                sql,
                "INSERT INTO {from} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM generate_series(1, {copies}) AS k(n) \
                 CROSS JOIN (SELECT * FROM {from}) s{limit};",
                columns.join(", "),
                values.join(", ")
            );
            for column in &keys {
                if !is_number(column) {
                    continue;
                }
                let (name, quoted) = (ident(&column.name), literal(&column.name));
                let _ = writeln!(
                    sql,
                    "SELECT setval(s, greatest((SELECT max({name}) FROM {from}), 1)) FROM pg_get_serial_sequence({}, {quoted}) AS s WHERE s IS NOT NULL;",
                    literal(&from)
                );
            }
        }
        sql.push_str("COMMIT;\nVACUUM (FREEZE, ANALYZE);\n");
        Ok(sql)
    }
}
