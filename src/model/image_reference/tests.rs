//! Tests of references and digests.

use super::*;
use proptest::prelude::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn a_reference_has_its_parts() {
    let text = format!("127.0.0.1:5000/trade/order-web:1.4.2@sha256:{HEX}");
    let reference: ImageReference = text.parse().unwrap();
    assert_eq!(reference.registry(), "127.0.0.1:5000");
    assert_eq!(reference.registry_host(), "127.0.0.1");
    assert_eq!(reference.repository(), "trade/order-web");
    assert_eq!(reference.tag().unwrap().as_str(), "1.4.2");
    assert_eq!(reference.digest().unwrap().hex(), HEX);
    assert_eq!(reference.to_string(), text);
    assert_eq!(serde_json::to_value(&reference).unwrap(), text);
}

#[test]
fn good_references_are_taken() {
    for good in [
        "localhost/a",
        "localhost:5000/a/b/c",
        "harbor.example.com/trade/order",
        "[::1]:5000/a:b",
        "registry:5000/a__b/c--d.e_f:_x",
        "Harbor.Example.com/a",
    ] {
        assert_eq!(good.parse::<ImageReference>().unwrap().to_string(), good);
    }
}

#[test]
fn bad_references_are_refused() {
    for bad in [
        "",
        "a",
        "trade/order",
        "a.b/",
        "a.b//c",
        "a.b/C",
        "a.b/c:",
        "a.b/c:.x",
        "a.b/c:x:y",
        "a.b/c@sha256:12",
        "a.b/../c",
        "a.b:0/c",
        "a.b:99999/c",
        "a.b:+80/c",
        "-a.b/c",
        "a..b/c",
        "user@a.b/c",
        "https://a.b/c",
        "[::x]:1/c",
        "a.b/c d",
        "a.b/a___b",
        "a.b/c\n",
    ] {
        assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
    }
    let long = format!("a.b/{}", "c".repeat(256));
    assert!(long.parse::<ImageReference>().is_err());
}

#[test]
fn digests_are_lower_case_sha256() {
    assert!(format!("sha256:{HEX}").parse::<Digest>().is_ok());
    for bad in [HEX.to_owned(), format!("sha256:{}", HEX.to_uppercase()), format!("sha512:{HEX}"), "sha256:".into()] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
    assert!(serde_json::from_str::<Digest>("\"sha256:x\"").is_err());
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused_and_what_is_taken_reads_back(text in "[a-zA-Z0-9.:/@_\\[\\]-]{0,60}|\\PC{0,30}") {
        if let Ok(reference) = text.parse::<ImageReference>() {
            prop_assert_eq!(reference.to_string(), text);
        }
    }
}
