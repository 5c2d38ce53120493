//! Layers of base images: tar headers, names, links, attributes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = slipway::image::assembler::untrusted::layer(bytes);
});
