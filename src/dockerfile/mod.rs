//! Dockerfiles as values: read from text, written as text, rendered from templates.

pub mod ignore;
pub mod instruction;
mod lexer;
pub mod parse;
pub mod rebase;
pub mod render;
pub mod template;
pub mod word;
