//! What a Python module's source says, as far as finding an application needs it.

use std::collections::BTreeMap;

use super::imports::Imports;

/// A dotted name as the module uses it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reference {
    /// `flask.Flask` after following the module's imports; leading dots for relative ones.
    pub(super) dotted: String,
    /// Whether the first name was imported.
    pub(super) imported: bool,
}

/// An expression, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A call of this name.
    Call(Reference),
    /// A name.
    Name(Reference),
    /// A plain string.
    Text(String),
    /// A number.
    Integer(u64),
    /// Anything else.
    Other,
}

/// `target = value` at module level or in a function.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    pub(super) target: String,
    pub(super) value: Value,
    /// The strings anywhere in the value.
    pub(super) strings: Vec<String>,
    pub(super) line: u32,
}

/// A function at module level.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: u32,
    /// Whether it can be called without arguments and without awaiting it.
    pub(super) callable: bool,
    pub(super) assignments: Vec<Assignment>,
    pub(super) returns: Vec<Value>,
}

/// A call anywhere in the file.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) callee: Reference,
    /// Positional arguments: strings, numbers and names as text.
    pub(super) arguments: Vec<Argument>,
    /// Keyword arguments.
    pub(super) keywords: Vec<(String, Argument)>,
    pub(super) line: u32,
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    Text(String),
    Integer(u64),
    Name(String),
    Strings(Vec<String>),
    Other,
}

/// What a module's source says.
#[derive(Debug, Clone, Default)]
pub(super) struct Module {
    pub(super) imports: Imports,
    pub(super) assignments: Vec<Assignment>,
    pub(super) functions: Vec<Function>,
    /// Class to its first base.
    pub(super) classes: BTreeMap<String, Reference>,
    pub(super) calls: Vec<Call>,
    /// The line of `if __name__ == "__main__":`.
    pub(super) main_guard: Option<u32>,
}
