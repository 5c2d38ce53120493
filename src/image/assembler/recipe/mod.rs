//! The instructions of a stage as what they do: files to copy, and a configuration (Dockerfile reference; what is not
//! said there is what `BuildKit` does).

mod run;
mod transfer;
mod values;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(super) use self::run::Run;
pub(super) use self::values::expand;
use self::values::{environment, exposed, join, nanoseconds, set_env};
use crate::dockerfile::instruction::{Command, Flag, Instruction, Located, Word};
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
        /// Whose it becomes: the `USER` so far.
        owner: Option<String>,
    },
    Run(Run),
}

/// A `COPY` or `ADD` with its variables replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) line: u32,
    /// Whether archives are unpacked.
    pub(super) add: bool,
    /// The stage or image that the sources are in, instead of the context.
    pub(super) from: Option<String>,
    pub(super) sources: Vec<String>,
    /// Here-documents: name and content.
    pub(super) texts: Vec<(String, String)>,
    /// Absolute; with a `/` at its end it is a directory.
    pub(super) destination: String,
    pub(super) owner: Option<String>,
    pub(super) mode: Option<u32>,
    /// Whether its layer is made as if it were above nothing.
    pub(super) linked: bool,
}

/// What happens to the files and to the configuration.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The changes, each with its instruction for the history; none changes the configuration alone.
    pub(super) steps: Vec<(String, Option<Change>)>,
    /// The configuration's `config`.
    pub(super) config: Value,
    /// What `ARG` has set, which stages that start from this one know too.
    pub(super) arguments: BTreeMap<String, String>,
    /// Whom `MAINTAINER` names.
    pub(super) author: Option<String>,
}

/// What a stage may use of the world outside it.
pub(super) struct Given<'a> {
    /// The arguments of the stage that it starts from.
    pub(super) below: &'a BTreeMap<String, String>,
    pub(super) build_args: &'a BTreeMap<String, String>,
    /// The `ARG`s before the first `FROM`, and those that the builder sets.
    pub(super) global: &'a BTreeMap<String, String>,
}

/// Carries a stage's instructions out on the configuration below it.
///
/// # Errors
/// `dockerfile_unsupported` or `image_failed`, with the line.
pub(super) fn recipe(instructions: &[Located], given: &Given<'_>, below: &Value) -> Result<Recipe, Failure> {
    let mut config = if below.is_object() { below.clone() } else { json!({ "WorkingDir": "/" }) };
    if !environment(&config).iter().any(|(name, _)| name == "PATH") {
        set_env(&mut config, "PATH", PATH);
    }
    // What that stage's `ENV` says counts more than its `ARG`, whichever came first.
    let env = environment(&config);
    let known = given.below.iter().filter(|(name, _)| env.iter().all(|(set, _)| set != *name));
    let arguments = known.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut state = State { config, arguments, cmd: false, author: None };
    let mut steps = Vec::new();
    for Located { line, instruction, .. } in instructions {
        let change = state.apply(*line, instruction, given)?;
        let text = crate::dockerfile::render::render(std::slice::from_ref(instruction)).unwrap_or_default();
        steps.push((text.trim_end().to_owned(), change));
    }
    let State { config, arguments, author, .. } = state;
    Ok(Recipe { steps, config, arguments, author })
}

struct State {
    config: Value,
    arguments: BTreeMap<String, String>,
    /// Whether this stage has set `CMD`.
    cmd: bool,
    author: Option<String>,
}

impl State {
    fn apply(&mut self, line: u32, instruction: &Instruction, given: &Given<'_>) -> Result<Option<Change>, Failure> {
        let word = |state: &Self, word: &Word| {
            let env = environment(&state.config);
            // As the Engine does it, and unlike its manual: an `ARG` hides an `ENV` that stands before it.
            expand(line, word, &|name| {
                let set = || env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
                state.arguments.get(name).cloned().or_else(set)
            })
        };
        match instruction {
            Instruction::Env(pairs) | Instruction::Label(pairs) if pairs.iter().any(|(key, _)| key.contains('$')) => {
                return Err(unsupported(line, "a variable in a name"));
            }
            Instruction::Env(pairs) => {
                // All of one instruction see the values from before it.
                let values: Vec<_> = pairs.iter().map(|(_, value)| word(self, value)).collect::<Result<_, _>>()?;
                for ((key, _), value) in pairs.iter().zip(values) {
                    set_env(&mut self.config, key, &value);
                    self.arguments.remove(key);
                }
            }
            Instruction::Arg(declared) => {
                for (name, default) in declared {
                    let default = default.as_ref().map(|default| word(self, default)).transpose()?;
                    let value =
                        given.build_args.get(name).cloned().or(default).or_else(|| given.global.get(name).cloned());
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
                let owner = self.config["User"].as_str().filter(|user| !user.is_empty()).map(str::to_owned);
                return Ok(Some(Change::Directory { line, path, owner }));
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
                let copy = self.copy(line, instruction.name(), transfer, &|text| word(self, text))?;
                return Ok(Some(Change::Copy(copy)));
            }
            Instruction::Maintainer(name) => self.author = Some(name.clone()),
            Instruction::Run { .. } => return Ok(Some(Change::Run(self.run(line, instruction, given.build_args)?))),
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

/// A failure for what cannot be done at all.
pub(super) fn failed(line: u32, why: &str) -> Failure {
    Failure::new(FailureCode::ImageFailed, format!("line {line} of the Dockerfile: {why}")).at("Dockerfile", Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::parse::parse;

    fn recipe_of(text: &str, base: &Value) -> Recipe {
        let file = parse(text).unwrap();
        let build_args = &BTreeMap::from([("V".to_owned(), "2".to_owned())]);
        let none = &BTreeMap::new();
        recipe(&file.instructions, &Given { below: none, build_args, global: none }, base).unwrap()
    }

    #[test]
    fn arguments_reach_the_stages_above() {
        let below = recipe_of("ARG V=1 W=w\nARG S=s\nENV S=set\nENV E=env\nARG E=hidden\n", &Value::Null);
        let file = parse("ARG W\nLABEL v=$V w=$W s=$S e=$E\nARG E=again\nLABEL e2=$E\n").unwrap();
        let none = &BTreeMap::new();
        let given = Given { below: &below.arguments, build_args: none, global: none };
        let above = recipe(&file.instructions, &given, &below.config).unwrap();
        assert_eq!(above.config["Labels"], json!({ "v": "2", "w": "w", "s": "set", "e": "env", "e2": "again" }));
    }

    #[test]
    fn a_variable_in_a_name_is_an_engines() {
        for text in ["LABEL a$V=1\n", "ENV B=1 ${V}x=2\n"] {
            let none = &BTreeMap::new();
            let file = parse(text).unwrap();
            let given = Given { below: none, build_args: none, global: none };
            let failure = recipe(&file.instructions, &given, &Value::Null).unwrap_err();
            assert_eq!(failure.code, FailureCode::DockerfileUnsupported, "{text}");
        }
    }

    #[test]
    fn instructions_change_the_configuration() {
        let base = json!({ "Env": ["PATH=/bin", "A=1"], "Cmd": ["sh"], "WorkingDir": "/srv", "Labels": { "x": "1" } });
        let text = "ARG V=1\nENV A=2 C=$A D=\"$V x\"\nLABEL y=$D\nWORKDIR app\nUSER 7\n\
            EXPOSE 80 90-91/udp\nVOLUME /data\nENTRYPOINT [\"a\", \"$A\"]\nHEALTHCHECK --interval=1m30s --retries=2 CMD [\"p\"]\nSTOPSIGNAL SIGINT\n";
        let recipe = recipe_of(text, &base);
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
        let directory = Change::Directory { line: 4, path: "/srv/app".into(), owner: None };
        assert!(recipe.steps.iter().any(|(_, change)| change.as_ref() == Some(&directory)));
    }

    #[test]
    fn copies_have_a_place() {
        for (text, destination) in [
            ("COPY a /x", "/x"),
            ("COPY a /x/", "/x/"),
            ("COPY a .", "/w/"),
            ("COPY a b ../x/", "/x/"),
            ("COPY a /", "/"),
        ] {
            let recipe = recipe_of(&format!("WORKDIR /w\n{text}\n"), &Value::Null);
            let Some((_, Some(Change::Copy(copy)))) = recipe.steps.last() else { panic!("{text}") };
            assert_eq!(copy.destination, destination, "{text}");
        }
    }
}
