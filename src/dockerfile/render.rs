//! Instructions to text. No value can add an instruction, open a variable or end a quote:
//! what the format cannot say is refused.

use std::fmt::Write;

use super::instruction::{Command, Flag, Instruction, Piece, Transfer, Word};

/// A value has no form in a Dockerfile; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unrenderable(pub String);

/// Writes instructions, one a line, so that reading the text gives them back.
///
/// # Errors
/// A value that the format cannot hold: NUL anywhere, a line break outside exec forms, `COPY` and
/// `VOLUME`, characters with a meaning where nothing can be quoted (`FROM`, `EXPOSE`, keys, flags).
pub fn render(instructions: &[Instruction]) -> Result<String, Unrenderable> {
    let mut text = String::new();
    for instruction in instructions {
        let line = line(instruction)?;
        if line.len() > 65_000 {
            return refuse("a line", "longer than the builder reads", &line);
        }
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// Quotes a value of `ENV` or `LABEL`: `"…"` with `"`, `$` and `\` escaped.
///
/// # Errors
/// NUL and line breaks, which no quoting can express there.
pub fn quoted(value: &str) -> Result<String, Unrenderable> {
    if value.contains(['\0', '\n']) {
        return refuse("a value", "with a NUL or a line break", value);
    }
    Ok(format!("\"{}\"", escaped(value, &['"', '$', '\\'])))
}

/// Writes a JSON array of strings, as the exec form wants it.
///
/// # Errors
/// NUL, which no argument of a process can hold.
pub fn exec<S: AsRef<str>>(arguments: &[S]) -> Result<String, Unrenderable> {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    if let Some(bad) = arguments.iter().find(|argument| argument.contains('\0')) {
        return refuse("an argument", "with a NUL", bad);
    }
    serde_json::to_string(&arguments).map_err(|error| Unrenderable(error.to_string()))
}

/// Whether a text may stand unquoted anywhere: paths, numbers, image references, durations.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-/:@+,%~".contains(c);
    !text.is_empty() && !text.starts_with("--") && text.chars().all(safe)
}

/// A text that may stand unquoted anywhere.
///
/// # Errors
/// Any other text.
pub fn plain(text: &str) -> Result<&str, Unrenderable> {
    if is_plain(text) {
        Ok(text)
    } else {
        refuse("a word", "with characters that have a meaning in a Dockerfile", text)
    }
}

fn refuse<T>(what: &str, why: &str, text: &str) -> Result<T, Unrenderable> {
    let shown: String = text.chars().take(60).collect();
    Err(Unrenderable(format!("{what} {why} cannot stand in a Dockerfile: {shown:?}")))
}

fn line(instruction: &Instruction) -> Result<String, Unrenderable> {
    if !instruction.heredocs().is_empty() {
        return refuse("an instruction", "with a here-document", instruction.name());
    }
    let rest = match instruction {
        Instruction::From { image, platform, alias } => {
            let mut rest = String::new();
            if let Some(platform) = platform {
                let _ = write!(rest, "--platform={} ", plain_word(platform)?);
            }
            rest.push_str(&plain_word(image)?);
            if let Some(alias) = alias {
                let _ = write!(rest, " AS {}", plain(alias)?);
            }
            rest
        }
        Instruction::Run { flags: given, command: run, .. } => format!("{}{}", flags(given)?, command(run)?),
        Instruction::Cmd(run) | Instruction::Entrypoint(run) => command(run)?,
        Instruction::Label(pairs) | Instruction::Env(pairs) => {
            all(pairs, |(key, value)| Ok(format!("{}={}", plain(key)?, word(value)?)))?
        }
        Instruction::Expose(words) => all(words, plain_word)?,
        Instruction::Add(transfer) | Instruction::Copy(transfer) => copy(transfer)?,
        Instruction::Volume(paths) if paths.is_empty() => return refuse("a `VOLUME`", "without paths", ""),
        Instruction::Volume(paths) => json_words(paths)?,
        Instruction::User(value) | Instruction::Workdir(value) | Instruction::StopSignal(value) => word(value)?,
        Instruction::Arg(arguments) => all(arguments, |(name, value)| match value {
            Some(value) => Ok(format!("{}={}", plain(name)?, word(value)?)),
            None => Ok(plain(name)?.to_owned()),
        })?,
        Instruction::OnBuild(inner) => match inner.as_ref() {
            Instruction::OnBuild(_) | Instruction::From { .. } | Instruction::Maintainer(_) => {
                return refuse("an `ONBUILD`", "of this instruction", inner.name());
            }
            inner => line(inner)?,
        },
        Instruction::Healthcheck { flags: given, command: None } if given.is_empty() => "NONE".to_owned(),
        Instruction::Healthcheck { command: None, .. } => return refuse("`HEALTHCHECK NONE`", "with flags", ""),
        Instruction::Healthcheck { flags: given, command: Some(check) } => {
            format!("{}CMD {}", flags(given)?, command(check)?)
        }
        Instruction::Shell(shell) if shell.is_empty() => return refuse("a `SHELL`", "without a program", ""),
        Instruction::Shell(shell) => exec(shell)?,
        Instruction::Maintainer(name) => raw(name)?.to_owned(),
    };
    Ok(format!("{} {rest}", instruction.name()))
}

fn all<T>(items: &[T], one: impl Fn(&T) -> Result<String, Unrenderable>) -> Result<String, Unrenderable> {
    if items.is_empty() {
        return refuse("an instruction", "without arguments", "");
    }
    Ok(items.iter().map(one).collect::<Result<Vec<_>, _>>()?.join(" "))
}

fn command(command: &Command) -> Result<String, Unrenderable> {
    match command {
        Command::Exec(arguments) => exec(arguments),
        Command::Shell(line) if line.starts_with('[') => refuse("a shell line", "that could be a JSON array", line),
        Command::Shell(line) => Ok(raw(line)?.to_owned()),
    }
}

/// A line that is taken as it stands.
fn raw(text: &str) -> Result<&str, Unrenderable> {
    let odd = text.is_empty() || text.trim() != text || text.contains(['\0', '\n']);
    if odd || text.starts_with("--") || text.ends_with('\\') || text.contains("<<") {
        return refuse("a line", "that is empty, broken, continued or a flag", text);
    }
    Ok(text)
}

fn flags(flags: &[Flag]) -> Result<String, Unrenderable> {
    let mut text = String::new();
    for flag in flags {
        let name = plain(&flag.name)?;
        let _ = match &flag.value {
            Some(value) => write!(text, "--{name}={} ", flag_value(value)?),
            None => write!(text, "--{name} "),
        };
    }
    Ok(text)
}

/// `--mount=type=cache,target=/x` has `=` in its value.
fn flag_value(value: &Word) -> Result<String, Unrenderable> {
    match value.as_literal() {
        Some(text) if is_plain(&text.replace('=', "")) => Ok(text.to_owned()),
        _ => plain_word(value),
    }
}

/// JSON always: there, white space in a path is no separator.
fn copy(transfer: &Transfer) -> Result<String, Unrenderable> {
    if transfer.sources.is_empty() {
        return refuse("a copy", "without a source", "");
    }
    let paths: Vec<Word> = transfer.sources.iter().chain([&transfer.destination]).cloned().collect();
    let simple = paths.iter().map(plain_word).collect::<Result<Vec<_>, _>>();
    let paths = simple.map_or_else(|_| json_words(&paths), |simple| Ok(simple.join(" ")))?;
    Ok(format!("{}{paths}", flags(&transfer.flags)?))
}

/// In JSON the builder still takes quotes, escapes and variables for what they are.
fn json_words(words: &[Word]) -> Result<String, Unrenderable> {
    exec(
        &words
            .iter()
            .map(|word| pieces(word, |text| Ok(escaped(text, &['"', '\'', '$', '\\']))))
            .collect::<Result<Vec<_>, _>>()?,
    )
}

fn plain_word(word: &Word) -> Result<String, Unrenderable> {
    if word.pieces().is_empty() {
        return refuse("a word", "that is empty", "");
    }
    pieces(word, |text| {
        // The first piece alone could look like a flag; within a word `-` is harmless.
        plain(text).map(str::to_owned)
    })
}

fn word(word: &Word) -> Result<String, Unrenderable> {
    match word.as_literal() {
        Some(text) if is_plain(text) => Ok(text.to_owned()),
        Some(text) => quoted(text),
        None => pieces(word, quoted),
    }
}

fn pieces(word: &Word, literal: impl Fn(&str) -> Result<String, Unrenderable> + Copy) -> Result<String, Unrenderable> {
    let one = |piece: &Piece| match piece {
        Piece::Literal(text) => literal(text),
        Piece::Variable { name, operator: None } => Ok(format!("${{{}}}", plain(name)?)),
        Piece::Variable { name, operator: Some((operator, operand)) } => {
            let known = [":-", ":+", ":?", "-", "+", "?"].contains(&operator.as_str());
            if !known || operand.as_literal().is_none_or(|text| !text.is_empty() && !is_plain(text)) {
                return refuse("a variable", "with this operator", operator);
            }
            Ok(format!("${{{}{operator}{}}}", plain(name)?, operand.as_literal().unwrap_or_default()))
        }
    };
    Ok(word.pieces().iter().map(one).collect::<Result<Vec<_>, _>>()?.concat())
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            result.push('\\');
        }
        result.push(c);
    }
    result
}

#[cfg(test)]
mod tests;
