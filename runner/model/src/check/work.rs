//! How much an expression may do. A macro in a macro in a macro does a thousand times a thousand
//! times a thousand things, and the evaluator has no end for it.
//!
//! What is evaluated is the expression with marks in it: each turn of a macro asks for `@step`,
//! which has no value when the work is used up; whatever could grow goes through `@weigh`. No
//! expression can be written with these names. An error stops `map` and `filter` at once, and `all`
//! and `exists` at the condition of their next turn, so nothing goes on after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr as E, ListExpr, LiteralValue, MapEntryExpr,
    SelectExpr, operators,
};
use cel::common::types::{CelList, CelMap, CelString};
use cel::common::value::{CowVal, Val};
use cel::functions::FunctionContext;
use cel::{Context, ExecutionError, IdedExpr};
use serde_json::Value as Json;

/// The name whose look-up is one turn.
pub(super) const STEP: &str = "@step";
const WEIGH: &str = "@weigh";
const PRODUCT: &str = "@product";
const DISTINCT: &str = "@distinct";

/// Steps of any expression.
const STEPS: u64 = 1_000_000;
/// More of them for each value of the largest thing that it looks at.
const PER_VALUE: u64 = 20;
/// Bytes of a text that count as one value.
const BYTES: u64 = 64;
/// List literals up to this length are not weighed.
const SHORT: usize = 8;

/// What is left to do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Work(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    spent: AtomicU64,
    largest: AtomicU64,
}

impl Work {
    fn limit(&self) -> u64 {
        let largest = self.0.largest.load(Ordering::Relaxed);
        STEPS.saturating_add(largest.saturating_mul(PER_VALUE))
    }

    /// Whether it may go on after so many steps.
    pub fn spend(&self, steps: u64) -> bool {
        let before = self.0.spent.load(Ordering::Relaxed);
        let spent = before.saturating_add(steps);
        self.0.spent.store(spent, Ordering::Relaxed);
        spent <= self.limit()
    }

    /// Counts a value that an expression looks at.
    pub fn look_at(&self, json: &Json) -> bool {
        let size = size_of_json(json);
        self.0.largest.fetch_max(size, Ordering::Relaxed);
        self.spend(size)
    }

    /// Begins anew.
    pub fn refill(&self) {
        self.0.spent.store(0, Ordering::Relaxed);
    }

    /// The limit, when it is passed.
    pub fn passed(&self) -> Option<u64> {
        let limit = self.limit();
        (self.0.spent.load(Ordering::Relaxed) > limit).then_some(limit)
    }

    fn take(&self, steps: u64) -> Result<(), ExecutionError> {
        match self.spend(steps) {
            true => Ok(()),
            false => Err(ExecutionError::function_error(WEIGH, "too much work")),
        }
    }

    /// Gives a context the functions that marked expressions call.
    pub fn arm(&self, context: &mut Context<'_, '_>) {
        let (a, b, c) = (self.clone(), self.clone(), self.clone());
        // Names that begin so are free.
        let _ = context.add_function(WEIGH, function(move |args| a.weigh(args)));
        let _ = context.add_function(PRODUCT, function(move |args| b.product(args)));
        let _ = context.add_function(DISTINCT, function(move |args| c.distinct(args)));
    }

    /// A value, counted.
    fn weigh<'c, 'v>(&self, mut args: Args<'c, 'v>) -> Answer<'c, 'v> {
        let value = args.pop().ok_or_else(missing)?;
        let mut left = self.limit();
        weight(value.as_ref(), &mut left);
        self.take(self.limit() - left)?;
        Ok(value)
    }

    /// The first of two values, where something may become as large as one times the other.
    fn product<'c, 'v>(&self, mut args: Args<'c, 'v>) -> Answer<'c, 'v> {
        let other = args.pop().ok_or_else(missing)?;
        let value = args.pop().ok_or_else(missing)?;
        let (a, b) = (length(value.as_ref()), length(other.as_ref()));
        self.take(1 + (a + 1).saturating_mul(b) / BYTES)?;
        Ok(value)
    }

    /// `distinct` of a list, of which each comparison is a step.
    fn distinct<'c, 'v>(&self, mut args: Args<'c, 'v>) -> Answer<'c, 'v> {
        let value = args.pop().ok_or_else(missing)?;
        let list = value
            .as_ref()
            .downcast_ref::<CelList<'_>>()
            .ok_or_else(|| {
                ExecutionError::function_error("distinct", "it is not called on a list")
            })?;
        let mut unique: Vec<&dyn Val> = Vec::new();
        for item in list.inner() {
            let seen = unique.iter().position(|u| item.equals(*u));
            self.take(seen.unwrap_or(unique.len()) as u64 + 1)?;
            if seen.is_none() {
                unique.push(item.as_ref());
            }
        }
        let items: Vec<Box<dyn Val + 'v>> = unique.into_iter().map(Val::clone_as_boxed).collect();
        Ok(CowVal::owned(CelList::from(items)))
    }
}

/// A function as the evaluator takes it.
type Function = Box<
    dyn for<'c, 'v> Fn(&mut FunctionContext<'c, 'v>) -> Result<CowVal<'c, 'v>, ExecutionError>
        + Send
        + Sync,
>;
type Args<'c, 'v> = Vec<CowVal<'c, 'v>>;
type Answer<'c, 'v> = Result<CowVal<'c, 'v>, ExecutionError>;

fn function(
    f: impl for<'c, 'v> Fn(Args<'c, 'v>) -> Answer<'c, 'v> + Send + Sync + 'static,
) -> Function {
    Box::new(move |context: &mut FunctionContext<'_, '_>| f(std::mem::take(&mut context.args)))
}

fn missing() -> ExecutionError {
    ExecutionError::missing_argument_or_target()
}

/// Takes as much from `left` as a value has values; not much more than there is.
fn weight(value: &dyn Val, left: &mut u64) {
    *left = left.saturating_sub(1);
    if let Some(s) = value.downcast_ref::<CelString<'_>>() {
        *left = left.saturating_sub(s.inner().len() as u64 / BYTES);
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        for item in list.inner() {
            if *left == 0 {
                return;
            }
            weight(item.as_ref(), left);
        }
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        for item in map.inner().values() {
            if *left == 0 {
                return;
            }
            weight(item.as_ref(), left);
        }
    }
}

/// Bytes of a text, items of a list.
fn length(value: &dyn Val) -> u64 {
    match (
        value.downcast_ref::<CelString<'_>>(),
        value.downcast_ref::<CelList<'_>>(),
    ) {
        (Some(s), _) => s.inner().len() as u64,
        (_, Some(list)) => list.inner().len() as u64,
        _ => 0,
    }
}

fn size_of_json(json: &Json) -> u64 {
    match json {
        Json::String(s) => 1 + s.len() as u64 / BYTES,
        Json::Array(items) => 1 + items.iter().map(size_of_json).sum::<u64>(),
        Json::Object(map) => 1 + map.values().map(size_of_json).sum::<u64>(),
        _ => 1,
    }
}

/// The value of a part of an expression.
pub(super) fn resolve(e: &IdedExpr, context: &Context<'_, '_>) -> cel::ResolveResult {
    cel::Value::resolve(&marked(e, &[]), context)
}

/// An expression with marks in it. `bound` are names that macros around it have given.
pub(super) fn marked(e: &IdedExpr, bound: &[&str]) -> IdedExpr {
    let mut bound = bound.iter().map(|b| (*b).to_owned()).collect();
    mark(e, &mut bound)
}

fn mark(e: &IdedExpr, bound: &mut Vec<String>) -> IdedExpr {
    let expr = match &e.expr {
        E::Ident(name) if bound.contains(name) => return weighed(e.clone()),
        E::Ident(_) | E::Literal(_) | E::Unspecified => return e.clone(),
        E::Select(s) => {
            let marked = selected(e, s, bound);
            return match !s.test && is_of(e, bound) {
                true => weighed(marked),
                false => marked,
            };
        }
        E::Call(c) => return call(e, c, bound),
        E::List(l) => {
            let elements = l.elements.iter().map(|i| mark(i, bound)).collect();
            let list = E::List(ListExpr::new_with_optionals(
                elements,
                l.optional_indices.clone(),
            ));
            let list = of(e, list);
            return match l.elements.len() > SHORT {
                true => weighed(list),
                false => list,
            };
        }
        E::Map(m) => {
            let mut map = m.clone();
            map.entries
                .iter_mut()
                .for_each(|i| entry(&mut i.expr, bound));
            E::Map(map)
        }
        E::Struct(s) => {
            let mut made = s.clone();
            made.entries
                .iter_mut()
                .for_each(|i| entry(&mut i.expr, bound));
            E::Struct(made)
        }
        E::Comprehension(c) => E::Comprehension(Box::new(comprehension(c, bound))),
    };
    of(e, expr)
}

fn entry(e: &mut EntryExpr, bound: &mut Vec<String>) {
    match e {
        EntryExpr::MapEntry(m) => {
            *m = MapEntryExpr {
                key: mark(&m.key, bound),
                value: mark(&m.value, bound),
                optional: m.optional,
            };
        }
        EntryExpr::StructField(f) => f.value = mark(&f.value, bound),
    }
}

/// What a selection is made of: names stay as they are, since the longest that is known is
/// looked up, and a part of a value weighs less than the whole.
fn selected(e: &IdedExpr, s: &SelectExpr, bound: &mut Vec<String>) -> IdedExpr {
    let operand = place(&s.operand, bound);
    let select = SelectExpr {
        operand: Box::new(operand),
        ..s.clone()
    };
    of(e, E::Select(select))
}

fn place(e: &IdedExpr, bound: &mut Vec<String>) -> IdedExpr {
    match &e.expr {
        E::Ident(_) => e.clone(),
        E::Select(inner) => selected(e, inner, bound),
        _ => mark(e, bound),
    }
}

/// Whether it is a part of what a macro has given.
fn is_of(e: &IdedExpr, bound: &[String]) -> bool {
    match &e.expr {
        E::Ident(name) => bound.contains(name),
        E::Select(s) => is_of(&s.operand, bound),
        _ => false,
    }
}

fn call(e: &IdedExpr, c: &CallExpr, bound: &mut Vec<String>) -> IdedExpr {
    let mut args: Vec<IdedExpr> = c.args.iter().map(|a| mark(a, bound)).collect();
    let mut target = c.target.as_ref().map(|t| mark(t, bound));
    let name = c.func_name.as_str();
    let mut grows = name == operators::ADD || name.starts_with(|l: char| l.is_ascii_alphabetic());
    let times = match name {
        "replace" => args.get(1).cloned(),
        "join" => args.first().cloned(),
        _ => None,
    };
    if let Some(times) = times {
        target = target.map(|t| made(e, PRODUCT, vec![t, times]));
    }
    if name == "distinct" && args.is_empty() && target.is_some() {
        return made(e, DISTINCT, target.into_iter().collect());
    }
    if let (operators::INDEX, Some(whole)) = (name, c.args.first()) {
        args[0] = place(whole, bound);
        grows = is_of(whole, bound);
    }
    let marked = of(
        e,
        E::Call(CallExpr {
            func_name: c.func_name.clone(),
            target: target.map(Box::new),
            args,
        }),
    );
    if grows { weighed(marked) } else { marked }
}

fn comprehension(c: &ComprehensionExpr, bound: &mut Vec<String>) -> ComprehensionExpr {
    let mut out = ComprehensionExpr {
        iter_range: weighed(mark(&c.iter_range, bound)),
        accu_init: mark(&c.accu_init, bound),
        ..c.clone()
    };
    let before = bound.len();
    bound.push(c.iter_var.clone());
    bound.extend(c.iter_var2.clone());
    // What a macro collects in has a name that nobody can write, and is its own.
    if !c.accu_var.starts_with('@') {
        bound.push(c.accu_var.clone());
    }
    out.loop_step = match (&c.loop_cond.expr, &c.loop_step.expr) {
        // `map` and `filter` are known by their form, which stays.
        (E::Literal(_), E::Call(step)) => appended(&c.loop_step, step, bound),
        (_, E::Call(step)) => {
            out.loop_cond = gate(c.loop_cond.clone());
            let args = step.args.iter().map(|a| mark(a, bound)).collect();
            of(
                &c.loop_step,
                E::Call(CallExpr {
                    args,
                    ..step.clone()
                }),
            )
        }
        _ => {
            out.loop_cond = gate(c.loop_cond.clone());
            mark(&c.loop_step, bound)
        }
    };
    out.result = mark(&c.result, bound);
    bound.truncate(before);
    out
}

/// A step of `map` or `filter`: `@result + [item]`, or `guard ? @result + [item] : @result`.
fn appended(e: &IdedExpr, step: &CallExpr, bound: &mut Vec<String>) -> IdedExpr {
    let args = match (step.func_name.as_str(), step.args.as_slice()) {
        (operators::CONDITIONAL, [guard, add, accu]) => {
            let E::Call(inner) = &add.expr else {
                return gate(mark(e, bound));
            };
            let add = appended_item(add, inner, bound, false);
            vec![gate(mark(guard, bound)), add, accu.clone()]
        }
        (operators::ADD, _) => return appended_item(e, step, bound, true),
        _ => return gate(mark(e, bound)),
    };
    of(
        e,
        E::Call(CallExpr {
            args,
            ..step.clone()
        }),
    )
}

fn appended_item(e: &IdedExpr, add: &CallExpr, bound: &mut Vec<String>, gated: bool) -> IdedExpr {
    let mut add = add.clone();
    if let Some(E::List(list)) = add.args.get_mut(1).map(|a| &mut a.expr) {
        for item in &mut list.elements {
            let marked = weighed(mark(item, bound));
            *item = if gated { gate(marked) } else { marked };
        }
    }
    of(e, E::Call(add))
}

/// The same, after one step.
fn gate(e: IdedExpr) -> IdedExpr {
    let at = |expr| IdedExpr { id: e.id, expr };
    let args = vec![
        at(E::Ident(STEP.to_owned())),
        e.clone(),
        at(E::Literal(LiteralValue::Null)),
    ];
    at(E::Call(CallExpr {
        func_name: operators::CONDITIONAL.to_owned(),
        target: None,
        args,
    }))
}

fn weighed(e: IdedExpr) -> IdedExpr {
    let at = e.clone();
    made(&at, WEIGH, vec![e])
}

fn made(at: &IdedExpr, name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    of(
        at,
        E::Call(CallExpr {
            func_name: name.to_owned(),
            target: None,
            args,
        }),
    )
}

fn of(at: &IdedExpr, expr: E) -> IdedExpr {
    IdedExpr { id: at.id, expr }
}
