//! Replacing personal data, inside the database, all columns of a table in one statement.
//!
//! Every value is derived from the old one and the project's key, so that equal values stay
//! equal wherever they stand, and nobody without the key can tell which value became which.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind, Problems, nearest};
use prodmirror_model::secret::Secret;
use prodmirror_model::snapshot::{JsonPath, JsonStep, Mask, MaskRule, Masked};
use prodmirror_model::yaml::Spanned;

use super::names::{Column, Table, table};
use super::{Server, ident, literal};

/// The key, as a setting of the session: it never stands in a statement, which may be logged.
const KEY: &str = "current_setting('prodmirror.key')";

const FIRST: [&str; 32] = [
    "Ada", "Aino", "Amal", "André", "Björn", "Chloé", "Dante", "Edith", "Emeka", "Farid", "Grace",
    "Hana", "Ines", "Jürgen", "Kofi", "Lars", "Leïla", "Łukasz", "Mei", "Nadia", "Niño", "Olga",
    "Priya", "Quinn", "Rosa", "Søren", "Tomás", "Uma", "Vera", "Wim", "Yusuf", "Zoë",
];
const LAST: [&str; 32] = [
    "Abbott",
    "Åberg",
    "Bauer",
    "Castro",
    "Díaz",
    "Endo",
    "Fischer",
    "García",
    "Haddad",
    "Ito",
    "Jansen",
    "Kaur",
    "Lindqvist",
    "Müller",
    "Nowak",
    "O'Brien",
    "Özdemir",
    "Petrov",
    "Quist",
    "Rossi",
    "Šimić",
    "Tanaka",
    "Usman",
    "Vogel",
    "Weber",
    "Xu",
    "Yilmaz",
    "Zhang",
    "Okafor",
    "Silva",
    "Moreau",
    "Kowalski",
];

/// Masks a database by rules; gives what was masked, for the manifest.
///
/// # Errors
/// Rules that name no column or cannot be applied to one, each with its place; or the server's.
pub async fn mask(
    server: &Server<'_>,
    rules: &[Spanned<MaskRule>],
    key: &Secret,
) -> Result<Vec<Masked>, Problems> {
    let tables = server.tables().await?;
    let (sql, masked) = statements(&tables, rules)?;
    // Foreign keys and triggers are off: all that refers to a value is replaced by the same.
    let options = "PGOPTIONS=-c session_replication_role=replica -c synchronous_commit=off \
                   -c statement_timeout=0 -c maintenance_work_mem=256MB";
    // The statement with the key must not reach a log that is sealed or printed.
    let set = format!(
        "SET log_statement = 'none';\nSET log_min_duration_statement = -1;\n\
         SELECT set_config('prodmirror.key', {}, false) \\g /dev/null\n",
        literal(key.expose())
    );
    let sql = format!("{set}{sql}");
    let options = [options.to_owned()];
    server.execute("mask the data", &sql, &options).await?;
    Ok(masked)
}

/// The statements of all rules.
fn statements(
    tables: &[Table],
    rules: &[Spanned<MaskRule>],
) -> Result<(String, Vec<Masked>), Problems> {
    let mut problems = Problems::default();
    let mut functions = Functions::default();
    let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut masked = Vec::new();
    for rule in rules {
        let at = |what: String, help: String| {
            Problem::at(ProblemKind::InvalidValue, &rule.span, what).help(help)
        };
        let of = match table(tables, &rule.value.table) {
            Ok(table) => table,
            Err((what, help)) => {
                problems.push(at(what, help));
                continue;
            }
        };
        let name = &rule.value.column;
        let Some(column) = of.columns.iter().find(|c| c.name == *name) else {
            let names: Vec<&str> = of.columns.iter().map(|c| c.name.as_str()).collect();
            let help = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("columns: {}", names.join(", ")),
            };
            problems.push(at(
                format!("the table `{}` has no column `{name}`", of.full()),
                help,
            ));
            continue;
        };
        match set(of, column, &rule.value.mask, &mut functions) {
            Ok(set) => {
                sets.entry(of.sql()).or_default().push(set);
                masked.push(Masked {
                    column: format!("{}.{name}", of.full()),
                    rule: rule.value.mask.word(),
                });
            }
            Err((what, help)) => problems.push(at(what, help)),
        }
    }
    if !problems.0.is_empty() {
        return Err(problems);
    }
    let mut sql = functions.sql;
    for (table, sets) in sets {
        let _ = writeln!(sql, "UPDATE {table} SET {};", sets.join(", "));
    }
    masked.sort_by(|a, b| a.column.cmp(&b.column));
    Ok((sql, masked))
}

type Refused = (String, String);

/// `column = …`
fn set(
    table: &Table,
    column: &Column,
    mask: &Mask,
    functions: &mut Functions,
) -> Result<String, Refused> {
    let name = ident(&column.name);
    let full = format!("{}.{}", table.full(), column.name);
    if column.generated {
        return Err((
            format!("`{full}` is computed from other columns"),
            "mask those: it follows".into(),
        ));
    }
    let few = matches!(mask, Mask::Name | Mask::Value(_));
    if few && column.unique {
        return Err((
            format!(
                "values of `{full}` must differ, and the mask `{}` gives the same to many",
                mask.word()
            ),
            "use hash, email, phone or card".into(),
        ));
    }
    let value = match mask {
        Mask::Null if column.not_null => {
            return Err((
                format!("`{full}` must have a value"),
                "use another mask, or { value: TEXT }".into(),
            ));
        }
        Mask::Null => "NULL".to_owned(),
        Mask::Value(text) => format!("CASE WHEN {name} IS NOT NULL THEN {}::{} END", literal(text), column.kind),
        Mask::Shift { most, by } => shift(table, column, *most, by)?,
        Mask::Json(parts) => json(column, parts, functions)?,
        Mask::Text | Mask::Email | Mask::Name | Mask::Phone | Mask::Card | Mask::Hash => {
            plain(column, mask, functions).ok_or_else(|| {
                (
                    format!("the mask `{}` does not fit `{full}`, which is {}", mask.word(), column.kind),
                    "hash fits texts, numbers, UUIDs and bytes; shift fits dates; json fits JSON; null and { value: … } fit all".into(),
                )
            })?
        }
    };
    Ok(format!("{name} = {value}"))
}

/// A mask for a text, number, UUID, or a list of texts.
fn plain(column: &Column, mask: &Mask, functions: &mut Functions) -> Option<String> {
    let name = ident(&column.name);
    if column.category == "A" && column.base.starts_with('_') {
        let texts = ["_text", "_varchar", "_bpchar", "_citext"];
        if !texts.contains(&column.base.as_str()) {
            return None;
        }
        let one = text("x", mask, None, functions);
        return Some(format!(
            "CASE WHEN {name} IS NOT NULL THEN ARRAY(SELECT {one} FROM unnest({name}) WITH ORDINALITY AS a(x, o) ORDER BY o)::{} END",
            column.kind
        ));
    }
    if column.is_text() {
        let masked = text(&name, mask, column.limit, functions);
        // An empty text is no data of anybody, and dirt that must stay.
        return Some(format!(
            "CASE WHEN {name} = '' THEN {name} ELSE {masked} END"
        ));
    }
    let as_text = format!("{name}::text");
    match (column.base.as_str(), mask) {
        ("uuid", Mask::Hash) => Some(format!("left({}, 32)::uuid", hex(&as_text))),
        ("bytea", Mask::Hash) => Some(format!(
            "sha256(convert_to({KEY} || encode({name}, 'hex'), 'UTF8'))"
        )),
        ("int2", Mask::Hash) => Some(format!("({} % 32768)::smallint", number(&as_text))),
        ("int4", Mask::Hash) => Some(format!("({} % 2147483648)::int", number(&as_text))),
        ("int8", Mask::Hash) => Some(number(&as_text)),
        ("numeric", Mask::Hash) => Some(format!("{} % 1000000", number(&as_text))),
        ("int8" | "numeric", Mask::Phone) => {
            Some(format!("15550000000 + {} % 10000000", number(&as_text)))
        }
        ("int8" | "numeric", Mask::Card) => Some(format!("{}::bigint", card(&as_text, functions))),
        _ => None,
    }
}

/// 64 hexadecimal digits that stand for a value.
fn hex(value: &str) -> String {
    format!("encode({}, 'hex')", hashed(value))
}

fn hashed(value: &str) -> String {
    format!("sha256(convert_to({KEY} || {value}, 'UTF8'))")
}

/// A number of 60 bits, not below zero, that stands for a value.
fn number(value: &str) -> String {
    format!("('x' || left({}, 15))::bit(60)::bigint", hex(value))
}

fn card(value: &str, functions: &mut Functions) -> String {
    functions.card();
    format!("pg_temp.prodmirror_card({})", number(value))
}

/// A mask for a text of at most `limit` characters.
fn text(value: &str, mask: &Mask, limit: Option<u64>, functions: &mut Functions) -> String {
    let limit = limit.unwrap_or(u64::MAX);
    let cut = |expression: String, length: u64| match length > limit {
        true => format!("left({expression}, {limit})"),
        false => expression,
    };
    match mask {
        Mask::Email if limit >= 16 => {
            let digits = 16.min(limit - 13);
            format!("'u' || left({}, {digits}) || '@example.com'", hex(value))
        }
        Mask::Name => {
            let names = |all: &[&str], byte: u32| {
                let all: Vec<String> = all.iter().map(|n| literal(n)).collect();
                let at = format!("get_byte({}, {byte})", hashed(value));
                format!("(ARRAY[{}])[1 + {at} % {}]", all.join(","), all.len())
            };
            let name = format!("{} || ' ' || {}", names(&FIRST, 0), names(&LAST, 1));
            cut(name, 24)
        }
        Mask::Phone => {
            let digits = format!("lpad(({} % 10000000)::text, 7, '0')", number(value));
            let phone =
                format!("CASE WHEN {value} LIKE '+%' THEN '+1555' ELSE '0155' END || {digits}");
            cut(format!("({phone})"), 12)
        }
        Mask::Card => cut(card(value, functions), 16),
        Mask::Text => {
            let hex = hex(value);
            format!(
                "left(repeat({hex} || ' ', char_length({value}) / 65 + 1), char_length({value}))"
            )
        }
        _ => cut(hex(value), 64),
    }
}

/// A date or time, moved by what its subject says.
fn shift(table: &Table, column: &Column, most: Duration, by: &str) -> Result<String, Refused> {
    if table.columns.iter().all(|c| c.name != by) {
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        return Err((
            format!(
                "the table `{}` has no column `{by}` to shift by",
                table.full()
            ),
            format!("columns: {}", names.join(", ")),
        ));
    }
    let name = ident(&column.name);
    let subject = number(&format!("coalesce({}::text, '')", ident(by)));
    let (unit, most) = match column.base.as_str() {
        "date" => ("day", most.as_secs() / 86_400),
        "timestamp" | "timestamptz" => ("second", most.as_secs()),
        _ => {
            return Err((
                format!(
                    "`{}.{}` is {}, and no date or time",
                    table.full(),
                    column.name,
                    column.kind
                ),
                "shift fits date, timestamp and timestamptz".into(),
            ));
        }
    };
    let moved = format!(
        "{name} + ({subject} % {} - {most}) * interval '1 {unit}'",
        2 * most + 1
    );
    Ok(match column.base.as_str() {
        "date" => format!("({moved})::date"),
        _ => moved,
    })
}

/// Parts of a JSON value.
fn json(
    column: &Column,
    parts: &[(JsonPath, Mask)],
    functions: &mut Functions,
) -> Result<String, Refused> {
    if !column.is_json() {
        return Err((
            format!("`{}` is {}, and no JSON", column.name, column.kind),
            "json fits the types json and jsonb".into(),
        ));
    }
    let mut value = format!("{}::jsonb", ident(&column.name));
    for (path, mask) in parts {
        let function = functions.json(path, mask)?;
        value = format!("pg_temp.{function}({value})");
    }
    Ok(format!("({value})::{}", column.base))
}

/// Functions that statements use; they go with the session.
#[derive(Default)]
struct Functions {
    sql: String,
    count: usize,
    has_card: bool,
}

impl Functions {
    /// 16 digits with a right checksum (ISO/IEC 7812-1, annex B) for a number.
    fn card(&mut self) {
        if self.has_card {
            return;
        }
        self.has_card = true;
        // `400000` counts 8; of the nine digits every second is doubled, from the first on.
        self.sql.push_str(
            "CREATE FUNCTION pg_temp.prodmirror_card(n bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$\n\
             DECLARE m bigint := n % 1000000000; r bigint := m; s int := 8; d int[] := '{0,2,4,6,8,1,3,5,7,9}';\n\
             BEGIN\n  FOR i IN 1..9 LOOP\n    \
             s := s + CASE WHEN i % 2 = 1 THEN d[1 + r % 10] ELSE (r % 10)::int END;\n    r := r / 10;\n  END LOOP;\n  \
             RETURN '400000' || lpad(m::text, 9, '0') || ((10 - s % 10) % 10)::text;\nEND $$;\n",
        );
    }

    /// A function that masks what a path leads to.
    fn json(&mut self, path: &[JsonStep], mask: &Mask) -> Result<String, Refused> {
        let body = match path.split_first() {
            None => self.leaf(mask)?,
            Some((JsonStep::Key(key), rest)) => {
                let inner = self.json(rest, mask)?;
                let key = literal(key);
                format!(
                    "CASE WHEN jsonb_typeof($1) = 'object' AND $1 ? {key} \
                     THEN jsonb_set($1, ARRAY[{key}], coalesce(pg_temp.{inner}($1 -> {key}), 'null')) ELSE $1 END"
                )
            }
            Some((JsonStep::All, rest)) => {
                let inner = self.json(rest, mask)?;
                format!(
                    "CASE WHEN jsonb_typeof($1) = 'array' THEN \
                     (SELECT coalesce(jsonb_agg(pg_temp.{inner}(x) ORDER BY o), '[]') FROM jsonb_array_elements($1) WITH ORDINALITY AS a(x, o)) \
                     ELSE $1 END"
                )
            }
        };
        self.count += 1;
        let name = format!("prodmirror_json_{}", self.count);
        let _ = writeln!(
            self.sql,
            "CREATE FUNCTION pg_temp.{name}(jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$ SELECT {body} $$;"
        );
        Ok(name)
    }

    fn leaf(&mut self, mask: &Mask) -> Result<String, Refused> {
        let text = match mask {
            Mask::Null => return Ok("'null'::jsonb".to_owned()),
            Mask::Value(value) => format!("{}::text", literal(value)),
            Mask::Json(_) | Mask::Shift { .. } => {
                return Err((
                    format!("the mask `{}` does not fit a part of JSON", mask.word()),
                    "write the whole path, with one of the simple masks".into(),
                ));
            }
            simple => text("($1 #>> '{}')", simple, None, self),
        };
        let digits = number("($1 #>> '{}')");
        Ok(format!(
            "CASE jsonb_typeof($1) WHEN 'string' THEN to_jsonb({text}) WHEN 'number' THEN to_jsonb({digits} % 1000000) ELSE $1 END"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prodmirror_model::source::{SourceFile, Span};

    fn column(name: &str, base: &str, category: &str) -> Column {
        Column {
            name: name.into(),
            kind: base.into(),
            base: base.into(),
            category: category.into(),
            limit: None,
            not_null: false,
            generated: false,
            unique: false,
            collation: None,
            comparable: true,
            variable: true,
        }
    }

    fn people() -> Vec<Table> {
        let mut id = column("id", "int8", "N");
        id.unique = true;
        id.not_null = true;
        let mut sum = column("sum", "text", "S");
        sum.generated = true;
        let all = vec![
            id,
            column("email", "text", "S"),
            column("born", "date", "D"),
            column("body", "jsonb", "U"),
            sum,
        ];
        vec![Table {
            schema: "public".into(),
            name: "people".into(),
            columns: all,
        }]
    }

    fn made(rules: &[(&str, Mask)]) -> Result<String, String> {
        let file = SourceFile::new("mirror.yaml", String::new());
        let rules: Vec<_> = rules
            .iter()
            .enumerate()
            .map(|(i, (column, mask))| {
                let rule = MaskRule {
                    table: "people".into(),
                    column: (*column).into(),
                    mask: mask.clone(),
                };
                let line = u32::try_from(i).unwrap() + 1;
                Spanned::new(rule, Span::in_line(&file, line, 1, 1))
            })
            .collect();
        let made = statements(&people(), &rules);
        made.map(|(sql, _)| sql).map_err(|p| {
            let all: Vec<String> = p.0.iter().map(|p| p.message.clone()).collect();
            all.join("\n")
        })
    }

    #[test]
    fn a_table_is_updated_once() {
        let shift = Mask::Shift {
            most: Duration::from_secs(86_400 * 30),
            by: "id".into(),
        };
        let sql = made(&[("email", Mask::Email), ("born", shift)]).unwrap();
        assert_eq!(sql.matches("UPDATE").count(), 1, "{sql}");
        assert!(
            sql.contains("% 61 - 30) * interval '1 day')::date"),
            "{sql}"
        );
        assert!(sql.contains("'@example.com'"), "{sql}");
        assert!(!sql.contains("pg_temp"), "{sql}");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let by = Mask::Shift {
            most: Duration::from_secs(1),
            by: "owner".into(),
        };
        for (column, mask, why) in [
            ("emial", Mask::Email, "no column `emial`"),
            ("id", Mask::Null, "must have a value"),
            ("id", Mask::Name, "values of `public.people.id` must differ"),
            ("sum", Mask::Text, "computed from other columns"),
            ("born", Mask::Text, "does not fit"),
            ("born", by, "no column `owner` to shift by"),
            ("email", Mask::Json(Vec::new()), "no JSON"),
        ] {
            let told = made(&[(column, mask)]).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn short_columns_get_short_values() {
        let mut none = Functions::default();
        let short = text("v", &Mask::Email, Some(20), &mut none);
        assert!(short.starts_with("'u' || left(encode"), "{short}");
        assert!(short.contains(", 7) || '@example.com'"), "{short}");
        let shorter = text("v", &Mask::Email, Some(10), &mut none);
        assert!(shorter.ends_with(", 10)"), "{shorter}");
    }
}
