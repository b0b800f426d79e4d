//! A part of a database that is whole: every row that a kept row refers to is kept, and every
//! row that refers to a chosen one.

use std::fmt::Write as _;

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::project::Subset;
use prodmirror_model::yaml::Spanned;
use serde::Deserialize;

use super::names::{Table, table};
use super::{Server, ident};

/// A foreign key.
#[derive(Debug, Clone, Deserialize)]
pub struct Reference {
    /// The table that refers, as `schema.table`.
    pub from: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The table that is referred to.
    pub to: String,
    /// Its columns.
    pub keys: Vec<String>,
}

const REFERENCES: &str = r"
SELECT coalesce(json_agg(json_build_object(
  'from', fn.nspname || '.' || f.relname,
  'columns', (SELECT json_agg(a.attname ORDER BY k.o) FROM unnest(c.conkey) WITH ORDINALITY AS k(n, o)
              JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n),
  'to', tn.nspname || '.' || t.relname,
  'keys', (SELECT json_agg(a.attname ORDER BY k.o) FROM unnest(c.confkey) WITH ORDINALITY AS k(n, o)
           JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n)
) ORDER BY c.oid), '[]')
FROM pg_constraint c
JOIN pg_class f ON f.oid = c.conrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_class t ON t.oid = c.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0;";

impl Server<'_> {
    /// What refers to what.
    pub(super) async fn references(&self) -> Result<Vec<Reference>, Problem> {
        let found = self.json("list the foreign keys", REFERENCES).await?;
        serde_json::from_value(found).map_err(|e| {
            let message = format!("could not list the foreign keys: {e}");
            Problem::new(ProblemKind::Start, message)
        })
    }
}

/// Removes every row that does not belong to the subset.
///
/// # Errors
/// The table or the condition is wrong, with its place; or the server's.
pub async fn subset(server: &Server<'_>, wanted: &Spanned<Subset>) -> Result<(), Problems> {
    let tables = server.tables().await?;
    let of = table(&tables, &wanted.value.table).map_err(|(what, help)| {
        Problem::at(ProblemKind::InvalidValue, &wanted.span, what).help(help)
    })?;
    let references = server.references().await?;
    let sql = statements(&tables, &references, of, &wanted.value.rows);
    let options = "PGOPTIONS=-c session_replication_role=replica -c synchronous_commit=off \
                   -c statement_timeout=0 -c work_mem=64MB";
    let doing = format!("take the subset of {}", of.full());
    let taken = server.execute(&doing, &sql, &[options.to_owned()]).await;
    taken.map_err(|p| {
        let mut problem = Problem::at(p.kind, &wanted.span, p.message);
        problem.help = Some("`rows` is a condition of SQL on the columns of the table".into());
        Problems::from(problem)
    })
}

fn statements(tables: &[Table], references: &[Reference], root: &Table, condition: &str) -> String {
    let place = |name: &str| tables.iter().position(|t| t.full() == name);
    // Tables that have nothing to do with the root stay as they are.
    let mut linked = vec![root.full()];
    let mut at = 0;
    while at < linked.len() {
        let here = linked[at].clone();
        for r in references {
            for (a, b) in [(&r.from, &r.to), (&r.to, &r.from)] {
                if *a == here && !linked.contains(b) {
                    linked.push(b.clone());
                }
            }
        }
        at += 1;
    }
    let linked: Vec<usize> = linked.iter().filter_map(|n| place(n)).collect();
    let mut sql = String::from("BEGIN;\n");
    for i in &linked {
        let _ = writeln!(
            sql,
            "CREATE TEMP TABLE keep_{i} (row_id tid PRIMARY KEY, down bool NOT NULL) ON COMMIT DROP;"
        );
    }
    let Some(start) = place(&root.full()) else {
        return String::new();
    };
    let _ = writeln!(
        sql,
        "INSERT INTO keep_{start} SELECT ctid, true FROM {} WHERE ({condition});",
        root.sql()
    );
    // Down: what refers to a chosen row. Then up: what a kept row refers to. Each until nothing
    // is added.
    let mut steps = [String::new(), String::new()];
    for r in references {
        let (Some(child), Some(parent)) = (place(&r.from), place(&r.to)) else {
            continue;
        };
        if !linked.contains(&child) {
            continue;
        }
        let pairs = r.columns.iter().zip(&r.keys);
        let on: Vec<String> = pairs
            .map(|(c, k)| format!("c.{} = p.{}", ident(c), ident(k)))
            .collect();
        let on = on.join(" AND ");
        let (c, p) = (tables[child].sql(), tables[parent].sql());
        let _ = write!(
            steps[0],
            "    INSERT INTO keep_{child} SELECT c.ctid, true FROM {p} p JOIN keep_{parent} k ON k.row_id = p.ctid AND k.down \
             JOIN {c} c ON {on} ON CONFLICT DO NOTHING;\n    GET DIAGNOSTICS n = ROW_COUNT; added := added + n;\n"
        );
        let _ = write!(
            steps[1],
            "    INSERT INTO keep_{parent} SELECT DISTINCT p.ctid, false FROM {c} c JOIN keep_{child} k ON k.row_id = c.ctid \
             JOIN {p} p ON {on} ON CONFLICT DO NOTHING;\n    GET DIAGNOSTICS n = ROW_COUNT; added := added + n;\n"
        );
    }
    for step in steps.iter().filter(|s| !s.is_empty()) {
        let _ = writeln!(
            sql,
            "DO $do$ DECLARE n bigint; added bigint; BEGIN\n  LOOP\n    added := 0;\n{step}    EXIT WHEN added = 0;\n  END LOOP;\nEND $do$;"
        );
    }
    for i in &linked {
        let _ = writeln!(
            sql,
            "DELETE FROM {} t WHERE NOT EXISTS (SELECT FROM keep_{i} k WHERE k.row_id = t.ctid);",
            tables[*i].sql()
        );
    }
    sql.push_str("COMMIT;\nVACUUM (ANALYZE);\n");
    sql
}
