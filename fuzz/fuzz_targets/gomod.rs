//! The reader of `go.mod`.
#![no_main]

#[path = "../read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|text: &str| read::read("gomod", "go.mod", text));
