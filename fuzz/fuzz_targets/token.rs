//! Challenges of registries, and answers of their token services.
#![no_main]

libfuzzer_sys::fuzz_target!(|both: (&str, &[u8])| {
    let _ = slipway::image::assembler::untrusted::token(both.0, both.1);
});
