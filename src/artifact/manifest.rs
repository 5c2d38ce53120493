//! `META-INF/MANIFEST.MF`, read and written as the JAR File Specification ("Notes on Manifest and Signature Files") says.

use crate::model::failure::{Failure, FailureCode};

/// Where the manifest is in a jar.
pub const MANIFEST_PATH: &str = "META-INF/MANIFEST.MF";

/// Manifests of signed jars hold a digest for each file, so they may be large.
pub const MANIFEST_LIMIT: u64 = 16 << 20;

/// No line may be longer, in bytes without its end.
const LINE: usize = 72;

/// The attributes of a manifest: the main section, and the sections about single entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    main: Vec<(String, String)>,
    sections: Vec<Vec<(String, String)>>,
}

impl Manifest {
    /// Reads a manifest; `jar` is for the message.
    ///
    /// # Errors
    /// `artifact_invalid` for a line that is no attribute, where Java would not start the jar either.
    pub fn parse(bytes: &[u8], jar: &str) -> Result<Self, Failure> {
        let mut sections = vec![Vec::new()];
        for line in unfold(bytes) {
            if line.is_empty() {
                if sections.last().is_some_and(|section| !section.is_empty()) {
                    sections.push(Vec::new());
                }
                continue;
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            // A NUL or a stray carriage return in a value would not survive being written again.
            let attribute = text.split_once(": ").or_else(|| text.strip_suffix(':').map(|name| (name, "")));
            match attribute {
                Some((name, value)) if is_name(name) && !value.contains('\0') => {
                    if let Some(section) = sections.last_mut() {
                        section.push((name.to_owned(), value.to_owned()));
                    }
                }
                _ => {
                    let message = format!("the manifest of `{jar}` has the line {text:?}, which is no attribute");
                    return Err(Failure::new(FailureCode::ArtifactInvalid, message));
                }
            }
        }
        sections.retain(|section| !section.is_empty());
        // Without a main section the first one begins with `Name`.
        let has_main = sections.first().is_some_and(|section| !section[0].0.eq_ignore_ascii_case("Name"));
        let main = if has_main { sections.remove(0) } else { Vec::new() };
        Ok(Self { main, sections })
    }

    /// A main attribute, without the spaces around it. Names are compared without case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.main.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// Sets a main attribute.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.main.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
            Some(attribute) => attribute.1 = value,
            None => self.main.push((name.to_owned(), value)),
        }
    }

    /// Removes a main attribute.
    pub fn remove(&mut self, name: &str) {
        self.main.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    /// The paths of `Class-Path`, which are relative URLs separated by spaces.
    #[must_use]
    pub fn class_path(&self) -> Vec<&str> {
        self.get("Class-Path").map(|paths| paths.split_ascii_whitespace().collect()).unwrap_or_default()
    }

    /// The text with lines folded at 72 bytes; `Manifest-Version` is always first, as Java demands.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        fold(&mut bytes, "Manifest-Version", self.get("Manifest-Version").unwrap_or("1.0"));
        for (name, value) in &self.main {
            if !name.eq_ignore_ascii_case("Manifest-Version") {
                fold(&mut bytes, name, value);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        for section in &self.sections {
            for (name, value) in section {
                fold(&mut bytes, name, value);
            }
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }
}

/// The lines with their continuations (which begin with a space) joined, as bytes: folding may split a character.
fn unfold(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after.strip_prefix(b"\r\n").or_else(|| after.get(1..)).unwrap_or_default();
        match (line.strip_prefix(b" "), lines.last_mut()) {
            (Some(continuation), Some(last)) if !last.is_empty() => last.extend_from_slice(continuation),
            _ => lines.push(line.to_vec()),
        }
    }
    lines
}

/// `alphanum *headerchar`; a name of more than 70 bytes could not be written again.
fn is_name(name: &str) -> bool {
    (1..=70).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn fold(to: &mut Vec<u8>, name: &str, value: &str) {
    let mut length = 0;
    for character in name.chars().chain(": ".chars()).chain(value.chars()) {
        if length + character.len_utf8() > LINE {
            to.extend_from_slice(b"\r\n ");
            length = 1;
        }
        to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        length += character.len_utf8();
    }
    to.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_line_end_and_folding_is_read() {
        let text = "Manifest-Version: 1.0\nmain-class: com.example\n .Main\rClass-Path: a.jar  lib/b\r\n .jar\r\n\r\nName: x\r\nSealed: true\r\n";
        let manifest = Manifest::parse(text.as_bytes(), "x.jar").unwrap();
        assert_eq!(manifest.get("Main-Class"), Some("com.example.Main"));
        assert_eq!(manifest.class_path(), ["a.jar", "lib/b.jar"]);
        assert_eq!(manifest.get("Sealed"), None);
        assert_eq!(Manifest::parse(&manifest.to_bytes(), "x.jar").unwrap().sections, manifest.sections);
    }

    #[test]
    fn what_java_refuses_is_refused() {
        for text in ["no attribute here\n", "Bad Name: x\n", ": x\n"] {
            assert_eq!(Manifest::parse(text.as_bytes(), "x.jar").unwrap_err().code, FailureCode::ArtifactInvalid);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in "[^\\p{Cc}]{0,300}") {
            let mut manifest = Manifest::default();
            manifest.set("Class-Path", value.clone());
            let bytes = manifest.to_bytes();
            prop_assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= LINE + 1));
            let again = Manifest::parse(&bytes, "x.jar").unwrap();
            prop_assert_eq!(again.main.iter().find(|(name, _)| name == "Class-Path").map(|(_, v)| v.clone()), Some(value));
        }

        #[test]
        fn hostile_manifests_never_panic(bytes: Vec<u8>) {
            let _ = Manifest::parse(&bytes, "x.jar");
        }
    }
}
