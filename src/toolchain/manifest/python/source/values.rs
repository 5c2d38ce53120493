//! Expressions: names behind imports, plain strings, arguments of calls.

use tree_sitter::Node;

use super::super::module::{Argument, Reference, Value};
use super::{MAX_DEPTH, Reading, walk};

impl Reading<'_> {
    pub(super) fn value(&self, node: Node<'_>) -> Value {
        match node.kind() {
            "call" => {
                let callee = node.child_by_field_name("function").and_then(|callee| self.reference(callee));
                callee.map_or(Value::Other, Value::Call)
            }
            "identifier" | "attribute" => self.reference(node).map_or(Value::Other, Value::Name),
            "string" => self.string(node).map_or(Value::Other, Value::Text),
            "integer" => self.integer(node).map_or(Value::Other, Value::Integer),
            "parenthesized_expression" => node
                .named_child(0)
                .filter(|inner| inner.kind() == "call")
                .map_or(Value::Other, |inner| self.value(inner)),
            _ => Value::Other,
        }
    }

    /// Follows `a.b.c` down to `a` and resolves that by the imports.
    pub(super) fn reference(&self, node: Node<'_>) -> Option<Reference> {
        let (mut node, mut tail) = (node, Vec::new());
        while node.kind() == "attribute" {
            tail.push(self.of(node.child_by_field_name("attribute")?));
            node = node.child_by_field_name("object")?;
            // `IOLoop.current().start`: the call between is of no interest.
            if node.kind() == "call" {
                node = node.child_by_field_name("function")?;
            }
            if tail.len() > MAX_DEPTH {
                return None;
            }
        }
        let first = (node.kind() == "identifier").then(|| self.of(node))?;
        let target = self.module.imports.names.get(first);
        let mut dotted = target.map_or(first, String::as_str).to_owned();
        for part in tail.iter().rev() {
            dotted.push('.');
            dotted.push_str(part);
        }
        Some(Reference { dotted, imported: target.is_some() })
    }

    fn integer(&self, node: Node<'_>) -> Option<u64> {
        self.of(node).replace('_', "").parse().ok()
    }

    /// The value of a plain string; `None` for f-strings and strings with escapes.
    fn string(&self, node: Node<'_>) -> Option<String> {
        let mut cursor = node.walk();
        let mut content = String::new();
        for child in node.named_children(&mut cursor) {
            match child.kind() {
                "string_content" if child.named_child_count() == 0 => content.push_str(self.of(child)),
                "string_start" | "string_end" => {}
                _ => return None,
            }
        }
        Some(content)
    }

    pub(super) fn strings(&self, root: Node<'_>) -> Vec<String> {
        let mut found = Vec::new();
        walk(root, &mut |node| {
            if node.kind() == "string" {
                found.extend(self.string(node));
            }
            found.len() < 2_000
        });
        found
    }

    pub(super) fn arguments(&self, call: Node<'_>) -> (Vec<Argument>, Vec<(String, Argument)>) {
        let (mut arguments, mut keywords) = (Vec::new(), Vec::new());
        let Some(list) = call.child_by_field_name("arguments") else { return (arguments, keywords) };
        let mut cursor = list.walk();
        for node in list.named_children(&mut cursor).filter(|node| node.kind() != "comment").take(50) {
            if node.kind() != "keyword_argument" {
                arguments.push(self.argument(node));
            } else if let (Some(name), Some(value)) =
                (node.child_by_field_name("name"), node.child_by_field_name("value"))
            {
                keywords.push((self.of(name).to_owned(), self.argument(value)));
            }
        }
        (arguments, keywords)
    }

    fn argument(&self, node: Node<'_>) -> Argument {
        match node.kind() {
            "string" => self.string(node).map_or(Argument::Other, Argument::Text),
            "integer" => self.integer(node).map_or(Argument::Other, Argument::Integer),
            "identifier" | "attribute" => Argument::Name(self.of(node).to_owned()),
            "list" | "tuple" => Argument::Strings(self.strings(node)),
            _ => Argument::Other,
        }
    }
}
