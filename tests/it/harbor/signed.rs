//! Bundles that are signed, and sites that take no others.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::carried::{digest_of, pushed, run, site};

/// A key by OpenSSL: private and public half.
fn key(directory: &Path, name: &str) -> (String, String) {
    let (private, public) = (directory.join(format!("{name}.key")), directory.join(format!("{name}.pub")));
    let openssl = |args: &[&str]| {
        let done = Command::new("openssl").args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let (private, public) = (private.display().to_string(), public.display().to_string());
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &private]);
    openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
    (private, public)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_takes_what_its_key_has_signed() {
    let (near, here) = site(&["trade"]);
    let (far, there) = site(&[]);
    let digest = pushed(&near, 300_000, "trade/order:1").await;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let ((private, public), (_, other)) = (key(directory.path(), "ours"), key(directory.path(), "other"));
    let (signed, plain) = (at("signed.tar"), at("plain.tar"));
    let export = run(&here, &format!("bundle export trade/order:1 -o {signed} --sign {private}")).await;
    assert_eq!(export.code, 0, "{}", export.text());
    let whole = fs::read(&signed).unwrap();
    // Broken off and gone on with, the same archive comes out.
    fs::remove_file(&signed).unwrap();
    fs::write(format!("{signed}.partial"), &whole[..whole.len() - 1100]).unwrap();
    assert_eq!(run(&here, &format!("bundle export trade/order:1 -o {signed} --sign {private}")).await.code, 0);
    assert!(fs::read(&signed).unwrap() == whole);
    assert_eq!(run(&here, &format!("bundle export trade/order:1 -o {plain}")).await.code, 0);

    // Somebody who changes what is in it has no key: neither the contents nor the sums are believed.
    let forged = at("forged.tar");
    let text = String::from_utf8_lossy(&whole);
    let contents = text.find("slipway-bundle.json").unwrap();
    let name = contents + text[contents..].find("trade/order:1").unwrap();
    let mut bytes = whole.clone();
    bytes[name..name + 5].copy_from_slice(b"other");
    fs::write(&forged, bytes).unwrap();
    let config = fs::read_to_string(there.config()).unwrap();
    there.replace_config(&config.replacen("[registry]", &format!("[registry]\nbundle_keys = [{public:?}]"), 1));
    for (file, flags, says) in [
        (&plain, String::new(), "not signed"),
        (&forged, String::new(), "is not what was signed"),
        (&signed, format!(" --key {other}"), "none of the keys"),
        (&signed, format!(" --key {private}"), "no public Ed25519 key"),
    ] {
        for verb in ["import", "verify"] {
            let refused = run(&there, &format!("bundle {verb} {file}{flags}")).await;
            assert!(refused.code == 1 && refused.stderr.contains(says), "{verb} {file}{flags}: {}", refused.text());
        }
        assert_eq!(digest_of(&far, "trade/order:1"), None);
        assert!(far.state().projects.len() == 1, "a project was made for what is not believed");
    }
    for line in [format!("bundle verify {signed}"), format!("bundle import {signed} --key {other} --key {public}")] {
        let taken = run(&there, &line).await;
        assert_eq!(taken.code, 0, "{}", taken.text());
    }
    assert_eq!(digest_of(&far, "trade/order:1"), Some(digest));
    let wrong = run(&here, &format!("bundle export trade/order:1 -o {plain} --sign {public}")).await;
    assert!(wrong.code == 1 && wrong.stderr.contains("no Ed25519 key"), "{}", wrong.text());
}
