//! Flags become a request.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::args::Common;
use crate::model::failure::{Failure, FailureCode};
use crate::model::names::{ApplicationName, BuildId, Tag};
use crate::model::origin::OriginKind;
use crate::model::request::{BuildRequest, RequestedSource};
use crate::model::settings::Settings;
use crate::model::source::{RepositoryUrl, Source};
use crate::model::written::{self, Wrong};

/// The request that the flags state; what they leave open and belongs to whoever asks, `slipway.toml` may say.
///
/// # Errors
/// `request_invalid` naming the flag, `settings_invalid` naming the line.
pub(super) fn request(flags: &Common, tags: &[String]) -> Result<BuildRequest, Failure> {
    let source = source(flags)?;
    let settings = settings(flags)?;
    let file = match &source {
        RequestedSource::Directory { path, directory, .. } => SettingsFile::read(path, directory)?,
        RequestedSource::Repository(_) => SettingsFile::default(),
    };
    let (set, local) = (&settings.application, &file.settings.application);
    let name = [&flags.name, &set.name, &local.name];
    let product_line = [&flags.product_line, &set.product_line, &local.product_line];
    Ok(BuildRequest {
        id: uuid::Uuid::now_v7().to_string().parse::<BuildId>().map_err(|error| invalid("id", &error))?,
        credentials: flags.credentials.clone(),
        product_line: match file.first("product_line", product_line)? {
            Some(product_line) => product_line,
            None => "local".parse().map_err(|error| invalid("--product-line", &error))?,
        },
        name: file.first("name", name)?.map_or_else(|| default_name(&source), Ok)?,
        kind: flags.kind.or(set.kind).or(local.kind).unwrap_or_default(),
        tags: file.tags(tags, &settings)?,
        source,
        settings,
        asked_by: OriginKind::Flag,
        timeout: None,
        untrusted: flags.untrusted,
    })
}

fn source(flags: &Common) -> Result<RequestedSource, Failure> {
    let path = Path::new(&flags.source);
    let is_url =
        flags.source.contains("://") || (flags.source.contains('@') && flags.source.contains(':') && !path.exists());
    if is_url {
        let url: RepositoryUrl = flags.source.parse().map_err(|error| invalid("the repository", &error))?;
        let revision = flags.revision.as_deref().map(str::parse).transpose();
        let directory = flags.directory.clone().unwrap_or_default();
        return Ok(RequestedSource::Repository(Source {
            url,
            revision: revision.map_err(|error| invalid("--revision", &error))?,
            commit: None,
            directory: inside(&directory)?,
        }));
    }
    if flags.revision.is_some() {
        let message = "--revision goes with a repository's URL; a directory is built as it is";
        return Err(Failure::new(FailureCode::RequestInvalid, message)
            .hint("give the repository as `file:///…` to build one of its commits"));
    }
    let absolute = path.canonicalize().map_err(|error| {
        let message = format!("there is no directory `{}`: {error}", flags.source);
        Failure::new(FailureCode::RequestInvalid, message).hint("give a directory, or the URL of a repository")
    })?;
    if !absolute.is_dir() {
        let message = format!("`{}` is not a directory", flags.source);
        return Err(Failure::new(FailureCode::RequestInvalid, message).hint("give the directory that holds it"));
    }
    let (root, below) = repository_root(&absolute);
    let directory = match &flags.directory {
        Some(directory) if below.is_empty() => inside(directory)?,
        Some(directory) => inside(&format!("{below}/{directory}"))?,
        None => below,
    };
    Ok(RequestedSource::Directory { url: crate::checkout::origin_url(&root), path: root, directory })
}

/// The repository that a directory lies in, and its path below the repository's root.
fn repository_root(directory: &Path) -> (PathBuf, String) {
    let root = directory.ancestors().find(|ancestor| ancestor.join(".git").exists()).unwrap_or(directory);
    let below = directory.strip_prefix(root).unwrap_or(Path::new(""));
    (root.to_owned(), below.to_string_lossy().into_owned())
}

fn inside(directory: &str) -> Result<String, Failure> {
    crate::model::source_tree::join("", directory).ok_or_else(|| {
        let message = format!("--directory `{directory}` leaves the repository");
        Failure::new(FailureCode::RequestInvalid, message).hint("give a path relative to the repository's root")
    })
}

/// The `slipway.toml` of a directory that is built here, as far as its names, kind and tags count.
#[derive(Default)]
struct SettingsFile {
    path: String,
    settings: Settings,
    lines: BTreeMap<String, u32>,
}

impl SettingsFile {
    fn read(root: &Path, directory: &str) -> Result<Self, Failure> {
        let path = crate::model::source_tree::join(directory, "slipway.toml").unwrap_or_default();
        let real = root.join(&path).canonicalize().ok().filter(|real| real.starts_with(root));
        // What cannot be read, or leads elsewhere, planning refuses.
        let Some(text) = real.and_then(|real| std::fs::read_to_string(real).ok()) else { return Ok(Self::default()) };
        let (settings, lines) = crate::plan::local_settings(&path, &text)?;
        Ok(Self { path, settings, lines })
    }

    /// The first that is said, by flag, `--set` or here.
    fn first<T>(&self, key: &str, [flag, set, here]: [&Option<String>; 3]) -> Result<Option<T>, Failure>
    where
        T: FromStr<Err: Display>,
    {
        let asked = flag.as_ref().map(|text| (format!("--{}", key.replace('_', "-")), text));
        let asked = asked.or_else(|| set.as_ref().map(|text| (format!("--set application.{key}"), text)));
        if let Some((by, text)) = asked {
            return text.parse().map(Some).map_err(|error| invalid(&by, &error));
        }
        here.as_ref().map(|text| self.value(&format!("application.{key}"), text)).transpose()
    }

    /// The tags of the first who names any.
    fn tags(&self, flags: &[String], set: &Settings) -> Result<Vec<Tag>, Failure> {
        match (flags, &set.image.tags, &self.settings.image.tags) {
            ([_, ..], _, _) => flags.iter().map(|tag| tag.parse().map_err(|error| invalid("--tag", &error))).collect(),
            (_, Some(tags), _) => {
                tags.iter().map(|tag| tag.parse().map_err(|error| invalid("--set image.tags", &error))).collect()
            }
            (_, _, here) => here.iter().flatten().map(|tag| self.value("image.tags", tag)).collect(),
        }
    }

    fn value<T: FromStr<Err: Display>>(&self, key: &str, text: &str) -> Result<T, Failure> {
        text.parse().map_err(|error| {
            let message = format!("`{key}` of `{}`: {error}", self.path);
            Failure::new(FailureCode::SettingsInvalid, message).at(&self.path, self.lines.get(key).copied())
        })
    }
}

/// The repository's name, or the directory's, with what no image name may hold replaced.
fn default_name(source: &RequestedSource) -> Result<ApplicationName, Failure> {
    let path_name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let raw = match source {
        RequestedSource::Directory { path, directory, .. } => path_name(&path.join(directory)),
        RequestedSource::Repository(source) if !source.directory.is_empty() => path_name(Path::new(&source.directory)),
        RequestedSource::Repository(source) => Some(source.url.name().to_owned()),
    };
    let raw = raw.unwrap_or_default().to_lowercase();
    let words = raw.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").parse().map_err(|_| {
        Failure::new(FailureCode::RequestInvalid, "the application has no name that an image could have")
            .hint("give one with --name")
    })
}

fn settings(flags: &Common) -> Result<Settings, Failure> {
    let text = flags.set.iter().map(|assignment| line(assignment)).collect::<Result<Vec<_>, _>>()?.join("\n");
    let mut settings: Settings =
        written::read(&text).map_err(|wrong| unsettable(&flags.set.join(" --set "), &wrong))?;
    settings.application.module = flags.module.clone().or(settings.application.module);
    settings.application.process = flags.process.clone().or(settings.application.process);
    settings.image.base = flags.base.clone().or(settings.image.base);
    if let Some(toolchain) = &flags.toolchain {
        let (name, version) =
            toolchain.split_once('@').map_or((toolchain.as_str(), None), |(name, version)| (name, Some(version)));
        settings.toolchain.name = Some(name.to_owned());
        settings.toolchain.version = version.map(str::to_owned).or(settings.toolchain.version);
    }
    Ok(settings)
}

/// An assignment as TOML. What stands after the `=` may be TOML; where no setting takes it so, it is the words that it is:
/// `toolchain.version=17`.
fn line(assignment: &str) -> Result<String, Failure> {
    let Some((key, value)) = assignment.split_once('=') else {
        return Err(Failure::new(FailureCode::RequestInvalid, format!("--set `{assignment}` has no `=`"))
            .hint("write `--set runtime.ports=[8081]`"));
    };
    let words = format!("{key} = {}", toml::Value::String(value.to_owned()));
    let is_toml = toml::from_str::<toml::Table>(&format!("x = {value}")).is_ok();
    let lines = if is_toml { vec![assignment.to_owned(), words] } else { vec![words] };
    let mut read = lines.iter().map(|line| written::read::<Settings>(line).map(|_| line.clone()));
    let first = read.next().transpose().map(Option::unwrap_or_default);
    first.or_else(|wrong| read.find_map(Result::ok).ok_or_else(|| unsettable(assignment, &wrong)))
}

fn unsettable(assignment: &str, wrong: &Wrong) -> Failure {
    Failure::new(FailureCode::RequestInvalid, format!("--set {assignment}: {}", wrong.message))
        .hint("the keys are those of `slipway.toml`: `slipway schema settings`")
}

fn invalid(what: &str, error: &dyn Display) -> Failure {
    Failure::new(FailureCode::RequestInvalid, format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(set: &[&str]) -> Common {
        use clap::Parser;
        let mut arguments = vec!["slipway", "plan", "."];
        arguments.extend(set.iter().flat_map(|set| ["--set", set]));
        match super::super::args::Cli::parse_from(arguments).verb {
            super::super::args::Verb::Plan(common) => common,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn set_takes_toml_and_bare_words() {
        let settings =
            settings(&flags(&["runtime.ports=[8081]", "image.base=jre-21", "toolchain.tests=true"])).unwrap();
        assert_eq!(settings.runtime.ports, Some(vec![8081]));
        assert_eq!(settings.image.base.as_deref(), Some("jre-21"));
        assert_eq!(settings.toolchain.tests, Some(true));
    }

    #[test]
    fn what_is_no_text_in_toml_is_one_where_a_text_is_wanted() {
        let settings =
            settings(&flags(&["toolchain.version=17", "runtime.user=10001", "runtime.env.DEBUG=true"])).unwrap();
        assert_eq!(settings.toolchain.version.as_deref(), Some("17"));
        assert_eq!(settings.runtime.user.as_deref(), Some("10001"));
        assert_eq!(settings.runtime.env["DEBUG"], "true");
    }

    #[test]
    fn what_cannot_be_set_is_told_with_its_key() {
        let message = settings(&flags(&["image.base=jre-21", "runtime.ports=8081"])).unwrap_err().message;
        assert_eq!(
            message,
            "--set runtime.ports=8081: `runtime.ports` is the number `8081`, and has to be a list: `[…]`"
        );
    }

    #[test]
    fn names_and_tags_are_said_by_flag_then_set_then_file() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let text = "[application]\nname = \"file\"\nproduct_line = \"of-file\"\nkind = \"library\"\n[image]\ntags = [\"1\", \"2\"]\n";
        std::fs::write(root.join("slipway.toml"), text).unwrap();
        let asked = |set: &[&str], name: Option<&str>, tags: &[&str]| {
            let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let source = root.display().to_string();
            let request = request(&Common { source, name: name.map(str::to_owned), ..flags(set) }, &tags)?;
            let tags: Vec<String> = request.tags.iter().map(ToString::to_string).collect();
            Ok::<_, Failure>((request.name.to_string(), tags.join(" "), request.kind.to_string()))
        };
        let is = |name: &str, tags: &str, kind: &str| Ok((name.to_owned(), tags.to_owned(), kind.to_owned()));
        assert_eq!(asked(&[], None, &[]), is("file", "1 2", "library"));
        let set = ["application.name=set", "image.tags=[\"3\"]", "application.kind=service"];
        assert_eq!(asked(&set, None, &[]), is("set", "3", "service"));
        assert_eq!(asked(&set, Some("flag"), &["4"]), is("flag", "4", "service"));

        std::fs::write(root.join("slipway.toml"), "[application]\nname = \"No Name\"\n").unwrap();
        let failure = asked(&[], None, &[]).unwrap_err();
        assert_eq!((failure.code, failure.places[0].line), (FailureCode::SettingsInvalid, Some(2)));
        // What a link leads to outside is not told.
        std::fs::remove_file(root.join("slipway.toml")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("slipway.toml")).unwrap();
        assert!(asked(&[], None, &[]).is_ok());
    }

    #[test]
    fn an_unknown_key_is_the_requests_fault() {
        let failure = settings(&flags(&["runtime.port=1"])).unwrap_err();
        assert_eq!(failure.code, FailureCode::RequestInvalid);
    }
}
