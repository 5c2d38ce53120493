//! `--runner host` with real toolchains: a container of a build image is the machine that has them.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::services::service;
use crate::support::case::Case;
use crate::support::container::Container;
use crate::support::image::engine;
use crate::support::probe;
use crate::support::project::Project;
use crate::support::slipway::{PRODUCT_LINE, Slipway};

/// How long an application may take to answer.
const START: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn python_is_built_on_a_machine_and_runs_where_the_image_has_it() {
    let image = build_on("slipway/build-python-3.13", "flask").await;
    let listing = Command::new("docker")
        .args(["run", "--rm", "--entrypoint", "/usr/bin/python3.13", &image, "-c"])
        .arg(
            "import os, pathlib\n\
             for path in pathlib.Path('/opt/venv').rglob('*'):\n\
             \x20   if path.is_symlink(): print(path, os.readlink(path), path.exists())\n\
             \x20   elif path.is_file() and b'/workspaces/' in path.read_bytes(): print('LEAK', path)\n",
        )
        .output()
        .await
        .unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(listing.contains("/opt/venv/bin/python3.13 /usr/bin/python3.13 True"), "{listing}");
    assert!(!listing.contains("LEAK"), "paths of the machine are in the image:\n{listing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn go_is_built_on_a_machine() {
    build_on("slipway/build-go", "go").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maven_builds_on_a_machine() {
    build_on("slipway/build-jdk-17", "spring-boot").await;
}

/// Builds an example on a machine, starts the image and asks it; the image's name.
async fn build_on(machine: &str, example: &str) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
    let case = Case::read(&directory).into_iter().next().unwrap();
    let project = Project::copy_of(&directory);
    project.commit();
    let slipway = Slipway::new();
    let program = env!("CARGO_BIN_EXE_slipway");
    let socket = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let authorities = "/etc/ssl/certs/ca-certificates.crt";
    let name = format!("on-a-machine-{example}");
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--network", "host", "--workdir", "/root"]);
    let config = slipway.config();
    let places = [
        (Path::new(program), "ro"),
        (config.parent().unwrap(), "ro"),
        (&project.path(), "ro"),
        (Path::new(authorities), "ro"),
        (Path::new(socket.trim_start_matches("unix://")), "rw"),
        // What was downloaded once serves the next run too.
        (Path::new(concat!(env!("CARGO_TARGET_TMPDIR"))), "rw"),
    ];
    for (path, mode) in places {
        command.arg("--volume").arg(format!("{0}:{0}:{mode}", path.display()));
    }
    command.arg("--env").arg(format!("DOCKER_HOST={socket}"));
    command.arg("--env").arg(format!("SSL_CERT_FILE={authorities}"));
    command.arg("--env").arg(format!("SLIPWAY__CACHE__DIRECTORY={}/machine-cache", env!("CARGO_TARGET_TMPDIR")));
    command.args([machine, program, "--config"]).arg(&config);
    command.args(["build", "--format", "json", "--runner", "host", "--push", "--product-line", PRODUCT_LINE]);
    command.args(["--name", &name]).args(&case.args).arg(project.path());
    let output = command.output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(report["outcome"], "succeeded", "{report:#}\n{}", String::from_utf8_lossy(&output.stderr));
    let image = report["image"]["references"][0].as_str().unwrap().to_owned();
    assert!(image.starts_with(service("SLIPWAY_TEST_REGISTRY")), "{image}");

    let container = Container::start(&engine().await, &image, &case.env, &[], case.port).await.unwrap();
    let probe = case.probes.first().unwrap();
    let attempt = async || {
        let answer = probe::get(&container.address(), &probe.path).await.map_err(|error| error.to_string())?;
        if answer.0 == probe.status { Ok(()) } else { Err(format!("{answer:?}")) }
    };
    let outcome = probe::until(START, attempt, async || container.is_running().await).await;
    outcome.unwrap_or_else(|why| panic!("{image}: {why}"));
    image
}
