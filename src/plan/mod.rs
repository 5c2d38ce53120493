//! Planning: everything about a build is decided here, purely.
//!
//! No I/O, no clock, no environment, no network, and no code of the project runs.

mod base;
mod below;
mod commands;
mod detect;
mod elsewhere;
mod extras;
mod image;
mod layers;
mod links;
mod notices;
mod own_dockerfile;
pub mod print;
mod release;
mod runtime;
mod settings;
mod start;
mod template;
mod values;

pub use settings::local_settings;

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::model::failure::{Failure, Step};
use crate::model::origin::{Decision, Origin};
use crate::model::plan::{Plan, PlannedApplication, PlannedSource, PlannedToolchain};
use crate::model::request::BuildRequest;
use crate::model::settings::Kind;
use crate::model::source_tree::{SourceTree, Wanted};
use crate::toolchain::findings::{Findings, Inspection};
use crate::toolchain::manifest;

/// Decides everything about a build.
///
/// Where the tree lacks a text that planning needs, the answer is void and the tree notes
/// what is wanted: call it through [`with_texts`].
///
/// # Errors
/// A failure that names the place and the line that settles it.
pub fn plan(request: &BuildRequest, tree: &SourceTree, catalog: &Catalog) -> Result<Plan, Failure> {
    let stated = settings::stated(request, tree)?;
    if let Some(below) = detect::directory::below(&stated, request, tree, catalog)? {
        return below.plan(tree, catalog);
    }
    let toolchain = detect::toolchain(&stated, request, tree, catalog)?;
    let settings = stated.with_defaults(catalog.operator.defaults.get(&toolchain.value.definition.name));
    let definition = &toolchain.value.definition;
    let findings = match inspect(request, &settings, definition, tree, catalog.operator.memory) {
        Ok(findings) => findings,
        Err(nothing) => {
            let toolchain = toolchain.value;
            let below =
                detect::directory::below_what_starts_nothing(toolchain, &stated, request, tree, catalog, nothing)?;
            return below.plan(tree, catalog);
        }
    };
    let release = release::choose(&settings, definition, &findings, &catalog.as_of)?;
    let extras = extras::choose(&settings, &findings, toolchain.value, release.release, catalog)?;

    let mut decisions = decisions(&toolchain, &release, &extras, &findings, &settings);
    let facts = Facts {
        request,
        settings: &settings,
        tree,
        catalog,
        toolchain: toolchain.value,
        findings: &findings,
        release: &release,
        extras: &extras,
    };
    let context = facts.context()?;
    let mut warnings = settings.warnings.clone();
    warnings.extend(toolchain.warnings.clone());
    warnings.extend(findings.warnings.clone());
    warnings.extend(release.warnings.clone());
    warnings.extend(commands::warnings(&facts, &context)?);
    let image = match request.kind {
        Kind::Service => Some(image::image(&facts, &context, &mut decisions, &mut warnings)?),
        Kind::Library => None,
    };
    let (process, image, dockerfile, bases) = match image {
        Some(made) => (made.process, Some(made.image), Some(made.dockerfile), made.bases),
        None => (None, None, None, Vec::new()),
    };
    let steps = commands::steps(&facts, &context, image.as_ref().map(|image| image.base.as_str()))?;
    let mut texts = template::map(&definition.texts, &context)?;
    texts.extend(definition.programs.clone());
    texts.extend(findings.files.clone());
    let mut include = settings.value.include.clone();
    include.extend(definition.image.iter().flat_map(|image| image.keep.clone()));
    include.extend(findings.include.clone());
    let leave_out: Vec<String> = definition.image.iter().flat_map(|image| image.leave_out.clone()).collect();
    if let Some(image) = &image {
        let copied =
            notices::Copied { directory: request.source.directory(), include: &include, leave_out: &leave_out };
        warnings.extend(notices::notices(image, dockerfile.as_deref(), tree, &copied)?);
        // A reader may have said it with the very line.
        if !definition.detect.fallback && !warnings.iter().any(|warning| warning.code == "made_elsewhere") {
            warnings.extend(elsewhere::made(request.source.directory(), tree, catalog));
        }
    }
    let outputs = layers::outputs(definition, image.as_ref());
    Ok(Plan {
        version: 1,
        source: source(request, tree),
        application: PlannedApplication {
            product_line: request.product_line.to_string(),
            name: request.name.to_string(),
            kind: request.kind,
            module: findings.module.as_ref().map(|module| module.value.clone()),
            process,
        },
        toolchain: PlannedToolchain {
            name: definition.name.clone(),
            version: release.version.clone(),
            tools: commands::tools(&facts, &context)?,
            image: extras.image.clone(),
            extras: extras.planned.clone(),
            shape: findings.shape.clone(),
        },
        decisions,
        steps,
        image,
        dockerfile,
        warnings,
        library: commands::library(&facts, &context)?,
        build_args: settings.value.toolchain.build_args.clone(),
        target: settings.value.toolchain.target.clone(),
        bases,
        artifact: commands::artifact(&facts, &context)?,
        include,
        leave_out,
        causes: definition.causes.clone(),
        hints: commands::hints(&facts, &context)?,
        outputs,
        files: definition.files.clone(),
        texts,
        host: commands::host(&facts),
        secret_files: commands::secret_files(definition),
    })
}

/// What was decided before anything is made of it.
fn decisions(
    toolchain: &detect::Detected<'_>,
    release: &release::Chosen<'_>,
    extras: &extras::Extras,
    findings: &Findings,
    settings: &settings::Stated,
) -> Vec<Decision> {
    let mut decisions = vec![Decision {
        key: "toolchain.name".into(),
        value: json!(toolchain.value.definition.name),
        origin: toolchain.origin.clone(),
        rejected: toolchain.rejected.clone(),
    }];
    decisions.extend(release.decision.clone());
    decisions.extend(extras.decision.clone());
    // A reader that chose among several says so itself, with what lost.
    let told = findings.decisions.iter().any(|decision| decision.key == "application.module");
    decisions.extend(findings.module.as_ref().filter(|_| !told).map(|module| Decision {
        key: "application.module".into(),
        value: json!(module.value),
        origin: module.origin.clone(),
        rejected: Vec::new(),
    }));
    // Stated arguments replace those that a reader found.
    let replaced = |decision: &&Decision| decision.key == "runtime.args" && settings.value.runtime.args.is_some();
    decisions.extend(findings.decisions.iter().filter(|decision| !replaced(decision)).cloned());
    decisions
}

/// Plans, loads what was wanted and plans again until nothing is missing.
///
/// `load` gives the tree a text for each path that it is handed, or a reason why there is none, and says when each file
/// was changed of which that is wanted.
///
/// # Errors
/// What `load` or the last planning said.
pub fn with_texts(
    request: &BuildRequest,
    tree: &mut SourceTree,
    catalog: &Catalog,
    mut load: impl FnMut(&mut SourceTree, Wanted) -> Result<(), Failure>,
) -> Result<Plan, Failure> {
    loop {
        let outcome = plan(request, tree, catalog);
        let wanted = tree.take_wanted();
        if wanted.is_empty() {
            return outcome.map_err(|failure| failure.in_step(Step::Plan));
        }
        load(tree, wanted)?;
    }
}

/// What the later decisions look at.
struct Facts<'a> {
    request: &'a BuildRequest,
    settings: &'a settings::Stated,
    tree: &'a SourceTree,
    catalog: &'a Catalog,
    toolchain: &'a crate::catalog::Toolchain,
    findings: &'a Findings,
    release: &'a release::Chosen<'a>,
    extras: &'a extras::Extras,
}

impl Facts<'_> {
    /// The values that the toolchain's templates may use.
    fn context(&self) -> Result<template::Context, Failure> {
        template::Context::of(json!({
            "settings": self.settings.value,
            "manifest": self.findings.variables,
            "shape": self.findings.shape,
            "release": self.release.version,
            "older_releases": self.older_releases(),
            "home": self.extras.home,
            "homes": self.extras.homes,
            "kind": self.request.kind,
            "directory": self.request.source.directory(),
            "name": self.request.name,
            "product_line": self.request.product_line,
            "commit": self.tree.revision.commit,
            "commit_time": self.tree.revision.commit_time.unwrap_or(0),
            "version": self.tree.revision.tag.clone().or_else(|| self.tree.revision.commit.as_ref().map(|commit| commit.short().to_owned())),
            "operator": { "mirrors": self.catalog.operator.mirrors, "ca_bundle": self.catalog.operator.ca_bundle },
            "tests": self.settings.value.toolchain.tests.unwrap_or(false),
            "deploy": self.deploys(),
        }))
    }

    /// Whether the artifacts go to the package repository: a library's always, if somebody vouches for them.
    fn deploys(&self) -> bool {
        let asked = self.request.kind == Kind::Library || self.settings.value.toolchain.deploy.unwrap_or(false);
        asked && !self.request.untrusted
    }

    /// The offered releases before the chosen one, the newest first.
    fn older_releases(&self) -> Vec<String> {
        let chosen = self.release.release.map(|release| &release.version);
        let mut older: Vec<_> = self.toolchain.definition.releases.iter().map(|release| &release.version).collect();
        older.retain(|version| chosen.is_some_and(|chosen| *version < chosen));
        older.sort();
        older.iter().rev().map(ToString::to_string).collect()
    }
}

fn inspect(
    request: &BuildRequest,
    settings: &settings::Stated,
    definition: &crate::toolchain::definition::Definition,
    tree: &SourceTree,
    memory: Option<u64>,
) -> Result<Findings, Failure> {
    let Some(name) = &definition.manifest else { return Ok(Findings::default()) };
    let application = &settings.value.application;
    let toolchain = &settings.value.toolchain;
    let mut facts = definition.facts.clone();
    let build_args = toolchain.build_args.iter().map(|(key, value)| (key.clone(), value.clone().into()));
    facts.insert("build_args".into(), toml::Value::Table(build_args.collect()));
    facts.insert("tests".into(), toolchain.tests.unwrap_or(false).into());
    let memory = memory.and_then(|bytes| i64::try_from(bytes).ok());
    facts.extend(memory.map(|bytes| ("memory".to_owned(), bytes.into())));
    facts.extend(toolchain.target.clone().map(|target| ("target".to_owned(), target.into())));
    manifest::reader(name)?(&Inspection {
        tree,
        directory: request.source.directory(),
        application: request.name.as_str(),
        module: application.module.as_deref(),
        process: application.process.as_deref(),
        command_given: settings.value.runtime.command.is_some() || !settings.value.processes.is_empty(),
        library: request.kind == Kind::Library,
        extras: toolchain.extras.as_deref().unwrap_or_default(),
        args: toolchain.args.as_deref().unwrap_or_default(),
        facts: &facts,
    })
}

fn source(request: &BuildRequest, tree: &SourceTree) -> PlannedSource {
    PlannedSource {
        url: request.source.url().map(ToString::to_string),
        revision: request.source.revision().map(str::to_owned),
        commit: tree.revision.commit.as_ref().map(ToString::to_string),
        dirty: tree.revision.dirty,
        directory: request.source.directory().to_owned(),
    }
}

/// A decision without anything that lost.
fn decided(key: &str, value: impl Into<Value>, origin: Origin) -> Decision {
    Decision { key: key.into(), value: value.into(), origin, rejected: Vec::new() }
}
