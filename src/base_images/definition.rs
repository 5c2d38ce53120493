//! `base-images/images.toml` as values, checked when it is read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::model::failure::{Failure, FailureCode};

/// The file that names the images.
const FILE: &str = "images.toml";

/// Every base image, and the files that they are made of.
#[derive(Debug, Clone)]
pub struct Images {
    /// Images by name, the root file systems (`root-SUITE`) left out.
    pub images: BTreeMap<String, Image>,
    /// Root file systems by suite.
    pub roots: BTreeMap<String, Root>,
    /// How to see that an image has something, by its name in `contains`.
    pub probes: BTreeMap<String, Probe>,
    /// The files of `base-images/` by relative path.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// One image.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// What it is for, one line.
    #[serde(default)]
    pub description: String,
    pub(super) folder: Option<String>,
    pub(super) reference: Option<String>,
    /// Build argument → name of the image that it is based on.
    #[serde(default)]
    pub from: BTreeMap<String, String>,
    /// Further build arguments.
    #[serde(default)]
    pub args: BTreeMap<String, String>,
    /// What it has, as names of probes.
    #[serde(default)]
    pub contains: BTreeSet<String>,
    /// The user that it starts as; none is root.
    pub user: Option<String>,
    /// The command that asks `{{ url }}` whether the application in it is healthy; `check` sees that its program is there.
    #[serde(default)]
    pub health: Vec<String>,
    /// How to check it, besides `contains`.
    pub probe: Option<Probe>,
    /// Only other images are based on it.
    #[serde(default)]
    pub internal: bool,
}

/// Where an image comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// Built from the `Dockerfile` in this folder of `base-images/`.
    Folder(&'a str),
    /// Pulled.
    Reference(&'a str),
}

/// One root file system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    pub(super) suite: Option<String>,
    pub(super) reference: Option<String>,
}

/// Where a root file system comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootOrigin<'a> {
    /// Made by debootstrap from this suite.
    Suite(&'a str),
    /// Pulled.
    Reference(&'a str),
}

/// How to check an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Program and arguments to run in it, without a shell and without a network.
    #[serde(default)]
    pub command: Vec<String>,
    /// Text that the command's output contains.
    pub expect: Option<String>,
    /// Paths that are there.
    #[serde(default)]
    pub files: Vec<String>,
    /// Paths that are not there.
    #[serde(default)]
    pub absent: Vec<String>,
}

impl Probe {
    pub(super) fn is_empty(&self) -> bool {
        self.command.is_empty() && self.files.is_empty() && self.absent.is_empty()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    root: BTreeMap<String, Root>,
    #[serde(default)]
    probes: BTreeMap<String, Probe>,
    #[serde(default)]
    images: BTreeMap<String, Image>,
}

impl Image {
    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> Origin<'_> {
        match (&self.folder, &self.reference) {
            (Some(folder), _) => Origin::Folder(folder),
            (None, reference) => Origin::Reference(reference.as_deref().unwrap_or_default()),
        }
    }
}

impl Root {
    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> RootOrigin<'_> {
        match (&self.suite, &self.reference) {
            (Some(suite), _) => RootOrigin::Suite(suite),
            (None, reference) => RootOrigin::Reference(reference.as_deref().unwrap_or_default()),
        }
    }
}

impl Images {
    /// Reads the files of `base-images/`, given by relative path.
    ///
    /// # Errors
    ///
    /// [`FailureCode::ConfigurationInvalid`] when `images.toml` is missing, malformed, names what does
    /// not exist, or goes round in a circle.
    pub fn parse(files: BTreeMap<String, Vec<u8>>) -> Result<Self, Failure> {
        let text = files.get(FILE).ok_or_else(|| invalid("there is no such file"))?;
        let text = std::str::from_utf8(text).map_err(|error| invalid(error.to_string()))?;
        let document: Document = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let failure = invalid(error.message());
            match line.and_then(|line| u32::try_from(line).ok()) {
                Some(line) => failure.at(place(), Some(line)),
                None => failure,
            }
        })?;
        if document.version != 1 {
            return Err(invalid(format!("version {} is unknown, `1` is expected", document.version)));
        }
        let images = Self { images: document.images, roots: document.root, probes: document.probes, files };
        images.check()?;
        Ok(images)
    }

    /// The named images and what they are based on, parents first; all that are not internal when no
    /// name is given. Root file systems are in it as `root-SUITE`.
    ///
    /// # Errors
    ///
    /// [`FailureCode::BaseImageMissing`] when a name is unknown.
    pub fn in_order(&self, names: &[String]) -> Result<Vec<String>, Failure> {
        let wanted: Vec<&str> = if names.is_empty() {
            self.images.iter().filter(|(_, image)| !image.internal).map(|(name, _)| name.as_str()).collect()
        } else {
            names.iter().map(String::as_str).collect()
        };
        let mut order = Vec::new();
        for name in wanted {
            if !self.is_known(name) {
                return Err(Failure::new(FailureCode::BaseImageMissing, format!("there is no base image `{name}`"))
                    .hint("Choose one of the base images that `slipway base-images list` shows.")
                    .candidates(self.images.keys().cloned()));
            }
            self.visit(name, &mut Vec::new(), &mut order)?;
        }
        Ok(order)
    }

    /// The files below a folder of `base-images/`, by path relative to `base-images/`.
    pub(crate) fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a String, &'a Vec<u8>)> + use<'a> {
        let prefix = format!("{folder}/");
        self.files.range(prefix.clone()..).take_while(move |(path, _)| path.starts_with(&prefix))
    }

    /// The suite's root file system when `name` is `root-SUITE`.
    pub(crate) fn root(&self, name: &str) -> Option<&Root> {
        self.roots.get(name.strip_prefix("root-")?)
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        self.images.contains_key(name) || self.root(name).is_some()
    }

    /// Appends an image to `order`, after those that it is based on.
    pub(super) fn visit(&self, name: &str, path: &mut Vec<String>, order: &mut Vec<String>) -> Result<(), Failure> {
        if order.iter().any(|done| done == name) {
            return Ok(());
        }
        path.push(name.to_owned());
        if path.iter().filter(|step| *step == name).count() > 1 {
            return Err(invalid(format!("`from` goes round in a circle: {}", path.join(" → "))));
        }
        for parent in self.images.get(name).into_iter().flat_map(|image| image.from.values()) {
            self.visit(parent, path, order)?;
        }
        path.pop();
        order.push(name.to_owned());
        Ok(())
    }
}

fn place() -> String {
    format!("base-images/{FILE}")
}

pub(super) fn invalid(what: impl std::fmt::Display) -> Failure {
    Failure::new(FailureCode::ConfigurationInvalid, format!("`{}`: {what}", place()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Images, Failure> {
        let files = [("images.toml", text), ("a/Dockerfile", "FROM scratch")];
        Images::parse(files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect())
    }

    const ROOT: &str = "version = 1\n[root.sid]\nsuite = 'sid'\n[probes]\nshell = { command = ['sh'] }\n";

    #[test]
    fn parents_come_first() {
        let images = parse(&format!(
            "{ROOT}[images.a]\nfolder = 'a'\nfrom = {{ B = 'b', R = 'root-sid' }}\n\
             [images.b]\nfolder = 'a'\nfrom = {{ R = 'root-sid' }}\ninternal = true"
        ))
        .unwrap();
        assert_eq!(images.in_order(&[]).unwrap(), ["root-sid", "b", "a"]);
        assert_eq!(images.in_order(&["b".into()]).unwrap(), ["root-sid", "b"]);
        assert_eq!(images.in_order(&["c".into()]).unwrap_err().candidates, ["a", "b"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("[images.a]\nfolder = 'b'", "there is no `b/Dockerfile`"),
            ("[images.a]\nfolder = '../a'", "is not a name"),
            ("[images.a]\nfolder = 'a'\nreference = 'b'", "either `folder` or `reference`"),
            ("[images.a]\n", "either `folder` or `reference`"),
            ("[images.a]\nfolder = 'a'\nfrom = { B = 'x' }", "`images.a.from` names `x`"),
            ("[images.a]\nfolder = 'a'\ncontains = ['x']", "`images.a.contains` names `x`"),
            ("[images.a]\nfolder = 'a'\nfrom = { B = 'a' }", "circle: a → a"),
            ("[images.a]\nfolder = 'a'\nprobe = { expect = 'x' }", "`images.a.probe` looks at nothing"),
            ("[probes.x]\nexpect = 'x'", "`probes.x` looks at nothing"),
            ("[images.root-sid]\nfolder = 'a'", "name of a root file system"),
            ("[images.a]\nfolder = 'a'\ncolour = 1", "unknown field `colour`"),
        ] {
            let failure = parse(&format!("{ROOT}{text}")).unwrap_err();
            assert_eq!(failure.code, FailureCode::ConfigurationInvalid);
            assert!(failure.message.contains(expected), "{}", failure.message);
        }
        assert!(parse("version = 2").unwrap_err().message.contains("version 2 is unknown"));
        let failure = parse("version = 1\nx = 1").unwrap_err();
        assert_eq!(failure.places[0].line, Some(2), "{failure:?}");
    }

    #[test]
    fn the_images_that_come_with_slipway_are_valid() {
        let images = Images::parse(super::super::tests::own_files()).unwrap();
        for name in ["build-jdk-8", "build-python-3.14", "build-go", "jre-25", "python-3.9", "static", "debian"] {
            assert!(images.images.contains_key(name), "{name}");
        }
        assert!(images.below("jre").any(|(path, _)| path == "jre/link"));
        assert!(images.below("jre").all(|(path, _)| path.starts_with("jre/")));
        // A run image never starts as root.
        for (name, image) in &images.images {
            let runs = !name.starts_with("build-") && name != "maven" && name != "http-probe";
            assert_eq!(image.user.as_deref() == Some("10001:10001"), runs, "{name}");
        }
    }
}
