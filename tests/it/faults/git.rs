//! The harness's own Git server: nginx before `git http-backend`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cluster::wait_for;
use super::namespace::{Namespace, Program};
use crate::services::run;

/// Where it listens; workers are told the proxy's port.
pub(super) const PORT: u16 = 8080;

/// The server, and the repositories that it shows.
pub(super) struct Git {
    repositories: PathBuf,
    _programs: [Program; 2],
}

impl Git {
    /// Starts a server without repositories.
    pub(super) fn new(namespace: &Namespace) -> Self {
        let directory = namespace.directory().join("git");
        let repositories = directory.join("repositories");
        std::fs::create_dir_all(&repositories).unwrap();
        let (conf, socket) = (directory.join("nginx.conf"), directory.join("fcgiwrap.sock"));
        std::fs::write(&conf, configuration(&directory)).unwrap();
        std::fs::write(
            directory.join("gitconfig"),
            "[safe]\n\tdirectory = *\n[uploadpack]\n\tallowAnySHA1InWant = true\n\tallowFilter = true\n",
        )
        .unwrap();
        let gitconfig = directory.join("gitconfig").display().to_string();
        let environment = [("GIT_CONFIG_GLOBAL", gitconfig.as_str()), ("GIT_CONFIG_NOSYSTEM", "1")];
        let socket = format!("unix:{}", socket.display());
        let cgi = namespace.start("fcgiwrap", &["fcgiwrap", "-c", "2", "-s", &socket], &environment);
        let (prefix, conf) = (directory.display().to_string(), conf.display().to_string());
        let web = namespace.start("nginx", &["nginx", "-p", &prefix, "-e", "stderr", "-c", &conf], &[]);
        wait_for("nginx", Duration::from_secs(30), || {
            std::net::TcpStream::connect(("127.0.0.1", PORT)).map(drop).map_err(|error| error.to_string())
        });
        Self { repositories, _programs: [cgi, web] }
    }

    /// Makes a repository of these files with one commit, and gives the commit.
    pub(super) fn publish(&self, name: &str, files: &[(&str, &[u8])]) -> String {
        let work = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = work.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let git = |arguments: &[&str]| run(work.path(), &[&["git"], arguments].concat());
        git(&["init", "--quiet", "--initial-branch", "main"]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", "one"]);
        self.push(work.path(), name);
        git(&["rev-parse", "HEAD"])
    }

    /// Makes the server's repository what a working directory's is; history may be lost.
    pub(super) fn push(&self, work: &Path, name: &str) {
        let target = self.repositories.join(format!("{name}.git"));
        let path = target.display().to_string();
        if !target.exists() {
            run(work, &["git", "init", "--quiet", "--bare", "--initial-branch", "main", &path]);
        }
        run(work, &["git", "push", "--quiet", "--force", &path, "HEAD:refs/heads/main"]);
    }

    /// Where a repository lies on the server.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.repositories.join(format!("{name}.git"))
    }
}

fn configuration(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "daemon off;\nuser root;\npid {directory}/nginx.pid;\nerror_log stderr warn;\nevents {{}}\nhttp {{\n\
         access_log off;\nclient_max_body_size 0;\n\
         client_body_temp_path {directory}/body;\nproxy_temp_path {directory}/proxy;\n\
         fastcgi_temp_path {directory}/fastcgi;\nuwsgi_temp_path {directory}/uwsgi;\nscgi_temp_path {directory}/scgi;\n\
         server {{\nlisten 127.0.0.1:{PORT};\n\
         location /locked/ {{ add_header WWW-Authenticate 'Basic realm=\"faults\"' always; return 401; }}\n\
         location / {{\ninclude /etc/nginx/fastcgi_params;\n\
         fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;\n\
         fastcgi_param GIT_PROJECT_ROOT {directory}/repositories;\nfastcgi_param GIT_HTTP_EXPORT_ALL 1;\n\
         fastcgi_param PATH_INFO $uri;\nfastcgi_pass unix:{directory}/fcgiwrap.sock;\n}}\n}}\n}}\n"
    )
}
