//! The pages of the reference on kinds of steps, made from what is told of them.

use prodmirror_model::schema::{Arg, Shape};

use super::{Entry, Kind, entry};
use crate::step::KINDS;

/// Whoever edits a page should know better.
const MADE: &str = "<!-- Made by `prodmirror schema reference --out docs/reference/steps`. -->\n";

/// All pages: the name of the file, and its text.
pub fn pages() -> Vec<(String, String)> {
    let mut pages = vec![("README.md".to_owned(), index())];
    for kind in KINDS {
        if let Some(e) = entry(kind.name) {
            pages.push((format!("{}.md", kind.name), page(kind, e)));
        }
    }
    pages
}

fn index() -> String {
    let mut out = format!(
        "{MADE}# Kinds of steps\n\n\
         What each kind takes and gives. What all steps have (`expect`, `capture`, `retry`, `eventually`…) is in [scenarios](../scenario.md).\n\n\
         | kind | what it does |\n|---|---|\n"
    );
    for kind in KINDS {
        let doubt = match entry(kind.name).and_then(|e| e.experimental) {
            Some(_) => " (experimental)",
            None => "",
        };
        let name = kind.name;
        out.push_str(&format!(
            "| [`{name}`]({name}.md) | {}{doubt} |\n",
            cell(kind.help)
        ));
    }
    out
}

fn page(kind: &Kind, e: &Entry) -> String {
    let mut out = format!("{MADE}# `{}`\n\n{}.\n", kind.name, sentence(kind.help));
    if let Some(why) = e.experimental {
        out.push_str(&format!("\n**Experimental:** {why}.\n"));
    }
    out.push_str(&format!("\n```yaml\n- {}\n```\n", kind.example));
    out.push_str(e.notes);
    out.push_str("\n## Keys\n\n");
    if let Some(one) = one_of(e.shape) {
        out.push_str(&format!("Exactly one of {}.\n\n", listed(one)));
    }
    out.push_str("| key | takes | unless said | meaning |\n|---|---|---|---|\n");
    rows(e.shape, "", &mut out);
    out.push_str("\nA key in **bold** must be there. Templates are rendered in texts and in what takes any value; a name is taken as it stands.\n");
    out.push_str("\n## Result\n\n| field | what it is |\n|---|---|\n");
    for (field, help) in e.results {
        out.push_str(&format!("| `{field}` | {} |\n", cell(help)));
    }
    let usual = match kind.usual {
        Some(usual) => format!("A step without `expect` expects `{usual}`."),
        None => "A step without `expect` expects that there is a result, and what its keys say."
            .to_owned(),
    };
    out.push_str(&format!("\n{usual}\n\n## Examples\n"));
    for (title, steps) in e.examples {
        out.push_str(&format!("\n{title}:\n\n```yaml\n{steps}\n```\n"));
    }
    out
}

/// The rows of a mapping's keys, and of those inside of them.
fn rows(shape: Shape, at: &str, out: &mut String) {
    for a in keys_of(shape) {
        let name = format!("{at}{}", a.name);
        let shown = match a.required {
            true => format!("**`{name}`**"),
            false => format!("`{name}`"),
        };
        let one = match one_of(a.shape) {
            Some(one) => format!(". Exactly one of {}", listed(one)),
            None => String::new(),
        };
        out.push_str(&format!(
            "| {shown} | {} | {} | {} |\n",
            cell(&a.shape.words()),
            cell(a.default),
            cell(&format!("{}{one}", a.help)),
        ));
        rows(a.shape, &format!("{name}{}.", item(a.shape)), out);
    }
}

/// The keys of a shape, when it is a mapping or may be one.
fn keys_of(shape: Shape) -> &'static [Arg] {
    match shape {
        Shape::Loose(keys) => keys,
        other => other.keys().unwrap_or_default(),
    }
}

/// Whether a mapping stands in a list, in the name of its keys.
fn item(shape: Shape) -> &'static str {
    match shape {
        Shape::List(_) => "[]",
        _ => "",
    }
}

/// Keys of which exactly one is there.
fn one_of(shape: Shape) -> Option<&'static [&'static str]> {
    match shape {
        Shape::One(_, one) => Some(one),
        Shape::Either(of) => of.iter().find_map(|s| one_of(*s)),
        _ => None,
    }
}

fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    names.join(", ")
}

/// A text as it stands in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn sentence(help: &str) -> String {
    let mut chars = help.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
