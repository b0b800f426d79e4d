//! What there is, and what is known of it.

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::snapshot::{Manifest, bytes, grouped};

use super::Work;
use crate::args::Format;
use crate::cmd::standing::table;

impl Work<'_> {
    /// `ls`
    pub(super) async fn ls(&self) -> Result<(), Problems> {
        let (entries, problems) = self.catalogue.list().await?;
        if self.session.global.format == Format::Json {
            let all: Vec<_> = entries
                .iter()
                .map(|e| {
                    serde_json::json!({
                        "name": e.manifest.name,
                        "digest": e.digest.as_str(),
                        "created": e.manifest.created,
                        "source": e.manifest.source.kind,
                        "bytes": e.manifest.content.bytes,
                        "entries": e.manifest.content.entries,
                        "public": e.manifest.public,
                    })
                })
                .collect();
            self.session
                .print(&format!("{}\n", serde_json::Value::Array(all)));
        } else if entries.is_empty() {
            self.session.note("there is no snapshot on this engine\n");
        } else {
            let head = ["NAME", "SIZE", "DATA", "FROM", "CREATED", "DIGEST"];
            let mut rows = vec![head.map(str::to_owned)];
            for e in &entries {
                let m = &e.manifest;
                rows.push([
                    m.name.clone(),
                    bytes(m.content.bytes),
                    rows_of(m),
                    m.source.kind.clone(),
                    m.created.strftime("%Y-%m-%d %H:%M").to_string(),
                    e.digest.short().to_owned(),
                ]);
            }
            self.session.print(&table(&rows));
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Problems(problems))
        }
    }

    /// `inspect`
    pub(super) async fn inspect(&self, name: &str) -> Result<(), Problems> {
        let entry = self.catalogue.get(name).await?;
        if self.session.global.format == Format::Json {
            let text = serde_json::to_string_pretty(&entry.manifest).unwrap_or_default();
            self.session.print(&format!("{text}\n"));
            return Ok(());
        }
        let m = &entry.manifest;
        let mut out = format!("{}\n", m.name);
        let mut line = |name: &str, text: String| {
            out.push_str(&format!("  {name:9} {text}\n"));
        };
        line("digest", entry.digest.to_string());
        line("content", format!("sha256:{}", m.content.hash));
        line(
            "size",
            format!(
                "{} in {} entries",
                bytes(m.content.bytes),
                grouped(m.content.entries)
            ),
        );
        line("created", m.created.to_string());
        line("from", format!("{} {}", m.source.kind, m.source.name));
        if let Some(digest) = &m.source.digest {
            line("", digest.clone());
        }
        if let Some(image) = &m.image {
            line("image", format!("{} ({})", image.reference, image.digest));
        }
        if m.public {
            line("public", "yes".to_owned());
        }
        for masked in &m.masked {
            line("masked", format!("{} as {}", masked.column, masked.rule));
        }
        out.push_str(&databases(m));
        self.session.print(&out);
        Ok(())
    }

    /// `verify`
    pub(super) async fn verify(&self, name: &str) -> Result<(), Problems> {
        let entry = self.catalogue.get(name).await?;
        let helper = self.helper().await?;
        let wanted = &entry.manifest.content;
        let read = helper.verify(&wanted.hash, &self.progress("reading")).await;
        helper.close().await;
        let read = read?;
        if read.hash == wanted.hash {
            self.say(&format!(
                "{name} is what its manifest says: {} in {} entries, sha256:{}\n",
                bytes(read.bytes),
                grouped(read.entries),
                read.hash
            ));
            return Ok(());
        }
        let message = format!(
            "the snapshot `{name}` is not what its manifest says: sha256:{} with {} entries and {}, and it should be sha256:{} with {} entries and {}",
            read.hash,
            grouped(read.entries),
            bytes(read.bytes),
            wanted.hash,
            grouped(wanted.entries),
            bytes(wanted.bytes)
        );
        let problem = Problem::new(ProblemKind::Drift, message);
        Err(problem
            .help(format!(
                "somebody wrote to the store; remove it (`prodmirror snapshot rm {name}`) and make it again"
            ))
            .into())
    }

    /// `diff`
    pub(super) async fn diff(&self, before: &str, after: &str) -> Result<(), Problems> {
        let (a, b) = tokio::join!(self.catalogue.get(before), self.catalogue.get(after));
        let (a, b) = (a?.manifest, b?.manifest);
        let found = differences(&a, &b);
        if self.session.global.format == Format::Json {
            let all: Vec<_> = found
                .iter()
                .map(|(what, x, y)| serde_json::json!({"what": what, "before": x, "after": y}))
                .collect();
            self.session
                .print(&format!("{}\n", serde_json::Value::Array(all)));
            return Ok(());
        }
        if found.is_empty() {
            self.session.note("they hold the same\n");
            return Ok(());
        }
        let mut rows = vec![["".to_owned(), before.to_owned(), after.to_owned()]];
        rows.extend(found.into_iter().map(|(what, x, y)| [what, x, y]));
        self.session.print(&table(&rows));
        Ok(())
    }
}

/// Rows of the largest table, for a list.
fn rows_of(m: &Manifest) -> String {
    let tables = m.databases.iter().flat_map(|d| &d.tables);
    match tables.max_by_key(|t| t.rows) {
        Some(t) => {
            let name = t.name.strip_prefix("public.").unwrap_or(&t.name);
            format!("{name} {} rows", grouped(t.rows))
        }
        None => String::new(),
    }
}

fn databases(m: &Manifest) -> String {
    let mut out = String::new();
    for d in &m.databases {
        out.push_str(&format!("\n{} {} database {}", d.engine, d.version, d.name));
        for (what, value) in [("encoding", &d.encoding), ("collation", &d.collation)] {
            if !value.is_empty() {
                out.push_str(&format!(", {what} {value}"));
            }
        }
        out.push('\n');
        for t in &d.tables {
            out.push_str(&format!(
                "  {} {} rows, {}\n",
                t.name,
                grouped(t.rows),
                bytes(t.bytes)
            ));
            for c in &t.columns {
                let mut facts = vec![c.kind.clone()];
                if c.nulls > 0 {
                    facts.push(format!("{} nulls", grouped(c.nulls)));
                }
                if let Some(n) = c.distinct {
                    let about = if c.estimated { "about " } else { "" };
                    facts.push(format!("{about}{} distinct", grouped(n)));
                }
                if let Some(n) = c.longest {
                    facts.push(format!("longest {}", bytes(n)));
                }
                if let Some(collation) = &c.collation {
                    facts.push(format!("collation {collation}"));
                }
                if let (Some(oldest), Some(newest)) = (&c.oldest, &c.newest) {
                    facts.push(format!("{oldest} to {newest}"));
                }
                out.push_str(&format!("    {:20} {}\n", c.name, facts.join(", ")));
            }
        }
    }
    out
}

/// What differs between two manifests: what it is, before, after.
fn differences(a: &Manifest, b: &Manifest) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut add = |what: &str, x: String, y: String| {
        if x != y {
            found.push((what.to_owned(), x, y));
        }
    };
    let image = |m: &Manifest| {
        let image = m.image.as_ref();
        image.map_or_else(String::new, |i| format!("{} {}", i.reference, i.digest))
    };
    add("content", a.content.hash.clone(), b.content.hash.clone());
    add("size", bytes(a.content.bytes), bytes(b.content.bytes));
    add(
        "entries",
        grouped(a.content.entries),
        grouped(b.content.entries),
    );
    add("image", image(a), image(b));
    add("public", a.public.to_string(), b.public.to_string());
    let masked = |m: &Manifest| {
        let all = m.masked.iter().map(|r| format!("{} {}", r.column, r.rule));
        all.collect::<Vec<_>>().join(", ")
    };
    add("masked", masked(a), masked(b));
    let facts = |m: &Manifest| {
        let mut facts = std::collections::BTreeMap::new();
        for d in &m.databases {
            facts.insert(format!("{} version", d.name), d.version.clone());
            facts.insert(format!("{} encoding", d.name), d.encoding.clone());
            facts.insert(format!("{} collation", d.name), d.collation.clone());
            for t in &d.tables {
                facts.insert(format!("{} rows", t.name), grouped(t.rows));
                for c in &t.columns {
                    let text = |n: Option<u64>| n.map_or_else(String::new, grouped);
                    let name = format!("{}.{}", t.name, c.name);
                    facts.insert(format!("{name} type"), c.kind.clone());
                    facts.insert(format!("{name} nulls"), grouped(c.nulls));
                    facts.insert(format!("{name} distinct"), text(c.distinct));
                    facts.insert(format!("{name} longest"), text(c.longest));
                }
            }
        }
        facts
    };
    let (x, y) = (facts(a), facts(b));
    let names: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
    for name in names {
        let of = |f: &std::collections::BTreeMap<String, String>| {
            f.get(name).cloned().unwrap_or_default()
        };
        add(name, of(&x), of(&y));
    }
    found
}
