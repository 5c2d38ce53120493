//! The reader of `Dockerfile`.
#![no_main]

#[path = "../read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|text: &str| read::read("dockerfile", "Dockerfile", text));
