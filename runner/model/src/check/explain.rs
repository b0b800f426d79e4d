//! Why an expression is false, with both sides of what is compared in it.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, operators};
use cel::{Context, ExecutionError, IdedExpr, Value as Cel};
use serde_json::Value as Json;

use super::resolve::to_json;
use super::show::{show, type_hint};
use super::unparse::{operator, unparse};
use super::work;
use crate::diag::nearest;

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Side {
    pub expected: String,
    pub actual: String,
    pub path: Option<String>,
    pub hint: Option<String>,
}

/// All reasons why a false expression is false.
pub(crate) fn why_false(e: &IdedExpr, context: &Context<'_, '_>) -> Vec<Side> {
    match &e.expr {
        Expr::Call(c) => call(e, c, context),
        Expr::Comprehension(c) => vec![comprehension(e, c, context)],
        Expr::Select(s) if s.test => {
            let operand = value(&s.operand, context);
            vec![Side {
                expected: format!("a key `{}`", s.field),
                actual: operand.as_ref().map_or_else(String::new, show),
                path: Some(unparse(&s.operand)),
                hint: operand.as_ref().and_then(|v| near_key(v, &s.field)),
            }]
        }
        _ => vec![plain(e, context)],
    }
}

fn plain(e: &IdedExpr, context: &Context<'_, '_>) -> Side {
    Side {
        expected: "true".into(),
        actual: value(e, context)
            .as_ref()
            .map_or_else(|| "false".into(), show),
        path: Some(unparse(e)),
        hint: None,
    }
}

fn call(e: &IdedExpr, c: &CallExpr, context: &Context<'_, '_>) -> Vec<Side> {
    match (c.func_name.as_str(), c.args.as_slice()) {
        (operators::LOGICAL_AND, args) => args
            .iter()
            .flat_map(|a| match work::resolve(a, context) {
                Ok(Cel::Bool(true)) => Vec::new(),
                Ok(_) => why_false(a, context),
                Err(err) => vec![why_broken(a, &err, context)],
            })
            .collect(),
        (operators::LOGICAL_OR, args) => args.iter().flat_map(|a| why_false(a, context)).collect(),
        (operators::LOGICAL_NOT, [a]) => vec![Side {
            expected: format!("not {}", unparse(a)),
            actual: "it is true".into(),
            path: subject(a).map(unparse),
            hint: subject(a)
                .and_then(|s| value(s, context))
                .map(|v| format!("the value is {}", show(&v))),
        }],
        (operators::CONDITIONAL, [cond, yes, no]) => {
            let branch = if value(cond, context) == Some(Json::Bool(true)) {
                yes
            } else {
                no
            };
            why_false(branch, context)
        }
        (name, [left, right]) if c.target.is_none() && operator(name).is_some() => {
            vec![comparison(
                operator(name).unwrap_or_default(),
                left,
                right,
                context,
            )]
        }
        (name, args) => match &c.target {
            Some(t) => vec![Side {
                expected: format!(
                    "{name}({})",
                    args.iter()
                        .map(|a| shown(a, context))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
                actual: shown(t, context),
                path: Some(unparse(t)),
                hint: None,
            }],
            None => vec![plain(e, context)],
        },
    }
}

fn comparison(sign: &str, left: &IdedExpr, right: &IdedExpr, context: &Context<'_, '_>) -> Side {
    // `201 == status` is about `status`.
    let literal = |e: &IdedExpr| matches!(e.expr, Expr::Literal(_));
    let (sign, left, right) = if literal(left) && !literal(right) {
        (mirrored(sign), right, left)
    } else {
        (sign, left, right)
    };
    let (lv, rv) = (value(left, context), value(right, context));
    let hint = match (&rv, &lv) {
        (Some(r), Some(l)) => type_hint(r, l),
        _ => None,
    };
    let right_text = unparse(right);
    let right_value = shown(right, context);
    let expected = match sign {
        "in" => format!("one of {right_value}"),
        _ => format!("{sign} {right_value}"),
    };
    let named =
        !literal(right) && right_text != right_value && !right_text.starts_with("duration(");
    Side {
        expected: if named && !matches!(right.expr, Expr::List(_) | Expr::Map(_)) {
            format!("{expected} ({right_text})")
        } else {
            expected
        },
        actual: shown(left, context),
        path: Some(unparse(left)),
        hint,
    }
}

fn mirrored(sign: &str) -> &str {
    match sign {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

/// `all` and `exists`: which items are to blame.
fn comprehension(e: &IdedExpr, c: &ComprehensionExpr, context: &Context<'_, '_>) -> Side {
    let items = value(&c.iter_range, context);
    let path = Some(unparse(&c.iter_range));
    let size = match &items {
        Some(Json::Array(a)) => a.len(),
        Some(Json::Object(o)) => o.len(),
        _ => 0,
    };
    let Some(step) = predicate(c) else {
        return Side {
            path,
            ..plain(e, context)
        };
    };
    let expected = format!(
        "{} of the {size} items with {}",
        if step.all { "each" } else { "at least one" },
        unparse(step.test)
    );
    let Some(Json::Array(list)) = &items else {
        return Side {
            expected,
            actual: items.as_ref().map_or_else(String::new, show),
            path,
            hint: None,
        };
    };
    if !step.all {
        return Side {
            expected,
            actual: items.as_ref().map_or_else(String::new, show),
            path,
            hint: None,
        };
    }
    let test = work::marked(step.test, &[&c.iter_var]);
    let wrong: Vec<usize> = (0..list.len())
        .filter(|i| {
            let mut inner = context.new_inner_scope();
            let item = super::resolve::to_val(&list[*i]);
            match Cel::try_from(item.as_ref()) {
                Ok(v) => inner.add_variable_from_value(c.iter_var.clone(), v),
                Err(_) => return false,
            }
            !matches!(Cel::resolve(&test, &inner), Ok(Cel::Bool(true)))
        })
        .collect();
    match wrong.first() {
        Some(first) => Side {
            expected,
            actual: format!(
                "{} of them without; the first is item {first}: {}",
                wrong.len(),
                show(&list[*first])
            ),
            path: path.map(|p| format!("{p}[{first}]")),
            hint: None,
        },
        None => Side {
            expected,
            actual: items.as_ref().map_or_else(String::new, show),
            path,
            hint: None,
        },
    }
}

struct Predicate<'e> {
    all: bool,
    test: &'e IdedExpr,
}

/// The test inside of `all` (accumulates with `&&`) or `exists` (with `||`).
fn predicate(c: &ComprehensionExpr) -> Option<Predicate<'_>> {
    let Expr::Call(step) = &c.loop_step.expr else {
        return None;
    };
    let all = match step.func_name.as_str() {
        operators::LOGICAL_AND => true,
        operators::LOGICAL_OR => false,
        _ => return None,
    };
    step.args
        .iter()
        .find(|a| !matches!(&a.expr, Expr::Ident(n) if *n == c.accu_var))
        .map(|test| Predicate { all, test })
}

/// What a call or comparison is about.
fn subject(e: &IdedExpr) -> Option<&IdedExpr> {
    match &e.expr {
        Expr::Call(c) => c.target.as_deref().or_else(|| c.args.first()),
        Expr::Comprehension(c) => Some(&c.iter_range),
        Expr::Select(_) | Expr::Ident(_) => Some(e),
        _ => None,
    }
}

/// Why an expression has no value at all.
pub(crate) fn why_broken(e: &IdedExpr, error: &ExecutionError, context: &Context<'_, '_>) -> Side {
    let culprit = culprit(e, context).unwrap_or(e);
    let expected = "a value".to_owned();
    if let ExecutionError::NoSuchKey(key) = error {
        let (owner, key) = owner(culprit).unwrap_or((culprit, key.as_str()));
        let v = value(owner, context);
        let actual = match &v {
            Some(Json::Null) => format!("{} is null", unparse(owner)),
            Some(v) => format!("{} has no `{key}`: {}", unparse(owner), show(v)),
            None => format!("{} has no `{key}`", unparse(owner)),
        };
        let mut hint = v.as_ref().and_then(|v| near_key(v, key));
        if unparse(owner) == "json" && v == Some(Json::Null) {
            hint = Some("the body is not JSON".into());
        }
        return Side {
            expected,
            actual,
            path: Some(unparse(culprit)),
            hint,
        };
    }
    let (actual, hint) = match error {
        ExecutionError::UndeclaredReference(name) => (format!("there is no `{name}` here"), None),
        ExecutionError::IndexOutOfBounds(_) => match owner_of_index(culprit) {
            Some(list) => {
                let n = value(list, context)
                    .and_then(|v| v.as_array().map(Vec::len))
                    .unwrap_or(0);
                (format!("{} has {n} items", unparse(list)), None)
            }
            None => ("the index is outside of the list".into(), None),
        },
        _ => types(culprit, error, context),
    };
    Side {
        expected,
        actual,
        path: Some(unparse(culprit)),
        hint,
    }
}

/// The operands' values, for an operator or function that does not take their types.
fn types(
    e: &IdedExpr,
    error: &ExecutionError,
    context: &Context<'_, '_>,
) -> (String, Option<String>) {
    let Expr::Call(c) = &e.expr else {
        return match &e.expr {
            Expr::Select(s) => {
                let v = value(&s.operand, context);
                let text = format!(
                    "{} is {}",
                    unparse(&s.operand),
                    v.as_ref().map_or("not there", super::show::kind)
                );
                let hint = (unparse(&s.operand) == "json" && v == Some(Json::Null))
                    .then(|| "the body is not JSON".to_owned());
                (text, hint)
            }
            _ => (error.to_string(), None),
        };
    };
    let operands: Vec<&IdedExpr> = c.target.as_deref().into_iter().chain(&c.args).collect();
    let shown: Vec<String> = operands
        .iter()
        .map(|o| match value(o, context) {
            Some(v) => format!("{} is {} ({})", unparse(o), super::show::kind(&v), show(&v)),
            None => unparse(o),
        })
        .collect();
    let hint = match operands.as_slice() {
        [l, r] => match (value(l, context), value(r, context)) {
            (Some(l), Some(r)) => type_hint(&r, &l).or_else(|| mixed(&l, &r)),
            _ => None,
        },
        _ => None,
    };
    let sign = operator(&c.func_name).unwrap_or(&c.func_name);
    (
        format!("`{sign}` does not go with these: {}", shown.join(", ")),
        hint,
    )
}

fn mixed(l: &Json, r: &Json) -> Option<String> {
    match (l, r) {
        (Json::String(s), Json::Number(_)) | (Json::Number(_), Json::String(s)) if s.parse::<f64>().is_ok() => {
            Some(format!("{:?} is text here, not a number; `double({s:?})` makes it one", s))
        }
        (Json::Number(a), Json::Number(b)) if a.is_f64() != b.is_f64() => {
            Some("whole numbers and decimals do not mix in arithmetic: write `2.0` for `2`, or `double(x)`".into())
        }
        _ => None,
    }
}

/// The innermost part that has no value although its parts have.
fn culprit<'e>(e: &'e IdedExpr, context: &Context<'_, '_>) -> Option<&'e IdedExpr> {
    if work::resolve(e, context).is_ok() {
        return None;
    }
    let inner = match &e.expr {
        Expr::Call(c) => c
            .target
            .as_deref()
            .into_iter()
            .chain(&c.args)
            .find_map(|a| culprit(a, context)),
        Expr::Select(s) => culprit(&s.operand, context),
        Expr::List(l) => l.elements.iter().find_map(|a| culprit(a, context)),
        Expr::Comprehension(c) => culprit(&c.iter_range, context),
        _ => None,
    };
    inner.or(Some(e))
}

fn owner(e: &IdedExpr) -> Option<(&IdedExpr, &str)> {
    match &e.expr {
        Expr::Select(s) => Some((&s.operand, s.field.as_str())),
        Expr::Call(c) if c.func_name == operators::INDEX => match c.args.as_slice() {
            [o, k] => match &k.expr {
                Expr::Literal(cel::common::ast::LiteralValue::String(s)) => Some((o, s.inner())),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn owner_of_index(e: &IdedExpr) -> Option<&IdedExpr> {
    match &e.expr {
        Expr::Call(c) if c.func_name == operators::INDEX => c.args.first(),
        Expr::Select(s) => owner_of_index(&s.operand),
        _ => None,
    }
}

fn near_key(v: &Json, key: &str) -> Option<String> {
    let o = v.as_object()?;
    nearest(key, o.keys().map(String::as_str)).map(|n| format!("did you mean `{n}`?"))
}

fn value(e: &IdedExpr, context: &Context<'_, '_>) -> Option<Json> {
    work::resolve(e, context).ok().map(|v| to_json(&v))
}

/// A value as it is shown: durations without quotes.
fn shown(e: &IdedExpr, context: &Context<'_, '_>) -> String {
    match work::resolve(e, context) {
        Ok(Cel::Duration(d)) => super::resolve::duration_text(d),
        Ok(v) => show(&to_json(&v)),
        Err(_) => unparse(e),
    }
}
