//! What a Dockerfile says that is not built because a toolchain was recognised: its author's answer where the files leave
//! several.

use std::collections::{BTreeMap, BTreeSet};

use super::{Base, Stage, stage_named, stages};
use crate::dockerfile::instruction::{Command, Dockerfile, Heredoc, Instruction, Located, Word};
use crate::dockerfile::parse::parse;

/// Words of one instruction, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) line: u32,
    pub(crate) words: Vec<String>,
    /// Whether no shell has to read them.
    pub(crate) plain: bool,
}

/// The words of every command that it runs and of every path that it copies from the repository.
pub(crate) fn builds(text: &str) -> Vec<Said> {
    let words = |instruction: &Instruction| match instruction {
        Instruction::Run { command, heredocs, .. } => run(command, heredocs),
        Instruction::Copy(transfer) | Instruction::Add(transfer) => {
            transfer.sources.iter().filter_map(Word::as_literal).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    let file = parse(text).unwrap_or_else(|_| Dockerfile { syntax: None, instructions: Vec::new() });
    let said = file.instructions.iter().map(|located| Said {
        line: located.line,
        words: words(&located.instruction),
        plain: false,
    });
    said.filter(|said| !said.words.is_empty()).collect()
}

/// The simple commands of every `RUN`, each with its line.
pub(crate) fn commands(text: &str) -> Vec<Said> {
    let file = parse(text).unwrap_or_else(|_| Dockerfile { syntax: None, instructions: Vec::new() });
    let of_run = file.instructions.iter().flat_map(|located| {
        let lines: Vec<Vec<String>> = match &located.instruction {
            Instruction::Run { command: Command::Shell(line), heredocs, .. } => {
                let texts = std::iter::once(line).chain(heredocs.iter().map(|heredoc| &heredoc.content));
                texts.flat_map(|text| text.split(['&', ';', '\n'])).map(of_line).collect()
            }
            Instruction::Run { command, .. } => vec![words(command)],
            _ => Vec::new(),
        };
        lines.into_iter().map(|words| Said { line: located.line, words, plain: false })
    });
    of_run.filter(|said| !said.words.is_empty()).collect()
}

/// The words of every `RUN` of the built stage, of what it is built on and of what it copies from: what is not in the image
/// at the end (a stage for tests) says nothing of it.
pub(crate) fn installs(text: &str) -> Vec<Said> {
    let of_run = |located: &Located| match &located.instruction {
        Instruction::Run { command, heredocs, .. } => {
            let words = run(command, heredocs);
            Some(Said { line: located.line, words, plain: false }).filter(|said| !said.words.is_empty())
        }
        _ => None,
    };
    of_image(text, |instructions| instructions.iter().filter_map(of_run).collect())
}

/// The files that those stages copy under another name, as source and destination: `COPY requirements-prod.txt
/// requirements.txt`.
pub(crate) fn renamed(text: &str) -> Vec<(String, String)> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let of_copy = |located: &Located| {
        let (Instruction::Copy(transfer) | Instruction::Add(transfer)) = &located.instruction else { return None };
        let [source] = &transfer.sources[..] else { return None };
        let (source, destination) = (source.as_literal()?, transfer.destination.as_literal()?);
        let is_file = name(source).contains('.') && name(destination).contains('.') && name(destination) != ".";
        let other = is_file && transfer.flag("from").is_none() && name(source) != name(destination);
        other.then(|| (source.to_owned(), destination.to_owned()))
    };
    of_image(text, |instructions| instructions.iter().filter_map(of_copy).collect())
}

/// What is read of every stage that the image at the end is made of, in the order of the file.
fn of_image<T>(text: &str, read: impl Fn(&[Located]) -> Vec<T>) -> Vec<T> {
    let Ok(file) = parse(text) else { return Vec::new() };
    let Ok(stages) = stages("", &file, &BTreeMap::new()) else { return Vec::new() };
    let mut reached = BTreeSet::new();
    let mut open: Vec<usize> = stages.len().checked_sub(1).into_iter().collect();
    while let Some(index) = open.pop() {
        if !reached.insert(index) {
            continue;
        }
        if let Base::Stage(earlier) = stages[index].base {
            open.push(earlier);
        }
        open.extend(stages[index].instructions.iter().filter_map(|located| match &located.instruction {
            Instruction::Copy(transfer) => stage_named(&stages, transfer.flag("from")?.as_literal()?),
            _ => None,
        }));
    }
    reached.into_iter().flat_map(|index| read(stages[index].instructions)).collect()
}

/// What it copies from the repository, and not from another stage.
pub(crate) fn copies(text: &str) -> Vec<String> {
    let file = parse(text).unwrap_or_else(|_| Dockerfile { syntax: None, instructions: Vec::new() });
    let of_repository = file.instructions.iter().filter_map(|located| match &located.instruction {
        Instruction::Copy(transfer) | Instruction::Add(transfer) => {
            transfer.flags.iter().all(|flag| flag.name != "from").then_some(transfer)
        }
        _ => None,
    });
    let paths = of_repository.flat_map(|transfer| transfer.sources.iter().filter_map(Word::as_literal));
    paths.map(str::to_owned).collect()
}

/// The directories of `WORKDIR`, without a slash at the end.
pub(crate) fn workplaces(text: &str) -> Vec<String> {
    let file = parse(text).unwrap_or_else(|_| Dockerfile { syntax: None, instructions: Vec::new() });
    let places = file.instructions.iter().filter_map(|located| match &located.instruction {
        Instruction::Workdir(path) => path.as_literal(),
        _ => None,
    });
    places.map(|place| place.trim_end_matches('/').to_owned()).collect()
}

/// The line that copies what a stage made which is built on one of these images.
pub(crate) fn made_by(text: &str, images: &[String]) -> Option<u32> {
    let file = parse(text).ok()?;
    let stages = stages("", &file, &BTreeMap::new()).ok()?;
    let is_of = |stage: &Stage<'_>| match &stage.base {
        Base::Image(image) => {
            let name = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
            images.iter().any(|one| name.split(':').next() == Some(one))
        }
        _ => false,
    };
    file.instructions.iter().find_map(|located| {
        let Instruction::Copy(transfer) = &located.instruction else { return None };
        let from = transfer.flags.iter().find(|flag| flag.name == "from")?;
        let from = stage_named(&stages, from.value.as_ref()?.as_literal()?)?;
        is_of(&stages[from]).then_some(located.line)
    })
}

/// What the built stage starts: the words of `ENTRYPOINT` and of `CMD` behind them (Dockerfile reference, "Understand how
/// CMD and ENTRYPOINT interact": an `ENTRYPOINT` forgets the `CMD` of what its stage is built on).
pub(crate) fn starts(text: &str) -> Option<Said> {
    of_built_stage(text, |stages| {
        let (mut entrypoint, mut cmd) = (None, None);
        for instructions in stages {
            let own = last("ENTRYPOINT", instructions);
            (entrypoint, cmd) = (own.or(entrypoint), last("CMD", instructions).or(cmd.filter(|_| own.is_none())));
        }
        let line = cmd.or(entrypoint)?.0;
        let commands = || entrypoint.into_iter().chain(cmd).map(|(_, command)| command);
        Some(Said { line, words: commands().flat_map(words).collect(), plain: commands().all(plain) })
    })
}

/// The line and the value of a variable that the built stage sets for what it starts.
pub(crate) fn variable(text: &str, name: &str) -> Option<(u32, String)> {
    of_built_stage(text, |stages| {
        stages.iter().copied().flatten().rev().find_map(|located| {
            let Instruction::Env(pairs) = &located.instruction else { return None };
            let (_, value) = pairs.iter().rfind(|(key, _)| key == name)?;
            Some((located.line, value.as_literal()?.to_owned()))
        })
    })
}

/// Every variable that the built stage sets to a plain value, with its line; the last one of a name.
pub(crate) fn variables(text: &str) -> BTreeMap<String, (u32, String)> {
    let read = |stages: &[&[Located]]| {
        let set = stages.iter().copied().flatten().filter_map(|located| match &located.instruction {
            Instruction::Env(pairs) => Some((located.line, pairs)),
            _ => None,
        });
        let each = set.flat_map(|(line, pairs)| pairs.iter().map(move |(name, value)| (name, line, value)));
        let plain = each.filter_map(|(name, line, value)| Some((name.clone(), (line, value.as_literal()?.to_owned()))));
        Some(plain.collect())
    };
    of_built_stage(text, read).unwrap_or_default()
}

/// The values that `ARG` gives its variables where nobody gives them others, of all stages.
pub(crate) fn arguments(text: &str) -> BTreeMap<String, String> {
    let file = parse(text).unwrap_or_default();
    let each = file.instructions.iter().filter_map(|located| match &located.instruction {
        Instruction::Arg(variables) => Some(variables),
        _ => None,
    });
    let each =
        each.flatten().filter_map(|(name, value)| Some((name.clone(), value.as_ref()?.as_literal()?.to_owned())));
    each.collect()
}

/// Directories at the root that belong to the system: nobody's volume.
const SYSTEM: &[&str] =
    &["bin", "boot", "dev", "etc", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr"];

/// Every volume of the built stage that is a plain path of its own, and the line of the first. Where the repository itself is
/// copied to (`COPY . /code`) is none: a volume there serves who develops, and holds the program.
pub(crate) fn volumes(text: &str) -> Option<(u32, Vec<String>)> {
    of_built_stage(text, |stages| {
        let said = stages.iter().copied().flatten().filter_map(|located| match &located.instruction {
            Instruction::Volume(paths) => Some((located.line, paths)),
            _ => None,
        });
        let said: Vec<_> = said.collect();
        let code = copied_to(stages.iter().copied().flatten());
        let is_code = |path: &str| code.contains(&path.trim_end_matches('/'));
        let plain = said.iter().flat_map(|(_, paths)| paths.iter()).filter_map(Word::as_literal);
        let plain = plain.filter(|path| own(path) && !is_code(path));
        Some((said.first()?.0, plain.map(str::to_owned).collect()))
    })
}

/// Where the whole context is copied to.
fn copied_to<'i>(instructions: impl Iterator<Item = &'i Located>) -> Vec<&'i str> {
    let (mut workdir, mut found) = ("", Vec::new());
    for located in instructions {
        match &located.instruction {
            Instruction::Workdir(path) => workdir = path.as_literal().unwrap_or_default(),
            Instruction::Add(transfer) | Instruction::Copy(transfer)
                if transfer.flag("from").is_none()
                    && transfer.sources.iter().any(|source| matches!(source.as_literal(), Some("." | "./"))) =>
            {
                let to = transfer.destination.as_literal().unwrap_or_default();
                found.push(if matches!(to, "." | "./") { workdir } else { to }.trim_end_matches('/'));
            }
            _ => {}
        }
    }
    found
}

/// Whether a path can be a volume's of the application.
fn own(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let top = parts.first().copied().unwrap_or_default();
    path.starts_with('/')
        && !top.is_empty()
        && !SYSTEM.contains(&top)
        && !parts.contains(&".")
        && !parts.contains(&"..")
}

/// The last instruction of a name, with its line.
fn last<'i>(name: &str, instructions: &'i [Located]) -> Option<(u32, &'i Command)> {
    let found = instructions.iter().rfind(|located| located.instruction.name() == name)?;
    match &found.instruction {
        Instruction::Entrypoint(command) | Instruction::Cmd(command) => Some((found.line, command)),
        _ => None,
    }
}

/// The instructions of the last stage, behind those of the earlier stages of the file that it continues (`FROM venv`): it has
/// their settings.
fn of_built_stage<T>(text: &str, read: impl Fn(&[&[Located]]) -> Option<T>) -> Option<T> {
    let file = parse(text).ok()?;
    let stages = stages("", &file, &BTreeMap::new()).ok()?;
    let mut chain = vec![stages.last()?];
    while let Base::Stage(earlier) = chain.last()?.base {
        chain.push(&stages[earlier]);
    }
    let instructions: Vec<&[Located]> = chain.iter().rev().map(|stage| stage.instructions).collect();
    read(&instructions)
}

/// Whether a command's words are its arguments.
fn plain(command: &Command) -> bool {
    match command {
        Command::Shell(line) => !line.contains([';', '&', '|', '(', '<', '>', '$', '`', '"', '\'', '*', '~']),
        Command::Exec(words) => {
            let shell = words.first().is_some_and(|word| word.ends_with("sh"));
            !shell && words.iter().all(|word| !word.contains(char::is_whitespace))
        }
    }
}

/// The words of a command; of a shell's line those between white space and signs, without their quotes.
fn words(command: &Command) -> Vec<String> {
    match command {
        Command::Shell(line) => of_line(line),
        // `["sh", "-c", "gunicorn shop:app"]` is a line, too; no shell reads the signs of other words: `shop:create_app()`.
        Command::Exec(words) if words.iter().any(|word| is_shell(word)) => {
            words.iter().flat_map(|word| of_line(word)).collect()
        }
        Command::Exec(words) => {
            let words = words.iter().flat_map(|word| word.split_whitespace()).map(unquoted);
            words.filter(|word| !word.is_empty()).collect()
        }
    }
}

/// The words of a command and of the here-documents that it is given: a `RUN` of them alone is a script (Dockerfile reference,
/// "Here-Documents").
fn run(command: &Command, heredocs: &[Heredoc]) -> Vec<String> {
    words(command).into_iter().chain(heredocs.iter().flat_map(|heredoc| of_line(&heredoc.content))).collect()
}

/// The words of a line that a shell reads, also of a line within it (`sh -c "a && b"`); a quoted call is one word.
fn of_line(line: &str) -> Vec<String> {
    let mut quote = None;
    let separates = |c: char| {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        c.is_whitespace() || matches!(c, ';' | '&' | '|') || quote.is_none() && matches!(c, '(' | ')')
    };
    line.split(separates).map(unquoted).filter(|word| !word.is_empty()).collect()
}

fn unquoted(word: &str) -> String {
    word.trim_matches(['"', '\'']).to_owned()
}

fn is_shell(word: &str) -> bool {
    ["sh", "bash", "ash", "dash", "zsh"].contains(&word.rsplit('/').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_stand_in_the_file() {
        let text = "FROM a\nRUN <<EOS\nset -e\npip install -r x.txt && y\nEOS\nRUN <<A sh && z\none\nA\n";
        let shown = |said: Vec<Said>| said.iter().map(|said| said.words.join(" ")).collect::<Vec<_>>();
        assert_eq!(shown(installs(text)), ["<<EOS set -e pip install -r x.txt y", "<<A sh z one"]);
        assert_eq!(shown(commands(text))[1..], ["set -e", "pip install -r x.txt", "y", "<<A sh", "z", "one"]);
    }

    #[test]
    fn what_the_image_is_made_of() {
        let text = "FROM a AS base\nRUN one\nFROM base AS test\nRUN two\nFROM b AS built\nCOPY x/p.txt ./r.txt\nRUN three\n\
                    FROM base\nCOPY --from=built /v /v\nCOPY q.txt .\nCOPY --from=built a.txt b.txt\nRUN four && five\n";
        let words: Vec<String> = installs(text).iter().map(|said| said.words.join(" ")).collect();
        assert_eq!(words, ["one", "three", "four five"]);
        assert_eq!(renamed(text), [("x/p.txt".to_owned(), "./r.txt".to_owned())]);
    }

    #[test]
    fn volumes_are_those_of_the_last_stage() {
        let text = "FROM a AS b\nVOLUME /x\nFROM c\nVOLUME [\"/data\", \"/more\"]\nVOLUME $HOME/x /y\n";
        let found = volumes(text).unwrap();
        assert_eq!((found.0, found.1.join(" ").as_str()), (4, "/data /more /y"));
        assert_eq!(volumes("FROM a\nVOLUME /x\nFROM b\n"), None);
        let of = |text: &str| volumes(text).map(|(_, paths)| paths).unwrap_or_default();
        assert!(of("FROM a\nVOLUME [\"/code\"]\nCOPY . /code/\n").is_empty());
        assert_eq!(of("FROM a\nWORKDIR /srv\nCOPY . .\nVOLUME /srv /srv/data\n"), ["/srv/data"]);
    }

    #[test]
    fn what_starts_is_that_of_the_last_stage() {
        for (text, expected) in [
            (
                "FROM a\nCMD python x.py\nFROM b\nENTRYPOINT [\"python\", \"-m\"]\nCMD [\"bot\"]",
                Some("5 python -m bot"),
            ),
            ("FROM a\nCMD exec gunicorn 'shop:app' && true", Some("2 exec gunicorn shop:app true")),
            (
                "FROM a\nCMD [\"sh\", \"-c\", \"uvicorn x:app --port $PORT\"]",
                Some("2 sh -c uvicorn x:app --port $PORT"),
            ),
            ("FROM a\nCMD [\"gunicorn\", \"shop:create_app()\"]", Some("2 gunicorn shop:create_app()")),
            ("FROM a\nCMD (gunicorn 'shop:create_app()')", Some("2 gunicorn shop:create_app()")),
            ("FROM a\nCMD a\nCMD b", Some("3 b")),
            ("FROM a AS b\nENTRYPOINT [\"g\"]\nCMD [\"-c\"]\nFROM x AS y\nFROM b\nCOPY . .", Some("3 g -c")),
            ("FROM a AS b\nCMD [\"-c\"]\nFROM b\nENTRYPOINT [\"g\"]", Some("4 g")),
            ("FROM a\nRUN x", None),
            ("nothing", None),
        ] {
            let said = starts(text).map(|said| format!("{} {}", said.line, said.words.join(" ")));
            assert_eq!(said.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_built_has_its_lines() {
        let text = "FROM a\nRUN go build -o /x ./cmd/api && \\\n  strip /x\nCOPY web/target/*.jar /a.jar\nENV A=1\n";
        let said: Vec<_> = builds(text).iter().map(|said| format!("{} {}", said.line, said.words.join(" "))).collect();
        assert_eq!(said, ["2 go build -o /x ./cmd/api strip /x", "4 web/target/*.jar"]);
    }

    #[test]
    fn variables_are_those_of_the_last_stage() {
        let text = "FROM a\nENV S=x\nFROM b\nENV S=y T=$S\nENV S shop.settings\n";
        assert_eq!(variable(text, "S"), Some((5, "shop.settings".to_owned())));
        assert_eq!(variable(text, "T"), None);
        assert_eq!(variable("FROM a\nENV S=x\nFROM b", "S"), None);
        assert_eq!(variable("FROM a AS b\nENV S=x\nFROM b", "S"), Some((2, "x".to_owned())));
        let said: Vec<_> =
            variables(text).into_iter().map(|(name, (line, value))| format!("{line} {name}={value}")).collect();
        assert_eq!(said, ["5 S=shop.settings"]);
    }
}
