//! The reader of `requirements.txt`.
#![no_main]

#[path = "../read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|text: &str| read::read("python", "requirements.txt", text));
