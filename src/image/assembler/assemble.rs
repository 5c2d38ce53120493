//! From a Dockerfile to layers, configuration and manifest. Blocks.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::ahead::{Ahead, Came, Courier};
use super::base::Base;
use super::contents::Contents;
use super::document::{CREATED, MediaTypes, configuration, history_of, json_bytes, manifest};
use super::layer::{self, Items, Layer};
use super::name::Name;
use super::node::{Kind, Node};
use super::recipe::{self, Change, Copy, Given, failed};
use super::scan::scan;
use super::stages::{Origin, Stages};
use super::store::Store;
use super::tree::{ACCOUNTS, Tree};
use super::{Assembled, copy, run};
use crate::image::{BuildSpec, ContextKind};
use crate::model::failure::Failure;

/// Counts the ways in which the same Dockerfile became an image: what an older Slipway remembers may be another image.
const RULES: &str = "5";

/// What an image is made of.
pub(super) struct Work<'a> {
    pub(super) store: &'a Store,
    pub(super) spec: &'a BuildSpec,
    pub(super) stages: &'a Stages<'a>,
    /// The images that stages start from or copy from.
    pub(super) bases: &'a BTreeMap<String, Base>,
    pub(super) types: MediaTypes,
    /// Who sends ahead what is made, where it is pushed.
    pub(super) courier: Option<&'a Courier>,
    /// Ends a command that runs.
    pub(super) stop: &'a CancellationToken,
}

/// An image, what was done for it, whether nothing was, and what of it is on its way to the registry.
pub(super) struct Made {
    pub(super) image: Assembled,
    pub(super) log: Vec<String>,
    pub(super) cached: bool,
    pub(super) ahead: Ahead,
}

/// A stage after its last instruction.
#[derive(Clone)]
struct Built {
    base: Base,
    tree: Tree,
    /// The instructions since the base, with what each writes.
    steps: Vec<(String, Items)>,
    config: Value,
    /// What `ARG` has set.
    arguments: BTreeMap<String, String>,
    /// Whom `MAINTAINER` names.
    author: Option<String>,
}

impl Work<'_> {
    /// Makes the image, or finds the one that was made of the same.
    pub(super) fn image(&self) -> Result<Made, Failure> {
        let context = scan(&self.spec.context, &self.spec.dockerfile, self.store)?;
        let key = self.key(&context);
        let known = || self.store.recall::<Assembled>("recipes", &key).filter(|image| image.is_whole(self.store));
        if let Some(image) = known().filter(|_| !self.spec.no_cache) {
            let log = vec!["nothing has changed".to_owned()];
            return Ok(Made { image, log, cached: true, ahead: self.ahead() });
        }
        let mut contents = Contents::new(self.spec.context.clone(), self.store.clone())?;
        let built = self.stages(&context, &mut contents)?;
        let made = self.layers(built, &contents)?;
        self.store.note("recipes", &key, &made.image);
        Ok(made)
    }

    /// Everything that the image is made of.
    fn key(&self, context: &Tree) -> String {
        let mut hash = Sha256::new_with_prefix(RULES);
        let spec = self.spec;
        let generated = matches!(spec.context.kind, ContextKind::Generated { .. });
        let said =
            json!([spec.dockerfile, spec.build_args, spec.target, spec.labels, generated, self.bases, self.types]);
        hash.update(said.to_string());
        hash.update(layer::key(context.below(&Name::default())));
        hex::encode(hash.finalize())
    }

    /// Carries out the stages; the last one is the image.
    fn stages(&self, context: &Tree, contents: &mut Contents) -> Result<Built, Failure> {
        let mut done: BTreeMap<usize, Built> = BTreeMap::new();
        for index in &self.stages.needed {
            let stage = self.stages.get(*index);
            let mut built = match &stage.from {
                Origin::Stage(below) => done[below].clone(),
                Origin::Scratch => self.started(&Base::default())?,
                Origin::Image(image) => {
                    let started = self.started(&self.bases[image]);
                    started.map_err(|failure| failure.at("Dockerfile", Some(stage.line)))?
                }
            };
            if built.config["OnBuild"].as_array().is_some_and(|triggers| !triggers.is_empty()) {
                return Err(recipe::unsupported(stage.line, "a base image with `ONBUILD` triggers"));
            }
            let below = std::mem::take(&mut built.arguments);
            let given = Given { below: &below, build_args: &self.spec.build_args, global: &self.stages.global };
            let recipe = recipe::recipe(stage.instructions, &given, &built.config)?;
            for (instruction, change) in recipe.steps {
                let items = match &change {
                    Some(Change::Copy(one)) => self.copy(one, *index, &mut done, context, contents, &mut built.tree)?,
                    Some(Change::Run(one)) => run::run(
                        one,
                        &mut built.tree,
                        &built.base.layers,
                        contents,
                        (&self.spec.context.root, self.stop),
                    )?,
                    Some(Change::Directory { line, path, owner }) => {
                        copy::directory(*line, path, owner.as_deref(), &mut built.tree)?
                    }
                    None => Items::new(),
                };
                accounts(&mut built.tree, &items, contents)?;
                built.steps.push((instruction, items));
            }
            (built.config, built.arguments) = (recipe.config, recipe.arguments);
            built.author = recipe.author.or(built.author);
            done.insert(*index, built);
        }
        let last = self.stages.needed.last().and_then(|last| done.remove(last));
        last.ok_or_else(|| failed(1, "there is no stage"))
    }

    fn started(&self, base: &Base) -> Result<Built, Failure> {
        let config = base.config["config"].clone();
        let (tree, arguments) = (base.tree(self.store)?, BTreeMap::new());
        Ok(Built { base: base.clone(), tree, steps: Vec::new(), config, arguments, author: None })
    }

    fn copy(
        &self,
        one: &Copy,
        stage: usize,
        done: &mut BTreeMap<usize, Built>,
        context: &Tree,
        contents: &mut Contents,
        tree: &mut Tree,
    ) -> Result<Items, Failure> {
        let Some(from) = &one.from else { return copy::copy(one, context, contents, tree) };
        let mut image;
        let source = if let Origin::Stage(earlier) = self.stages.source(stage, from) {
            done.get_mut(&earlier)
        } else {
            let base = self.bases.get(from);
            image = base.map(|base| self.started(base)).transpose()?;
            image.as_mut()
        };
        let source = source.ok_or_else(|| failed(one.line, &format!("there is no stage or image `{from}`")))?;
        let mut roots = Vec::new();
        for text in &one.sources {
            roots.extend(super::sources::found(one, text, &source.tree)?.into_iter().map(|found| found.path));
        }
        contents.materialise(&mut source.tree, &source.base.layers, &roots)?;
        copy::copy(one, &source.tree, contents, tree)
    }

    /// Makes the layers that are not known, and the documents.
    fn layers(&self, built: Built, contents: &Contents) -> Result<Made, Failure> {
        let Built { mut base, steps, mut config, author, .. } = built;
        if let Some(author) = author {
            base.config["author"] = json!(author);
        }
        if let Some(courier) = self.courier {
            base.layers.iter().for_each(|layer| courier.send(&layer.blob, Came::Before));
        }
        for (key, value) in &self.spec.labels {
            config["Labels"][key.as_str()] = json!(value);
        }
        let mut layers: Vec<Layer> = base.layers.clone();
        let mut log = Vec::new();
        let created = config["Labels"]["org.opencontainers.image.created"].as_str().unwrap_or(CREATED).to_owned();
        let mut history = history_of(&base.config, base.layers.len());
        let mut cached = true;
        for (instruction, items) in steps {
            let mut entry = json!({ "created": created, "created_by": instruction, "comment": "slipway" });
            if items.is_empty() {
                // What a generated image is set to stands in its configuration once already, which every push sends.
                if matches!(self.spec.context.kind, ContextKind::Generated { .. }) {
                    continue;
                }
                entry["empty_layer"] = json!(true);
            } else {
                let (made, known) = layer::make(self.store, &items, contents, self.courier, self.stop)?;
                cached &= known;
                let how = if known { "known" } else { "made" };
                log.push(format!("{instruction}: {how}, {} entries, {} bytes", items.len(), made.blob.size));
                layers.push(made);
            }
            history.push(entry);
        }
        let config = configuration(&base.config, config, &layers, history, &created);
        let config = self.store.put(&json_bytes(&config)?)?;
        if let Some(courier) = self.courier {
            courier.send(&config, Came::Now);
        }
        let manifest = self.store.put(&json_bytes(&manifest(&config, &layers, self.types))?)?;
        let size = layers.iter().map(|layer| layer.blob.size).sum();
        let image = Assembled { layers, config, manifest, home: base.home, size, types: self.types };
        Ok(Made { image, log, cached, ahead: self.ahead() })
    }

    fn ahead(&self) -> Ahead {
        self.courier.map(Courier::ahead).unwrap_or_default()
    }
}

/// Whoever is named from now on is looked for in the accounts as an instruction left them.
fn accounts(tree: &mut Tree, items: &Items, contents: &Contents) -> Result<(), Failure> {
    for (path, text) in [("etc/passwd", &mut tree.passwd), ("etc/group", &mut tree.group)] {
        if let Some(Node { kind: Kind::File(file), .. }) = items.get(&Name::from(path)) {
            let mut bytes = Vec::new();
            let taken = contents.reader(file)?.take(ACCOUNTS).read_to_end(&mut bytes);
            taken.map_err(|error| failed(1, &format!("`/{path}` cannot be read: {error}")))?;
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    Ok(())
}
