//! Bytes of a stream into lines, and lines into harmless text.

use super::style::Style;

/// Bytes at the end of a stream that are kept when its middle is dropped.
const END: usize = 16 * 1024;

/// A line as it was printed.
#[derive(Debug)]
pub(super) struct RawLine {
    /// Its first bytes.
    pub(super) bytes: Vec<u8>,
    /// How many more there were.
    pub(super) dropped: u64,
}

/// Splits one stream into lines with bounded memory.
///
/// A carriage return lets a terminal overwrite the line, as progress displays do: only what was printed last counts.
/// A line is cut out as bytes before it is decoded, so no chunk boundary can split a character.
#[derive(Debug)]
pub(super) struct Decoder {
    limit: usize,
    line: Vec<u8>,
    dropped_of_line: u64,
    carriage_return: bool,
    end: Vec<u8>,
    skipped: u64,
}

impl Decoder {
    /// A decoder that keeps this many bytes of a line.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), dropped_of_line: 0, carriage_return: false, end: Vec::new(), skipped: 0 }
    }

    /// Takes bytes and emits the lines they complete.
    pub(super) fn feed(&mut self, bytes: &[u8], emit: &mut impl FnMut(RawLine)) {
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            match part.split_last() {
                Some((b'\n', rest)) => {
                    self.append(rest);
                    emit(self.take());
                }
                Some((b'\r', rest)) => {
                    self.append(rest);
                    self.carriage_return = true;
                }
                _ => self.append(part),
            }
        }
    }

    /// Takes bytes that are over the output's limit: only the last of them are remembered.
    pub(super) fn skip(&mut self, bytes: &[u8]) {
        // The line that was begun before comes first.
        let begun = self.take();
        self.remember(&begun.bytes);
        self.skipped += begun.dropped;
        self.remember(bytes);
    }

    /// Like [`Decoder::skip`], for a line that was cut out already.
    pub(super) fn skip_line(&mut self, line: &RawLine) {
        self.remember(&line.bytes);
        self.remember(b"\n");
        self.skipped += line.dropped;
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.skipped += bytes.len() as u64;
        if bytes.len() >= END {
            self.end = bytes[bytes.len() - END..].to_vec();
            return;
        }
        self.end.extend_from_slice(bytes);
        if self.end.len() > 2 * END {
            self.end.drain(..self.end.len() - END);
        }
    }

    /// Emits what is left, starts anew, and says how many bytes were lost.
    pub(super) fn finish(&mut self, emit: &mut impl FnMut(RawLine)) -> u64 {
        if self.skipped > 0 {
            self.skip(&[]);
        }
        let (end, skipped) = (std::mem::take(&mut self.end), std::mem::take(&mut self.skipped));
        if skipped == 0 {
            if !self.line.is_empty() {
                emit(self.take());
            }
            self.take();
            return 0;
        }
        self.take();
        // The first line may be cut in the middle of a secret, so it goes.
        let start = end.iter().position(|byte| *byte == b'\n').map_or(end.len(), |at| at + 1);
        self.feed(&end[start..], emit);
        if !self.line.is_empty() {
            emit(self.take());
        }
        self.take();
        skipped - (end.len() - start) as u64
    }

    fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if std::mem::take(&mut self.carriage_return) {
            self.line.clear();
            self.dropped_of_line = 0;
        }
        let room = (self.limit - self.line.len()).min(bytes.len());
        self.line.extend_from_slice(&bytes[..room]);
        self.dropped_of_line += (bytes.len() - room) as u64;
    }

    fn take(&mut self) -> RawLine {
        self.carriage_return = false;
        RawLine { bytes: std::mem::take(&mut self.line), dropped: std::mem::take(&mut self.dropped_of_line) }
    }
}

/// Text without anything a terminal or a reader could be fooled by: escape sequences (ECMA-48) go whole, other
/// control characters and those that reverse the direction of text (Unicode UAX #9) go too, tabs stay.
pub(super) fn clean(bytes: &[u8]) -> String {
    cleaned(bytes).0
}

/// [`clean`], and the colours that the sequences asked for.
pub(super) fn cleaned(bytes: &[u8]) -> (String, Vec<Style>) {
    let text = String::from_utf8_lossy(bytes);
    let mut result = String::with_capacity(text.len());
    let mut styles = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\t' => result.push('\t'),
            '\u{1b}' | '\u{9b}' | '\u{9d}' => {
                let introducer = match character {
                    '\u{9b}' => Some('['),
                    '\u{9d}' => Some(']'),
                    _ => characters.next_if(|next| ('\u{20}'..='\u{7e}').contains(next)),
                };
                let rendition = skip_sequence(introducer, &mut characters);
                styles.extend(rendition.and_then(|parameters| Style::of(result.len(), &parameters)));
            }
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            other if other.is_control() => {}
            other => result.push(other),
        }
    }
    (result, styles)
}

/// Goes behind a sequence; gives the parameters of one that sets colours.
fn skip_sequence(
    introducer: Option<char>,
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Option<String> {
    match introducer {
        // CSI: parameters and intermediates, then one final character.
        Some('[') => {
            let mut parameters = String::new();
            while let Some(next) = characters.next_if(|next| ('\u{20}'..='\u{3f}').contains(next)) {
                parameters.push(next);
            }
            let last = characters.next_if(|next| ('\u{40}'..='\u{7e}').contains(next));
            return (last == Some('m')).then_some(parameters);
        }
        // Strings (OSC, DCS, SOS, PM, APC) end with BEL or ST; one that does not end hides nothing.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let mut ahead = characters.clone();
            while let Some(next) = ahead.next() {
                let ended = match next {
                    '\u{7}' | '\u{9c}' => true,
                    '\u{1b}' => ahead.next_if_eq(&'\\').is_some(),
                    _ => false,
                };
                if ended {
                    *characters = ahead;
                    return None;
                }
            }
        }
        // nF: intermediates, then one final character, as in the choice of a character set.
        Some('\u{20}'..='\u{2f}') => {
            while characters.next_if(|next| ('\u{20}'..='\u{2f}').contains(next)).is_some() {}
            characters.next_if(|next| ('\u{30}'..='\u{7e}').contains(next));
        }
        _ => {}
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<String> {
        let (mut decoder, mut lines) = (Decoder::new(100), Vec::new());
        for chunk in chunks {
            decoder.feed(chunk, &mut |line| lines.push(clean(&line.bytes)));
        }
        decoder.finish(&mut |line| lines.push(clean(&line.bytes)));
        lines
    }

    #[test]
    fn carriage_returns_overwrite() {
        assert_eq!(decode(&[b"10%\r", b"20%\rdone\r\nnext\r\r\n\nlast"]), ["done", "next", "", "last"]);
    }

    #[test]
    fn characters_cut_by_chunks_are_whole_and_broken_ones_are_marked() {
        assert_eq!(decode(&[b"\xe4\xb8", b"\xad\n\xff\n"]), ["中", "\u{fffd}"]);
    }

    #[test]
    fn escape_sequences_and_controls_go() {
        assert_eq!(clean(b"\x1b[31;1mred\x1b[0m\t\x1b]0;title\x07x\x00\x08\x1b(By\x7f"), "red\txy");
        assert_eq!(clean("a\u{202e}b\u{9b}2Jc".as_bytes()), "abc");
        assert_eq!(clean(b"\x1b]unfinished text"), "unfinished text");
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..400) {
            let at = at.min(bytes.len());
            prop_assert_eq!(decode(&[&bytes[..at], &bytes[at..]]), decode(&[&bytes]));
        }

        #[test]
        fn clean_text_has_no_controls(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(clean(&bytes).chars().all(|c| c == '\t' || !c.is_control()));
        }
    }
}
