//! Reads a Python module's syntax tree: module-level names, functions, calls.
//!
//! Comments and strings are no code here, and a file with syntax errors yields what can be read.

mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tree_sitter::{Node, Parser};

use super::imports;
use super::module::{Assignment, Call, Function, Module, Value};
use crate::model::source_tree::SourceTree;

/// More nodes than a hand-written file of 1 MiB has; a bound for hostile ones.
const MAX_NODES: usize = 400_000;
/// More assignments, functions or calls than any hand-written module has, each.
const MAX_ITEMS: usize = 3_000;
/// How deep attribute chains and nested blocks are followed.
const MAX_DEPTH: usize = 40;

/// The modules of many files, several parsed at a time.
pub(super) fn of_each<'p>(tree: &SourceTree, paths: &[&'p str]) -> Vec<(&'p str, Arc<Module>)> {
    tree.derived_each(paths.iter().copied(), |_, text| parse(text).unwrap_or_default())
}

/// A file's module, parsed once; empty where the parser gives up. `None` where there is no text, or not yet.
pub(super) fn of(tree: &SourceTree, path: &str) -> Option<Arc<Module>> {
    tree.derived(path, |text| parse(text).unwrap_or_default())
}

/// Parses a module. `None` when the parser gives up, which it does not on text.
pub(super) fn parse(text: &str) -> Option<Module> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_python::LANGUAGE.into()).ok()?;
    let tree = parser.parse(text, None)?;
    let mut reading = Reading { text, module: Module { imports: imports::read(text), ..Module::default() } };
    reading.block(tree.root_node(), 0);
    reading.calls(tree.root_node());
    Some(reading.module)
}

struct Reading<'a> {
    text: &'a str,
    module: Module,
}

impl<'a> Reading<'a> {
    fn of(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    /// The statements of a block that run when the module is imported.
    fn block(&mut self, block: Node<'_>, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let mut cursor = block.walk();
        for node in block.named_children(&mut cursor) {
            match node.kind() {
                "expression_statement" => self.expression(node),
                "function_definition" => self.function(node),
                "class_definition" => self.class(node),
                "decorated_definition" => match node.child_by_field_name("definition") {
                    Some(inner) if inner.kind() == "function_definition" => self.function(inner),
                    Some(inner) => self.class(inner),
                    None => {}
                },
                "if_statement" if self.is_main_guard(node) => {
                    let line = line(node);
                    self.module.main_guard.get_or_insert(line);
                }
                "if_statement" | "else_clause" | "elif_clause" | "try_statement" | "except_clause"
                | "finally_clause" | "with_statement" | "block" | "ERROR" => self.block(node, depth + 1),
                _ => {}
            }
        }
    }

    fn is_main_guard(&self, node: Node<'_>) -> bool {
        let Some(condition) = node.child_by_field_name("condition") else { return false };
        let text: String = self.of(condition).chars().filter(|c| !c.is_whitespace() && !"()".contains(*c)).collect();
        let text = text.replace('\'', "\"");
        text == "__name__==\"__main__\"" || text == "\"__main__\"==__name__"
    }

    fn expression(&mut self, node: Node<'_>) {
        let assignments = self.assigned(node);
        let room = MAX_ITEMS.saturating_sub(self.module.assignments.len());
        self.module.assignments.extend(assignments.into_iter().take(room));
    }

    /// `a = b = value`, `a: T = value`, `a += value`.
    fn assigned(&self, statement: Node<'_>) -> Vec<Assignment> {
        let (mut targets, mut found) = (Vec::new(), Vec::new());
        let mut next = statement.named_child(0);
        while let Some(node) = next.filter(|node| matches!(node.kind(), "assignment" | "augmented_assignment")) {
            targets.extend(node.child_by_field_name("left").filter(|left| left.kind() == "identifier"));
            next = node.child_by_field_name("right");
            if targets.len() > MAX_DEPTH {
                break;
            }
        }
        let Some(right) = next else { return found };
        for target in targets {
            found.push(Assignment {
                target: self.of(target).to_owned(),
                value: self.value(right),
                strings: self.strings(right),
                line: line(target),
            });
        }
        found
    }

    fn class(&mut self, node: Node<'_>) {
        let name = node.child_by_field_name("name").map(|name| self.of(name).to_owned());
        let base = node.child_by_field_name("superclasses").and_then(|bases| bases.named_child(0));
        if let (Some(name), Some(Value::Name(base))) = (name, base.map(|base| self.value(base))) {
            self.module.classes.insert(name, base);
        }
    }

    fn function(&mut self, node: Node<'_>) {
        let Some(name) = node.child_by_field_name("name") else { return };
        if self.module.functions.len() >= MAX_ITEMS {
            return;
        }
        let is_async = node.child(0).is_some_and(|child| child.kind() == "async");
        let (mut assignments, mut returns) = (Vec::new(), Vec::new());
        if let Some(body) = node.child_by_field_name("body") {
            walk(body, &mut |inner| {
                match inner.kind() {
                    "function_definition" | "class_definition" | "lambda" => return false,
                    "expression_statement" => assignments.extend(self.assigned(inner)),
                    "return_statement" => returns.extend(inner.named_child(0).map(|value| self.value(value))),
                    _ => {}
                }
                true
            });
        }
        self.module.functions.push(Function {
            name: self.of(name).to_owned(),
            line: line(node),
            callable: !is_async && node.child_by_field_name("parameters").is_none_or(all_have_defaults),
            assignments,
            returns,
        });
    }

    /// They count wherever they stand.
    fn calls(&mut self, root: Node<'_>) {
        let mut calls = Vec::new();
        walk(root, &mut |node| {
            if node.kind() == "call" {
                calls.push(node);
            }
            true
        });
        let found = calls.into_iter().filter_map(|node| {
            let callee = self.reference(node.child_by_field_name("function")?)?;
            let (arguments, keywords) = self.arguments(node);
            Some(Call { callee, arguments, keywords, line: line(node) })
        });
        self.module.calls = found.take(MAX_ITEMS).collect();
    }
}

fn all_have_defaults(parameters: Node<'_>) -> bool {
    let mut cursor = parameters.walk();
    parameters.named_children(&mut cursor).all(|parameter| match parameter.kind() {
        "identifier" | "tuple_pattern" => false,
        "typed_parameter" => parameter.named_child(0).is_none_or(|inner| inner.kind() != "identifier"),
        _ => true,
    })
}

fn line(node: Node<'_>) -> u32 {
    u32::try_from(node.start_position().row + 1).unwrap_or(u32::MAX)
}

/// Visits nodes in order, without recursion; `false` from the visitor skips what lies below.
fn walk<'t>(root: Node<'t>, visit: &mut dyn FnMut(Node<'t>) -> bool) {
    let mut cursor = root.walk();
    for _ in 0..MAX_NODES {
        let inside = visit(cursor.node());
        if inside && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
        }
    }
}
