//! What cannot be, seen before anything starts: a field compared with a value of another type.

use cel::IdedExpr;
use cel::common::ast::{Expr as Ast, LiteralValue, operators};

use super::expr::Expr;
use super::unparse::unparse;
use crate::diag::{Problem, ProblemKind};
use crate::template::part_of;

/// A type that is known of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Number,
    Text,
    Boolean,
    List,
    Duration,
}

impl Type {
    fn words(self) -> &'static str {
        match self {
            Type::Number => "a number",
            Type::Text => "a text",
            Type::Boolean => "true or false",
            Type::List => "a list",
            Type::Duration => "a duration",
        }
    }
}

/// The type of a field of a kind's result, where it is always the same. Fields that may be null
/// or differ from kind to kind are not here.
fn field(kind: &str, name: &str) -> Option<Type> {
    Some(match (kind, name) {
        ("grpc", "status") => Type::Text,
        ("http" | "websocket" | "s3", "status") => Type::Number,
        ("exec" | "shell" | "container", "exit_code") => Type::Number,
        ("exec" | "shell" | "container", "stdout" | "stderr") => Type::Text,
        ("http", "body" | "url" | "version") => Type::Text,
        ("http", "size") | ("grpc", "code") | ("sql", "affected") => Type::Number,
        ("sql", "rows" | "columns") | ("logs", "lines" | "entries") => Type::List,
        ("sql" | "logs" | "grpc" | "nats" | "mqtt" | "kafka" | "amqp" | "process", "count") => {
            Type::Number
        }
        (_, "duration") => Type::Duration,
        _ => return None,
    })
}

impl Expr {
    /// Comparisons in it that can never hold, given the kind of the step.
    pub fn impossible(&self, kind: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        walk(self.ast(), kind, &mut |left, right| {
            let text = format!(
                "`{}` is {}, and `{}` is {}: they cannot be compared",
                unparse(left.0),
                left.1.words(),
                unparse(right.0),
                right.1.words()
            );
            let name = unparse(left.0);
            let place = part_of(self.span(), self.source(), &name);
            let p = Problem::at(ProblemKind::WrongType, &place, text);
            let help = match (left.1, right.0.expr.clone(), right.1) {
                (Type::Number, Ast::Literal(LiteralValue::String(s)), _) => {
                    format!("write the number without quotes: {}", s.inner())
                }
                (Type::Text, _, Type::Number) => {
                    format!("write it in quotes: \"{}\"", unparse(right.0))
                }
                (Type::Duration, _, Type::Number) => {
                    format!("write `{name} < duration(\"{}ms\")`", unparse(right.0))
                }
                (Type::Duration, Ast::Literal(LiteralValue::String(s)), _) => {
                    format!("write `duration(\"{}\")`", s.inner())
                }
                (Type::List, _, Type::Number) => format!("its length is `size({name})`"),
                _ => "compare it with a value of its own type".to_owned(),
            };
            found.push(p.help(help));
        });
        found
    }
}

type Side<'e> = (&'e IdedExpr, Type);

fn walk(e: &IdedExpr, kind: &str, tell: &mut dyn FnMut(Side<'_>, Side<'_>)) {
    // Inside of a macro a name may be the macro's own.
    let Ast::Call(c) = &e.expr else { return };
    if let (true, [a, b]) = (is_comparison(&c.func_name), c.args.as_slice()) {
        for (a, b) in [(a, b), (b, a)] {
            if let Ast::Ident(name) = &a.expr
                && let (Some(of_field), Some(of_literal)) = (field(kind, name), literal(b))
                && of_field != of_literal
            {
                tell((a, of_field), (b, of_literal));
            }
        }
    }
    c.target.iter().for_each(|t| walk(t, kind, tell));
    c.args.iter().for_each(|a| walk(a, kind, tell));
}

fn is_comparison(name: &str) -> bool {
    [
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::LESS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::GREATER_EQUALS,
    ]
    .contains(&name)
}

fn literal(e: &IdedExpr) -> Option<Type> {
    match &e.expr {
        Ast::Literal(l) => match l {
            LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => {
                Some(Type::Number)
            }
            LiteralValue::String(_) => Some(Type::Text),
            LiteralValue::Boolean(_) => Some(Type::Boolean),
            _ => None,
        },
        Ast::List(_) => Some(Type::List),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Span;

    fn said(kind: &str, text: &str) -> Vec<String> {
        let e = Expr::new(text, &Span::generated()).unwrap();
        let found = e.impossible(kind);
        found
            .into_iter()
            .map(|p| format!("{} ({})", p.message, p.help.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn what_can_never_hold_is_told() {
        assert_eq!(
            said("http", "status == \"200\" && json.a == 1"),
            [
                "`status` is a number, and `\"200\"` is a text: they cannot be compared (write the number without quotes: 200)"
            ]
        );
        assert_eq!(
            said("grpc", "status == 0"),
            [
                "`status` is a text, and `0` is a number: they cannot be compared (write it in quotes: \"0\")"
            ]
        );
        assert_eq!(
            said("http", "duration < 800"),
            [
                "`duration` is a duration, and `800` is a number: they cannot be compared (write `duration < duration(\"800ms\")`)"
            ]
        );
        assert_eq!(
            said("sql", "rows == 1"),
            [
                "`rows` is a list, and `1` is a number: they cannot be compared (its length is `size(rows)`)"
            ]
        );
        assert_eq!(said("exec", "0 != stdout").len(), 1);
    }

    #[test]
    fn what_may_hold_is_not() {
        for (kind, text) in [
            ("http", "status == 200"),
            ("http", "status in [200, 201]"),
            ("grpc", "status == \"OK\""),
            ("redis", "value == \"1\" || value == 1"),
            ("http", "json.items.all(status, status == \"paid\")"),
            ("http", "duration < duration(\"1s\")"),
            ("sql", "size(rows) == 1 && rows[0].n == \"x\""),
            ("sql", "rows == []"),
        ] {
            assert_eq!(said(kind, text), [""; 0], "{kind}: {text}");
        }
    }
}
