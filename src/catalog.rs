//! All toolchains and base images: embedded in the program, overlaid by the operator's directory.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::each::each;
use crate::model::failure::{Failure, FailureCode};
use crate::model::layout_reference::LayoutReference;
use crate::model::settings::ToolchainSettings;
use crate::toolchain::definition::Definition;

/// Files of a catalogue by path relative to its root: `toolchains/…` and `base-images/…`.
pub type Files = BTreeMap<String, Vec<u8>>;

#[derive(rust_embed::RustEmbed)]
#[folder = "toolchains/"]
#[prefix = "toolchains/"]
struct Toolchains;

#[derive(rust_embed::RustEmbed)]
#[folder = "base-images/"]
#[prefix = "base-images/"]
struct BaseImages;

/// The files that the program brings along.
#[must_use]
pub fn embedded() -> Files {
    let toolchains = Toolchains::iter().map(|path| (Toolchains::get(&path), path));
    let base_images = BaseImages::iter().map(|path| (BaseImages::get(&path), path));
    toolchains
        .chain(base_images)
        .filter_map(|(file, path)| Some((path.into_owned(), file?.data.into_owned())))
        .collect()
}

/// Everything that planning knows besides the request and the source.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Toolchains by name.
    pub toolchains: BTreeMap<String, Toolchain>,
    /// Base images by name.
    pub base_images: BTreeMap<String, BaseImage>,
    /// The template of Dockerfiles, for toolchains that bring none.
    pub dockerfile: String,
    /// The day against which ends of life are judged, `YYYY-MM-DD`.
    pub as_of: String,
    /// Names of directories in which nobody looks for the application.
    pub aside: Vec<String>,
    /// Ecosystems that no toolchain builds, by a file's name or, behind a `*`, its ending.
    pub unsupported: BTreeMap<String, String>,
    /// What to do about them, by the ecosystem's name, where there is more to say than to bring a Dockerfile.
    pub unsupported_hints: BTreeMap<String, String>,
    /// What other ecosystems' tools make for an application.
    pub made_elsewhere: Vec<MadeElsewhere>,
    /// What applications say that end because they were started alone.
    pub needs: Vec<Need>,
    /// What the operator decided.
    pub operator: Operator,
}

/// An ecosystem whose tools make files for applications of another one, such as a web page's bundles.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeElsewhere {
    /// What people call it.
    pub name: String,
    /// The name of its manifests.
    pub manifest: String,
    /// What a manifest says that makes something.
    pub says: String,
    /// Its programs, as a Dockerfile runs them to build.
    pub programs: Vec<String>,
    /// Programs that make something whatever they are told, where a manifest names them too.
    #[serde(default)]
    pub makers: Vec<String>,
    /// The names of images on which a stage of a Dockerfile makes something.
    #[serde(default)]
    pub images: Vec<String>,
    /// Names of the directories that it writes to.
    pub outputs: Vec<String>,
    /// Files beside a manifest that say that what it makes is committed.
    pub committed: Vec<String>,
    /// Names of sources into which generators pack what it makes.
    #[serde(default)]
    pub packed: Vec<String>,
    /// What the application's own manifests say that have it made, by the manifests' name.
    pub unless: BTreeMap<String, Vec<String>>,
}

/// Why an application may end at once that is not at fault.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// The warning's code.
    pub code: String,
    /// What is missing.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Parts of its output, in lower case.
    pub output: Vec<String>,
    /// Beginnings of a line, in lower case, which say that the image itself lacks something.
    #[serde(default)]
    pub unless: Vec<String>,
}

/// A toolchain with its templates.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// The definition.
    pub definition: Definition,
    /// Its own template of Dockerfiles.
    pub dockerfile: Option<String>,
}

/// A base image as planning sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaseImage {
    /// What `FROM` says.
    pub reference: String,
    /// The digest, once built or pinned.
    pub digest: Option<String>,
    /// Programs in it that hooks may need: `sh`, `make` ….
    pub contains: Vec<String>,
    /// The command that asks `{{ url }}` whether the application is healthy.
    pub health: Vec<String>,
}

/// The operator's decisions that planning needs.
#[derive(Debug, Clone, Default)]
pub struct Operator {
    /// The registry's host, part of every image's name.
    pub registry: Option<String>,
    /// Defaults by toolchain.
    pub defaults: BTreeMap<String, ToolchainSettings>,
    /// Registry host and what stands for it.
    pub image_mirrors: BTreeMap<String, String>,
    /// The table `[mirrors]`, for the toolchains' templates.
    pub mirrors: serde_json::Value,
    /// Whether there is a bundle of certificate authorities to hand to commands.
    pub ca_bundle: bool,
    /// For whom repositories' own Dockerfiles are built.
    pub own_dockerfiles: OwnDockerfiles,
    /// The images that own Dockerfiles may use, as patterns; none is all.
    pub own_dockerfile_bases: Option<Vec<String>>,
    /// The bytes of memory that a command of a build may use.
    pub memory: Option<u64>,
}

/// For whom repositories' own Dockerfiles are built: their `RUN` executes as root in the Engine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged, expecting = "`true`, `false` or a list of product lines is expected")]
pub enum OwnDockerfiles {
    /// For everyone, or for no one.
    Switch(bool),
    /// For these product lines; `*` is all.
    ProductLines(Vec<String>),
}

impl Default for OwnDockerfiles {
    fn default() -> Self {
        Self::Switch(false)
    }
}

impl OwnDockerfiles {
    /// Whether those of a product line are built.
    #[must_use]
    pub fn allow(&self, product_line: &str) -> bool {
        match self {
            Self::Switch(on) => *on,
            Self::ProductLines(allowed) => allowed.iter().any(|name| name == "*" || name == product_line),
        }
    }
}

/// The part of `base-images/images.toml` that planning needs.
#[derive(Debug, serde::Deserialize)]
struct ImagesFile {
    images: BTreeMap<String, ImageEntry>,
}

#[derive(Debug, serde::Deserialize)]
struct ImageEntry {
    reference: Option<String>,
    #[serde(default)]
    contains: Vec<String>,
    #[serde(default)]
    health: Vec<String>,
    #[serde(default)]
    internal: bool,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogFile {
    as_of: String,
    #[serde(default)]
    aside: Vec<String>,
    #[serde(default)]
    unsupported: BTreeMap<String, String>,
    #[serde(default)]
    unsupported_hints: BTreeMap<String, String>,
    #[serde(default)]
    made_elsewhere: Vec<MadeElsewhere>,
    #[serde(default)]
    needs: Vec<Need>,
}

impl Catalog {
    /// Reads a catalogue from its files.
    ///
    /// # Errors
    /// `configuration_invalid`, naming the file, where a file is malformed.
    pub fn from_files(files: &Files, operator: Operator) -> Result<Self, Failure> {
        let mut catalog = Self { operator, ..Self::default() };
        let name = |path: &String| Some(path.strip_prefix("toolchains/")?.strip_suffix("/toolchain.toml")?.to_owned());
        let names: Vec<String> = files.keys().filter_map(name).collect();
        for (name, read) in names.iter().zip(each(&names, |name| toolchain(files, name))) {
            catalog.toolchains.insert(name.clone(), read?);
        }
        let file: CatalogFile = parse(files, "toolchains/catalog.toml")?;
        catalog.as_of = file.as_of;
        catalog.aside = file.aside;
        catalog.unsupported = file.unsupported;
        catalog.unsupported_hints = file.unsupported_hints;
        catalog.made_elsewhere = file.made_elsewhere;
        catalog.needs = file.needs;
        text(files, "toolchains/Dockerfile.tera")?.clone_into(&mut catalog.dockerfile);
        let images: ImagesFile = parse(files, "base-images/images.toml")?;
        catalog.base_images = images
            .images
            .into_iter()
            .filter(|(_, entry)| !entry.internal)
            .map(|(name, entry)| {
                let reference = entry.reference.unwrap_or_else(|| format!("slipway/{name}:latest"));
                (name, BaseImage { reference, digest: None, contains: entry.contains, health: entry.health })
            })
            .collect();
        for reference in catalog.layouts() {
            reference.parse::<LayoutReference>().map_err(|why| {
                let path = "base-images/images.toml";
                Failure::new(FailureCode::ConfigurationInvalid, format!("{path}: {why}")).at(path, None)
            })?;
        }
        catalog.knows_defaults()?;
        Ok(catalog)
    }

    /// Refuses defaults for a toolchain that there is not: nobody would ever have them.
    fn knows_defaults(&self) -> Result<(), Failure> {
        let unknown = self.operator.defaults.keys().find(|name| !self.toolchains.contains_key(*name));
        unknown.map_or(Ok(()), |name| {
            let message = format!("`[defaults.{name}]` of the configuration is for no toolchain that there is");
            let known: Vec<String> = self.toolchains.keys().map(|name| format!("`{name}`")).collect();
            let hint = format!("name one of {}", known.join(", "));
            Err(Failure::new(FailureCode::ConfigurationInvalid, message).hint(hint))
        })
    }

    /// The base images that are OCI image layouts on this machine.
    #[must_use]
    pub fn layouts(&self) -> BTreeSet<String> {
        let references = self.base_images.values().map(|image| &image.reference);
        references.filter(|reference| LayoutReference::is_meant(reference)).cloned().collect()
    }
}

fn toolchain(files: &Files, name: &str) -> Result<Toolchain, Failure> {
    let path = format!("toolchains/{name}/toolchain.toml");
    let mut definition: Definition = parse(files, &path)?;
    if definition.name != name {
        let message = format!("{path}: its name is `{}`, its folder's is `{name}`", definition.name);
        return Err(Failure::new(FailureCode::ConfigurationInvalid, message).at(path, None));
    }
    // They are compiled when a build needs them: that takes longer than all the rest of reading the catalogue.
    if let Some(error) = definition.causes.iter().find_map(|cause| regex_syntax::parse(cause).err()) {
        let message = format!("{path}: one of its `causes` is no regular expression: {error}");
        return Err(Failure::new(FailureCode::ConfigurationInvalid, message).at(path, None));
    }
    let facts = format!("toolchains/{name}/facts.toml");
    if files.contains_key(&facts) {
        let table: toml::Table = parse(files, &facts)?;
        definition.facts.extend(table.get("facts").and_then(toml::Value::as_table).cloned().unwrap_or(table));
    }
    for file in definition.programs.values_mut() {
        text(files, &format!("toolchains/{name}/{file}"))?.clone_into(file);
    }
    let dockerfile = format!("toolchains/{name}/Dockerfile.tera");
    let dockerfile =
        files.contains_key(&dockerfile).then(|| text(files, &dockerfile).map(str::to_owned)).transpose()?;
    Ok(Toolchain { definition, dockerfile })
}

fn parse<T: serde::de::DeserializeOwned>(files: &Files, path: &str) -> Result<T, Failure> {
    toml::from_str(text(files, path)?)
        .map_err(|error| Failure::new(FailureCode::ConfigurationInvalid, format!("{path}: {error}")).at(path, None))
}

fn text<'a>(files: &'a Files, path: &str) -> Result<&'a str, Failure> {
    let invalid =
        |why: &str| Failure::new(FailureCode::ConfigurationInvalid, format!("the catalogue's `{path}` {why}"));
    let bytes = files.get(path).ok_or_else(|| invalid("is missing"))?;
    std::str::from_utf8(bytes).map_err(|_| invalid("is not UTF-8"))
}
