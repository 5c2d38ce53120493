//! What every reader of gzip makes of the blocks, and which of them are known again.

use std::io::Read as _;

use super::*;

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(step).collect()
}

#[test]
fn every_gzip_reader_reads_it_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path().to_owned());
    let text = "to be or not to be, ".repeat(200_000).into_bytes();
    for plain in [Vec::new(), b"x".to_vec(), text.clone(), [noise(3 << 20), text].concat(), noise(BLOCK)] {
        let layer = copy(&store, &mut plain.as_slice()).unwrap();
        assert_eq!(layer.diff_id.0, digest_of(Sha256::new_with_prefix(&plain)));
        let mut back = Vec::new();
        // One member: a reader that stops after the first reads all of it.
        let file = std::fs::File::open(store.path(&layer.blob.digest)).unwrap();
        flate2::read::GzDecoder::new(file).read_to_end(&mut back).unwrap();
        assert!(back == plain);
    }
}

/// Registries and caches know layers by these digests. Where a newer compressor changes them on purpose, so does
/// [`COMPRESSOR`].
#[test]
fn the_same_bytes_have_the_digest_that_they_always_had() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path().to_owned());
    let line = |number| format!("{} of {number}\n", number * 7919 % 10_007).into_bytes();
    let plain = [(0..60_000).flat_map(line).collect(), noise(3 << 19), b"end".repeat(1000)].concat();
    let layer = copy(&store, &mut plain.as_slice()).unwrap();
    assert_eq!(layer.blob.digest.as_str(), "sha256:af39cb18d7dfe28748de2f8c2433ec8a5aec236abad37064f7f5c9fe64584885");
}

#[test]
fn what_does_not_shrink_is_stored() {
    assert!(!worth_it(&noise(BLOCK)));
    assert!(worth_it(&b"abcdefgh".repeat(BLOCK / 8)));
    assert_eq!(stored(&noise(STORED + 1)).len(), STORED + 1 + 10);
}

#[test]
fn a_block_is_known_by_its_files_and_what_stands_between_them() {
    let header = [7_u8; 512];
    let first: Run = Some(([1; 32], 0));
    let base = key(&header, &[(0, None), (100, first), (300, None)]);
    assert_eq!(base, key(&header, &[(0, None), (100, first), (300, None)]));
    for other in [
        vec![(0, None)],
        vec![(0, None), (100, Some(([2; 32], 0))), (300, None)],
        vec![(0, None), (100, Some(([1; 32], 1))), (300, None)],
        vec![(0, None), (100, first), (301, None)],
        vec![(0, first), (100, first), (300, None)],
    ] {
        assert_ne!(base, key(&header, &other), "{other:?}");
    }
    let mut elsewhere = header;
    elsewhere[200] = 0;
    assert_eq!(base, key(&elsewhere, &[(0, None), (100, first), (300, None)]));
    elsewhere[99] = 0;
    assert_ne!(base, key(&elsewhere, &[(0, None), (100, first), (300, None)]));
}

/// A file that reaches over several blocks, among others.
#[test]
fn files_that_are_known_are_found_wherever_their_blocks_begin() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path().to_owned());
    let large = b"a large file ".repeat(BLOCK / 4);
    let make = |hash: u8, bytes: &[u8]| {
        let mut out = Compressor::new(&store, true).unwrap();
        out.write_all(&[0; 512]).unwrap();
        out.bytes_of(Some([hash; 32]));
        out.write_all(bytes).unwrap();
        out.bytes_of(None);
        out.write_all(&[0; 1024]).unwrap();
        out.finish().unwrap()
    };
    let layer = make(1, &large);
    let notes = || std::fs::read_dir(directory.path().join("blocks")).unwrap().count();
    let first = notes();
    assert_eq!(first, 4);
    assert_eq!((make(1, &large), notes()), (layer.clone(), first));
    // The same file under another name is another one.
    assert_eq!((make(2, &large), notes()), (layer, 2 * first));
}

#[test]
fn blocks_that_are_known_are_copied() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path().to_owned());
    let plain = b"a layer ".repeat(BLOCK / 2);
    let make = || {
        let mut out = Compressor::new(&store, true).unwrap();
        out.write_all(&plain).unwrap();
        out.finish().unwrap()
    };
    let first = make();
    let key = key(&plain[..BLOCK], &[(0, None)]);
    assert_eq!(store.block(&key).unwrap(), deflate(&plain[..BLOCK]));
    assert_eq!(make(), first);
    // A blob that is damaged is not copied from.
    let mut damaged = std::fs::read(store.path(&first.blob.digest)).unwrap();
    let end = damaged.len();
    damaged[end - 20] ^= 1;
    std::fs::write(store.path(&first.blob.digest), damaged).unwrap();
    assert!(store.block(&key).is_none());
    assert_eq!(make(), first);
}
