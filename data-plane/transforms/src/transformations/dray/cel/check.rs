//! What an expression may be: it is parsed, its names are known, and it cannot make much of little.
//!
//! Each limit is there because of one way to write a short expression that runs for long: loops in loops, and values that double
//! within a loop.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr};
use cel::{Context, Env, ExecutionError, Program};
use dray_connect::{Error, Result};
use std::sync::Arc;

use super::VARIABLES;

/// Longer ones are programs. 100 sums of texts of a megabyte each are what so many characters can hold.
const LONGEST: usize = 2000;
/// Loops in an expression.
const LOOPS: usize = 16;
/// Loops in each other: with 1,000 elements each, a million steps.
const DEEPEST: usize = 2;
/// Sums, and elements of lists and maps that are written out, within loops: each may double what goes in.
const GROWTH: usize = 8;

/// An expression that may be evaluated, and how many elements a list or map may have that it sees.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) program: Program,
    pub(super) most: usize,
}

struct Walk<'e> {
    scopes: Vec<&'e str>,
    loops: usize,
    deepest: usize,
    growth: usize,
    /// The first name that nobody knows, and the id of its place.
    unknown: Option<(&'e str, u64)>,
}

pub(super) fn check(env: &Arc<Env>, key: &str, text: &str) -> Result<Checked> {
    let refused = |problem: &str| Error::invalid_config(key, Some(text), Some(problem));
    if text.len() > LONGEST {
        return Err(refused(&format!(
            "it has {} characters; {LONGEST} are allowed. Do the work in a connector.",
            text.len()
        )));
    }
    let program = env.compile(text).map_err(|errors| {
        let Some(error) = errors.errors.first() else {
            return refused("it is no expression");
        };
        refused(&format!(
            "it is no expression at line {}, column {}: {}",
            error.pos.0, error.pos.1, error.msg
        ))
    })?;
    let mut walk = Walk {
        scopes: Vec::new(),
        loops: 0,
        deepest: 0,
        growth: 0,
        unknown: None,
    };
    walk.expression(program.expression(), 0);
    if let Some((name, id)) = walk.unknown {
        let start = program
            .source_info()
            .offset_for(id)
            .map_or(0, |(start, _)| start as usize);
        return Err(refused(&format!(
            "there is no {name}, which stands at column {}: an expression knows {}",
            start + 1,
            VARIABLES.join(", ")
        )));
    }
    let references = program.references();
    let unknown = references.functions().into_iter().find(|name| !is_function(env, name));
    if let Some(name) = unknown {
        let column = text.find(name).map_or(1, |at| text[..at].chars().count() + 1);
        return Err(refused(&format!(
            "there is no function {name}, which stands at column {column}"
        )));
    }
    drop(references);
    for (count, most, what) in [
        (walk.loops, LOOPS, "loops (all, exists, map, filter)"),
        (walk.deepest, DEEPEST, "loops in each other"),
        (walk.growth, GROWTH, "sums and written elements within loops"),
    ] {
        if count > most {
            return Err(refused(&format!(
                "it has {count} {what}; {most} are allowed, so that no record takes long"
            )));
        }
    }
    let most = if walk.deepest > 1 { 1_000 } else { 100_000 };
    Ok(Checked { program, most })
}

/// Whether there is a function or a method of that name: one that exists refuses null in another way than one that does not.
fn is_function(env: &Arc<Env>, name: &str) -> bool {
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return true; // an operator
    }
    [
        format!("{name}(null)"),
        format!("null.{name}()"),
        format!("null.{name}(null)"),
    ]
    .iter()
    .any(|text| {
        let Ok(program) = env.compile(text) else { return true };
        let context = Context::with_env(Arc::clone(env));
        !matches!(program.execute(&context), Err(ExecutionError::UndeclaredReference(_)))
    })
}

impl<'e> Walk<'e> {
    fn expression(&mut self, node: &'e IdedExpr, depth: usize) {
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                let known =
                    name.starts_with('@') || VARIABLES.contains(&name.as_str()) || self.scopes.contains(&name.as_str());
                if !known && self.unknown.is_none() {
                    self.unknown = Some((name, node.id));
                }
            }
            Expr::Call(call) => self.call(call, depth),
            Expr::Comprehension(each) => self.comprehension(each, depth),
            Expr::List(list) => {
                self.grow(list.elements.len(), depth);
                for element in &list.elements {
                    self.expression(element, depth);
                }
            }
            Expr::Map(map) => self.entries(&map.entries, depth),
            Expr::Struct(record) => self.entries(&record.entries, depth),
            Expr::Select(select) => self.expression(&select.operand, depth),
        }
    }

    fn grow(&mut self, by: usize, depth: usize) {
        if depth > 0 {
            self.growth += by;
        }
    }

    fn call(&mut self, call: &'e CallExpr, depth: usize) {
        // What a loop collects is `@result + [element]`, which the user has not written.
        let collects = call
            .args
            .first()
            .is_some_and(|first| matches!(&first.expr, Expr::Ident(name) if name.starts_with('@')));
        if call.func_name == "_+_" && collects {
            for argument in &call.args[1..] {
                if let Expr::List(list) = &argument.expr {
                    list.elements.iter().for_each(|element| self.expression(element, depth));
                } else {
                    self.expression(argument, depth);
                }
            }
            return;
        }
        if call.func_name == "_+_" {
            self.grow(1, depth);
        }
        for argument in call.target.as_deref().into_iter().chain(&call.args) {
            self.expression(argument, depth);
        }
    }

    fn comprehension(&mut self, each: &'e ComprehensionExpr, depth: usize) {
        self.loops += 1;
        self.deepest = self.deepest.max(depth + 1);
        self.expression(&each.iter_range, depth);
        let before = self.scopes.len();
        self.scopes.push(&each.iter_var);
        self.scopes.extend(each.iter_var2.as_deref());
        self.scopes.push(&each.accu_var);
        for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
            self.expression(part, depth + 1);
        }
        self.scopes.truncate(before);
    }

    fn entries(&mut self, entries: &'e [IdedEntryExpr], depth: usize) {
        self.grow(entries.len(), depth);
        for entry in entries {
            match &entry.expr {
                EntryExpr::StructField(field) => self.expression(&field.value, depth),
                EntryExpr::MapEntry(entry) => {
                    self.expression(&entry.key, depth);
                    self.expression(&entry.value, depth);
                }
            }
        }
    }
}
