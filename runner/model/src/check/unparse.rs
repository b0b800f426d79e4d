//! The text of a part of an expression, for messages.

use cel::IdedExpr;
use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

/// The part as it could be written.
pub(crate) fn unparse(e: &IdedExpr) -> String {
    match &e.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Literal(l) => literal(l),
        Expr::Select(s) if s.test => format!("has({}.{})", unparse(&s.operand), s.field),
        Expr::Select(s) => format!("{}.{}", unparse(&s.operand), s.field),
        Expr::List(l) => format!("[{}]", join(&l.elements)),
        Expr::Map(m) => {
            let entries: Vec<String> = m
                .entries
                .iter()
                .map(|e| match &e.expr {
                    EntryExpr::MapEntry(m) => format!("{}: {}", unparse(&m.key), unparse(&m.value)),
                    EntryExpr::StructField(f) => format!("{}: {}", f.field, unparse(&f.value)),
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Expr::Call(c) => call(c),
        Expr::Comprehension(c) => comprehension(c),
        Expr::Struct(s) => format!("{}{{…}}", s.type_name),
        Expr::Unspecified => "…".into(),
    }
}

/// The macro that a comprehension was written as.
fn comprehension(c: &ComprehensionExpr) -> String {
    let range = unparse(&c.iter_range);
    let var = &c.iter_var;
    let is_accu = |e: &IdedExpr| matches!(&e.expr, Expr::Ident(n) if *n == c.accu_var);
    // `accu + [item]`
    let added = |e: &IdedExpr| match &e.expr {
        Expr::Call(call) if call.func_name == operators::ADD => match call.args.as_slice() {
            [a, list] if is_accu(a) => match &list.expr {
                Expr::List(l) => l.elements.first().map(unparse),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let written = match &c.loop_step.expr {
        Expr::Call(step) => match (step.func_name.as_str(), step.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, args) => {
                let name = if step.func_name == operators::LOGICAL_AND {
                    "all"
                } else {
                    "exists"
                };
                args.iter()
                    .find(|a| !is_accu(a))
                    .map(|test| (name, unparse(test)))
            }
            (operators::CONDITIONAL, [test, yes, _]) => match added(yes) {
                Some(item) if item == *var => Some(("filter", unparse(test))),
                Some(item) => Some(("map", format!("{}, {item}", unparse(test)))),
                None => Some(("exists_one", unparse(test))),
            },
            (operators::ADD, _) => added(&c.loop_step).map(|item| ("map", item)),
            _ => None,
        },
        _ => None,
    };
    match written {
        Some((name, inside)) => format!("{range}.{name}({var}, {inside})"),
        None => format!("{range}.…"),
    }
}

fn call(c: &cel::common::ast::CallExpr) -> String {
    let name = c.func_name.as_str();
    match (name, c.args.as_slice()) {
        (operators::INDEX, [a, b]) => format!("{}[{}]", unparse(a), unparse(b)),
        (operators::LOGICAL_NOT, [a]) => format!("!{}", unparse(a)),
        (operators::NEGATE, [a]) => format!("-{}", unparse(a)),
        (operators::CONDITIONAL, [a, b, c]) => {
            format!("{} ? {} : {}", unparse(a), unparse(b), unparse(c))
        }
        (_, [a, b]) if operator(name).is_some() => {
            format!(
                "{} {} {}",
                unparse(a),
                operator(name).unwrap_or_default(),
                unparse(b)
            )
        }
        (_, args) => match &c.target {
            Some(t) => format!("{}.{name}({})", unparse(t), join(args)),
            None => format!("{name}({})", join(args)),
        },
    }
}

/// The sign of a two-sided operator.
pub(crate) fn operator(function: &str) -> Option<&str> {
    match function {
        operators::IN => Some("in"),
        _ => function
            .strip_prefix('_')
            .and_then(|s| s.strip_suffix('_'))
            .filter(|s| {
                matches!(
                    *s,
                    "==" | "!="
                        | "<"
                        | "<="
                        | ">"
                        | ">="
                        | "+"
                        | "-"
                        | "*"
                        | "/"
                        | "%"
                        | "&&"
                        | "||"
                )
            }),
    }
}

fn join(items: &[IdedExpr]) -> String {
    items.iter().map(unparse).collect::<Vec<_>>().join(", ")
}

fn literal(l: &LiteralValue) -> String {
    match l {
        LiteralValue::Boolean(b) => b.inner().to_string(),
        LiteralValue::Bytes(_) => "b'…'".into(),
        LiteralValue::Double(d) => d.inner().to_string(),
        LiteralValue::Int(i) => i.inner().to_string(),
        LiteralValue::Null => "null".into(),
        LiteralValue::String(s) => serde_json::Value::from(s.inner()).to_string(),
        LiteralValue::UInt(u) => format!("{}u", u.inner()),
    }
}
