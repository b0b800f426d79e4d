//! What a scenario asks of data: `orders >= 1000000 rows`.

use super::{Manifest, Table, bytes, grouped};

/// A condition on data. A run on data that does not meet it proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataNeed {
    /// As it is written.
    pub text: String,
    /// Table, which may leave out its schema.
    pub table: String,
    /// Column, where one is meant.
    pub column: Option<String>,
    /// How it is compared.
    pub compare: Compare,
    /// With what.
    pub number: u64,
    /// What is measured.
    pub measure: Measure,
}

/// What of a table or column is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Rows of a table.
    Rows,
    /// Bytes of a table on disk, or of the longest value of a column.
    Bytes,
    /// Rows in which a column is null.
    Nulls,
    /// Different values of a column.
    Distinct,
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// `>=`
    AtLeast,
    /// `>`
    MoreThan,
    /// `<=`
    AtMost,
    /// `<`
    LessThan,
    /// `==`
    Exactly,
}

const FORM: &str = "write TABLE >= NUMBER rows, TABLE >= NUMBER MiB, or TABLE.COLUMN >= NUMBER nulls, distinct or bytes";

impl DataNeed {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [subject, compare, number, unit] = words[..] else {
            return Err(format!("`{text}` is no condition on data: {FORM}"));
        };
        let compare = match compare {
            ">=" => Compare::AtLeast,
            ">" => Compare::MoreThan,
            "<=" => Compare::AtMost,
            "<" => Compare::LessThan,
            "==" => Compare::Exactly,
            other => return Err(format!("`{other}` is none of >=, >, <=, < and ==")),
        };
        let plain = number.replace(['_', ','], "");
        let number: u64 = plain
            .parse()
            .map_err(|_| format!("`{number}` is no whole number"))?;
        let (measure, factor) = match unit {
            "row" | "rows" => (Measure::Rows, 1),
            "null" | "nulls" => (Measure::Nulls, 1),
            "distinct" | "values" => (Measure::Distinct, 1),
            "B" | "byte" | "bytes" => (Measure::Bytes, 1),
            "KiB" => (Measure::Bytes, 1 << 10),
            "MiB" => (Measure::Bytes, 1 << 20),
            "GiB" => (Measure::Bytes, 1 << 30),
            other => {
                return Err(format!(
                    "`{other}` is none of rows, nulls, distinct, bytes, KiB, MiB and GiB"
                ));
            }
        };
        let (table, column) = match (measure, subject.rsplit_once('.')) {
            (Measure::Rows, _) | (Measure::Bytes, None) => (subject, None),
            (Measure::Nulls | Measure::Distinct, None) => {
                return Err(format!("`{subject}` names no column: write TABLE.COLUMN"));
            }
            (_, Some((table, column))) => (table, Some(column.to_owned())),
        };
        Ok(Self {
            text: text.to_owned(),
            table: table.to_owned(),
            column,
            compare,
            number: number.saturating_mul(factor),
            measure,
        })
    }

    /// Why these data do not meet it; nothing when they do.
    pub fn unmet(&self, data: &[&Manifest]) -> Option<String> {
        // `schema.table` with a unit of bytes looks like a column; a table of that name is one.
        let whole = self.column.as_ref().map(|c| format!("{}.{c}", self.table));
        let whole = whole.filter(|_| self.measure == Measure::Bytes);
        let find = |name: &str| data.iter().find_map(|m| m.table(name));
        let as_table = whole.as_deref().and_then(find);
        let (table, column) = match (as_table, find(&self.table)) {
            (Some(table), _) => (table, None),
            (None, Some(table)) => (table, self.column.as_deref()),
            (None, None) => return Some(self.unknown(data)),
        };
        let got = match (column, self.measure) {
            (None, Measure::Bytes) => Some(table.bytes),
            (None, _) => Some(table.rows),
            (Some(column), _) => self.of_column(table, column),
        };
        let Some(got) = got else {
            let column = column.unwrap_or_default();
            return Some(format!(
                "requires {}, and nothing is known of column `{column}` of table `{}`",
                self.text, table.name
            ));
        };
        let met = match self.compare {
            Compare::AtLeast => got >= self.number,
            Compare::MoreThan => got > self.number,
            Compare::AtMost => got <= self.number,
            Compare::LessThan => got < self.number,
            Compare::Exactly => got == self.number,
        };
        (!met).then(|| {
            format!(
                "requires {}, and the data has {}",
                self.text,
                self.told(got)
            )
        })
    }

    fn of_column(&self, table: &Table, name: &str) -> Option<u64> {
        let column = table.columns.iter().find(|c| c.name == name)?;
        match self.measure {
            Measure::Nulls => Some(column.nulls),
            Measure::Distinct => column.distinct,
            Measure::Bytes => column.longest,
            Measure::Rows => Some(table.rows),
        }
    }

    fn told(&self, got: u64) -> String {
        match self.measure {
            Measure::Rows => format!("{} rows", grouped(got)),
            Measure::Nulls => format!("{} nulls", grouped(got)),
            Measure::Distinct => format!("{} different values", grouped(got)),
            Measure::Bytes => bytes(got),
        }
    }

    fn unknown(&self, data: &[&Manifest]) -> String {
        let known = data.iter().flat_map(|m| &m.databases);
        let known: Vec<&str> = known
            .flat_map(|d| &d.tables)
            .map(|t| t.name.as_str())
            .collect();
        if data.is_empty() {
            return format!(
                "requires {}, and nothing says what the data is: no volume starts from a snapshot",
                self.text
            );
        }
        if known.is_empty() {
            return format!(
                "requires {}, and no table of the data was counted",
                self.text
            );
        }
        let bare = known.iter().filter_map(|t| t.rsplit('.').next());
        let near = crate::diag::nearest(&self.table, bare.chain(known.iter().copied()));
        let hint = match near {
            Some(near) => format!(" (did you mean `{near}`?)"),
            None => format!(" (it has {})", known.join(", ")),
        };
        format!(
            "requires {}, and the data has no such table{hint}",
            self.text
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tests::manifest;

    fn unmet(text: &str) -> Option<String> {
        DataNeed::parse(text).unwrap().unmet(&[&manifest()])
    }

    #[test]
    fn what_is_met_and_what_is_not() {
        for met in [
            "orders >= 1000000 rows",
            "public.orders == 1_000_000 rows",
            "orders > 999,999 rows",
            "orders.state >= 12 nulls",
            "orders.reference < 1000000 distinct",
            "orders >= 300 MiB",
            "public.orders >= 300 MiB",
            "orders.state <= 40 bytes",
        ] {
            assert_eq!(unmet(met), None, "{met}");
        }
        assert_eq!(
            unmet("orders >= 2000000 rows").unwrap(),
            "requires orders >= 2000000 rows, and the data has 1,000,000 rows"
        );
        assert!(unmet("order >= 1 rows").unwrap().contains("did you mean"));
        assert!(
            unmet("orders.nothing >= 1 nulls")
                .unwrap()
                .contains("nothing is known")
        );
        let toy = DataNeed::parse("orders >= 1 rows").unwrap().unmet(&[]);
        assert!(toy.unwrap().contains("no volume starts from a snapshot"));
    }

    #[test]
    fn what_is_no_condition() {
        for (text, why) in [
            ("orders", "no condition"),
            ("orders => 1 rows", "none of"),
            ("orders >= many rows", "no whole number"),
            ("orders >= 1 pages", "none of rows"),
            ("orders >= 1 nulls", "TABLE.COLUMN"),
        ] {
            let told = DataNeed::parse(text).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
