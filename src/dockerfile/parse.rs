//! Text to instructions, by the rules of the Dockerfile reference.

use super::instruction::{Command, Dockerfile, Flag, Heredoc, Instruction, Located, Transfer, Word};
use super::lexer::{self, Line};
use super::word::WordError;

/// A Dockerfile cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParseError {
    /// The line the instruction starts on, from 1.
    pub line: u32,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// More bytes than the builder reads.
    #[error("the line is longer than the builder reads (64 KiB)")]
    LineTooLong,
    /// `# escape=` twice.
    #[error("the directive `escape` is given twice")]
    DirectiveTwice,
    /// `# escape=` with anything but a backslash or a backtick.
    #[error("the directive `escape` takes a backslash or a backtick")]
    BadEscape,
    /// The keyword is none of the reference's.
    #[error("`{0}` is no instruction")]
    UnknownInstruction(String),
    /// What the instruction needs is not there.
    #[error("`{0}` needs {1}")]
    Missing(&'static str, &'static str),
    /// More than the instruction takes.
    #[error("`{0}` takes no more than {1}")]
    TooMany(&'static str, &'static str),
    /// A flag where none may be.
    #[error("`{0}` has no flag `--{1}`")]
    UnknownFlag(&'static str, String),
    /// `key=value` was expected.
    #[error("`{0}` is not `key=value`")]
    NotKeyValue(String),
    /// `ONBUILD` before `ONBUILD`, `FROM` or `MAINTAINER`.
    #[error("`{0}` may not follow `ONBUILD`")]
    OnBuild(&'static str),
    /// A word with an open quote or an odd variable.
    #[error(transparent)]
    Word(#[from] WordError),
}

impl ParseError {
    pub(super) fn new(line: u32, problem: Problem) -> Self {
        Self { line, problem }
    }
}

/// Reads a Dockerfile.
///
/// # Errors
/// The first line that the builder would refuse to parse. Whether flags exist, stages are
/// known or images can be pulled is not looked at.
pub fn parse(text: &str) -> Result<Dockerfile, ParseError> {
    let lines = lexer::lines(text)?;
    let parsed = lines.logical.into_iter().map(|line| {
        let (number, last_line) = (line.number, line.last);
        let instruction = Parser { escape: lines.escape }.line(line);
        instruction
            .map(|instruction| Located { line: number, last_line, instruction })
            .map_err(|problem| ParseError::new(number, problem))
    });
    Ok(Dockerfile { syntax: lines.syntax, instructions: parsed.collect::<Result<_, _>>()? })
}

struct Parser {
    escape: char,
}

impl Parser {
    fn line(&self, line: Line) -> Result<Instruction, Problem> {
        self.instruction(&line.text, line.heredocs, false)
    }

    fn instruction(&self, text: &str, heredocs: Vec<Heredoc>, on_build: bool) -> Result<Instruction, Problem> {
        let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        let upper = keyword.to_ascii_uppercase();
        let instruction = match upper.as_str() {
            "FROM" => self.from(rest)?,
            "RUN" => {
                let (flags, rest) = self.flags(rest)?;
                Instruction::Run { flags, command: command("RUN", rest)?, heredocs }
            }
            "CMD" => Instruction::Cmd(command("CMD", no_flags("CMD", rest)?)?),
            "ENTRYPOINT" => Instruction::Entrypoint(command("ENTRYPOINT", no_flags("ENTRYPOINT", rest)?)?),
            "LABEL" => Instruction::Label(self.pairs("LABEL", rest)?),
            "ENV" => Instruction::Env(self.pairs("ENV", rest)?),
            "EXPOSE" => Instruction::Expose(self.list("EXPOSE", "a port", rest.split_whitespace())?),
            "ADD" => Instruction::Add(self.transfer("ADD", rest, heredocs)?),
            "COPY" => Instruction::Copy(self.transfer("COPY", rest, heredocs)?),
            "VOLUME" => Instruction::Volume(match json(rest) {
                Some(paths) => self.list("VOLUME", "a path", paths.iter().map(String::as_str))?,
                None => self.list("VOLUME", "a path", rest.split_whitespace())?,
            }),
            "USER" => Instruction::User(self.single("USER", "a user", rest)?),
            "WORKDIR" => Instruction::Workdir(self.single("WORKDIR", "a path", rest)?),
            "STOPSIGNAL" => Instruction::StopSignal(self.single("STOPSIGNAL", "a signal", rest)?),
            "ARG" => self.arg(rest)?,
            "ONBUILD" if on_build => return Err(Problem::OnBuild("ONBUILD")),
            "ONBUILD" => {
                let inner = self.instruction(no_flags("ONBUILD", rest)?, heredocs, true)?;
                match inner {
                    Instruction::From { .. } => return Err(Problem::OnBuild("FROM")),
                    Instruction::Maintainer(_) => return Err(Problem::OnBuild("MAINTAINER")),
                    inner => Instruction::OnBuild(Box::new(inner)),
                }
            }
            "HEALTHCHECK" => self.healthcheck(rest)?,
            "SHELL" => Instruction::Shell(
                json(rest).filter(|shell| !shell.is_empty()).ok_or(Problem::Missing("SHELL", "a JSON array"))?,
            ),
            "MAINTAINER" => Instruction::Maintainer(some("MAINTAINER", "a name", rest)?.to_owned()),
            _ => return Err(Problem::UnknownInstruction(keyword.chars().take(40).collect())),
        };
        Ok(instruction)
    }

    fn from(&self, rest: &str) -> Result<Instruction, Problem> {
        let (flags, rest) = self.flags(rest)?;
        let mut platform = None;
        for flag in flags {
            match flag.value {
                Some(value) if flag.name == "platform" => platform = Some(value),
                _ => return Err(Problem::UnknownFlag("FROM", flag.name)),
            }
        }
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (image, alias) = match words.as_slice() {
            [] => return Err(Problem::Missing("FROM", "an image")),
            [image] => (*image, None),
            [image, r#as, alias] if r#as.eq_ignore_ascii_case("as") => (*image, Some((*alias).to_owned())),
            _ => return Err(Problem::TooMany("FROM", "`image` or `image AS name`")),
        };
        Ok(Instruction::From { image: self.word(image)?, platform, alias })
    }

    fn transfer(&self, name: &'static str, rest: &str, heredocs: Vec<Heredoc>) -> Result<Transfer, Problem> {
        let (flags, rest) = self.flags(rest)?;
        let missing = Problem::Missing(name, "a source and a destination");
        let mut paths = match json(rest) {
            Some(paths) => paths.iter().map(|path| self.word(path)).collect::<Result<Vec<_>, _>>()?,
            None => rest
                .split_whitespace()
                .filter(|word| heredocs.is_empty() || lexer::heredoc(word).is_none())
                .map(|path| self.word(path))
                .collect::<Result<Vec<_>, _>>()?,
        };
        let destination = paths.pop().ok_or_else(|| missing.clone())?;
        if paths.is_empty() && heredocs.is_empty() {
            return Err(missing);
        }
        Ok(Transfer { flags, sources: paths, destination, heredocs })
    }

    fn arg(&self, rest: &str) -> Result<Instruction, Problem> {
        some("ARG", "a name", no_flags("ARG", rest)?)?;
        let arguments = lexer::words(rest, self.escape).into_iter().map(|word| match word.split_once('=') {
            Some(("", _)) => Err(Problem::NotKeyValue(shown(word))),
            Some((name, value)) => Ok((self.key(name)?, Some(self.word(value)?))),
            None => Ok((self.key(word)?, None)),
        });
        Ok(Instruction::Arg(arguments.collect::<Result<_, _>>()?))
    }

    fn healthcheck(&self, rest: &str) -> Result<Instruction, Problem> {
        let (flags, rest) = self.flags(rest)?;
        let (kind, check) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        match kind.to_ascii_uppercase().as_str() {
            "NONE" if check.is_empty() && flags.is_empty() => Ok(Instruction::Healthcheck { flags, command: None }),
            "NONE" => Err(Problem::TooMany("HEALTHCHECK", "`NONE`")),
            "CMD" => Ok(Instruction::Healthcheck { flags, command: Some(command("HEALTHCHECK", check.trim())?) }),
            _ => Err(Problem::Missing("HEALTHCHECK", "`NONE` or `CMD`")),
        }
    }

    /// `key=value …`, or the old `key value`, where everything after the key is the value.
    fn pairs(&self, name: &'static str, rest: &str) -> Result<Vec<(String, Word)>, Problem> {
        let words = lexer::words(no_flags(name, rest)?, self.escape);
        let first = *words.first().ok_or(Problem::Missing(name, "`key=value`"))?;
        if !first.contains('=') {
            let value = rest.get(first.len()..).unwrap_or_default().trim_start();
            return Ok(vec![(self.key(first)?, self.word(some(name, "`key=value`", value)?)?)]);
        }
        let pair = |word: &&str| match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((self.key(key)?, self.word(value)?)),
            _ => Err(Problem::NotKeyValue(shown(word))),
        };
        words.iter().map(pair).collect()
    }

    /// A key; variables in it are kept as they are written.
    fn key(&self, text: &str) -> Result<String, Problem> {
        let word = self.word(text)?;
        let key = word.as_literal().unwrap_or(text).to_owned();
        if key.is_empty() { Err(Problem::NotKeyValue(shown(text))) } else { Ok(key) }
    }

    fn list<'a>(
        &self,
        name: &'static str,
        what: &'static str,
        words: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Word>, Problem> {
        let words: Vec<Word> = words.map(|word| self.word(word)).collect::<Result<_, _>>()?;
        if words.is_empty() { Err(Problem::Missing(name, what)) } else { Ok(words) }
    }

    fn single(&self, name: &'static str, what: &'static str, rest: &str) -> Result<Word, Problem> {
        self.word(some(name, what, no_flags(name, rest)?)?)
    }

    /// The flags in front, and what follows them.
    fn flags<'a>(&self, mut rest: &'a str) -> Result<(Vec<Flag>, &'a str), Problem> {
        let mut flags = Vec::new();
        while rest.starts_with("--") {
            let Some(word) = lexer::words(rest, self.escape).first().copied() else { break };
            rest = rest.get(word.len()..).unwrap_or_default().trim_start();
            if word == "--" {
                break;
            }
            let (name, value) = word[2..].split_once('=').map_or((&word[2..], None), |(name, v)| (name, Some(v)));
            let value = value.map(|value| self.word(value)).transpose()?;
            flags.push(Flag { name: name.to_owned(), value });
        }
        Ok((flags, rest))
    }

    fn word(&self, text: &str) -> Result<Word, Problem> {
        Ok(Word::parse(text, self.escape)?)
    }
}

/// Exec form if it is a JSON array of strings, else shell form, as the builder decides.
fn command(name: &'static str, rest: &str) -> Result<Command, Problem> {
    match json(rest) {
        Some(arguments) => Ok(Command::Exec(arguments)),
        None => Ok(Command::Shell(some(name, "a command", rest)?.to_owned())),
    }
}

fn json(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

fn no_flags<'a>(name: &'static str, rest: &'a str) -> Result<&'a str, Problem> {
    let Some(flag) = rest.strip_prefix("--") else { return Ok(rest) };
    let flag = flag.split(|c: char| c == '=' || c.is_whitespace()).next().unwrap_or_default();
    Err(Problem::UnknownFlag(name, shown(flag)))
}

fn some<'a>(name: &'static str, what: &'static str, text: &'a str) -> Result<&'a str, Problem> {
    if text.is_empty() { Err(Problem::Missing(name, what)) } else { Ok(text) }
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests;
