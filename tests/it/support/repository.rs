//! Repositories on the test server.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use slipway::model::source::RepositoryUrl;

use crate::services::{run, service};

/// A repository on the test server that goes when the test ends.
pub(crate) struct Published {
    work: tempfile::TempDir,
    /// What is served.
    pub(crate) bare: PathBuf,
    pub(crate) name: String,
}

impl Published {
    /// One commit with these files, served below `/open` or `/private`.
    pub(crate) fn new(area: &str, files: &[(&str, &str)]) -> Self {
        Self::with_hash("sha1", area, files)
    }

    /// The same with another hash: `sha256`.
    pub(crate) fn with_hash(hash: &str, area: &str, files: &[(&str, &str)]) -> Self {
        let work = tempfile::tempdir().unwrap();
        let init = ["git", "init", "-q", "-b", "main", "--object-format", hash];
        run(work.path(), &init);
        let name = work.path().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_owned() + ".git";
        let bare = Path::new(service("SLIPWAY_TEST_GIT_REPOSITORIES")).join(area).join(&name);
        run(work.path(), &[&init[..], &["--bare", bare.to_str().unwrap()]].concat());
        let published = Self { work, bare, name };
        published.commit(files);
        published
    }

    /// Adds these files, commits and pushes; gives the commit.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let file = self.work.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "change"]);
        self.push("HEAD:refs/heads/main");
        self.git(&["rev-parse", "HEAD"])
    }

    /// The directory whose commits are published.
    pub(crate) fn path(&self) -> &Path {
        self.work.path()
    }

    /// Commits as `git fast-import` reads them, straight into what is served.
    pub(crate) fn fast_import(&self, stream: &[u8]) {
        let mut child = Command::new("git")
            .args(["fast-import", "--quiet", "--force"])
            .current_dir(&self.bare)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stream).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Where it is served over SSH.
    pub(crate) fn ssh_url(&self) -> String {
        format!("{}/private/{}", service("SLIPWAY_TEST_GIT_SSH"), self.name)
    }

    /// Pushes a reference.
    pub(crate) fn push(&self, what: &str) {
        self.git(&["push", "-q", "-f", self.bare.to_str().unwrap(), what]);
    }

    /// Git in the working tree.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        run(self.work.path(), &[&["git"], arguments].concat())
    }

    /// Where it is served, below a service.
    pub(crate) fn url(&self, base: &str) -> String {
        format!("{}/{}", service(base), self.name)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.bare);
    }
}

/// Host and port of a service, as `hosts` of credentials name them.
pub(crate) fn host_of(base: &str) -> String {
    service(base).parse::<RepositoryUrl>().unwrap().host_and_port()
}

/// Adds a submodule `vendor/lib`.
pub(crate) fn with_submodule(repository: &Published, url: &str, commit: &str) {
    let text = format!("[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = {url}\n");
    std::fs::write(repository.work.path().join(".gitmodules"), text).unwrap();
    repository.git(&["add", ".gitmodules"]);
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},vendor/lib")]);
    repository.git(&["commit", "-q", "-m", "submodule"]);
    repository.push("HEAD:refs/heads/main");
}
