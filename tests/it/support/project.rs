//! Projects in temporary directories, each a Git repository with one commit of a fixed time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::services::run;

/// When every project was committed.
pub(crate) const COMMITTED_AT: &str = "2026-02-03T04:05:06Z";

/// A repository that lasts as long as the test.
pub(crate) struct Project {
    directory: tempfile::TempDir,
    name: String,
}

impl Project {
    /// A directory of that name with these files; not yet committed.
    pub(crate) fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let project = Self { directory, name: name.to_owned() };
        fs::create_dir(project.path()).unwrap();
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    /// A copy of an example: what Git tracks or would track.
    pub(crate) fn copy_of(example: &Path) -> Self {
        let project = Self::new(example.file_name().unwrap().to_str().unwrap(), &[]);
        let listed = run(example, &["git", "ls-files", "--cached", "--others", "--exclude-standard"]);
        for path in listed.lines() {
            let to = project.path().join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            // Keeps the mode.
            fs::copy(example.join(path), to).unwrap();
        }
        project
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything; the same files give the same commit.
    pub(crate) fn commit(&self) -> String {
        let path = self.path();
        run(&path, &["git", "init", "--quiet", "--initial-branch", "main"]);
        run(&path, &["git", "add", "--all", "--force"]);
        let commit = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "--allow-empty"])
            .args(["--message", "one"])
            .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_AUTHOR_DATE", COMMITTED_AT)])
            .env("GIT_COMMITTER_DATE", COMMITTED_AT)
            .current_dir(&path)
            .output()
            .unwrap();
        assert!(commit.status.success(), "{}", String::from_utf8_lossy(&commit.stderr));
        run(&path, &["git", "rev-parse", "HEAD"])
    }

    /// Where it is; the directory has the project's name.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join(&self.name)
    }
}
