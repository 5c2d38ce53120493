//! Words with quotes, escapes and variables (Dockerfile reference, "Environment replacement").

use std::iter::Peekable;
use std::str::Chars;

/// Variables inside the defaults of variables, at most this deep; nobody writes more by hand.
const DEPTH: usize = 16;

/// A text in which variables may stand. Quotes and escapes are gone, so a literal `$` and a
/// variable cannot be confused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Word(Vec<Piece>);

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text that stands for itself.
    Literal(String),
    /// `$NAME`, or `${NAME}` with an operator such as `:-` and its operand.
    Variable {
        /// The name.
        name: String,
        /// The operator as written, with its operand.
        operator: Option<(String, Word)>,
    },
}

/// A word cannot be read or worked out; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A quote or brace is not closed.
    #[error("`{0}` is opened and not closed")]
    Unclosed(char),
    /// `${…}` holds no name.
    #[error("`${{` is not followed by a variable's name and an operator")]
    BadVariable,
    /// Variables within variables within variables.
    #[error("variables are nested more than {DEPTH} deep")]
    TooDeep,
    /// A variable has no value where one is needed.
    #[error("the variable `{0}` has no value")]
    Unset(String),
    /// An operator that is not supported.
    #[error("the operator `{0}` is not supported")]
    Operator(String),
}

impl Word {
    /// A word that stands for exactly this text.
    pub fn literal(text: impl Into<String>) -> Self {
        let text = text.into();
        Self(if text.is_empty() { Vec::new() } else { vec![Piece::Literal(text)] })
    }

    /// A word of these pieces; neighbouring literals become one.
    pub fn of(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut word = Self::default();
        for piece in pieces {
            match piece {
                Piece::Literal(text) => text.chars().for_each(|c| word.push(c)),
                variable @ Piece::Variable { .. } => word.0.push(variable),
            }
        }
        word
    }

    /// The parts.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The text, if no variable stands in it.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Reads a word as the builder does: `'…'` is verbatim, in `"…"` the escape character
    /// counts before `"`, `$` and itself, outside it makes the next character literal.
    ///
    /// # Errors
    /// A quote or brace that is not closed, or a variable without a name.
    pub fn parse(text: &str, escape: char) -> Result<Self, WordError> {
        Reader { chars: text.chars().peekable(), escape }.word(None, 0)
    }

    /// Replaces the variables; `None` from `lookup` means unset, which is the empty text unless
    /// an operator says otherwise.
    ///
    /// # Errors
    /// An operator other than `-` and `+` (with or without `:`) and `?`, or a variable that `?` demands.
    pub fn expand(&self, lookup: &impl Fn(&str) -> Option<String>) -> Result<String, WordError> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Variable { name, operator: None } => text.push_str(&lookup(name).unwrap_or_default()),
                Piece::Variable { name, operator: Some((operator, operand)) } => {
                    let mut value = lookup(name);
                    if operator.starts_with(':') {
                        value = value.filter(|value| !value.is_empty());
                    }
                    match (operator.trim_start_matches(':'), value) {
                        ("-" | "?", Some(value)) => text.push_str(&value),
                        ("-", None) | ("+", Some(_)) => text.push_str(&operand.expand(lookup)?),
                        ("+", None) => {}
                        ("?", None) => return Err(WordError::Unset(name.clone())),
                        _ => return Err(WordError::Operator(operator.clone())),
                    }
                }
            }
        }
        Ok(text)
    }

    fn push(&mut self, c: char) {
        if let Some(Piece::Literal(text)) = self.0.last_mut() {
            text.push(c);
        } else {
            self.0.push(Piece::Literal(c.to_string()));
        }
    }
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    escape: char,
}

impl Reader<'_> {
    fn word(&mut self, stop: Option<char>, depth: usize) -> Result<Word, WordError> {
        let mut word = Word::default();
        while let Some(c) = self.chars.next() {
            match c {
                _ if Some(c) == stop => return Ok(word),
                '\'' => self.single_quoted(&mut word)?,
                '"' => self.double_quoted(&mut word, depth)?,
                '$' => self.dollar(&mut word, depth)?,
                _ if c == self.escape => self.chars.next().into_iter().for_each(|next| word.push(next)),
                _ => word.push(c),
            }
        }
        if stop.is_some() { Err(WordError::Unclosed('{')) } else { Ok(word) }
    }

    fn single_quoted(&mut self, word: &mut Word) -> Result<(), WordError> {
        loop {
            match self.chars.next().ok_or(WordError::Unclosed('\''))? {
                '\'' => return Ok(()),
                c => word.push(c),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut Word, depth: usize) -> Result<(), WordError> {
        loop {
            match self.chars.next().ok_or(WordError::Unclosed('"'))? {
                '"' => return Ok(()),
                '$' => self.dollar(word, depth)?,
                c if c == self.escape => match self.chars.peek() {
                    Some(&next) if next == '"' || next == '$' || next == self.escape => {
                        word.push(next);
                        self.chars.next();
                    }
                    _ => word.push(c),
                },
                c => word.push(c),
            }
        }
    }

    fn dollar(&mut self, word: &mut Word, depth: usize) -> Result<(), WordError> {
        if self.chars.peek() != Some(&'{') {
            let name = self.name();
            if name.is_empty() {
                word.push('$');
            } else {
                word.0.push(Piece::Variable { name, operator: None });
            }
            return Ok(());
        }
        self.chars.next();
        let name = self.name();
        if name.is_empty() {
            return Err(WordError::BadVariable);
        }
        let operator = self.operator(depth)?;
        word.0.push(Piece::Variable { name, operator });
        Ok(())
    }

    fn operator(&mut self, depth: usize) -> Result<Option<(String, Word)>, WordError> {
        let mut operator = String::new();
        match self.chars.next().ok_or(WordError::Unclosed('{'))? {
            '}' => return Ok(None),
            c @ (':' | '-' | '+' | '?' | '#' | '%' | '/') => operator.push(c),
            _ => return Err(WordError::BadVariable),
        }
        if operator == ":" {
            operator.extend(self.chars.next_if(|c| "-+?".contains(*c)));
            if operator == ":" {
                return Err(WordError::BadVariable);
            }
        }
        if depth >= DEPTH {
            return Err(WordError::TooDeep);
        }
        Ok(Some((operator, self.word(Some('}'), depth + 1)?)))
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        let digits = self.chars.peek().is_some_and(char::is_ascii_digit);
        while let Some(c) =
            self.chars.next_if(|c| c.is_ascii_digit() || (!digits && (c.is_ascii_alphabetic() || *c == '_')))
        {
            name.push(c);
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, WordError> {
        Word::parse(text, '\\')?.expand(&|name| match name {
            "a" => Some("1".to_owned()),
            "empty" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_quotes_and_escapes() {
        for (text, value) in [
            ("$a/x", "1/x"),
            ("${a}b", "1b"),
            ("\\$a", "$a"),
            ("'$a'", "$a"),
            ("\"$a \\\" \\\\ \\n\"", "1 \" \\ \\n"),
            ("${none:-${a}}", "1"),
            ("${empty:-x}", "x"),
            ("${empty-x}", ""),
            ("${a:+y}${none:+z}", "y"),
            ("$", "$"),
            ("$/", "$/"),
            ("trailing\\", "trailing"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_closed_is_an_error() {
        assert_eq!(expanded("'a"), Err(WordError::Unclosed('\'')));
        assert_eq!(expanded("\"a"), Err(WordError::Unclosed('"')));
        assert_eq!(expanded("${a"), Err(WordError::Unclosed('{')));
        assert_eq!(expanded("${}"), Err(WordError::BadVariable));
        assert_eq!(expanded("${b:?}"), Err(WordError::Unset("b".to_owned())));
        assert_eq!(expanded(&"${b:-".repeat(100_000)), Err(WordError::TooDeep));
    }
}
