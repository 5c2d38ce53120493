//! What reads bytes that strangers wrote, for the fuzz targets (`fuzz/`): whatever it is given, it answers and does not
//! panic.

use super::base::{self, Listed};
use super::guard::Guarded;
use super::tree::Tree;
use crate::image::answers::{parameter, starts_with_word, token_in, words_of};

/// Reads a manifest or index; says whether it is one.
#[must_use]
pub fn manifest(bytes: &[u8]) -> bool {
    match base::manifest(bytes, "amd64") {
        Ok(Listed::Image(manifest)) => {
            let config = serde_json::from_slice(bytes).unwrap_or_default();
            manifest.base(config, "registry.example.com/fuzz", None).is_ok()
        }
        Ok(Listed::Elsewhere(_) | Listed::Nowhere) => true,
        Err(_) => false,
    }
}

/// Applies two layers, the second the same as the first, to an image; says whether they are whole.
#[must_use]
pub fn layer(bytes: &[u8]) -> bool {
    let mut tree = Tree::default();
    let mut applied = || tree.apply(Guarded::new(bytes, 1 << 24), 0);
    let whole = applied().and_then(|()| applied()).is_ok();
    // Paths and accounts are as untrusted as the entries.
    let _ = tree.resolve(b"/etc/../etc/passwd");
    let _ = tree.owner("app:staff");
    whole
}

/// Reads a challenge and the answer of a token service; says whether there is a token.
#[must_use]
pub fn token(challenge: &str, answer: &[u8]) -> bool {
    let _ = (words_of(answer), starts_with_word(challenge, "bearer"));
    let _ = ["realm", "service", "scope"].map(|name| parameter(challenge, name));
    token_in(answer).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = r#"{"schemaVersion":2,"config":{"digest":"sha256:HEX","size":2},"rootfs":{"diff_ids":["sha256:HEX"]},
        "layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:HEX","size":7}]}"#;

    fn image() -> String {
        IMAGE.replace("HEX", &"a".repeat(64))
    }

    fn archive() -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_pax_extensions([("SCHILY.xattr.user.a", &b"b"[..])]).unwrap();
        for (path, kind) in [
            ("etc/passwd", tar::EntryType::Regular),
            (&"d/".repeat(70), tar::EntryType::Directory),
            ("link", tar::EntryType::Symlink),
            ("hard", tar::EntryType::Link),
            (".wh.gone", tar::EntryType::Regular),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(0);
            let link = matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link);
            if link {
                archive.append_link(&mut header, path, "etc/passwd").unwrap();
            } else {
                archive.append_data(&mut header, path, std::io::empty()).unwrap();
            }
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn what_is_whole_is_read() {
        assert!(manifest(image().as_bytes()));
        assert!(layer(&archive()));
        assert!(token("Bearer realm=\"https://a\",service=\"b\"", br#"{"token":"a.b.c"}"#));
        // A line end would begin another header.
        assert!(!token("Basic", br#"{"token":"a\nb"}"#));
    }

    /// A small stand-in for the fuzzer: each byte in turn is another one, and the rest is missing.
    #[test]
    fn what_is_damaged_breaks_nothing() {
        let (image, archive) = (image().into_bytes(), archive());
        for whole in [&image, &archive] {
            for at in (0..whole.len()).step_by(3) {
                for with in [0, 0x20, 0x80, 0xff, whole[at] ^ 1] {
                    let mut changed = whole.clone();
                    changed[at] = with;
                    let _ = (manifest(&changed), token(&String::from_utf8_lossy(&changed), &changed));
                    let _ = (layer(&changed), layer(&whole[..at]));
                }
            }
        }
    }
}
