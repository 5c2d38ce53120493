//! Manifests and indexes of images, as a registry gives them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = slipway::image::assembler::untrusted::manifest(bytes);
});
