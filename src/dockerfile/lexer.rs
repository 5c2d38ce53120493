//! From text to logical lines: directives, comments, continuations and here-documents
//! (Dockerfile reference, "Parser directives", "Escape", "Here-Documents").

use super::instruction::Heredoc;
use super::parse::{ParseError, Problem};

/// The builder's line scanner takes no longer lines.
const LONGEST_LINE: usize = 64 * 1024 - 1;

/// The text cut into logical lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) escape: char,
    pub(super) syntax: Option<(u32, String)>,
    pub(super) logical: Vec<Line>,
}

/// One logical line: an instruction without its continuations and comments.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u32,
    pub(super) last: u32,
    pub(super) text: String,
    pub(super) heredocs: Vec<Heredoc>,
}

pub(super) fn lines(text: &str) -> Result<Lines, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let physical: Vec<&str> = text.lines().collect();
    if let Some(index) = physical.iter().position(|line| line.len() > LONGEST_LINE) {
        return Err(ParseError::new(number(index), Problem::LineTooLong));
    }
    let mut result = Lines { escape: '\\', ..Lines::default() };
    directives(&physical, &mut result)?;
    let mut index = 0;
    while index < physical.len() {
        let first = physical[index].trim_start();
        if first.is_empty() || first.starts_with('#') {
            index += 1;
            continue;
        }
        let (text, after) = logical(&physical, index, result.escape);
        let (heredocs, next) = heredocs(&physical, &text, after, result.escape);
        result.logical.push(Line { number: number(index), last: number(next - 1), text, heredocs });
        index = next;
    }
    Ok(result)
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}

/// Reads `# name=value` lines before anything else. An unknown name makes the rest comments,
/// except that builders look for `syntax` in the whole run of such lines.
fn directives(physical: &[&str], result: &mut Lines) -> Result<(), ParseError> {
    let mut known = true;
    let mut escape_seen = false;
    for (index, line) in physical.iter().enumerate() {
        let Some((name, value)) = line.trim_start().strip_prefix('#').and_then(|rest| rest.split_once('=')) else {
            break;
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) || value.is_empty() {
            break;
        }
        match name.as_str() {
            "syntax" if result.syntax.is_none() => result.syntax = Some((number(index), value.to_owned())),
            "escape" if known && escape_seen => return Err(ParseError::new(number(index), Problem::DirectiveTwice)),
            "escape" if known => {
                escape_seen = true;
                result.escape = match value {
                    "\\" => '\\',
                    "`" => '`',
                    _ => return Err(ParseError::new(number(index), Problem::BadEscape)),
                };
            }
            "check" => {}
            _ => known = false,
        }
    }
    Ok(())
}

/// Joins a line with its continuations; blank lines and comments between them do not count.
fn logical(physical: &[&str], start: usize, escape: char) -> (String, usize) {
    let mut text = String::new();
    let mut index = start;
    while index < physical.len() {
        let line = physical[index];
        let first = index == start;
        index += 1;
        let trimmed = line.trim_start();
        if !first && (trimmed.is_empty() || trimmed.starts_with('#')) {
            continue;
        }
        let line = if first { trimmed } else { line };
        let Some(continued) = line.trim_end_matches([' ', '\t', '\r']).strip_suffix(escape) else {
            text.push_str(line);
            break;
        };
        text.push_str(continued);
    }
    text.truncate(text.trim_end().len());
    (text, index)
}

/// Takes the here-documents that a `RUN`, `COPY` or `ADD` announces. One that never ends is no
/// here-document: `$((1 <<2))` is arithmetic.
fn heredocs(physical: &[&str], text: &str, after: usize, escape: char) -> (Vec<Heredoc>, usize) {
    let mut words = words(text, escape).into_iter().peekable();
    let is_transfer = |word: &str| ["RUN", "COPY", "ADD"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword));
    words.next_if(|word| word.eq_ignore_ascii_case("ONBUILD"));
    if words.next_if(|word| is_transfer(word)).is_none() {
        return (Vec::new(), after);
    }
    let mut found = Vec::new();
    let mut next = after;
    for mut heredoc in words.filter_map(heredoc) {
        let mut index = next;
        loop {
            let Some(line) = physical.get(index) else { return (Vec::new(), after) };
            index += 1;
            let line = if heredoc.strip_tabs { line.trim_start_matches('\t') } else { line };
            if line == heredoc.name {
                break;
            }
            heredoc.content.push_str(line);
            heredoc.content.push('\n');
        }
        next = index;
        found.push(heredoc);
    }
    (found, next)
}

/// Reads `<<EOF`, `<<-EOF`, `<<"EOF"`, `3<<EOF`.
pub(super) fn heredoc(word: &str) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (strip_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let quoted =
        [('"', '"'), ('\'', '\'')].iter().find_map(|(open, close)| rest.strip_prefix(*open)?.strip_suffix(*close));
    let name = quoted.unwrap_or(rest);
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    plain.then(|| Heredoc { name: name.to_owned(), strip_tabs, expand: quoted.is_none(), content: String::new() })
}

/// Splits at white space outside quotes; quotes and escapes stay in the words.
pub(super) fn words(text: &str, escape: char) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c.is_whitespace() && quote.is_none() {
            words.extend(start.take().map(|start| &text[start..at]));
            continue;
        }
        start.get_or_insert(at);
        if c == escape && quote != Some('\'') {
            chars.next();
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && (c == '"' || c == '\'') {
            quote = Some(c);
        }
    }
    words.extend(start.map(|start| &text[start..]));
    words
}
