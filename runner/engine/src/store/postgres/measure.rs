//! What is in a database, for the manifest of its snapshot.

use prodmirror_model::diag::Problem;
use prodmirror_model::snapshot::{Column, Database, Table};
use serde_json::Value;

use super::names::{self, Column as Known};
use super::{Server, ident, literal};

/// Up to so many rows different values are counted; beyond, the server's own estimate is taken.
const COUNTED: u64 = 200_000;

/// Measures a database.
///
/// # Errors
/// The server's.
pub async fn measure(server: &Server<'_>) -> Result<Database, Problem> {
    let about = "SELECT json_build_object('name', datname, 'encoding', pg_encoding_to_char(encoding), \
         'collation', datcollate, 'version', split_part(current_setting('server_version'), ' ', 1)) \
         FROM pg_database WHERE datname = current_database();";
    let about = server.json("look at the database", about).await?;
    let text = |name: &str| about[name].as_str().unwrap_or_default().to_owned();
    let mut database = Database {
        engine: "postgresql".to_owned(),
        version: text("version"),
        name: text("name"),
        encoding: text("encoding"),
        collation: text("collation"),
        tables: Vec::new(),
    };
    for table in server.tables().await? {
        database.tables.push(measured(server, &table).await?);
    }
    Ok(database)
}

async fn measured(server: &Server<'_>, table: &names::Table) -> Result<Table, Problem> {
    let doing = format!("measure the table {}", table.full());
    let mut wanted = vec!["count(*) AS rows".to_owned()];
    for (i, c) in table.columns.iter().enumerate() {
        let name = ident(&c.name);
        wanted.push(format!("count({name}) AS n{i}"));
        if c.variable {
            wanted.push(format!("max(octet_length({name}::text)) AS l{i}"));
        }
        if is_time(c) {
            wanted.push(format!(
                "min({name})::text AS o{i}, max({name})::text AS w{i}"
            ));
        }
    }
    let from = table.sql();
    let sql = format!(
        "SELECT row_to_json(t) FROM (SELECT {} FROM {from}) t;",
        wanted.join(", ")
    );
    let row = server.json(&doing, &sql).await?;
    let rows = row["rows"].as_u64().unwrap_or_default();
    let distinct = distinct(server, table, rows, &doing).await?;
    let size = format!(
        "SELECT coalesce(sum(pg_total_relation_size(relid)), 0) FROM pg_partition_tree({}::regclass);",
        literal(&from)
    );
    let bytes = server.json(&doing, &size).await?;
    let columns = table.columns.iter().enumerate().map(|(i, c)| {
        let of = |letter: &str| &row[format!("{letter}{i}")];
        let time = |letter: &str| of(letter).as_str().map(str::to_owned);
        let (count, estimated) = count_of(&distinct[i], rows);
        Column {
            name: c.name.clone(),
            kind: c.kind.clone(),
            nulls: rows.saturating_sub(of("n").as_u64().unwrap_or_default()),
            distinct: count,
            estimated,
            longest: of("l").as_u64(),
            collation: c.collation.clone(),
            oldest: time("o"),
            newest: time("w"),
        }
    });
    Ok(Table {
        name: table.full(),
        rows,
        bytes: bytes.as_u64().unwrap_or_default(),
        columns: columns.collect(),
    })
}

fn is_time(column: &Known) -> bool {
    matches!(column.base.as_str(), "date" | "timestamp" | "timestamptz")
}

/// For each column: a number, or a text that is the server's estimate.
async fn distinct(
    server: &Server<'_>,
    table: &names::Table,
    rows: u64,
    doing: &str,
) -> Result<Vec<Value>, Problem> {
    if rows > COUNTED {
        let sql = format!(
            "SELECT coalesce(json_object_agg(attname, n_distinct::text), '{{}}') FROM pg_stats \
             WHERE schemaname = {} AND tablename = {};",
            literal(&table.schema),
            literal(&table.name)
        );
        let known = server.json(doing, &sql).await?;
        let columns = table.columns.iter();
        return Ok(columns.map(|c| known[&c.name].clone()).collect());
    }
    let counts = table.columns.iter().enumerate().map(|(i, c)| {
        let name = ident(&c.name);
        match c.comparable && !c.is_json() && c.category != "G" {
            true => format!("count(DISTINCT {name}) AS d{i}"),
            false => format!("NULL AS d{i}"),
        }
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT row_to_json(t) FROM (SELECT {} FROM {}) t;",
        counts.join(", "),
        table.sql()
    );
    let row = server.json(doing, &sql).await?;
    let all = (0..table.columns.len()).map(|i| row[format!("d{i}")].clone());
    Ok(all.collect())
}

/// A count, or an estimate: below zero it is a share of the rows.
fn count_of(value: &Value, rows: u64) -> (Option<u64>, bool) {
    let Some(text) = value.as_str() else {
        return (value.as_u64(), false);
    };
    let Ok(number) = text.parse::<f64>() else {
        return (None, false);
    };
    let count = if number < 0.0 {
        (-number * rows as f64).round()
    } else {
        number.round()
    };
    (Some(count as u64), true)
}
