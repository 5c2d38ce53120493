//! The words of Slipway as types: values in, values out, no I/O.

pub mod command;
pub mod each;
pub mod failure;
pub mod image_reference;
pub mod installation;
pub mod layout_reference;
pub mod left_out;
pub mod names;
pub mod origin;
pub mod plan;
pub mod report;
pub mod request;
pub mod scan;
pub mod settings;
pub mod source;
pub mod source_tree;
pub mod written;
