//! The reader of `pom.xml`.
#![no_main]

#[path = "../read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|text: &str| read::read("pom", "pom.xml", text));
