//! How this host reaches Debian: its mirrors and its apt settings, for debootstrap and for apt in builds.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// debootstrap itself, which knows a mirror where the host's sources name none.
const DEBOOTSTRAP: &str = "/usr/sbin/debootstrap";

/// Where Debian's packages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirrors {
    /// The archive; none leaves it to debootstrap.
    pub(super) main: Option<String>,
    /// The archive of security updates.
    pub(super) security: Option<String>,
}

impl Mirrors {
    /// The operator's mirror, or the host's own sources below `directory` (`/etc/apt`), or debootstrap's.
    pub(super) fn of_host(directory: &Path, operators: Option<&str>) -> Self {
        let sources: Vec<String> = source_files(directory).iter().flat_map(|text| uris(text)).collect();
        let security = sources.iter().find(|uri| is_security(uri)).cloned();
        let main = operators.map(str::to_owned).or_else(|| sources.into_iter().find(|uri| is_main(uri)));
        if main.is_some() {
            return Self { main, security };
        }
        let main = fs::read_to_string(DEBOOTSTRAP).ok().and_then(|script| default_mirror(&script));
        // The public archive has its security updates next to it; of another one nobody knows.
        let security =
            security.or_else(|| main.as_ref().map(|main| format!("{}-security", main.trim_end_matches('/'))));
        Self { main, security }
    }

    /// A `sources.list` for a suite (sources.list(5), one-line style).
    pub(super) fn list(&self, suite: &str) -> String {
        let Some(main) = &self.main else { return String::new() };
        let mut list = format!("deb {main} {suite} main\n");
        if matches!(suite, "sid" | "unstable" | "experimental") {
            return list;
        }
        // Writing to a `String` cannot fail.
        let _ = writeln!(list, "deb {main} {suite}-updates main");
        if let Some(security) = &self.security {
            let _ = writeln!(list, "deb {security} {suite}-security main");
        }
        list
    }
}

/// The host's `Acquire::` settings (proxies, timeouts, what to trust), one statement a line.
pub(super) fn acquire_settings(directory: &Path) -> String {
    let mut files = vec![directory.join("apt.conf")];
    files.extend(sorted(&directory.join("apt.conf.d")));
    let mut settings = String::new();
    for line in files.iter().filter_map(|file| fs::read_to_string(file).ok()).flat_map(|text| owned_lines(&text)) {
        let line = line.trim();
        if line.starts_with("Acquire::") && line.ends_with(';') && !line.contains('{') {
            settings.push_str(line);
            settings.push('\n');
        }
    }
    settings
}

fn owned_lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn source_files(directory: &Path) -> Vec<String> {
    let mut files = vec![directory.join("sources.list")];
    files.extend(sorted(&directory.join("sources.list.d")));
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect()
}

fn sorted(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// The http and https URIs of a file of sources, in either style.
fn uris(text: &str) -> Vec<String> {
    let is_source = |line: &&str| line.starts_with("deb ") || line.starts_with("deb\t") || line.starts_with("URIs:");
    text.lines()
        .map(str::trim)
        .filter(is_source)
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("http://") || word.starts_with("https://"))
        .map(str::to_owned)
        .collect()
}

fn is_main(uri: &str) -> bool {
    uri.trim_end_matches('/').ends_with("/debian")
}

fn is_security(uri: &str) -> bool {
    uri.trim_end_matches('/').ends_with("/debian-security")
}

fn default_mirror(script: &str) -> Option<String> {
    let value = script.lines().find_map(|line| line.trim().strip_prefix("DEF_MIRROR="))?;
    let value = value.trim_matches(['"', '\'']);
    value.starts_with("http").then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(sources: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in sources {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn both_styles_of_sources_are_read() {
        let old = "# deb http://old.example/debian x main\ndeb [arch=amd64] http://mirror.example/debian bookworm main\n\
                   deb https://mirror.example/debian-security bookworm-security main\n";
        let new = "Types: deb\nURIs: https://mirror.example/debian/\nSuites: trixie\n";
        let host1 = host(&[("sources.list", old)]);
        let mirrors = Mirrors::of_host(host1.path(), None);
        assert_eq!(mirrors.main.as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(mirrors.security.as_deref(), Some("https://mirror.example/debian-security"));
        let host2 = host(&[
            ("sources.list.d/debian.sources", new),
            ("sources.list.d/a.list", "deb http://x.example/apt x main"),
        ]);
        let mirrors = Mirrors::of_host(host2.path(), None);
        assert_eq!(mirrors, Mirrors { main: Some("https://mirror.example/debian/".into()), security: None });
        assert_eq!(Mirrors::of_host(host2.path(), Some("http://m.example/d")).main.unwrap(), "http://m.example/d");
    }

    #[test]
    fn a_suite_in_development_has_no_updates() {
        let mirrors =
            Mirrors { main: Some("http://m.example/debian".into()), security: Some("http://s.example/s".into()) };
        assert_eq!(mirrors.list("sid"), "deb http://m.example/debian sid main\n");
        assert_eq!(
            mirrors.list("trixie"),
            "deb http://m.example/debian trixie main\ndeb http://m.example/debian trixie-updates main\n\
             deb http://s.example/s trixie-security main\n"
        );
    }

    #[test]
    fn debootstrap_says_its_default() {
        let script = "DEF_MIRROR=\"http://archive.example/debian\"\n";
        assert_eq!(default_mirror(script).as_deref(), Some("http://archive.example/debian"));
        assert_eq!(default_mirror("DEF_MIRROR=$X\n"), None);
    }

    #[test]
    fn proxies_are_taken_over_and_hooks_are_not() {
        let directory = host(&[
            ("apt.conf.d/10proxy", "Acquire::http::Proxy \"http://proxy.example:3128\";\n"),
            ("apt.conf.d/20hook", "APT::Update::Post-Invoke { \"rm -rf /\"; };\nAcquire::x {\n"),
        ]);
        assert_eq!(acquire_settings(directory.path()), "Acquire::http::Proxy \"http://proxy.example:3128\";\n");
    }
}
