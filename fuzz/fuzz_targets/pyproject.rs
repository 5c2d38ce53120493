//! The reader of `pyproject.toml`.
#![no_main]

#[path = "../read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|text: &str| read::read("python", "pyproject.toml", text));
