//! What an application's own configuration says: `application.properties` and `application.yml` beside its classes
//! (Spring Boot's reference, "Externalized Configuration"; Quarkus and Micronaut read the same names).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::effective::Effective;
use super::hocon;
use super::poms::Poms;
use super::source;
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::join;
use crate::toolchain::manifest::yaml::{self, Document};

/// Weaker first: of one place `.properties` wins, and `config/` wins over its parent.
const PLACES: &[&str] = &["src/main/resources", "src/main/resources/config", "", "config"];
/// The weakest of all (Eclipse's "Configuration for Microprofile", the sources by default; Helidon and Quarkus read it).
const MICROPROFILE: &str = "src/main/resources/META-INF/microprofile-config.properties";
/// The files that Spring Cloud's and Micronaut's bootstrap contexts read before the application's own, which win.
const EARLIER: &str = "bootstrap";
const EXTENSIONS: &[&str] = &["conf", "yaml", "yml", "properties"];

/// Words of samples' names.
const SAMPLES: &[&str] = &["template", "example", "sample", "dist", "default"];

/// More files of other names than this are not looked at.
const MAX_FILES: usize = 200;

/// More references than this in one value are not followed.
const MAX_REFERENCES: u32 = 8;

/// One line that says something, and the key it says it of.
#[derive(Debug, Clone)]
struct Line {
    value: String,
    origin: Origin,
}

/// Everything that counts, by key in lower case.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    lines: BTreeMap<String, Line>,
}

impl Configuration {
    /// Reads the files of a module, then those of the profiles that they switch on.
    pub(super) fn of(poms: &Poms<'_>, module: &Effective) -> Self {
        let mut configuration = Self::default();
        if let Some(path) = join(&module.pom.directory, MICROPROFILE) {
            configuration.read_file(poms, &path, &[]);
        }
        let name = name(poms, module);
        let names = [EARLIER, name.as_str()];
        for name in names {
            configuration.read(poms, module, name, &[]);
        }
        let profiles = ["spring.profiles.include", "spring.profiles.active"].map(|key| configuration.text(key, module));
        let profiles = profiles.iter().flatten().flat_map(|profiles| profiles.split(',')).map(str::trim);
        let profiles: Vec<&str> = profiles.filter(|profile| !profile.is_empty()).take(20).collect();
        if !profiles.is_empty() {
            for name in names {
                configuration.read(poms, module, name, &profiles);
                for profile in &profiles {
                    configuration.read(poms, module, &format!("{name}-{profile}"), &profiles);
                }
            }
        }
        configuration
    }

    /// What the sample says that a team keeps of a configuration which is in no checkout (`application.yml.template`,
    /// `application-example.properties`), and where it lies.
    pub(super) fn sample(poms: &Poms<'_>, module: &Effective) -> Option<(Self, String)> {
        let places = places(module).into_iter().filter_map(|place| join(&module.pom.directory, &place));
        let path = places.flat_map(|place| poms.tree.files_in(&place).map(str::to_owned).collect::<Vec<_>>());
        let path = path.take(MAX_FILES).find(|path| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let parts: Vec<&str> = name.split(['.', '-']).collect();
            let is_word = |word: &str| SAMPLES.contains(&word);
            let is_file = |extension: &str| EXTENSIONS.contains(&extension);
            matches!(parts[..], ["application", a, b] if (is_word(a) && is_file(b)) || (is_file(a) && is_word(b)))
        })?;
        let text = poms.tree.text(&path)?;
        let documents = if path.contains(".properties") { properties(text) } else { yaml::documents(text) };
        let mut sample = Self::default();
        for (key, value, line) in documents.into_iter().flatten() {
            let origin = Origin::file(&path, Some(line), &key);
            sample.lines.insert(key, Line { value, origin });
        }
        Some((sample, path))
    }

    /// Whether the module has none.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The line that says a key.
    pub(super) fn origin(&self, key: &str) -> Option<Origin> {
        self.lines.get(key).map(|line| line.origin.clone())
    }

    fn read(&mut self, poms: &Poms<'_>, module: &Effective, name: &str, profiles: &[&str]) {
        for place in places(module) {
            for extension in EXTENSIONS {
                let path = join(&module.pom.directory, &place).and_then(|at| join(&at, &format!("{name}.{extension}")));
                if let Some(path) = path {
                    self.read_file(poms, &path, profiles);
                }
            }
        }
    }

    fn read_file(&mut self, poms: &Poms<'_>, path: &str, profiles: &[&str]) {
        let Some(text) = poms.tree.text(path) else { return };
        let documents = match path.rsplit('.').next() {
            Some("properties") => properties(text),
            Some("conf") => vec![hocon::lines(text)],
            _ => yaml::documents(text),
        };
        for document in documents {
            let of = |key: &str| document.iter().find(|(name, ..)| name == key).map(|(_, value, _)| value.as_str());
            let only = of("spring.config.activate.on-profile").or(of("spring.profiles"));
            if only.is_some_and(|only| !only.split(',').any(|profile| profiles.contains(&profile.trim()))) {
                continue;
            }
            for (key, value, line) in document {
                let origin = Origin::file(path, Some(line), &key);
                self.lines.insert(key, Line { value, origin });
            }
        }
    }

    /// The value of a key with its references resolved: to other keys, to the default they name, or to the pom's
    /// properties (`@…@`, as Spring Boot's parent filters resources).
    pub(super) fn text(&self, key: &str, module: &Effective) -> Option<String> {
        let line = self.lines.get(key)?;
        self.resolve(&line.value, module, MAX_REFERENCES)
    }

    fn resolve(&self, value: &str, module: &Effective, left: u32) -> Option<String> {
        if left == 0 {
            return None;
        }
        if let Some(name) = value.strip_prefix('@').and_then(|rest| rest.strip_suffix('@')) {
            return module.property(name).ok().flatten().map(|found| found.value);
        }
        let Some(inside) = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
            return Some(value.to_owned());
        };
        let (name, default) = inside.split_once(':').map_or((inside, None), |(name, default)| (name, Some(default)));
        let other = self.lines.get(&name.to_lowercase()).and_then(|line| self.resolve(&line.value, module, left - 1));
        other.or_else(|| self.resolve(default?, module, left - 1))
    }

    /// The first of some keys that names a port, with the line that says it; 0 means any free port and names none.
    pub(super) fn port(&self, keys: &[&str], module: &Effective) -> Option<Found<u16>> {
        keys.iter().find_map(|key| {
            let line = self.lines.get(*key)?;
            let port = self.text(key, module)?.parse().ok().filter(|port| *port != 0)?;
            Some(Found::new(port, line.origin.clone()))
        })
    }

    /// The only port that keys with one of some endings name, of those that do not begin as others.
    pub(super) fn port_by_ending(&self, endings: &[&str], others: &[&str], module: &Effective) -> Option<Found<u16>> {
        let fits = |key: &&String| {
            endings
                .iter()
                .any(|ending| key.strip_suffix(ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
                && !others.iter().any(|other| key.starts_with(other))
        };
        let mut ports = self.lines.keys().filter(fits).filter_map(|key| self.port(&[key.as_str()], module));
        let first = ports.next()?;
        ports.all(|other| other.value == first.value).then_some(first)
    }

    /// The line that has the application take any free port: 0, or -1 for Micronaut.
    pub(super) fn any_port(&self, key: &str, module: &Effective) -> Option<Origin> {
        let any = |text: &String| text == "0" || text == "-1";
        self.text(key, module).filter(any).and_then(|_| self.origin(key))
    }

    /// A variable of the environment that is to say the port and has no default: `server.port=${PORT}`.
    pub(super) fn variable(&self, keys: &[&str]) -> Option<Found<String>> {
        let line = keys.iter().find_map(|key| self.lines.get(*key))?;
        let name = line.value.strip_prefix("${")?.strip_suffix('}')?;
        let is_variable =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        is_variable.then(|| Found::new(name.to_owned(), line.origin.clone()))
    }
}

/// Where a module's files may lie, weaker first: resources, whichever directories the pom has for them, then those beside the
/// application.
pub(super) fn places(module: &Effective) -> Vec<String> {
    let mut places: Vec<String> = PLACES.iter().map(ToString::to_string).collect();
    let more: Vec<String> = module.resources().into_iter().filter(|place| !places.contains(place)).collect();
    places.splice(2..2, more);
    places
}

/// The name of the files: the one that the sources set as `spring.config.name` where there is none of the usual name.
fn name(poms: &Poms<'_>, module: &Effective) -> String {
    let usual = "application";
    let places: Vec<String> = places(module).iter().filter_map(|place| join(&module.pom.directory, place)).collect();
    let files = places.iter().flat_map(|place| poms.tree.files_in(place)).take(MAX_FILES);
    let names = files.filter_map(|path| path.rsplit('/').next()?.rsplit_once('.'));
    let names: Vec<&str> =
        names.filter(|(_, extension)| EXTENSIONS.contains(extension)).map(|(name, _)| name).collect();
    if names.is_empty() || names.contains(&usual) {
        return usual.to_owned();
    }
    let sources = source::files(poms.tree, &module.source_roots());
    // Every text is asked for in one go.
    let texts: Vec<_> = sources.iter().filter_map(|path| poms.tree.text(path)).collect();
    let texts: Vec<_> = texts.into_iter().filter(|text| text.contains("spring.config.name")).collect();
    let sets = |name: &&&str| {
        let ways = [format!("spring.config.name={name}\""), format!("spring.config.name\", \"{name}\"")];
        texts.iter().any(|text| ways.iter().any(|way| text.contains(way)))
    };
    // Several are those of several classes that start, and only what somebody gives the program chooses among them.
    let mut set = names.iter().filter(sets);
    let first = set.next();
    first.filter(|first| set.all(|other| other == *first)).map_or(usual, |name| name).to_owned()
}

/// The port in a properties file of another name that the sources name on the class path, as for `@PropertySource`,
/// where only one says a port.
pub(super) fn elsewhere(poms: &Poms<'_>, module: &Effective, keys: &[&str]) -> Option<Found<u16>> {
    let root = join(&module.pom.directory, "src/main/resources")?;
    let named = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        // Those of profiles, and of Spring Cloud's start, are read by their own rules.
        name.ends_with(".properties") && !name.starts_with("application") && !name.starts_with("bootstrap")
    };
    let files: Vec<&str> = poms.tree.below(&root).map(|(path, _)| path).filter(named).take(MAX_FILES).collect();
    // Every text is asked for in one go.
    let texts: Vec<_> = files.into_iter().filter_map(|path| Some((path, poms.tree.text(path)?))).collect();
    let ports = texts.into_iter().flat_map(|(path, text)| {
        let lines = properties(text).into_iter().flatten().filter(|(key, ..)| keys.contains(&key.as_str()));
        lines.filter_map(move |(key, value, line)| {
            let port = value.parse::<u16>().ok().filter(|port| *port != 0)?;
            Some(Found::new(port, Origin::file(path, Some(line), key)))
        })
    });
    let ports: Vec<_> = ports.collect();
    let [only] = &ports[..] else { return None };
    let name = only.origin.path.as_deref()?.strip_prefix(&format!("{root}/"))?.to_owned();
    let sources = source::files(poms.tree, &module.source_roots());
    let texts: Vec<_> = sources.iter().filter_map(|path| poms.tree.text(path)).collect();
    let named = format!("classpath:{name}\"");
    texts.iter().any(|text| text.contains(&named)).then(|| only.clone())
}

/// The ports that a Dropwizard configuration names for its application.
pub(super) fn ports_of(path: &str, text: &str, keys: &[&str]) -> Vec<Found<u16>> {
    let lines = yaml::documents(text).into_iter().flatten().filter(|(key, ..)| keys.contains(&key.as_str()));
    let number = |value: &str| default_of(value).parse().ok().filter(|port| *port != 0);
    lines
        .filter_map(|(key, value, line)| Some(Found::new(number(&value)?, Origin::file(path, Some(line), key))))
        .collect()
}

/// The variable that says such a port where any free one will do without it, or none is said.
pub(super) fn variable_of(path: &str, text: &str, keys: &[&str]) -> Option<Found<String>> {
    let lines = yaml::documents(text).into_iter().flatten().filter(|(key, ..)| keys.contains(&key.as_str()));
    lines.into_iter().find_map(|(key, value, line)| {
        let inside = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))?;
        let name = inside.split(':').next().filter(|name| !name.is_empty())?.to_owned();
        let open = matches!(default_of(&value), "" | "0");
        open.then(|| Found::new(name, Origin::file(path, Some(line), key)))
    })
}

/// What counts where nobody sets the variable that a value names: `${PORT:-8080}` (Dropwizard's "Environment variables").
pub(super) fn default_of(value: &str) -> &str {
    let Some(inside) = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else { return value };
    inside.split_once(":-").or_else(|| inside.split_once(':')).map_or("", |(_, default)| default)
}

/// Documents of a properties file, which Spring Boot separates by `#---`.
fn properties(text: &str) -> Vec<Document> {
    let mut documents = vec![Vec::new()];
    for (line, number) in text.lines().zip(1u32..) {
        let word = line.trim();
        if word == "#---" || word == "!---" {
            documents.push(Vec::new());
        } else if let Some((key, value)) = word.split_once(['=', ':']).filter(|_| !word.starts_with(['#', '!']))
            && let Some(document) = documents.last_mut()
        {
            document.push((key.trim().to_lowercase(), value.trim().to_owned(), number));
        }
    }
    documents
}
