//! The operator's configuration: `--config`, `SLIPWAY_CONFIG`, `/etc/slipway/config.toml`, then defaults.

mod mirrors;
mod operations;
mod registry;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::OwnDockerfiles;
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::settings::ToolchainSettings;
pub use mirrors::{Deploy, Mirror, Mirrors, Private};
pub use operations::{Logs, Probes};
pub use registry::{ProjectsConfig, Registry, RegistryKind};

mod amqp;
mod server;

pub use amqp::{Amqp, Lanes, WorkerConfig};
pub use server::{Database, GitLab, ServerConfig};

/// The whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where images go.
    pub registry: Registry,
    /// Where secrets are, by name; never the secrets.
    pub credentials: BTreeMap<String, CredentialsConfig>,
    /// Which sources may be cloned.
    pub sources: Sources,
    /// Where packages and images come from.
    pub mirrors: Mirrors,
    /// Certificate authorities and proxies.
    pub network: NetworkConfig,
    /// The most that a build may use.
    pub limits: LimitsConfig,
    /// What is kept between builds.
    pub cache: Cache,
    /// How builds run.
    pub build: Build,
    /// What is kept of the logs of a worker's builds.
    pub logs: Logs,
    /// The worker's own port.
    pub probes: Probes,
    /// Defaults by toolchain: `[defaults.maven]`.
    pub defaults: BTreeMap<String, ToolchainSettings>,
    /// The broker that messages come from.
    pub amqp: Amqp,
    /// How `slipway worker` works.
    pub worker: WorkerConfig,
    /// How `slipway server` answers.
    pub server: ServerConfig,
    /// Where `slipway server` keeps its history.
    pub database: Database,
}

/// `[credentials.NAME]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialsConfig {
    /// The account.
    #[serde(default)]
    pub username: String,
    /// Where its password is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretSource>,
    /// Where the private key for Git over SSH is; it has no passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_key: Option<SecretSource>,
    /// The file with the SSH hosts' keys, as ssh-keyscan(1) prints them; the machine's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<PathBuf>,
    /// The hosts that may see it.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The product lines that may use it; `*` is all.
    #[serde(default = "everyone")]
    pub product_lines: Vec<String>,
}

/// Where a secret is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretSource {
    /// In a file; a trailing line break is not part of it.
    File(PathBuf),
    /// In an environment variable of Slipway's own.
    Env(String),
    /// What a command prints.
    Command(Vec<String>),
}

/// `[sources]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sources {
    /// Prefixes of URLs that may be cloned; submodules and redirects too. The command line may clone anything when empty.
    pub allow: Vec<String>,
}

/// `[network]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// PEM bundle of certificate authorities; the machine's own if absent.
    pub ca_bundle: Option<PathBuf>,
    /// Proxy for HTTP.
    pub http_proxy: Option<String>,
    /// Proxy for HTTPS.
    pub https_proxy: Option<String>,
    /// Hosts that need no proxy, separated by commas.
    pub no_proxy: Option<String>,
    /// What builds in containers must not reach: `["10.1.2.3:5432", "10.20.0.0/16"]`. The broker and link-local addresses are
    /// closed to them anyway. Needs root and an Engine on the same machine; elsewhere the host's firewall has to do it.
    pub closed: Vec<String>,
}

/// `[limits]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Time of a whole build, from its checkout to its push: `30m`. A request may lower it.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Time of single steps: `{ compile = "20m", push = "5m" }`. What a step has is never more than what is left of `timeout`.
    #[serde(with = "durations", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub steps: BTreeMap<Step, Duration>,
    /// Time that a command may print nothing: `10m`.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub silence: Duration,
    /// Memory of a command: `4GiB`.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub memory: u64,
    /// CPUs of a command.
    pub cpus: f64,
    /// Processes and threads of a command.
    pub processes: i64,
    /// What files of a build may take of the disk while it runs: `8GiB`.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub disk: u64,
    /// What has to be free of the disk when a build starts: `1GiB`.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub free_disk: u64,
    /// What goes into an image above its base: `4GiB`.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub output: u64,
    /// What is kept of the text that a command prints: `64MiB`. What is over is dropped, and the log says so.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub log: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(25),
            steps: BTreeMap::new(),
            silence: Duration::from_mins(10),
            memory: 4 << 30,
            cpus: 2.0,
            processes: 2048,
            disk: 8 << 30,
            free_disk: 1 << 30,
            output: 4 << 30,
            log: 64 << 20,
        }
    }
}

/// `[cache]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Where caches are kept; `$XDG_CACHE_HOME/slipway` if absent.
    pub directory: Option<PathBuf>,
    /// Who shares a cache.
    pub scope: Scope,
}

/// Who shares a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The applications of a product line.
    #[default]
    ProductLine,
    /// The builds of one application.
    Application,
    /// Everyone; only where everyone trusts everyone.
    Everyone,
}

/// `[build]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Build {
    /// Where commands run; a container if an Engine answers, for the command line.
    pub runner: Option<RunnerKind>,
    /// What makes images. If absent: the Docker Engine; for `slipway build` by hand, Slipway itself where no Engine answers or an OCI layout is asked for.
    pub image_backend: Option<BackendKind>,
    /// A directory that overlays the catalogue.
    pub catalog: Option<PathBuf>,
    /// Whose own Dockerfiles are built: a list of product lines, `true` for all, `false` for none (as if absent). Their `RUN` executes as root in the Engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_dockerfiles: Option<OwnDockerfiles>,
    /// The images that own Dockerfiles may use, after `mirrors.images`, as patterns in which `*` stands for any text; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_dockerfile_bases: Option<Vec<String>>,
    /// Whether built images are started once before anyone gets them.
    pub start_check: StartCheck,
}

/// `[build.start_check]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StartCheck {
    /// Whether it is done: the image is started alone, without a network, and a crash fails the build.
    pub enabled: bool,
    /// How long it is watched at most, where it neither ends nor answers: `5s`.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub time: Duration,
}

impl Default for StartCheck {
    fn default() -> Self {
        Self { enabled: true, time: Duration::from_secs(5) }
    }
}

/// Where a toolchain's commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunnerKind {
    /// In a container of the release's build image.
    Container,
    /// On this machine, with what is installed on it.
    Host,
}

/// What makes images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// The Docker Engine.
    Docker,
    /// Slipway itself, without an Engine; no `RUN`.
    Assembler,
}

impl Config {
    /// The file that is read: the one that is stated, or the machine's; none where the defaults hold.
    #[must_use]
    pub fn file(stated: Option<&Path>) -> Option<&Path> {
        let standard = Path::new("/etc/slipway/config.toml");
        stated.or_else(|| standard.is_file().then_some(standard))
    }

    /// Reads a configuration file, or gives the defaults.
    ///
    /// # Errors
    /// `configuration_invalid` with file, line and key.
    pub fn load(path: Option<&Path>) -> Result<Self, Failure> {
        let config = match Self::file(path) {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        let config = config.overlaid(crate::environment::overlay())?;
        for (key, value) in config.urls() {
            if url::Url::parse(value).is_ok_and(|url| url.password().is_some()) {
                let message = format!("`{key}` of the configuration holds a password, which plans and logs would show");
                return Err(Failure::new(FailureCode::ConfigurationInvalid, message).hint(
                    "leave the password out of the URL, and name credentials beside it: `credentials = \"NAME\"`",
                ));
            }
        }
        Ok(config)
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let invalid = |why: &str, line| {
            let message = format!("the configuration `{}` cannot be used: {why}", path.display());
            Failure::new(FailureCode::ConfigurationInvalid, message).at(path.display().to_string(), line)
        };
        let text = std::fs::read_to_string(path).map_err(|error| invalid(&error.to_string(), None))?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.and_then(|before| u32::try_from(before.matches('\n').count() + 1).ok());
            invalid(error.message(), line)
        })
    }

    /// With the settings of variables `SLIPWAY__SECTION__KEY`: a value is TOML, or else a string.
    fn overlaid(self, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Failure> {
        let mut variables = variables.into_iter().peekable();
        if variables.peek().is_none() {
            return Ok(self);
        }
        let invalid = |name: &str, why: &str| {
            let message = format!("the environment variable `{name}` cannot be used: {why}");
            Failure::new(FailureCode::ConfigurationInvalid, message)
                .hint("write `SLIPWAY__SECTION__KEY`, with the keys of `config.toml`")
        };
        let mut table = toml::Table::try_from(&self).map_err(|error| invalid("SLIPWAY__…", &error.to_string()))?;
        let mut last = self;
        for (name, text) in variables {
            let keys: Vec<String> = name.split("__").skip(1).map(str::to_lowercase).collect();
            let Some((key, sections)) = keys.split_last() else { continue };
            let value =
                toml::from_str::<toml::Table>(&format!("x = {text}")).ok().and_then(|mut table| table.remove("x"));
            let mut place = &mut table;
            for section in sections {
                let entry = place.entry(section.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                place = entry.as_table_mut().ok_or_else(|| invalid(&name, &format!("`{section}` is no section")))?;
            }
            place.insert(key.clone(), value.unwrap_or(toml::Value::String(text)));
            last = table.clone().try_into().map_err(|error: toml::de::Error| invalid(&name, error.message()))?;
        }
        Ok(last)
    }

    /// What builds in containers must not reach: `network.closed` and the broker, as `host:port` or ranges.
    #[must_use]
    pub fn closed(&self) -> Vec<String> {
        let broker = self.amqp.url.as_deref().and_then(|url| url::Url::parse(url).ok()).and_then(|url| {
            let port = url.port().unwrap_or(if url.scheme() == "amqps" { 5671 } else { 5672 });
            Some(format!("{}:{port}", url.host_str()?))
        });
        self.network.closed.iter().cloned().chain(broker).collect()
    }

    /// The settings that are URLs and stand in plans or messages, by key.
    fn urls(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let others = [
            ("amqp.url", &self.amqp.url),
            ("database.url", &self.database.url),
            ("server.url", &self.server.url),
            ("server.gitlab.url", &self.server.gitlab.url),
        ];
        self.mirrors.urls().into_iter().chain(others.into_iter().filter_map(|(key, url)| Some((key, url.as_deref()?))))
    }
}

fn everyone() -> Vec<String> {
    vec!["*".into()]
}

/// Durations as people write them: `90s`, `20m`, `2h`, `14d`.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Reads a duration.
    ///
    /// # Errors
    /// A sentence that says the form.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let factor = match unit {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            "d" => Some(86400),
            _ => None,
        };
        let seconds = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        seconds
            .map(Duration::from_secs)
            .ok_or_else(|| format!("`{text}` is no duration: write `90s`, `20m`, `2h` or `14d`"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*duration))
    }

    /// Writes a duration in the largest unit that it is a whole number of.
    #[must_use]
    pub fn text(duration: Duration) -> String {
        match duration.as_secs() {
            seconds if seconds > 0 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
            seconds if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
            seconds => format!("{seconds}s"),
        }
    }
}

/// Durations by step.
mod durations {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::failure::Step;

    #[derive(Serialize, Deserialize)]
    struct One(#[serde(with = "super::duration")] Duration);

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<BTreeMap<Step, Duration>, D::Error> {
        let steps = BTreeMap::<Step, One>::deserialize(source)?;
        Ok(steps.into_iter().map(|(step, One(time))| (step, time)).collect())
    }

    pub(super) fn serialize<S: Serializer>(steps: &BTreeMap<Step, Duration>, target: S) -> Result<S::Ok, S::Error> {
        target.collect_map(steps.iter().map(|(step, time)| (step, One(*time))))
    }
}

/// Sizes as people write them: `512MiB`, `4GiB`.
pub mod size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Reads a size in bytes.
    ///
    /// # Errors
    /// A sentence that says the form.
    pub fn parse(text: &str) -> Result<u64, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let shift = match unit {
            "B" => Some(0),
            "KiB" => Some(10),
            "MiB" => Some(20),
            "GiB" => Some(30),
            _ => None,
        };
        let bytes = number.parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
        bytes.ok_or_else(|| format!("`{text}` is no size: write `512MiB` or `4GiB`"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(size: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{size}B"))
    }
}

/// Sizes that may be left out.
pub mod some_size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::size::parse(&text)).transpose().map_err(D::Error::custom)
    }

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(size: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match size {
            Some(size) => serializer.serialize_str(&format!("{size}B")),
            None => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = "[mirrors]\npython_index = \"https://ada:hunter2@nexus.example.com/simple\"\n";
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let failure = Config::load(Some(file.path())).unwrap_err();
        assert!(failure.message.contains("mirrors.python_index"), "{}", failure.message);
        assert!(!failure.message.contains("hunter2") && failure.hint.contains("credentials"), "{}", failure.hint);
    }

    #[test]
    fn mirrors_are_urls_or_name_credentials() {
        let text = r#"
            [mirrors]
            python_index = "https://a.example/simple"
            python_extra_indexes = [{ url = "https://b.example/simple", credentials = "nexus" }]
            go_proxy = { url = "https://c.example/go,direct", credentials = "nexus" }
            go_private = ["https://gitlab.example.com/trade/", { url = "https://d.example", credentials = "d" }]
        "#;
        let config: Config = toml::from_str(text).unwrap();
        let seen = config.mirrors.for_templates();
        assert_eq!(seen["python_index"], "https://a.example/simple");
        assert_eq!(seen["python_extra_indexes"], serde_json::json!(["https://b.example/simple"]));
        assert_eq!(seen["go_proxy"], "https://c.example/go,direct");
        assert_eq!(seen["go_private"], "gitlab.example.com/trade,d.example");
        assert!(!seen.to_string().contains("nexus"));
        let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again.mirrors.go_proxy, config.mirrors.go_proxy);
        for key in ["python_extra_indexes = [\"https://a:b@c.example\"]", "go_proxy = \"direct,https://a:b@c.example\""]
        {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            std::io::Write::write_all(&mut file, format!("[mirrors]\n{key}\n").as_bytes()).unwrap();
            assert_eq!(Config::load(Some(file.path())).unwrap_err().code, FailureCode::ConfigurationInvalid);
        }
    }

    #[test]
    fn variables_lie_over_the_file() {
        let overlay = |name: &str, value: &str| Config::default().overlaid([(name.to_owned(), value.to_owned())]);
        assert_eq!(
            overlay("SLIPWAY__REGISTRY__HOST", "127.0.0.1:5000").unwrap().registry.host.as_deref(),
            Some("127.0.0.1:5000")
        );
        assert!(
            overlay("SLIPWAY__BUILD__OWN_DOCKERFILES", "true").unwrap().build.own_dockerfiles.unwrap().allow("trade")
        );
        let some = overlay("SLIPWAY__BUILD__OWN_DOCKERFILES", "[\"trade\"]").unwrap().build.own_dockerfiles.unwrap();
        assert!(some.allow("trade") && !some.allow("other"));
        assert_eq!(overlay("SLIPWAY__LIMITS__TIMEOUT", "5m").unwrap().limits.timeout, Duration::from_mins(5));
        let failure = overlay("SLIPWAY__REGISTRY__HOSTS", "x").unwrap_err();
        assert!(failure.message.contains("SLIPWAY__REGISTRY__HOSTS"), "{}", failure.message);
    }

    #[test]
    fn a_malformed_configuration_names_its_line() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"[limits]\ntimeout = \"20 minutes\"\n").unwrap();
        let failure = Config::load(Some(file.path())).unwrap_err();
        assert_eq!((failure.code, failure.places[0].line), (FailureCode::ConfigurationInvalid, Some(2)));
    }

    #[test]
    fn durations_and_sizes_have_units() {
        assert_eq!(duration::parse("20m"), Ok(Duration::from_mins(20)));
        assert_eq!(size::parse("512MiB"), Ok(512 << 20));
        for bad in ["20", "m", "", "-1s", "20 m", "99999999999999999999h"] {
            assert!(duration::parse(bad).is_err(), "{bad}");
        }
        assert!(size::parse("5GB").is_err());
    }

    #[test]
    fn steps_have_times_of_their_own() {
        let config: Config = toml::from_str("[limits]\nsteps = { push = \"5m\" }").unwrap();
        assert_eq!(config.limits.steps, BTreeMap::from([(Step::Push, Duration::from_mins(5))]));
        let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again.limits.steps, config.limits.steps);
        let error = toml::from_str::<Config>("[limits]\nsteps = { fetch = \"5m\" }").unwrap_err();
        assert!(error.message().contains("`fetch`"), "{error}");
    }
}
