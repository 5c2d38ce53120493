//! Containers of pulled images: started as a platform would, stopped by SIGTERM, removed.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io::Read as _;
use std::process::Command;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig, PortBinding};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptionsBuilder, LogsOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder,
};
use futures_util::TryStreamExt as _;

/// How long a container has after SIGTERM.
const GRACE: i32 = 10;

/// A started container; removed when the test ends, however it ends.
pub(crate) struct Container {
    docker: Docker,
    id: String,
    port: Option<u16>,
}

/// How a container ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code.
    pub(crate) code: i64,
    /// How long it took after the signal.
    pub(crate) took: Duration,
}

impl Container {
    /// Starts an image as a careful platform would: no capabilities, no new privileges.
    pub(crate) async fn start(
        docker: &Docker,
        image: &str,
        env: &BTreeMap<String, String>,
        args: &[String],
        port: Option<u16>,
    ) -> Result<Self, String> {
        let free = vec![PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some("0".to_owned()) }];
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: (!args.is_empty()).then(|| args.to_vec()),
            env: Some(env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            exposed_ports: port.map(|port| vec![format!("{port}/tcp")]),
            host_config: Some(HostConfig {
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                memory: Some(1 << 30),
                port_bindings: port.map(|port| HashMap::from([(format!("{port}/tcp"), Some(free))])),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let created = docker.create_container(None::<CreateContainerOptions>, body).await;
        let id = created.map_err(|error| format!("the container cannot be made: {error}"))?.id;
        let mut container = Self { docker: docker.clone(), id, port: None };
        let started = docker.start_container(&container.id, None::<StartContainerOptions>).await;
        started.map_err(|error| format!("the container does not start: {error}"))?;
        if let Some(port) = port {
            container.port = container.published(port).await;
        }
        Ok(container)
    }

    async fn published(&self, port: u16) -> Option<u16> {
        let inspected = self.docker.inspect_container(&self.id, None).await.ok()?;
        let ports = inspected.network_settings?.ports?;
        ports.get(&format!("{port}/tcp"))?.as_ref()?.first()?.host_port.as_ref()?.parse().ok()
    }

    /// Where its port is reached.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.unwrap_or_default())
    }

    /// Whether its first process runs.
    pub(crate) async fn is_running(&self) -> bool {
        let inspected = self.docker.inspect_container(&self.id, None).await;
        inspected.ok().and_then(|container| container.state?.running).unwrap_or(false)
    }

    /// Everything it has written.
    pub(crate) async fn log(&self) -> String {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let lines: Vec<LogOutput> = self.docker.logs(&self.id, Some(options)).try_collect().await.unwrap_or_default();
        lines.iter().map(ToString::to_string).collect()
    }

    /// The user ids of its processes, as the host sees them.
    pub(crate) async fn users(&self) -> Vec<String> {
        let options = bollard::query_parameters::TopOptionsBuilder::new().ps_args("-eo uid,pid").build();
        let processes = self.docker.top_processes(&self.id, Some(options)).await;
        let rows = processes.ok().and_then(|top| top.processes).unwrap_or_default();
        rows.into_iter().filter_map(|row| row.into_iter().next()).collect()
    }

    /// Whether a path is in the container.
    pub(crate) async fn has(&self, path: &str) -> bool {
        let options = bollard::query_parameters::ContainerArchiveInfoOptionsBuilder::new().path(path).build();
        self.docker.get_container_archive_info(&self.id, Some(options)).await.is_ok()
    }

    /// The files below a directory; none if it is not there.
    pub(crate) async fn files(&self, directory: &str) -> BTreeMap<String, Vec<u8>> {
        let options = DownloadFromContainerOptionsBuilder::new().path(directory).build();
        let parts: Result<Vec<_>, _> = self.docker.download_from_container(&self.id, Some(options)).try_collect().await;
        let bytes = parts.map(|parts| parts.concat()).unwrap_or_default();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(&bytes[..]).entries().into_iter().flatten().flatten() {
            let mut entry = entry;
            let path = entry.path().map(|path| path.display().to_string()).unwrap_or_default();
            let mut content = Vec::new();
            if entry.header().entry_type().is_file() && entry.read_to_end(&mut content).is_ok() {
                files.insert(path, content);
            }
        }
        files
    }

    /// Runs a command in the container; its exit code and output.
    pub(crate) async fn exec(&self, command: &[String]) -> (i64, String) {
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let exec = self.docker.create_exec(&self.id, options).await.unwrap().id;
        let mut text = String::new();
        if let StartExecResults::Attached { output, .. } = self.docker.start_exec(&exec, None).await.unwrap() {
            let output: Vec<LogOutput> = output.try_collect().await.unwrap();
            text = output.iter().map(ToString::to_string).collect();
        }
        (self.docker.inspect_exec(&exec).await.unwrap().exit_code.unwrap_or(-1), text)
    }

    /// Sends SIGTERM and waits; the Engine kills it when its grace is over.
    pub(crate) async fn stop(&self) -> Result<Ended, String> {
        let began = Instant::now();
        let options = StopContainerOptionsBuilder::new().t(GRACE).build();
        self.docker.stop_container(&self.id, Some(options)).await.map_err(|error| error.to_string())?;
        let took = began.elapsed();
        Ok(Ended { code: self.exit_code().await, took })
    }

    /// The exit code of a container that has ended.
    pub(crate) async fn exit_code(&self) -> i64 {
        let inspected = self.docker.inspect_container(&self.id, None).await;
        inspected.ok().and_then(|container| container.state?.exit_code).unwrap_or(-1)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["container", "rm", "--force", "--volumes", &self.id]).output();
    }
}
