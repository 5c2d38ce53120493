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
        let lines = taken.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        taken
    }

    fn skip_blank(&mut self) {
        loop {
            let text = self.text;
            let rest = &text[self.at..];
            let blank = rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').len();
            let length = if blank > 0 {
                blank
            } else if rest.starts_with("//") {
                let end = rest.find('\n').unwrap_or(rest.len());
                self.note(&rest[..end]);
                end
            } else if let Some(comment) = rest.strip_prefix("/*") {
                comment.find("*/").map_or(rest.len(), |end| end + 4)
            } else {
                return;
            };
            self.take(length);
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
                let text = self.take(quoted(rest, first));
                let inner = text.strip_prefix(first).unwrap_or(text);
                Kind::Text(inner.strip_suffix(first).unwrap_or(inner))
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                Kind::Word(self.take(end))
            }
            c => {
                self.take(c.len_utf8());
                Kind::Sign(c)
            }
        };
        Some(Token { kind, line })
    }
}

/// Bytes of the literal that starts here; an unclosed `"` or `'` ends with its line.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote || (c == '\n' && quote != '`') {
            return at + 1;
        }
    }
    text.len()
}
