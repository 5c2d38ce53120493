//! Reading a manifest's text from the tree, with a failure that says why it cannot be read.

use crate::model::failure::{Failure, FailureCode};
use crate::model::source_tree::{SourceTree, Text};

/// The text of a manifest; `None` when there is no such file, or its text is not loaded yet.
///
/// # Errors
/// `manifest_invalid` when the file is there and is no text that may be read.
pub(super) fn manifest<'a>(tree: &'a SourceTree, path: &str) -> Result<Option<&'a str>, Failure> {
    let (why, hint) = match tree.raw_text(path) {
        None => return Ok(None),
        Some(Text::Utf8(text)) => return Ok(Some(text)),
        Some(Text::NotUtf8) => ("is not UTF-8", "Save it as UTF-8; PowerShell's `>` writes UTF-16."),
        Some(Text::TooLarge(_)) => ("is too large to be read", "A manifest is a small text file; shorten it."),
        Some(Text::Outside) => ("is a link that leaves the repository", "Replace the link by the file itself."),
    };
    Err(Failure::new(FailureCode::ManifestInvalid, format!("`{path}` {why}.")).hint(hint).at(path, None))
}

/// Where a text's lines begin, for many look-ups.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    /// Of this text.
    pub(super) fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(index, _)| index + 1);
        Self(std::iter::once(0).chain(breaks.filter(|start| *start < text.len())).collect())
    }

    /// The line, from 1, of a byte of the text.
    pub(super) fn line(&self, byte: usize) -> u32 {
        u32::try_from(self.0.partition_point(|start| *start <= byte)).unwrap_or(u32::MAX)
    }

    /// The column, in characters from 1, of a byte of the text that these are the lines of.
    pub(super) fn column(&self, text: &str, byte: usize) -> Option<u32> {
        let start = *self.0.get(self.0.partition_point(|start| *start <= byte).checked_sub(1)?)?;
        u32::try_from(text.get(start..byte)?.chars().count() + 1).ok()
    }
}

/// The line, from 1, of a byte of the text; for a single look-up.
pub(super) fn line_of(text: &str, byte: usize) -> u32 {
    Lines::of(text).line(byte)
}

/// A path relative to the application's directory.
pub(super) fn below<'a>(directory: &str, path: &'a str) -> &'a str {
    if directory.is_empty() {
        return path;
    }
    path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
}

/// A name in a directory.
pub(super) fn inside(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else if name.is_empty() {
        directory.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_lie_in_lines() {
        for (text, byte, line) in [("", 0, 1), ("a\nb", 1, 1), ("a\nb", 2, 2), ("a\n", 2, 1), ("a\n\nb\n", 9, 3)] {
            assert_eq!(line_of(text, byte), line, "{text:?} {byte}");
        }
    }
}
