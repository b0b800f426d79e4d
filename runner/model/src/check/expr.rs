//! Expressions in CEL.

use std::sync::{Arc, LazyLock};

use cel::parser::PrattParser;
use cel::{Context, Env, ExecutionError, IdedExpr, Value as Cel};
use serde_json::Value as Json;

use super::explain;
use super::resolve::{Names, to_json};
use super::work::{self, Work};
use crate::diag::{Problem, ProblemKind};
use crate::event::{Mismatch, Place};
use crate::source::Span;
use crate::template::{Document, Scope, has_tags, locate};

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // The extensions declare names that the standard library does not have.
    let _ = env.add_extension(cel::extensions::strings);
    let _ = env.add_extension(cel::extensions::lists);
    let _ = env.add_extension(cel::extensions::math);
    Arc::new(env)
});

/// A compiled expression.
#[derive(Debug)]
pub struct Expr {
    source: String,
    span: Span,
    ast: IdedExpr,
    /// The same with marks that bound what it does: what is evaluated.
    marked: IdedExpr,
}

impl Expr {
    /// Compiles an expression that stands at `span`.
    ///
    /// # Errors
    /// Where it is no valid expression, with what is usually meant.
    pub fn new(source: &str, span: &Span) -> Result<Self, Problem> {
        if let Some(p) = template_inside(source, span) {
            return Err(p);
        }
        if let Some(p) = too_deep(source, span) {
            return Err(p);
        }
        match PrattParser::new().parse(source) {
            Ok(ast) => match unknown_function(&ast) {
                Some(name) => Err(no_function(&name, source, span)),
                None => Ok(Self {
                    source: source.to_owned(),
                    span: span.clone(),
                    marked: work::marked(&ast, &[]),
                    ast,
                }),
            },
            Err(errors) => Err(syntax(source, span, errors.errors.first())),
        }
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its parts.
    pub(super) fn ast(&self) -> &IdedExpr {
        &self.ast
    }

    /// Where it stands.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Its value.
    ///
    /// # Errors
    /// Why it has none: a key that is not there, types that do not go together.
    pub fn value(&self, document: &Document, scope: &Scope) -> Result<Json, Mismatch> {
        let names = Names::new(document, scope);
        let context = context(&names);
        match Cel::resolve(&self.marked, &context) {
            Ok(v) => Ok(to_json(&v)),
            Err(e) => Err(self.broken(&e, &names.work, &context)),
        }
    }

    /// Checks that it is true; all that is false in it is told.
    pub fn check(&self, document: &Document, scope: &Scope) -> Vec<Mismatch> {
        let names = Names::new(document, scope);
        let context = context(&names);
        match Cel::resolve(&self.marked, &context) {
            Ok(Cel::Bool(true)) => Vec::new(),
            Ok(Cel::Bool(false)) => {
                names.work.refill();
                let sides = explain::why_false(&self.ast, &context).into_iter();
                sides.map(|s| self.mismatch(s)).collect()
            }
            Ok(other) => vec![self.mismatch(explain::Side {
                expected: "true or false".into(),
                actual: super::show(&to_json(&other)),
                path: None,
                hint: Some("an expectation is a comparison, such as `json.total > 0`".into()),
            })],
            Err(e) => vec![self.broken(&e, &names.work, &context)],
        }
    }

    /// Whether it is true, for `if` and `until`.
    ///
    /// # Errors
    /// As [`Expr::value`], and when it is neither true nor false.
    pub fn is_true(&self, document: &Document, scope: &Scope) -> Result<bool, Mismatch> {
        match self.value(document, scope)? {
            Json::Bool(b) => Ok(b),
            other => Err(self.mismatch(explain::Side {
                expected: "true or false".into(),
                actual: super::show(&other),
                path: None,
                hint: None,
            })),
        }
    }

    fn broken(&self, e: &ExecutionError, work: &Work, context: &Context<'_, '_>) -> Mismatch {
        if let Some(limit) = work.passed() {
            return self.mismatch(explain::Side {
                expected: format!("an expression that is done within {limit} steps"),
                actual: "it takes more".into(),
                path: None,
                hint: Some("ask the service for less, or put fewer of `map`, `filter`, `all` and `exists` into each other".into()),
            });
        }
        self.mismatch(explain::why_broken(&self.ast, e, context))
    }

    fn mismatch(&self, side: explain::Side) -> Mismatch {
        Mismatch {
            expectation: self.source.clone(),
            kind: self.kind().into(),
            place: self.span.is_real().then(|| Place::from(&self.span)),
            expected: side.expected,
            actual: side.actual,
            path: side.path,
            hint: side.hint,
        }
    }

    /// The class of the expectation: the field it is about when that is one of the plain
    /// ones, else `expression`.
    fn kind(&self) -> &'static str {
        let references = self.ast.references();
        let about = |name: &str| references.has_variable(name);
        [
            "status",
            "duration",
            "rows",
            "exit_code",
            "stdout",
            "stderr",
            "count",
        ]
        .into_iter()
        .find(|n| about(n))
        .unwrap_or("expression")
    }

    /// The names that it uses, `steps.x` and `vars.x` with their second part.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        let mut bound = Vec::new();
        roots(&self.ast, &mut bound, &mut |name| {
            let place = crate::template::part_of(&self.span, &self.source, &name);
            to.push((name, place));
        });
    }
}

/// Brackets inside of each other at most: the parser and the evaluator go down into each.
const DEEPEST: usize = 32;
/// Operators, selections and calls of one expression at most: a chain of them is as deep as it
/// is long.
const MOST_PARTS: usize = 400;

/// An expression so deep that reading it could overflow the stack.
fn too_deep(source: &str, span: &Span) -> Option<Problem> {
    let (mut depth, mut deepest, mut parts) = (0usize, 0, 0);
    let mut quote = None;
    let mut escaped = false;
    for c in source.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' => quote = Some(c),
                '(' | '[' | '{' => {
                    depth += 1;
                    parts += 1;
                    deepest = deepest.max(depth);
                }
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                '+' | '-' | '*' | '/' | '%' | '!' | '?' | '.' | '&' | '|' | '<' | '>' | '=' => {
                    parts += 1;
                }
                _ => {}
            },
        }
    }
    // `in` is an operator that is a word.
    parts += source.matches(" in ").count();
    let what = if deepest > DEEPEST {
        format!("brackets are {deepest} deep in this expression; at most {DEEPEST} are read")
    } else if parts > MOST_PARTS {
        format!("this expression has {parts} operators and brackets; at most {MOST_PARTS} are read")
    } else {
        return None;
    };
    Some(
        Problem::at(ProblemKind::TooLarge, span, what)
            .help("make it several expectations: all of a list must hold"),
    )
}

/// Functions of the standard library and the extensions, for the nearest name.
pub(crate) const FUNCTIONS: &[&str] = &[
    "abs",
    "all",
    "bool",
    "bytes",
    "ceil",
    "charAt",
    "contains",
    "distinct",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "exists",
    "exists_one",
    "existsOne",
    "filter",
    "flatten",
    "floor",
    "format",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "has",
    "hasValue",
    "indexOf",
    "int",
    "isFinite",
    "isInf",
    "isNaN",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "map",
    "matches",
    "range",
    "replace",
    "reverse",
    "round",
    "sign",
    "size",
    "slice",
    "sort",
    "split",
    "sqrt",
    "startsWith",
    "string",
    "substring",
    "timestamp",
    "trim",
    "trunc",
    "type",
    "uint",
    "upperAscii",
];

fn context<'p, 'v>(names: &'v Names<'v>) -> Context<'p, 'v> {
    let mut context = Context::with_env(ENV.clone());
    context.set_variable_resolver(names);
    names.work.arm(&mut context);
    context
}

/// The first function that does not exist.
fn unknown_function(ast: &IdedExpr) -> Option<String> {
    let references = ast.references();
    let mut names: Vec<&str> = references
        .functions()
        .into_iter()
        .filter(|f| f.starts_with(|c: char| c.is_ascii_alphabetic()) && !FUNCTIONS.contains(f))
        .collect();
    names.sort_unstable();
    names.into_iter().find(|n| !exists(n)).map(str::to_owned)
}

/// Whether the environment has a function of this name, which [`FUNCTIONS`] does not list.
fn exists(name: &str) -> bool {
    let context: Context<'_, '_> = Context::with_env(ENV.clone());
    [format!("{name}()"), format!("''.{name}()")]
        .iter()
        .any(|call| {
            PrattParser::new().parse(call).is_ok_and(|ast| {
                !matches!(
                    Cel::resolve(&ast, &context),
                    Err(ExecutionError::UndeclaredReference(_))
                )
            })
        })
}

fn no_function(name: &str, source: &str, span: &Span) -> Problem {
    let place = crate::template::part_of(span, source, name);
    let p = Problem::at(
        ProblemKind::UnknownReference,
        &place,
        format!("there is no function `{name}`"),
    );
    let other = match name {
        "len" | "length" | "count" => Some("size"),
        "lower" | "toLower" => Some("lowerAscii"),
        "upper" | "toUpper" => Some("upperAscii"),
        "float" => Some("double"),
        "str" => Some("string"),
        "any" | "some" => Some("exists"),
        "every" => Some("all"),
        "includes" => Some("contains"),
        _ => crate::diag::nearest(name, FUNCTIONS.iter().copied()),
    };
    match other {
        Some(n) => p.help(format!("did you mean `{n}`?")),
        None => p.help("expressions are CEL: size, contains, startsWith, matches, all, exists, filter, map, duration, timestamp…"),
    }
}

/// Walks all identifiers that are not bound by a macro.
fn roots(e: &IdedExpr, bound: &mut Vec<String>, found: &mut impl FnMut(String)) {
    use cel::common::ast::{EntryExpr, Expr as E};
    match &e.expr {
        E::Ident(name) => {
            if !bound.contains(name) && !name.starts_with('@') && !TYPES.contains(&name.as_str()) {
                found(name.clone());
            }
        }
        E::Select(s) => match &s.operand.expr {
            E::Ident(root)
                if matches!(root.as_str(), "steps" | "vars") && !bound.contains(root) =>
            {
                found(format!("{root}.{}", s.field));
            }
            _ => roots(&s.operand, bound, found),
        },
        E::Call(c) => {
            if let Some(t) = &c.target {
                // `math.abs(x)`: the namespace is no variable.
                let namespace = matches!(&t.expr, E::Ident(n) if matches!(n.as_str(), "math" | "lists" | "strings" | "optional" | "base64"));
                if !namespace {
                    roots(t, bound, found);
                }
            }
            c.args.iter().for_each(|a| roots(a, bound, found));
        }
        E::List(l) => l.elements.iter().for_each(|a| roots(a, bound, found)),
        E::Map(m) => m.entries.iter().for_each(|e| entry(&e.expr, bound, found)),
        E::Struct(s) => s.entries.iter().for_each(|e| entry(&e.expr, bound, found)),
        E::Comprehension(c) => {
            roots(&c.iter_range, bound, found);
            roots(&c.accu_init, bound, found);
            let before = bound.len();
            bound.push(c.iter_var.clone());
            bound.extend(c.iter_var2.clone());
            bound.push(c.accu_var.clone());
            for part in [&c.loop_cond, &c.loop_step, &c.result] {
                roots(part, bound, found);
            }
            bound.truncate(before);
        }
        E::Literal(_) | E::Unspecified => {}
    }

    fn entry(e: &EntryExpr, bound: &mut Vec<String>, found: &mut impl FnMut(String)) {
        match e {
            EntryExpr::MapEntry(m) => {
                roots(&m.key, bound, found);
                roots(&m.value, bound, found);
            }
            EntryExpr::StructField(f) => roots(&f.value, bound, found),
        }
    }
}

/// Identifiers that name types.
const TYPES: [&str; 11] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
    "optional_type",
];

fn template_inside(source: &str, span: &Span) -> Option<Problem> {
    if !has_tags(source) {
        return None;
    }
    let at = source.find("{{")?;
    let end = source[at..].find("}}").map_or(source.len(), |e| at + e + 2);
    let inner = source[at..end].trim_matches(['{', '}']).trim();
    Some(
        Problem::at(
            ProblemKind::Syntax,
            &locate(span, source, at, end),
            "an expression takes variables by their names, without `{{ }}`",
        )
        .help(format!(
            "write `{}`",
            source
                .replace(&format!("\"{}\"", &source[at..end]), inner)
                .replace(&source[at..end], inner)
        )),
    )
}

fn syntax(source: &str, span: &Span, error: Option<&cel::ParseError>) -> Problem {
    let (message, at) = match error {
        Some(e) => {
            let col = usize::try_from(e.pos.1 - 1).unwrap_or(0);
            let at = source
                .char_indices()
                .nth(col)
                .map_or(source.len(), |(i, _)| i);
            (words(&e.msg), at)
        }
        None => ("it cannot be read".to_owned(), 0),
    };
    let at = at.min(source.len());
    let place = locate(span, source, at, (at + 1).min(source.len()).max(at));
    let p = Problem::at(
        ProblemKind::Syntax,
        &place,
        format!("invalid expression: {message}"),
    );
    let rest = &source[at..];
    let lone_equals = rest.starts_with('=') && !rest.starts_with("==");
    match rest.split_whitespace().next() {
        _ if lone_equals => p.help("write `==` to compare"),
        Some("and") => p.help("write `&&` for and"),
        Some("or") => p.help("write `||` for or"),
        Some("is") => p.help("write `==` to compare"),
        _ => p,
    }
}

/// The parser's words, without its grammar's names.
fn words(message: &str) -> String {
    let m = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let m = m.replace("'<EOF>'", "the end").replace("<EOF>", "the end");
    if let Some(rest) = m.strip_prefix("mismatched input ") {
        if let Some((found, _)) = rest.split_once(" expecting the end") {
            return format!("{found} is not expected here");
        }
        if let Some((found, wanted)) = rest.split_once(" expecting ") {
            let wanted = if wanted == "expression" {
                "a value"
            } else {
                wanted
            };
            return format!("{wanted} is expected, not {found}");
        }
    }
    m
}
