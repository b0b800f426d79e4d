//! What shapes take, in words for people.

use super::Shape;

impl Shape {
    /// What it takes, in a few words.
    pub fn words(self) -> String {
        match self {
            Shape::Text => "text".into(),
            Shape::Word => "name".into(),
            Shape::Integer(from, to) => bounds(from, to),
            Shape::Number(from) => format!("number from {from}"),
            Shape::Flag => "`true`, `false`".into(),
            Shape::Duration => "duration".into(),
            Shape::Any => "any value".into(),
            Shape::Calc => "expression".into(),
            Shape::Choice(words) => {
                let words: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
                words.join(", ")
            }
            Shape::Pairs => "names with values".into(),
            Shape::List(Shape::Text) => "list of texts".into(),
            Shape::List(Shape::Word) => "list of names".into(),
            Shape::List(Shape::Any) => "list".into(),
            Shape::List(Shape::Object(_)) => "list of mappings".into(),
            Shape::List(of) => format!("list of: {}", of.words()),
            Shape::Map(Shape::Any) => "names with values".into(),
            Shape::Map(of) => format!("names, each with: {}", of.words()),
            Shape::Object(_) | Shape::One(..) | Shape::Open(_) | Shape::Loose(_) => {
                "mapping".into()
            }
            Shape::Null => "nothing".into(),
            Shape::Either(of) => {
                let mut each: Vec<String> = Vec::new();
                for shape in of {
                    let words = shape.words();
                    if !each.contains(&words) {
                        each.push(words);
                    }
                }
                each.join(", or ")
            }
            Shape::Kind(name) => format!("as [`{name}`]({name}.md)"),
            Shape::Predicates => "predicates".into(),
            Shape::Pattern(pattern) => format!("text like `{pattern}`"),
        }
    }
}

/// Bounds that say nothing are left out.
fn bounds(from: i64, to: i64) -> String {
    match (from, to) {
        (0, _) if to >= i64::from(u32::MAX) => "whole number".into(),
        (_, _) if to >= i64::from(u32::MAX) => format!("whole number from {from}"),
        _ => format!("{from} to {to}"),
    }
}
