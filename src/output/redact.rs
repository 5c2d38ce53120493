//! Secrets out of text, also in the forms tools print them.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter values are no secrets anyone could keep, and replacing them would make logs unreadable.
pub(super) const SHORTEST: usize = 4;

/// Replaces the values of secrets by `***`.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Vec<String>,
}

impl Redactor {
    /// A redactor of these values, and of their base64, percent-encoded, JSON and XML forms. Each line of a value of
    /// several lines counts as one. Values under four bytes are left alone.
    pub fn new(secrets: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut needles = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            // Log text is cleaned before it is searched, so the value must be, too.
            for line in secret.lines().map(|line| super::decode::clean(line.trim().as_bytes())) {
                if line.len() >= SHORTEST {
                    forms(&line, &mut needles);
                }
            }
            if secret.contains('\n') {
                base64_forms(secret, &mut needles);
            }
        }
        needles.retain(|needle| needle.len() >= SHORTEST);
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Self { needles }
    }

    /// The text with every secret replaced; secrets that overlap are replaced together.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        masked(text, 0..text.len(), &self.hits(text))
    }

    /// Where secrets stand, in order; those that overlap are one.
    pub(super) fn hits(&self, text: &str) -> Vec<Range<usize>> {
        let matches = |needle: &String| {
            let length = needle.len();
            text.match_indices(needle).map(move |(at, _)| at..at + length).collect::<Vec<_>>()
        };
        let mut hits: Vec<Range<usize>> = self.needles.iter().flat_map(matches).collect();
        hits.sort_unstable_by_key(|hit| (hit.start, hit.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for hit in hits {
            match merged.last_mut() {
                Some(last) if hit.start < last.end => last.end = last.end.max(hit.end),
                _ => merged.push(hit),
            }
        }
        merged
    }

    /// Where a secret may begin that goes on behind the text; the text's length where none does.
    pub(super) fn begins(&self, text: &str) -> usize {
        let begun = |needle: &String| {
            let lengths = needle.char_indices().map(|(at, _)| at).filter(|length| *length >= SHORTEST);
            lengths.rev().find(|length| text.ends_with(&needle[..*length]))
        };
        text.len() - self.needles.iter().filter_map(begun).max().unwrap_or(0)
    }

    /// The length of the longest form, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.needles.first().map_or(0, String::len)
    }
}

/// A part of a text, with what is hit replaced.
pub(super) fn masked(text: &str, part: Range<usize>, hits: &[Range<usize>]) -> String {
    let (mut result, mut done) = (String::with_capacity(part.len()), part.start);
    for hit in hits.iter().filter(|hit| hit.start < part.end && hit.end > part.start) {
        result.push_str(&text[done..hit.start.max(part.start)]);
        result.push_str("***");
        done = hit.end.min(part.end);
    }
    result.push_str(&text[done..part.end]);
    result
}

/// Shows how many, never which.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.needles.len())
    }
}

fn forms(secret: &str, needles: &mut Vec<String>) {
    needles.push(secret.to_owned());
    base64_forms(secret, needles);
    for upper in [true, false] {
        needles.push(percent(secret, upper, |byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)));
        // Userinfo of a URL may hold sub-delimiters as they are (RFC 3986, 3.2.1).
        let kept = b"-_.~!$&'()*+,;=";
        needles.push(percent(secret, upper, |byte| byte.is_ascii_alphanumeric() || kept.contains(&byte)));
    }
    needles.push(secret.replace('\\', "\\\\").replace('"', "\\\""));
    let xml = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    needles.push(xml.replace('"', "&quot;").replace('\'', "&apos;"));
    needles.push(xml);
}

/// Inside longer data (`user:password`) a value stands at one of three offsets; of each, the characters that depend
/// on the value alone.
fn base64_forms(secret: &str, needles: &mut Vec<String>) {
    for offset in 0..3_usize {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(secret.as_bytes());
        let (first, last) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            // A few characters would match by chance.
            needles.extend(text.get(first..last).filter(|core| core.len() >= 6).map(str::to_owned));
        }
    }
}

fn percent(secret: &str, upper: bool, keep: impl Fn(u8) -> bool) -> String {
    let escape = |byte: u8| match (keep(byte), upper) {
        (true, _) => char::from(byte).to_string(),
        (false, true) => format!("%{byte:02X}"),
        (false, false) => format!("%{byte:02x}"),
    };
    secret.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_of_a_secret_are_replaced() {
        let redactor = Redactor::new(["p@ss w\"rd&1"]);
        for form in ["p@ss w\"rd&1", "p%40ss%20w%22rd%261", "p@ss w\\\"rd&1", "p@ss w\"rd&amp;1"] {
            assert_eq!(redactor.redact(&format!("<{form}>")), "<***>", "{form}");
        }
    }

    #[test]
    fn a_longer_secret_wins_and_overlaps_merge() {
        let redactor = Redactor::new(["secret", "secret-long", "long-tail", "abc"]);
        assert_eq!(redactor.redact("secret-long secret abc"), "*** *** abc");
        assert_eq!(redactor.redact("x secret-long-tail y"), "x *** y");
    }

    #[test]
    fn lines_of_a_key_are_secrets() {
        let redactor = Redactor::new(["-----BEGIN KEY-----\nMIIEabcdef\n"]);
        assert_eq!(redactor.redact("got MIIEabcdef"), "got ***");
    }

    proptest! {
        #[test]
        fn no_secret_survives(before in ".{0,20}", secret in "[!-~]{8,30}", after in ".{0,20}") {
            let redactor = Redactor::new([secret.as_str()]);
            let text = format!("{before}{secret}{after}");
            prop_assert!(!redactor.redact(&text).contains(&secret));
            let encoded = STANDARD.encode(text);
            prop_assert!(redactor.redact(&encoded).contains("***"));
        }
    }
}
