//! A war on a servlet container, laid out as Tomcat's documentation describes (`CATALINA_BASE`): `bin`, `lib`, `conf` and
//! `webapps/<context>` in the application's directory.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::jar;
use super::kind::{Expectation, JarFacts, Kind};
use super::layers::LayerDirs;
use super::plain_jar::layer_of;
use super::safe_fs::{self, Dir, Kind as FileKind, show};
use super::tree::{self, TreeRules};
use crate::model::failure::{Failure, FailureCode};

/// Where Maven unpacked the container, relative to `target/`.
const CONTAINER: &str = "slipway-container";

/// Files of its `conf` that are written anew, as patterns.
const SERVER: &str = "/server.xml";
const LOGGING: &str = "/logging.properties";
/// Bytes of a `server.xml` that are read.
const LONGEST: u64 = 1 << 20;

/// Everything goes to the console.
const TO_THE_CONSOLE: &str = "\
handlers = java.util.logging.ConsoleHandler
.handlers = java.util.logging.ConsoleHandler
java.util.logging.ConsoleHandler.level = ALL
java.util.logging.ConsoleHandler.formatter = org.apache.juli.OneLineFormatter
java.util.logging.ConsoleHandler.encoding = UTF-8
";

/// The war of a module: the one of its final name, or the only one.
///
/// # Errors
/// `artifact_missing` without any; `artifact_mismatch` for several.
pub fn find(target: &Dir, expected: &Expectation) -> Result<JarFacts, Failure> {
    let files = target.entries()?.into_iter().filter(|entry| entry.kind == FileKind::File);
    let names = files.filter_map(|entry| entry.name.into_string().ok());
    let wars: Vec<String> = names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "war")).collect();
    let planned = expected.final_name.as_ref().map(|name| format!("{name}.war"));
    let path = match (wars.iter().find(|name| Some(*name) == planned.as_ref()), &wars[..]) {
        (Some(planned), _) => planned,
        (None, [only]) => only,
        (None, []) => {
            let directory = show(&target.shown(Path::new("")));
            return Err(Failure::new(FailureCode::ArtifactMissing, format!("the build left no war in {directory}"))
                .hint("Choose the module that makes it: `application.module` in `slipway.toml`."));
        }
        (None, several) => {
            let message =
                format!("the module made {} wars, none of its final name: {}", several.len(), several.join(", "));
            return Err(Failure::new(FailureCode::ArtifactMismatch, message)
                .hint("Give the wanted one the module's `finalName`.")
                .candidates(several.iter().cloned()));
        }
    };
    Ok(JarFacts {
        path: PathBuf::from(path),
        kind: Kind::War,
        main_class: "org.apache.catalina.startup.Bootstrap".into(),
    })
}

/// Lays container and war out in the layers of [`LayerDirs::JAVA`], whose sizes it tells: the container and the war's
/// libraries change least.
///
/// # Errors
/// `artifact_missing` without a container; `artifact_invalid` for a damaged or hostile archive; `disk_full`, `internal`.
pub fn assemble(target: &Dir, facts: &JarFacts, context: &str, layers: &LayerDirs) -> Result<[u64; 3], Failure> {
    let mut sizes = [container(target, layers)?, 0, 0];
    let (mut archive, _) = jar::open(target, &facts.path)?;
    if archive.has_duplicates() {
        let message = format!("`{}` has two entries of the same name", archive.name());
        return Err(Failure::new(FailureCode::ArtifactInvalid, message));
    }
    let root = format!("app/webapps/{}", directory_of(context));
    layers.directory("application", &root)?;
    for entry in archive.entries().to_vec() {
        if entry.is_directory() {
            continue;
        }
        let (parent, name) = entry.name.rsplit_once('/').unwrap_or(("", &entry.name));
        let (index, layer) = if parent == "WEB-INF/lib" { layer_of(name) } else { (2, "application") };
        let mut file = layers.directory(layer, &format!("{root}/{parent}"))?.create(name, false)?;
        sizes[index] += archive.copy(&entry, &mut file)?;
    }
    Ok(sizes)
}

/// Tomcat's name for the directory of a context path: `ROOT`, `a#b` for `a/b`.
fn directory_of(context: &str) -> String {
    if context.is_empty() { "ROOT".to_owned() } else { context.replace('/', "#") }
}

/// Writes what Tomcat would keep in files that nobody reads or removes: what it and the applications log goes to the
/// container's own log, the stack trace of an application that did not start above all, and requests are not logged.
fn configuration(from: &Dir, into: &Dir) -> Result<u64, Failure> {
    let server = String::from_utf8_lossy(&from.read(&SERVER[1..], LONGEST)?).into_owned();
    let written = |name: &str, text: &str| {
        let file = into.create(name, false)?.write_all(text.as_bytes());
        file.map_err(|error| safe_fs::failure("write", Path::new(name), error))
    };
    let server = without_access_log(&server);
    written(&SERVER[1..], &server)?;
    written(&LOGGING[1..], TO_THE_CONSOLE)?;
    Ok((server.len() + TO_THE_CONSOLE.len()) as u64)
}

/// Tomcat's `server.xml` without the element that writes a file of all requests.
fn without_access_log(server: &str) -> String {
    let valve = server.find(r#"<Valve className="org.apache.catalina.valves.AccessLogValve""#);
    let end = valve.and_then(|start| Some(start + server[start..].find("/>")? + 2));
    match (valve, end) {
        (Some(start), Some(end)) => format!("{}{}", &server[..start], &server[end..]),
        _ => server.to_owned(),
    }
}

/// Copies the container without what it brings for administrators and examples.
fn container(target: &Dir, layers: &LayerDirs) -> Result<u64, Failure> {
    let missing =
        || Failure::new(FailureCode::ArtifactMissing, format!("there is no servlet container in `{CONTAINER}`"));
    if !target.has_directory(CONTAINER) {
        return Err(missing());
    }
    let unpacked = target.below(CONTAINER)?;
    let mut versions = unpacked.entries()?.into_iter().filter(|entry| entry.kind == FileKind::Directory);
    let from = unpacked.below(versions.next().ok_or_else(missing)?.name)?;
    let mut size = 0;
    for (part, rules) in [("lib", TreeRules::everything()), ("conf", TreeRules::new(&[LOGGING, SERVER], &[], &[])?)] {
        let into = layers.directory("dependencies", &format!("app/{part}"))?;
        size += tree::copy(&from.below(part)?, &into, &rules)?.bytes;
    }
    size += configuration(&from.below("conf")?, &layers.directory("dependencies", "app/conf")?)?;
    // Tomcat makes this directory otherwise, and `conf` is not its user's.
    layers.directory("dependencies", "app/conf/Catalina/localhost")?;
    let into = layers.directory("dependencies", "app/bin")?;
    for name in ["bootstrap.jar", "tomcat-juli.jar"] {
        size += from.copy_file(format!("bin/{name}"), &into, name)?;
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_logged_to_the_console() {
        let temp = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            std::fs::create_dir(temp.path().join(name)).unwrap();
            Dir::open(&temp.path().join(name)).unwrap()
        };
        let (from, into) = (place("from"), place("into"));
        std::fs::write(temp.path().join("from/server.xml"), "<Server/>").unwrap();
        std::fs::write(temp.path().join("from/logging.properties"), "handlers = a.FileHandler").unwrap();
        let size = configuration(&from, &into).unwrap();
        let written = |name: &str| std::fs::read_to_string(temp.path().join("into").join(name)).unwrap();
        assert_eq!(written("server.xml"), "<Server/>");
        assert_eq!(written("logging.properties"), TO_THE_CONSOLE);
        assert_eq!(size, (TO_THE_CONSOLE.len() + "<Server/>".len()) as u64);
    }

    #[test]
    fn requests_are_not_logged_to_a_file() {
        let valve =
            "<Valve className=\"org.apache.catalina.valves.AccessLogValve\" directory=\"logs\"\n pattern=\"%h\" />";
        let other = "<Valve className=\"org.apache.catalina.valves.RemoteIpValve\" />";
        let server = |valves: &str| format!("<Server>\n<Host>{other}{valves}</Host>\n</Server>");
        assert_eq!(without_access_log(&server(valve)), server(""));
        assert_eq!(without_access_log(&server("")), server(""));
    }
}
