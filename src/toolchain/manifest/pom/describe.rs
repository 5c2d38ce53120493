//! What planning has to know about the application's module and those it needs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::dockerfile;
use super::application::Runnable;
use super::arguments::{self, is_loopback};
use super::configuration::{self, Configuration};
use super::container;
use super::effective::Effective;
use super::facts;
use super::heaps;
use super::jdk;
use super::listening;
use super::logs;
use super::maven_version::{self, Maven};
use super::outside;
use super::poms::Poms;
use super::reactor::Reactor;
use super::source;
use super::wrapper;
use super::xml::Element;
use crate::model::failure::{Failure, Warning};
use crate::model::origin::{Decision, Found, Origin};
use crate::model::source_tree::join;
use crate::toolchain::findings::{Findings, Inspection, Process};
use crate::toolchain::version::Demand;

/// What an application is told to listen on that would listen on its own host alone.
const ANY_ADDRESS: &str = "0.0.0.0";

/// The findings of a module, which is built with all that it needs of the reactor.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn module(
    inspection: &Inspection<'_>,
    poms: &Poms<'_>,
    reactor: &Reactor,
    path: &str,
    runnable: Option<&Runnable>,
) -> Result<Findings, Failure> {
    let Some(index) = reactor.modules.iter().position(|module| module.pom.path == path) else {
        return Ok(Findings::default());
    };
    let module = &reactor.modules[index];
    let whole = inspection.library && inspection.module.is_none();
    let everything = whole || module.packaging == "pom";
    let closure = if everything { (0..reactor.modules.len()).collect() } else { reactor.closure(index) };
    let beside: String = reactor.copied_from(&closure).into_iter().flat_map(|artifact| [",:", artifact]).collect();
    let closure: Vec<&Effective> = closure.into_iter().map(|index| &reactor.modules[index]).collect();
    let root = reactor.modules.first().map_or("", |module| module.pom.directory.as_str());

    let mut findings = Findings::default();
    let maven = maven_version::choose(poms, root, closure.iter().copied())?;
    let jdk = jdk::of_modules(poms, &closure, &module.pom.directory, &maven.version)?;
    (findings.versions, findings.outvoted, findings.warnings) = (jdk.demands, jdk.outvoted, jdk.warnings);
    let build = build(inspection, poms, reactor, &closure)?;
    findings.variables = build.variables;
    findings.extras = build.extras;
    findings.warnings.extend(build.warnings);
    findings.warnings.extend(heaps::beyond(poms, root, &closure)?);
    findings.decisions.extend(build.switched_off);
    tool(poms, maven, &mut findings);

    let variables: [(&str, Value); 12] = [
        ("beside", json!(beside)),
        ("module_dir", json!(module.pom.directory)),
        ("build_dir", json!(module.build_directory()?)),
        ("reactor_root", json!(root)),
        ("artifact_id", json!(module.artifact)),
        ("group_id", json!(module.group)),
        ("version", json!(module.version)),
        ("packaging", json!(module.packaging)),
        ("distribution_url", json!(module.deploys_to()?)),
        ("final_name", json!(module.final_name()?)),
        ("multi_module", json!(reactor.modules.len() > 1)),
        ("jvm_config", json!(wrapper::words(inspection.tree, root, "jvm.config"))),
    ];
    findings.variables.extend(variables.into_iter().map(|(key, value)| (key.to_owned(), value)));
    let origin = runnable.map_or_else(|| Origin::tree(path, "pom.xml"), |runnable| runnable.origin.clone());
    if !whole {
        findings.module = Some(Found::new(module.artifact.clone(), origin.clone()));
    }
    findings.shape = runnable.map_or_else(String::new, |runnable| runnable.shape.clone());
    if inspection.library {
        "library".clone_into(&mut findings.shape);
    } else {
        findings.processes.extend(runnable.map(|_| Process { name: "web".to_owned(), command: Vec::new(), origin }));
        start(poms, module, &closure, runnable, &mut findings)?;
        if matches!(findings.shape.as_str(), "spring-boot" | "war-executable") {
            findings.volumes = logs::directories(poms, module, &closure, &Configuration::of(poms, module));
        }
    }
    Ok(findings)
}

/// What of the build the whole closure decides.
#[derive(Default)]
struct Build {
    variables: BTreeMap<String, Value>,
    warnings: Vec<Warning>,
    switched_off: Vec<Decision>,
    extras: Vec<Found<String>>,
}

fn build(
    inspection: &Inspection<'_>,
    poms: &Poms<'_>,
    reactor: &Reactor,
    closure: &[&Effective],
) -> Result<Build, Failure> {
    let mut build = Build::default();
    let (mut test_jar, mut snapshots, mut git, mut fetches) = (false, false, false, false);
    let known_git = facts::list(poms.facts, "git_plugins");
    for one in closure {
        for extra in jdk::toolchains(one)? {
            if !build.extras.contains(&extra) {
                build.extras.push(extra);
            }
        }
        let outside = one.dependencies.iter().filter(|dependency| reactor.provider(one, dependency).is_none());
        snapshots |= outside
            .filter_map(|dependency| dependency.text_of("version"))
            .any(|version| one.expand(version).is_ok_and(|version| version.ends_with("-SNAPSHOT")));
        snapshots |= one.open
            && one.lineage.last().and_then(|pom| pom.parent()).is_some_and(|p| p.version.ends_with("-SNAPSHOT"));
        test_jar |= one.dependencies.iter().any(|dependency| {
            (dependency.text_of("type") == Some("test-jar") || dependency.text_of("classifier") == Some("tests"))
                && reactor.provider(one, dependency).is_some()
        });
        git |= one.plugins.iter().any(|plugin| known_git.contains(&plugin.artifact.as_str()));
        fetches |= outside::fetches(poms, one);
        for decision in outside::switched_off(poms, one, inspection.library) {
            if build.switched_off.iter().all(|there| there.value != decision.value) {
                build.switched_off.push(decision);
            }
        }
        for warning in outside::plain_http(one) {
            if !build.warnings.contains(&warning) {
                build.warnings.push(warning);
            }
        }
    }
    let switched_off: Vec<_> = build.switched_off.iter().map(|decision| decision.value.clone()).collect();
    let variables: [(&str, Value); 5] = [
        ("has_test_jar_dependency", json!(test_jar)),
        ("snapshot_dependencies", json!(snapshots)),
        ("git_plugin", json!(git)),
        ("fetches", json!(fetches)),
        ("switched_off", json!(switched_off)),
    ];
    build.variables = variables.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(build)
}

/// The Maven that builds, with its own demand of the JDK.
fn tool(poms: &Poms<'_>, maven: Maven, findings: &mut Findings) {
    findings.variables.insert("maven_version".into(), json!(maven.version));
    findings.variables.insert("other_maven".into(), json!(maven.asked.as_ref().map(|asked| &asked.value)));
    findings.warnings.extend(maven.warning);
    if let Some(asked) = maven.asked {
        let minimum = facts::rows(poms.facts, "maven_jdk").find(|row| {
            facts::text(row, "maven").is_some_and(|prefix| super::poms::version_begins(&asked.value, prefix))
        });
        let minimum = minimum.and_then(|row| facts::text(row, "minimum")?.parse().ok());
        findings.versions.extend(minimum.map(|minimum| {
            let origin = Origin { detail: format!("Maven {} itself", asked.value), ..asked.origin.clone() };
            Found::new(Demand::AtLeast(minimum), origin)
        }));
        findings.decisions.push(Decision {
            key: "toolchain.tools.maven".into(),
            value: json!(asked.value),
            origin: asked.origin,
            rejected: Vec::new(),
        });
    }
}

/// What the application starts with: its class, arguments, ports, and the container of a war.
fn start(
    poms: &Poms<'_>,
    module: &Effective,
    closure: &[&Effective],
    runnable: Option<&Runnable>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let mut set = |key: &str, value: Value| findings.variables.insert(key.to_owned(), value);
    set("main_class", json!(runnable.and_then(|runnable| runnable.main_class.clone())));
    set("arguments", json!([]));
    set("jvm_args", json!([]));
    let shapes = poms.facts.get("listening").map(|row| facts::texts(row, "shapes")).unwrap_or_default();
    let plain = runnable.is_some_and(|runnable| {
        let packed = || runnable.shape == "spring-boot" && !uses_spring(poms, module, closure);
        shapes.contains(&runnable.shape.as_str()) || packed()
    });
    let known = facts::list(poms.facts, "run_time_directories");
    // They are named by where Maven makes them if nobody says another place.
    let usual = join(&module.pom.directory, "target")
        .is_some_and(|usual| module.build_directory().is_ok_and(|made| made == usual));
    let made = if plain && usual { facts::list(poms.facts, "made_directories") } else { Vec::new() };
    let opened =
        if runnable.is_some() { source::opened(poms.tree, &module.pom.directory, &known, &made) } else { Vec::new() };
    let mut files: Vec<(String, String)> =
        opened.into_iter().filter_map(|name| Some((join(&module.pom.directory, &name)?, name))).collect();
    let configuration = Configuration::of(poms, module);
    findings.ports.extend(
        encrypted(poms, module, &configuration)
            .or_else(|| configuration.port(&facts::list(poms.facts, "port_keys"), module)),
    );
    let preview = jdk::preview(module)?.filter(|_| runnable.is_some());
    let mut options: Vec<Found<String>> =
        preview.map(|origin| Found::new(jdk::ENABLE_PREVIEW.to_owned(), origin)).into_iter().collect();
    if let Some(arguments) = arguments::of(poms, module)?.filter(|_| runnable.is_some()) {
        set("arguments", json!(arguments.values));
        files.extend(arguments.file);
        let address = arguments.address;
        options.extend(address.map(|found| Found::new(format!("-D{}={ANY_ADDRESS}", found.value), found.origin)));
        if findings.ports.is_empty() {
            findings.ports = arguments.ports;
            // Nobody could say which free port to ask.
            if let Some(variable) = arguments.variable {
                findings.ports.push(Found::new(listening::TOLD, variable.origin.clone()));
                let told = Found::new(listening::TOLD.to_string(), variable.origin);
                findings.image_env.insert(variable.value, told);
            }
        }
        findings.decisions.push(Decision {
            key: "runtime.args".into(),
            value: json!(arguments.values),
            origin: arguments.origin,
            rejected: Vec::new(),
        });
    }
    if let Some(first) = options.first() {
        let words: Vec<&str> = options.iter().map(|option| option.value.as_str()).collect();
        set("jvm_args", json!(words));
        let (key, value, origin) = ("runtime.jvm_args".to_owned(), json!(words), first.origin.clone());
        findings.decisions.push(Decision { key, value, origin, rejected: Vec::new() });
    }
    findings.variables.insert("files".into(), json!(files));
    if findings.ports.is_empty() && runnable.is_some_and(|runnable| runnable.shape != "war") {
        any_port(poms, module, &configuration, findings);
    }
    if findings.ports.is_empty() && plain {
        let texts = |key: &str| poms.facts.get("listening").map(|row| facts::texts(row, key)).unwrap_or_default();
        findings.ports.extend(configuration.port_by_ending(&texts("endings"), &texts("other_keys"), module));
    }
    if findings.ports.is_empty() && plain {
        let listening = listening::of(poms, module, runnable.and_then(|runnable| runnable.main_class.as_deref()))?;
        if let Some(port) = listening.port.as_ref().filter(|_| listening.variable) {
            findings.image_env.insert("PORT".into(), Found::new(port.value.to_string(), port.origin.clone()));
        }
        findings.ports.extend(listening.port);
        findings.warnings.extend(listening.warning);
    }
    if runnable.is_some_and(|runnable| runnable.shape == "war") {
        return war(poms, module, closure, findings);
    }
    if runnable.is_some() {
        findings.image_env.extend(addresses(poms, module, &configuration));
    }
    if runnable.is_some() && !plain && configuration.is_empty() {
        from_sample(poms, module, findings);
    }
    if runnable.is_some() && findings.ports.is_empty() {
        other_port(poms, module, &configuration, findings);
        // A framework with a configuration listens where that says, or where it always does.
        if findings.ports.is_empty() && plain {
            findings.ports.extend(exposed(poms, &module.pom.directory));
        }
        if findings.ports.is_empty() && (plain || findings.shape == "spring-boot") {
            findings.silent = listening::silent(poms, closure)?;
        }
    }
    Ok(())
}

/// Whether an application that Spring Boot's plugin packs uses Spring, as its dependencies or else its sources tell: the plugin
/// packs any program.
fn uses_spring(poms: &Poms<'_>, module: &Effective, closure: &[&Effective]) -> bool {
    let group = |dependency: &Element| dependency.text_of("groupId").is_some_and(|group| group.contains("spring"));
    let depends = closure.iter().any(|one| one.open || one.dependencies.iter().any(group));
    let files = if depends { Vec::new() } else { source::files(poms.tree, &module.source_roots()) };
    // Every text is asked for in one go.
    let texts: Vec<&str> = files.iter().filter_map(|path| poms.tree.text(path)).collect();
    depends || texts.iter().any(|text| text.contains("org.springframework."))
}

/// Variables that make an application listen on all addresses whose configuration names its own host alone: nobody
/// reaches that from outside the container.
fn addresses(poms: &Poms<'_>, module: &Effective, configuration: &Configuration) -> Vec<(String, Found<String>)> {
    let rows = facts::rows(poms.facts, "listen_addresses");
    let told = rows.filter_map(|row| {
        let key = facts::text(row, "key")?;
        configuration.text(key, module).filter(|address| is_loopback(address))?;
        let found = Found::new(ANY_ADDRESS.to_owned(), configuration.origin(key)?);
        Some((facts::text(row, "variable")?.to_owned(), found))
    });
    told.collect()
}

/// The port of an application that serves by TLS alone.
fn encrypted(poms: &Poms<'_>, module: &Effective, configuration: &Configuration) -> Option<Found<u16>> {
    facts::rows(poms.facts, "encrypted_ports").find_map(|row| {
        let text = |key: &str| facts::text(row, key).unwrap_or_default();
        configuration.text(text("off"), module).filter(|value| value == text("value"))?;
        let default = row.get("port").and_then(toml::Value::as_integer).and_then(|port| u16::try_from(port).ok())?;
        let origin = Origin::default(format!("`{} = {}`", text("off"), text("value")));
        Some(configuration.port(&[text("port_key")], module).unwrap_or_else(|| Found::new(default, origin)))
    })
}

/// An application that takes any free port is told one: nobody could say which to ask.
fn any_port(poms: &Poms<'_>, module: &Effective, configuration: &Configuration, findings: &mut Findings) {
    let told = facts::rows(poms.facts, "port_variables").find_map(|row| {
        let origin = configuration.any_port(facts::text(row, "key")?, module)?;
        Some((facts::text(row, "variable")?, origin))
    });
    if let Some((variable, origin)) = told {
        findings.ports.push(Found::new(listening::TOLD, origin.clone()));
        findings.image_env.insert(variable.to_owned(), Found::new(listening::TOLD.to_string(), origin));
    }
}

/// Who runs the application brings a configuration of which the repository has a sample alone (Spring Boot's "External
/// Application Properties" and Quarkus' "Configuration sources": `config/` below where it runs).
fn from_sample(poms: &Poms<'_>, module: &Effective, findings: &mut Findings) {
    let Some((sample, path)) = Configuration::sample(poms, module) else { return };
    if findings.ports.is_empty() {
        findings.ports.extend(sample.port(&facts::list(poms.facts, "port_keys"), module));
    }
    let message = format!("`{path}` is a sample, and the configuration itself is not in the repository");
    let hint = "mount it below `/app/config/` where the image runs, or say what it has to say in `runtime.env`";
    findings.warnings.push(Warning::new("configuration_not_there", message, hint).at(&path, None));
}

/// The port where the configuration says no number: a variable that is to say it, or a file that the sources name.
fn other_port(poms: &Poms<'_>, module: &Effective, configuration: &Configuration, findings: &mut Findings) {
    let keys = facts::list(poms.facts, "port_keys");
    let Some(variable) = configuration.variable(&keys) else {
        findings.ports.extend(configuration::elsewhere(poms, module, &keys));
        return;
    };
    findings.ports.push(Found::new(listening::TOLD, variable.origin.clone()));
    findings.image_env.insert(variable.value, Found::new(listening::TOLD.to_string(), variable.origin));
}

/// What the Dockerfile that is not used says about ports: the module's, or the repository's.
fn exposed(poms: &Poms<'_>, directory: &str) -> Vec<Found<u16>> {
    let places = ["Dockerfile", "docker/Dockerfile", "src/main/docker/Dockerfile"];
    let paths = places.iter().filter_map(|place| join(directory, place)).chain(["Dockerfile".to_owned()]);
    // Every text is asked for in one go.
    let texts: Vec<_> = paths.filter_map(|path| Some((poms.tree.text(&path)?, path))).collect();
    let ports = texts.into_iter().map(|(text, path)| dockerfile::exposed(&path, text));
    ports.into_iter().find(|ports| !ports.is_empty()).unwrap_or_default()
}

fn war(poms: &Poms<'_>, module: &Effective, closure: &[&Effective], findings: &mut Findings) -> Result<(), Failure> {
    // The port is the container's, whatever the application would take by itself.
    findings.ports.clear();
    let Some(container) = container::choose(poms, module)? else { return Ok(()) };
    if let Some(minimum) = container.minimum {
        let origin =
            Origin { detail: format!("{}: {}", container.name, container.origin.detail), ..container.origin.clone() };
        findings.versions.push(Found::new(Demand::AtLeast(minimum), origin));
    }
    findings.warnings.extend(container::beyond(poms, module, closure)?);
    let root = container::context_root(poms, module)?;
    let place = root.as_ref().map_or("", |root| root.value.as_str());
    findings.variables.insert("servlet_container".into(), json!(container.artifact));
    findings.variables.insert("context_root".into(), json!(place));
    findings.decisions.push(Decision {
        key: "entry".into(),
        value: json!(format!("/{place} on {}", container.name)),
        origin: container.origin,
        rejected: Vec::new(),
    });
    Ok(())
}
