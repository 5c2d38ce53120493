//! The instructions of a Dockerfile as types, after the Dockerfile reference.

pub use super::word::{Piece, Word};

/// A whole Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dockerfile {
    /// The frontend that `# syntax=` asks for, and its line.
    pub syntax: Option<(u32, String)>,
    /// The instructions in their order.
    pub instructions: Vec<Located>,
}

/// An instruction and the lines it stands on, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The line of the keyword.
    pub line: u32,
    /// The last line, continuations and here-documents included.
    pub last_line: u32,
    /// The instruction.
    pub instruction: Instruction,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// `FROM [--platform=…] image [AS alias]`.
    From {
        /// The image, or an earlier stage's name.
        image: Word,
        /// `--platform`.
        platform: Option<Word>,
        /// The stage's name as written.
        alias: Option<String>,
    },
    /// `RUN [flags] command`.
    Run {
        /// `--mount`, `--network`, `--security`.
        flags: Vec<Flag>,
        /// What is run.
        command: Command,
        /// Here-documents, in their order.
        heredocs: Vec<Heredoc>,
    },
    /// `CMD command`.
    Cmd(Command),
    /// `LABEL key=value …`.
    Label(Vec<(String, Word)>),
    /// `EXPOSE port …`, each `number[-number][/protocol]` once variables are replaced.
    Expose(Vec<Word>),
    /// `ENV key=value …`.
    Env(Vec<(String, Word)>),
    /// `ADD [flags] source … destination`.
    Add(Transfer),
    /// `COPY [flags] source … destination`.
    Copy(Transfer),
    /// `ENTRYPOINT command`.
    Entrypoint(Command),
    /// `VOLUME path …`.
    Volume(Vec<Word>),
    /// `USER user[:group]`.
    User(Word),
    /// `WORKDIR path`.
    Workdir(Word),
    /// `ARG name[=default] …`.
    Arg(Vec<(String, Option<Word>)>),
    /// `ONBUILD instruction`.
    OnBuild(Box<Instruction>),
    /// `STOPSIGNAL signal`.
    StopSignal(Word),
    /// `HEALTHCHECK [flags] CMD command`, or `HEALTHCHECK NONE` without a command.
    Healthcheck {
        /// `--interval`, `--timeout`, `--start-period`, `--retries`.
        flags: Vec<Flag>,
        /// The check; `None` switches off what the base image checks.
        command: Option<Command>,
    },
    /// `SHELL ["program", …]`.
    Shell(Vec<String>),
    /// `MAINTAINER name`, long deprecated.
    Maintainer(String),
}

/// How a command is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A JSON array: program and arguments, nothing interprets them.
    Exec(Vec<String>),
    /// A line for the image's shell.
    Shell(String),
}

/// A flag before an instruction's arguments: `--from=build`, `--link`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The name without dashes.
    pub name: String,
    /// What follows `=`.
    pub value: Option<Word>,
}

/// What `COPY` and `ADD` bring where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// `--from`, `--chown`, `--chmod`, `--link` ….
    pub flags: Vec<Flag>,
    /// Paths or, for `ADD`, URLs; wildcards count. Here-documents stand in `heredocs`.
    pub sources: Vec<Word>,
    /// Where to.
    pub destination: Word,
    /// Here-documents, in their order.
    pub heredocs: Vec<Heredoc>,
}

impl Transfer {
    /// The value of a flag, if it is there and has one.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&Word> {
        self.flags.iter().find(|flag| flag.name == name)?.value.as_ref()
    }
}

/// A here-document: lines up to the one that repeats its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The closing word.
    pub name: String,
    /// Whether leading tabs go (`<<-`).
    pub strip_tabs: bool,
    /// Whether variables are replaced inside; a quoted name switches it off.
    pub expand: bool,
    /// The lines, each with its newline.
    pub content: String,
}

impl Instruction {
    /// The keyword in capitals.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::From { .. } => "FROM",
            Self::Run { .. } => "RUN",
            Self::Cmd(_) => "CMD",
            Self::Label(_) => "LABEL",
            Self::Expose(_) => "EXPOSE",
            Self::Env(_) => "ENV",
            Self::Add(_) => "ADD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Volume(_) => "VOLUME",
            Self::User(_) => "USER",
            Self::Workdir(_) => "WORKDIR",
            Self::Arg(_) => "ARG",
            Self::OnBuild(_) => "ONBUILD",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::Healthcheck { .. } => "HEALTHCHECK",
            Self::Shell(_) => "SHELL",
            Self::Maintainer(_) => "MAINTAINER",
        }
    }

    /// The flags, for the instructions that may have any but `FROM`, whose only one is typed.
    #[must_use]
    pub fn flags(&self) -> &[Flag] {
        match self {
            Self::Run { flags, .. } | Self::Healthcheck { flags, .. } => flags,
            Self::Add(transfer) | Self::Copy(transfer) => &transfer.flags,
            Self::OnBuild(inner) => inner.flags(),
            _ => &[],
        }
    }

    /// The here-documents.
    #[must_use]
    pub fn heredocs(&self) -> &[Heredoc] {
        match self {
            Self::Run { heredocs, .. } => heredocs,
            Self::Add(transfer) | Self::Copy(transfer) => &transfer.heredocs,
            Self::OnBuild(inner) => inner.heredocs(),
            _ => &[],
        }
    }
}
