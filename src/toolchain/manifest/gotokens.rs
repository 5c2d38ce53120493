//! Words, texts and signs of a Go source file, without its comments (Go specification, "Lexical elements").

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// An identifier, a keyword or a number.
    Word(&'a str),
    /// A literal without its quotes.
    Text(&'a str),
    /// Anything else, one character at a time.
    Sign(char),
}

/// A token and its line, from 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) line: u32,
}

/// The tokens of a text, in order.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    /// `//go:embed` comments so far that have a line to themselves, blanks in front of them aside, with their lines.
    embeds: Vec<(&'a str, u32)>,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0, line: 1, embeds: Vec::new() }
    }

    /// What stands behind each `//go:embed` of the text; one inside a literal or another comment is none.
    pub(super) fn embeds(text: &'a str) -> Vec<(&'a str, u32)> {
        let mut tokens = Self::of(text);
        tokens.by_ref().for_each(drop);
        tokens.embeds
    }

    fn note(&mut self, comment: &'a str) {
        let embedded = comment.strip_prefix("//go:embed").filter(|rest| rest.starts_with([' ', '\t']));
        let alone = || self.text[..self.at].rsplit('\n').next().is_some_and(|before| before.trim().is_empty());
        if let Some(patterns) = embedded.filter(|_| alone()) {
            self.embeds.push((patterns.trim_end(), self.line));
        }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let rest = &self.text[self.at..];
        let taken = rest.get(..bytes).unwrap_or(rest);
        self.at += taken.len();
        taken
    }

    /// The same of what may hold line ends.
    fn take_lines(&mut self, bytes: usize) -> &'a str {
        let taken = self.take(bytes);
        let lines = taken.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        taken
    }

    fn skip_blank(&mut self) {
        loop {
            let text = self.text;
            let rest = &text[self.at..];
            match rest.as_bytes() {
                [b'\n', ..] => {
                    self.at += 1;
                    self.line = self.line.saturating_add(1);
                }
                [b' ' | b'\t' | b'\r', ..] => self.at += 1,
                [b'/', b'/', ..] => {
                    let end = rest.find('\n').unwrap_or(rest.len());
                    self.note(&rest[..end]);
                    self.at += end;
                }
                [b'/', b'*', ..] => {
                    let end = rest[2..].find("*/").map_or(rest.len(), |end| end + 4);
                    self.take_lines(end);
                }
                _ => match rest.chars().next() {
                    Some(c) if c.is_whitespace() || c == '\u{feff}' => self.at += c.len_utf8(),
                    _ => return,
                },
            }
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let line = self.line;
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        let kind = match first {
            '`' | '"' | '\'' => {
                let text = self.take_lines(quoted(rest, first));
                let inner = text.strip_prefix(first).unwrap_or(text);
                Kind::Text(inner.strip_suffix(first).unwrap_or(inner))
            }
            c if is_word(c) => Kind::Word(self.take(word(rest))),
            c => {
                self.take(c.len_utf8());
                Kind::Sign(c)
            }
        };
        Some(Token { kind, line })
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii() && c.is_alphanumeric()
}

/// Bytes of the word that starts here.
fn word(text: &str) -> usize {
    let ascii = text.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'_')).unwrap_or(text.len());
    // Nearly every word ends there.
    match text.as_bytes().get(ascii) {
        Some(byte) if !byte.is_ascii() => text.find(|c: char| !is_word(c)).unwrap_or(text.len()),
        _ => ascii,
    }
}

/// Bytes of the literal that starts here; an unclosed `"` or `'` ends with its line.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        let byte = char::from(byte);
        if escaped {
            escaped = false;
        } else if byte == '\\' && quote != '`' {
            escaped = true;
        } else if byte == quote || (byte == '\n' && quote != '`') {
            return at + 1;
        }
    }
    text.len()
}
