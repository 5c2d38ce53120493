//! A Dockerfile's last stage as what it does: files to copy, and a configuration (Dockerfile reference; what is not
//! said there is what `BuildKit` does).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::dockerfile::instruction::{Command, Dockerfile, Flag, Instruction, Located, Transfer, Word};
use crate::model::failure::{Failure, FailureCode};

/// What `BuildKit` sets where the base image has none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What changes files, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Copy(Copy),
    /// A directory that is made where it is missing.
    Directory {
        line: u32,
        path: String,
    },
}

/// A `COPY` or `ADD` with its variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) line: u32,
    pub(super) sources: Vec<String>,
    /// Absolute; with a `/` at its end it is a directory.
    pub(super) destination: String,
    pub(super) owner: Option<String>,
    pub(super) mode: Option<u32>,
}

/// What happens to the files and to the configuration.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The changes, each with its instruction for the history; none changes the configuration alone.
    pub(super) steps: Vec<(String, Option<Change>)>,
    /// The configuration's `config`.
    pub(super) config: Value,
}

/// The image that a Dockerfile starts from, and what follows.
pub(super) struct Stage<'a> {
    pub(super) base: String,
    arguments: BTreeMap<String, String>,
    build_args: &'a BTreeMap<String, String>,
    instructions: &'a [Located],
}

/// Finds the only stage.
///
/// # Errors
/// `dockerfile_unsupported`, with the line, for what needs an Engine.
pub(super) fn stage<'a>(file: &'a Dockerfile, build_args: &'a BTreeMap<String, String>) -> Result<Stage<'a>, Failure> {
    let mut arguments: BTreeMap<String, String> = BTreeMap::new();
    let mut base: Option<(usize, String)> = None;
    for (index, Located { line, instruction, .. }) in file.instructions.iter().enumerate() {
        match instruction {
            Instruction::From { .. } if base.is_some() => {
                return Err(unsupported(*line, "a second `FROM`"));
            }
            Instruction::From { image, .. } => {
                base = Some((index, expand(*line, image, &|name| arguments.get(name).cloned())?));
            }
            Instruction::Arg(given) if base.is_none() => declare(*line, given, build_args, &mut arguments)?,
            Instruction::Run { .. } => return Err(unsupported(*line, "`RUN`")),
            Instruction::OnBuild(_) => return Err(unsupported(*line, "`ONBUILD`")),
            _ => {}
        }
    }
    let (index, base) = base.ok_or_else(|| unsupported(1, "no `FROM`"))?;
    Ok(Stage { base, arguments, build_args, instructions: &file.instructions[index + 1..] })
}

impl Stage<'_> {
    /// Carries the instructions out on the base's configuration.
    ///
    /// # Errors
    /// `dockerfile_unsupported`, with the line.
    pub(super) fn recipe(self, base: &Value) -> Result<Recipe, Failure> {
        let mut config = if base.is_object() { base.clone() } else { json!({ "WorkingDir": "/" }) };
        if !environment(&config).iter().any(|(name, _)| name == "PATH") {
            set_env(&mut config, "PATH", PATH);
        }
        let mut state = State { config, arguments: BTreeMap::new(), cmd: false, steps: Vec::new() };
        for Located { line, instruction, .. } in self.instructions {
            let change = state.apply(*line, instruction, self.build_args, &self.arguments)?;
            let text = crate::dockerfile::render::render(std::slice::from_ref(instruction)).unwrap_or_default();
            state.steps.push((text.trim_end().to_owned(), change));
        }
        Ok(Recipe { steps: state.steps, config: state.config })
    }
}

struct State {
    config: Value,
    arguments: BTreeMap<String, String>,
    /// Whether this Dockerfile has set `CMD`.
    cmd: bool,
    steps: Vec<(String, Option<Change>)>,
}

impl State {
    fn apply(
        &mut self,
        line: u32,
        instruction: &Instruction,
        build_args: &BTreeMap<String, String>,
        global: &BTreeMap<String, String>,
    ) -> Result<Option<Change>, Failure> {
        let word = |state: &Self, word: &Word| {
            let env = environment(&state.config);
            // As the Engine does it, and unlike its manual: an `ARG` hides an `ENV` that stands before it.
            expand(line, word, &|name| {
                let set = || env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
                state.arguments.get(name).cloned().or_else(set)
            })
        };
        match instruction {
            Instruction::Env(pairs) => {
                // All of one instruction see the values from before it.
                let values: Vec<_> = pairs.iter().map(|(_, value)| word(self, value)).collect::<Result<_, _>>()?;
                for ((key, _), value) in pairs.iter().zip(values) {
                    set_env(&mut self.config, key, &value);
                    self.arguments.remove(key);
                }
            }
            Instruction::Arg(given) => {
                for (name, default) in given {
                    let default = default.as_ref().map(|default| word(self, default)).transpose()?;
                    let value = build_args.get(name).cloned().or(default).or_else(|| global.get(name).cloned());
                    self.arguments.extend(value.map(|value| (name.clone(), value)));
                }
            }
            Instruction::Label(pairs) => {
                for (key, value) in pairs {
                    let value = word(self, value)?;
                    self.config["Labels"][key.as_str()] = json!(value);
                }
            }
            Instruction::Expose(ports) => {
                for port in ports {
                    for port in exposed(line, &word(self, port)?)? {
                        self.config["ExposedPorts"][port] = json!({});
                    }
                }
            }
            Instruction::Volume(paths) => {
                for path in paths {
                    let path = word(self, path)?;
                    self.config["Volumes"][path] = json!({});
                }
            }
            Instruction::User(user) => {
                let user = word(self, user)?;
                self.config["User"] = json!(user);
            }
            Instruction::StopSignal(signal) => {
                let signal = word(self, signal)?;
                self.config["StopSignal"] = json!(signal);
            }
            Instruction::Shell(shell) => self.config["Shell"] = json!(shell),
            Instruction::Workdir(path) => {
                let path = join(self.workdir(), &word(self, path)?);
                self.config["WorkingDir"] = json!(path);
                return Ok(Some(Change::Directory { line, path }));
            }
            Instruction::Cmd(command) => {
                let command = self.command(command);
                self.config["Cmd"] = json!(command);
                self.cmd = true;
            }
            Instruction::Entrypoint(command) => {
                let command = self.command(command);
                self.config["Entrypoint"] = json!(command);
                if !self.cmd {
                    self.config["Cmd"] = Value::Null;
                }
            }
            Instruction::Healthcheck { flags, command } => {
                let health = Self::health(line, flags, command.as_ref())?;
                self.config["Healthcheck"] = health;
            }
            Instruction::Copy(transfer) | Instruction::Add(transfer) => {
                return self.copy(line, instruction.name(), transfer, &|text| word(self, text)).map(Some);
            }
            Instruction::Maintainer(_) => {}
            other => return Err(unsupported(line, &format!("`{}`", other.name()))),
        }
        Ok(None)
    }

    fn workdir(&self) -> &str {
        self.config["WorkingDir"].as_str().filter(|path| !path.is_empty()).unwrap_or("/")
    }

    fn command(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(arguments) => arguments.clone(),
            Command::Shell(line) => {
                let shell = self.config["Shell"]
                    .as_array()
                    .map(|shell| shell.iter().filter_map(Value::as_str).map(str::to_owned).collect());
                let mut all: Vec<String> = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
                all.push(line.clone());
                all
            }
        }
    }

    fn health(line: u32, flags: &[Flag], command: Option<&Command>) -> Result<Value, Failure> {
        let mut health = serde_json::Map::new();
        let test = match command {
            None => json!(["NONE"]),
            Some(Command::Exec(arguments)) => json!([&["CMD".to_owned()], arguments.as_slice()].concat()),
            Some(Command::Shell(text)) => json!(["CMD-SHELL", text]),
        };
        health.insert("Test".to_owned(), test);
        for flag in flags {
            let value = flag.value.as_ref().and_then(Word::as_literal).unwrap_or_default();
            let key = match flag.name.as_str() {
                "interval" => "Interval",
                "timeout" => "Timeout",
                "start-period" => "StartPeriod",
                "retries" => "Retries",
                other => return Err(unsupported(line, &format!("`HEALTHCHECK --{other}`"))),
            };
            let number = if key == "Retries" { value.parse().ok() } else { nanoseconds(value) };
            let number = number.ok_or_else(|| unsupported(line, &format!("`{value}` for `--{}`", flag.name)))?;
            // Zero means the default, which is what absence means.
            if number > 0 {
                health.insert(key.to_owned(), json!(number));
            }
        }
        Ok(Value::Object(health))
    }

    fn copy(
        &self,
        line: u32,
        name: &str,
        transfer: &Transfer,
        word: &impl Fn(&Word) -> Result<String, Failure>,
    ) -> Result<Change, Failure> {
        let mut copy = Copy { line, sources: Vec::new(), destination: String::new(), owner: None, mode: None };
        for flag in &transfer.flags {
            let value = flag.value.as_ref().map(word).transpose()?.unwrap_or_default();
            match flag.name.as_str() {
                "chown" => copy.owner = Some(value),
                "chmod" => {
                    let mode = u32::from_str_radix(&value, 8).ok().filter(|mode| *mode <= 0o7777);
                    copy.mode = Some(mode.ok_or_else(|| unsupported(line, &format!("`--chmod={value}`")))?);
                }
                "link" => {}
                other => return Err(unsupported(line, &format!("`{name} --{other}`"))),
            }
        }
        if !transfer.heredocs.is_empty() {
            return Err(unsupported(line, "a here-document"));
        }
        for source in &transfer.sources {
            let source = word(source)?;
            if source.contains(['*', '?', '[']) {
                return Err(unsupported(line, &format!("the wildcard `{source}`")));
            }
            if name == "ADD" && (source.contains("://") || source.starts_with("git@") || is_archive(&source)) {
                return Err(unsupported(line, &format!("`ADD {source}`")));
            }
            copy.sources.push(source);
        }
        let destination = word(&transfer.destination)?;
        let directory =
            destination.ends_with('/') || destination.ends_with("/.") || destination == "." || destination.is_empty();
        copy.destination = join(self.workdir(), &destination);
        if (directory || copy.sources.len() > 1) && copy.destination != "/" {
            copy.destination.push('/');
        }
        Ok(Change::Copy(copy))
    }
}

/// `ADD` unpacks these, whatever their content.
fn is_archive(source: &str) -> bool {
    [".tar", ".tgz", ".gz", ".bz2", ".xz", ".txz", ".tbz2", ".zst"].iter().any(|end| source.ends_with(end))
}

/// An absolute path, `.` and `..` worked out.
fn join(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let from = if path.starts_with('/') { "" } else { directory };
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `8080`, `8080/udp`, `8000-8002` as the configuration lists them.
fn exposed(line: u32, text: &str) -> Result<Vec<String>, Failure> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last && ["tcp", "udp", "sctp"].contains(&protocol.as_str()) => {
            Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
        }
        _ => Err(unsupported(line, &format!("the port `{text}`"))),
    }
}

/// A duration as Go writes it: `1m30s`, `500ms`.
fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let factor: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

fn declare(
    line: u32,
    given: &[(String, Option<Word>)],
    build_args: &BTreeMap<String, String>,
    arguments: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    for (name, default) in given {
        let default =
            default.as_ref().map(|word| expand(line, word, &|name| arguments.get(name).cloned())).transpose()?;
        arguments.extend(build_args.get(name).cloned().or(default).map(|value| (name.clone(), value)));
    }
    Ok(())
}

fn expand(line: u32, word: &Word, lookup: &impl Fn(&str) -> Option<String>) -> Result<String, Failure> {
    word.expand(lookup).map_err(|error| {
        Failure::new(FailureCode::ImageFailed, format!("line {line} of the Dockerfile: {error}"))
            .at("Dockerfile", Some(line))
    })
}

fn environment(config: &Value) -> Vec<(String, String)> {
    let entries = config["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
    entries.filter_map(|entry| entry.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Sets a variable in its place, or at the end.
fn set_env(config: &mut Value, name: &str, value: &str) {
    let mut all = environment(config);
    match all.iter_mut().find(|(key, _)| key == name) {
        Some((_, old)) => value.clone_into(old),
        None => all.push((name.to_owned(), value.to_owned())),
    }
    config["Env"] = all.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
}

/// A failure for what only an Engine can do.
pub(super) fn unsupported(line: u32, what: &str) -> Failure {
    Failure::new(
        FailureCode::DockerfileUnsupported,
        format!("line {line} of the Dockerfile has {what}, which images are not assembled from without an Engine"),
    )
    .hint("build it by the Docker Engine: `--image-backend docker`")
    .at("Dockerfile", Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::parse::parse;

    fn recipe(text: &str, base: &Value) -> Result<Recipe, Failure> {
        let file = parse(text).unwrap();
        let args = BTreeMap::from([("V".to_owned(), "2".to_owned())]);
        stage(&file, &args)?.recipe(base)
    }

    #[test]
    fn instructions_change_the_configuration() {
        let base = json!({ "Env": ["PATH=/bin", "A=1"], "Cmd": ["sh"], "WorkingDir": "/srv", "Labels": { "x": "1" } });
        let text = "ARG B\nFROM base:1\nARG V=1\nENV A=2 C=$A D=\"$V x\"\nLABEL y=$D\nWORKDIR app\nUSER 7\n\
            EXPOSE 80 90-91/udp\nVOLUME /data\nENTRYPOINT [\"a\", \"$A\"]\nHEALTHCHECK --interval=1m30s --retries=2 CMD [\"p\"]\nSTOPSIGNAL SIGINT\n";
        let recipe = recipe(text, &base).unwrap();
        assert_eq!(
            recipe.config,
            json!({
                "Env": ["PATH=/bin", "A=2", "C=1", "D=2 x"], "Cmd": null, "WorkingDir": "/srv/app",
                "Labels": { "x": "1", "y": "2 x" }, "User": "7",
                "ExposedPorts": { "80/tcp": {}, "90/udp": {}, "91/udp": {} }, "Volumes": { "/data": {} },
                "Entrypoint": ["a", "$A"],
                "Healthcheck": { "Test": ["CMD", "p"], "Interval": 90_000_000_000_u64, "Retries": 2 },
                "StopSignal": "SIGINT",
            })
        );
        let directory = Change::Directory { line: 6, path: "/srv/app".into() };
        assert!(recipe.steps.iter().any(|(_, change)| change.as_ref() == Some(&directory)));
    }

    #[test]
    fn copies_have_a_place() {
        for (text, destination) in [
            ("COPY a /x", "/x"),
            ("COPY a /x/", "/x/"),
            ("COPY a .", "/w/"),
            ("COPY a b ../x", "/x/"),
            ("COPY a /", "/"),
        ] {
            let recipe = recipe(&format!("FROM scratch\nWORKDIR /w\n{text}\n"), &Value::Null).unwrap();
            let Some((_, Some(Change::Copy(copy)))) = recipe.steps.last() else { panic!("{text}") };
            assert_eq!(copy.destination, destination, "{text}");
        }
    }

    #[test]
    fn what_needs_an_engine_is_refused_with_its_line() {
        for (text, line) in [
            ("FROM a\nRUN x\n", 2),
            ("FROM a\nFROM b\n", 2),
            ("FROM a\n\nCOPY --from=b c d\n", 3),
            ("FROM a\nCOPY *.c /\n", 2),
            ("FROM a\nADD https://x /\n", 2),
            ("FROM a\nADD x.tar /\n", 2),
            ("FROM a\nONBUILD USER 1\n", 2),
        ] {
            let failure = recipe(text, &Value::Null).unwrap_err();
            assert_eq!(
                (failure.code, failure.places[0].line),
                (FailureCode::DockerfileUnsupported, Some(line)),
                "{text}"
            );
        }
    }
}
