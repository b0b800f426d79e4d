//! XPath 1.0 on XML and HTML.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value as Json;
use sxd_document::dom::{Document, Element};
use sxd_document::{Package, QName};
use sxd_xpath::nodeset::Node as XNode;
use sxd_xpath::{Context, Factory, Value, XPath as Built};

use super::show::cut;
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;

/// Elements inside of elements that are gone into at most.
const DEEPEST: usize = 512;

/// Prefixes of namespaces that are known at most.
const PREFIXES: usize = 64;

/// Nodes that a query gives at most.
const MOST: usize = 10_000;

/// What a text says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// XML, which must be well-formed.
    Xml,
    /// HTML, which is read as browsers do.
    Html,
    /// Nothing: its start tells.
    Unknown,
}

/// A checked query.
#[derive(Debug, Clone)]
pub struct XPath(String);

impl XPath {
    /// Checks a query.
    ///
    /// # Errors
    /// Where it is no XPath 1.0.
    pub fn new(source: &str, span: &Span) -> Result<Self, Problem> {
        match build(source) {
            Ok(_) => Ok(Self(source.to_owned())),
            Err(why) => {
                let p = Problem::at(ProblemKind::Syntax, span, format!("invalid XPath: {why}"));
                Err(if source.starts_with('$') {
                    p.help("this looks like a JSONPath; write `jsonpath:`")
                } else {
                    p.help(
                        "for example: //h1, string(//title), count(//li), //a[@class='next']/@href",
                    )
                })
            }
        }
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.0
    }

    /// What it finds in a text of XML or HTML. One node is its text, several are the list of
    /// their texts; `None` when there is none.
    ///
    /// # Errors
    /// A text that is neither, and a query that cannot be evaluated.
    pub fn find(&self, text: &str, markup: Markup) -> Result<Option<Json>, String> {
        if text.trim().is_empty() {
            return Err("the text is empty, not XML or HTML".into());
        }
        let is_html = markup == Markup::Html || (markup == Markup::Unknown && is_html(text));
        bounded(text, is_html)?;
        let package = if is_html {
            html(text)
        } else {
            sxd_document::parser::parse(text.trim_start_matches('\u{feff}')).map_err(|e| {
                let (at, errors) = (e.location(), e.to_string());
                let place = near(text, at);
                format!(
                    "the text is not XML: {} at character {at}: {place}",
                    cut(&errors)
                )
            })?
        };
        self.evaluate(&package.as_document(), text)
    }

    fn evaluate(&self, document: &Document<'_>, text: &str) -> Result<Option<Json>, String> {
        let built = build(&self.0)?;
        let mut context = Context::new();
        let declared = namespaces(text);
        for (prefix, uri) in &declared {
            context.set_namespace(prefix, uri);
        }
        // The library does not survive an unknown one.
        if let Some(unknown) = prefixes(&self.0).find(|p| !declared.iter().any(|(d, _)| d == p)) {
            let known: Vec<&str> = declared.iter().map(|(p, _)| p.as_str()).collect();
            return Err(match known.as_slice() {
                [] => format!("the text has no namespaces, and so no prefix `{unknown}`"),
                some => format!(
                    "the text has no prefix `{unknown}`; it has {}",
                    some.join(", ")
                ),
            });
        }
        let value = built
            .evaluate(&context, document.root())
            .map_err(|e| e.to_string())?;
        Ok(match value {
            Value::Boolean(b) => Some(Json::from(b)),
            Value::Number(n) => Some(number(n)),
            Value::String(s) => Some(Json::from(s)),
            Value::Nodeset(nodes) => {
                if nodes.size() > MOST {
                    return Err(format!("it finds more than {MOST} nodes"));
                }
                let mut texts: Vec<Json> = nodes
                    .document_order()
                    .into_iter()
                    .map(|n| Json::from(text_of(n)))
                    .collect();
                match texts.len() {
                    0 => None,
                    1 => texts.pop(),
                    _ => Some(Json::Array(texts)),
                }
            }
        })
    }
}

fn build(source: &str) -> Result<Built, String> {
    match Factory::new().build(source) {
        Ok(Some(built)) => Ok(built),
        Ok(None) => Err("it is empty".into()),
        Err(e) => Err(in_words(&e.to_string())),
    }
}

/// The library names its errors only: `EmptyPredicate` becomes `empty predicate`.
fn in_words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 8);
    let plain = name.chars().all(char::is_alphanumeric);
    for c in name.chars() {
        if plain && c.is_uppercase() {
            if !words.is_empty() {
                words.push(' ');
            }
            words.extend(c.to_lowercase());
        } else {
            words.push(c);
        }
    }
    words
}

/// Whole numbers without a fraction.
fn number(n: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if n.fract() == 0.0 && n.abs() < EXACT {
        Json::from(n as i64)
    } else {
        serde_json::Number::from_f64(n).map_or(Json::Null, Json::Number)
    }
}

fn text_of(node: XNode<'_>) -> String {
    node.string_value()
}

fn near(text: &str, at: usize) -> String {
    let rest: String = text.chars().skip(at).take(30).collect();
    if rest.is_empty() {
        "the end".into()
    } else {
        format!("`{}`", rest.replace(['\n', '\r'], " "))
    }
}

/// HTML is what says so at its start; everything else is XML.
fn is_html(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while let Some(comment) = rest.strip_prefix("<!--") {
        match comment.find("-->") {
            Some(end) => rest = comment[end + 3..].trim_start(),
            None => return false,
        }
    }
    const WORDS: [&str; 10] = [
        "<!doctype html",
        "<html",
        "<head",
        "<body",
        "<div",
        "<p>",
        "<ul",
        "<h1",
        "<table",
        "<span",
    ];
    WORDS.iter().any(|w| starts(rest, w))
}

/// The prefixes that a query uses: names before a single colon, outside of texts.
fn prefixes(query: &str) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    let mut name = String::new();
    let mut chars = query.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                chars.by_ref().find(|d| *d == c);
                name.clear();
            }
            ':' => {
                let axis = chars.next_if_eq(&':').is_some();
                if !axis && !name.is_empty() {
                    found.push(std::mem::take(&mut name));
                }
                name.clear();
            }
            c if c.is_alphanumeric() || matches!(c, '_' | '-' | '.') => name.push(c),
            _ => name.clear(),
        }
    }
    found.into_iter()
}

/// The prefixes that the text declares; the first default namespace is `_`.
fn namespaces(text: &str) -> Vec<(String, String)> {
    static DECLARED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"\sxmlns(?::([\w.-]+))?\s*=\s*["']([^"']*)["']"#).ok());
    let mut found: Vec<(String, String)> = Vec::new();
    for c in DECLARED.iter().flat_map(|r| r.captures_iter(text)) {
        let prefix = c.get(1).map_or("_", |m| m.as_str());
        if !c[2].is_empty() && !found.iter().any(|(p, _)| p == prefix) {
            found.push((prefix.to_owned(), c[2].to_owned()));
        }
        if found.len() >= PREFIXES {
            break;
        }
    }
    found
}

/// Elements of HTML that have no content.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];

/// Elements of HTML that the next one may end.
const OPEN: [&str; 18] = [
    "html", "head", "body", "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot",
    "option", "optgroup", "colgroup", "rt", "rp",
];

/// Elements of HTML that hold text alone.
const TEXT: [&str; 4] = ["script", "style", "textarea", "title"];

/// Refuses a text whose elements are nested so deep that reading them would take the square
/// of its length, or the stack. Tags are counted, which is enough to know.
fn bounded(text: &str, html: bool) -> Result<(), String> {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let skipped = [("!--", "-->"), ("![CDATA[", "]]>"), ("?", "?>")]
            .into_iter()
            .find(|(open, _)| rest.starts_with(open));
        if let Some((_, close)) = skipped {
            rest = rest
                .find(close)
                .map_or("", |end| &rest[end + close.len()..]);
            continue;
        }
        let closes = rest.starts_with('/');
        let tag = rest.strip_prefix('/').unwrap_or(rest);
        let end = tag.find('>').unwrap_or(tag.len());
        let name: String = tag[..end]
            .chars()
            .take_while(|c| !c.is_whitespace() && *c != '/')
            .take(20)
            .flat_map(char::to_lowercase)
            .collect();
        if !name.starts_with(char::is_alphabetic) {
            continue;
        }
        let itself = !html && tag[..end].ends_with('/');
        let uncounted = html && (VOID.contains(&name.as_str()) || OPEN.contains(&name.as_str()));
        rest = &tag[end..];
        if itself || uncounted {
            continue;
        }
        if closes {
            depth = depth.saturating_sub(1);
            continue;
        }
        depth += 1;
        if depth > DEEPEST {
            return Err(format!("its elements are nested more than {DEEPEST} deep"));
        }
        if html && TEXT.contains(&name.as_str()) {
            let close = format!("</{name}");
            let found = rest
                .char_indices()
                .find(|(i, c)| *c == '<' && starts(&rest[*i..], &close));
            rest = found.map_or("", |(i, _)| &rest[i..]);
        }
    }
    Ok(())
}

/// Whether a text starts so, in upper or lower case.
fn starts(text: &str, word: &str) -> bool {
    text.get(..word.len())
        .is_some_and(|s| s.eq_ignore_ascii_case(word))
}

/// HTML as browsers read it, with its elements in no namespace.
fn html(text: &str) -> Package {
    use scraper::Node;
    let parsed = scraper::Html::parse_document(text);
    let package = Package::new();
    let document = package.as_document();
    let mut open: Vec<(_, Option<Element<'_>>)> = parsed
        .tree
        .root()
        .children()
        .rev()
        .map(|n| (n, None))
        .collect();
    while let Some((node, parent)) = open.pop() {
        match node.value() {
            Node::Element(e) => {
                let made = document.create_element(QName::new(e.name()));
                for (name, value) in e.attrs() {
                    made.set_attribute_value(QName::new(name), value);
                }
                match parent {
                    Some(p) => p.append_child(made),
                    None => document.root().append_child(made),
                }
                for child in node.children().rev() {
                    open.push((child, Some(made)));
                }
            }
            Node::Text(t) => {
                if let Some(p) = parent {
                    p.append_child(document.create_text(t));
                }
            }
            Node::Comment(c) => {
                if let Some(p) = parent {
                    p.append_child(document.create_comment(c));
                }
            }
            _ => {}
        }
    }
    package
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(path: &str, text: &str) -> Result<Option<Json>, String> {
        XPath::new(path, &Span::generated())
            .unwrap()
            .find(text, Markup::Unknown)
    }

    #[test]
    fn xml() {
        let text = "<?xml version=\"1.0\"?><a xmlns:s=\"urn:s\"><b n=\"1\">x</b><b n=\"2\">y</b><s:c>z</s:c></a>";
        assert_eq!(find("//b", text), Ok(Some(json!(["x", "y"]))));
        assert_eq!(find("//b[2]/@n", text), Ok(Some(json!("2"))));
        assert_eq!(find("count(//b)", text), Ok(Some(json!(2))));
        assert_eq!(find("sum(//b/@n) div 2", text), Ok(Some(json!(1.5))));
        assert_eq!(find("boolean(//q)", text), Ok(Some(json!(false))));
        assert_eq!(find("string(//s:c)", text), Ok(Some(json!("z"))));
        assert_eq!(find("//q", text), Ok(None));
        assert_eq!(
            find("//_:b", "<a xmlns=\"urn:a\"><b>x</b></a>"),
            Ok(Some(json!("x")))
        );
    }

    #[test]
    fn html_need_not_be_well_formed() {
        let text =
            "<!DOCTYPE html><html><body><h1>Hi &amp; you</h1><br><ul><li>one<li class=now>two</ul>";
        assert_eq!(find("string(//h1)", text), Ok(Some(json!("Hi & you"))));
        assert_eq!(find("//li", text), Ok(Some(json!(["one", "two"]))));
        assert_eq!(find("//li[@class='now']", text), Ok(Some(json!("two"))));
        assert_eq!(find("count(/html/body/ul/li)", text), Ok(Some(json!(2))));
    }

    #[test]
    fn what_is_neither_says_so() {
        let why = find("//a", "{\"a\": 1}").unwrap_err();
        assert!(why.starts_with("the text is not XML: "), "{why}");
        assert!(why.ends_with("at character 0: `{\"a\": 1}`"), "{why}");
        assert_eq!(
            find("//a", " "),
            Err("the text is empty, not XML or HTML".into())
        );
        assert_eq!(
            find("child::a[. = 'x:y']/nope:b", "<a/>"),
            Err("the text has no namespaces, and so no prefix `nope`".into())
        );
        assert_eq!(
            find("//nope:a", "<a xmlns:s='urn:s' xmlns='urn:a'/>"),
            Err("the text has no prefix `nope`; it has s, _".into())
        );
        assert!(find("nope()", "<a/>").is_err());
        assert!(find("$nope", "<a/>").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        for (open, close) in [("<div>", "</div>"), ("<a>", "</a>")] {
            let text = format!("{}{}", open.repeat(20_000), close.repeat(20_000));
            assert_eq!(
                find("//x", &text),
                Err("its elements are nested more than 512 deep".into())
            );
        }
        // Long is not deep.
        let list = format!(
            "<html><ul>{}</ul><br>",
            "<li>x<p>y<img src=a>".repeat(2_000)
        );
        assert_eq!(find("count(//li)", &list), Ok(Some(json!(2000))));
        let rows = format!("<a>{}</a>", "<b/><c>1</c>".repeat(2_000));
        assert_eq!(find("count(//c)", &rows), Ok(Some(json!(2000))));
        let script = format!("<html><script>'{}'</script><p>x", "<div>".repeat(2_000));
        assert_eq!(find("string(//p)", &script), Ok(Some(json!("x"))));
    }

    #[test]
    fn mistakes_in_a_query() {
        let p = XPath::new("//a[", &Span::generated()).unwrap_err();
        assert_eq!(p.message, "invalid XPath: empty predicate");
        let p = XPath::new("$.a", &Span::generated());
        // `$` begins a variable in XPath, so that only the help can tell.
        if let Err(p) = p {
            assert_eq!(
                p.help.as_deref(),
                Some("this looks like a JSONPath; write `jsonpath:`")
            );
        }
    }
}
