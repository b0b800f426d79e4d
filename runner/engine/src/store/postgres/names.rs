//! What a database has: its tables, their columns, keys and what refers to what.

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use serde::Deserialize;

use super::{Server, ident};

/// A table with its columns.
#[derive(Debug, Clone, Deserialize)]
pub struct Table {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Columns, in their order.
    pub columns: Vec<Column>,
}

/// A column.
#[derive(Debug, Clone, Deserialize)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type as the server writes it: `character varying(40)`.
    pub kind: String,
    /// Its bare type: `varchar`, `int8`, `_text`.
    pub base: String,
    /// `S` for texts, `N` for numbers, `D` for times, `A` for lists…
    pub category: String,
    /// Longest text that it takes, in characters.
    pub limit: Option<u64>,
    /// Whether it must have a value.
    pub not_null: bool,
    /// Whether it is computed from others.
    pub generated: bool,
    /// Whether its values must differ, by itself or with others.
    pub unique: bool,
    /// Collation, where it is not the type's own.
    pub collation: Option<String>,
    /// Whether values of its type can be compared for equality.
    pub comparable: bool,
    /// Whether its type has values of any length.
    pub variable: bool,
}

impl Table {
    /// `schema.table`, for people.
    pub fn full(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// It in SQL.
    pub fn sql(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.name))
    }

    /// Whether a name means it; a schema may be left out.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.full() == name
    }
}

impl Column {
    /// Whether it holds texts.
    pub fn is_text(&self) -> bool {
        self.category == "S" && self.base != "name"
    }

    /// Whether it holds JSON.
    pub fn is_json(&self) -> bool {
        matches!(self.base.as_str(), "json" | "jsonb")
    }
}

const TABLES: &str = r"
SELECT coalesce(json_agg(t ORDER BY t.schema, t.name), '[]') FROM (
  SELECT n.nspname AS schema, c.relname AS name, (
    SELECT coalesce(json_agg(json_build_object(
      'name', a.attname,
      'kind', format_type(a.atttypid, a.atttypmod),
      'base', ty.typname,
      'category', ty.typcategory,
      'limit', CASE WHEN ty.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END,
      'not_null', a.attnotnull,
      'generated', a.attgenerated <> '',
      'unique', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND a.attnum = ANY (i.indkey)),
      'collation', CASE WHEN a.attcollation <> ty.typcollation THEN (SELECT co.collname FROM pg_collation co WHERE co.oid = a.attcollation) END,
      'comparable', EXISTS (SELECT FROM pg_opclass o JOIN pg_am am ON am.oid = o.opcmethod AND am.amname IN ('hash', 'btree')
                            WHERE o.opcdefault AND (o.opcintype = ty.oid OR ty.typtype = 'e' OR ty.typcategory IN ('S', 'N', 'D', 'B'))),
      'variable', ty.typlen < 0 AND ty.typname <> 'numeric'
    ) ORDER BY a.attnum), '[]')
    FROM pg_attribute a JOIN pg_type ty ON ty.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE (c.relkind = 'r' AND NOT c.relispartition OR c.relkind = 'p')
    AND c.relpersistence = 'p'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
) t;";

impl Server<'_> {
    /// The tables of the database, without those of extensions.
    pub(super) async fn tables(&self) -> Result<Vec<Table>, Problem> {
        let tables = self.json("list the tables", TABLES).await?;
        serde_json::from_value(tables).map_err(|e| {
            let message = format!("could not list the tables: {e}");
            Problem::new(ProblemKind::Start, message)
        })
    }
}

/// The table of a name.
///
/// # Errors
/// There is none, or there are several.
pub fn table<'t>(tables: &'t [Table], name: &str) -> Result<&'t Table, (String, String)> {
    let found: Vec<&Table> = tables.iter().filter(|t| t.is(name)).collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            let names = tables.iter().flat_map(|t| [t.name.clone(), t.full()]);
            let names: Vec<String> = names.collect();
            let all: Vec<String> = tables.iter().map(Table::full).collect();
            let help = match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("tables: {}", all.join(", ")),
            };
            Err((format!("the database has no table `{name}`"), help))
        }
        _ => {
            let names: Vec<String> = found.iter().map(|t| t.full()).collect();
            let help = format!("name the schema: {}", names.join(" or "));
            Err((format!("several tables are called `{name}`"), help))
        }
    }
}
