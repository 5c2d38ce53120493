//! A built image runs on this machine: for `slipway run`.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HostConfig, PortBinding, PortMap};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, InspectContainerOptions, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::LogSink;
use super::docker::DockerBackend;
use super::engine::failure_of;
use crate::leftovers::containers;
use crate::model::failure::{Failure, FailureCode};

/// After this time, somebody on another machine may take the container for left behind.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// Bytes after which what has no line end gets one.
const LINE: usize = 64 * 1024;

/// Seconds that an application has to end by itself.
const GRACE: i32 = 10;

impl DockerBackend {
    /// Starts a container of the image that a build made, with its ports on free ports of this machine's loopback, passes its output on to `out`
    /// and what a person should know to `note`, and removes it in the end. Gives the container's exit code.
    ///
    /// # Errors
    /// `engine_unavailable`, `image_failed` where the container does not start.
    pub async fn run(
        &self,
        build: &str,
        image: &str,
        out: LogSink<'_>,
        note: LogSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<i64, Failure> {
        let docker = self.engine().docker().await?;
        let ports = match docker.inspect_image(image).await {
            Ok(inspected) => on_loopback(inspected.config.and_then(|config| config.exposed_ports).unwrap_or_default()),
            Err(error) => {
                return Err(failure_of(docker, &error, FailureCode::ImageFailed, "The image cannot be read").await);
            }
        };
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            labels: Some(containers::labels(build, LONGEST)),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            host_config: Some(HostConfig {
                port_bindings: Some(ports),
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let created = match docker.create_container(None::<CreateContainerOptions>, body).await {
            Ok(created) => created.id,
            Err(error) => {
                return Err(failure_of(docker, &error, FailureCode::ImageFailed, "The container cannot be made").await);
            }
        };
        let outcome = follow(docker, &created, out, note, cancel).await;
        let remove = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        if let Err(error) = docker.remove_container(&created, Some(remove)).await {
            tracing::warn!(container = %created, %error, "a container stays behind");
        }
        match outcome {
            Ok(code) => Ok(code),
            Err(error) => Err(failure_of(docker, &error, FailureCode::ImageFailed, "The container does not run").await),
        }
    }
}

/// What is tried out here is nobody else's: each port on a free one that only this machine reaches.
fn on_loopback(ports: Vec<String>) -> PortMap {
    let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(String::new()) };
    ports.into_iter().map(|port| (port, Some(vec![binding.clone()]))).collect()
}

async fn follow(
    docker: &bollard::Docker,
    container: &str,
    out: LogSink<'_>,
    note: LogSink<'_>,
    cancel: &CancellationToken,
) -> Result<i64, bollard::errors::Error> {
    let attach = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
    let mut attached = docker.attach_container(container, Some(attach)).await?;
    docker.start_container(container, None::<StartContainerOptions>).await?;
    let inspected = docker.inspect_container(container, None::<InspectContainerOptions>).await?;
    let ports = inspected.network_settings.and_then(|settings| settings.ports).unwrap_or_default();
    for (inside, bindings) in ports {
        let outside = bindings.iter().flatten().find_map(|binding| binding.host_port.clone());
        if let Some(outside) = outside {
            note(&format!("port {inside} is at http://127.0.0.1:{outside}/; Ctrl-C stops the application"));
        }
    }
    let (mut output, mut errors) = (Lines::default(), Lines::default());
    let mut stopping = false;
    loop {
        tokio::select! {
            frame = attached.output.next() => match frame {
                Some(Ok(LogOutput::StdErr { message })) => errors.push(&message, out),
                Some(Ok(frame)) => output.push(&frame.into_bytes(), out),
                Some(Err(error)) => return Err(error),
                None => break,
            },
            () = cancel.cancelled(), if !stopping => {
                stopping = true;
                docker.stop_container(container, Some(StopContainerOptionsBuilder::default().t(GRACE).build())).await?;
            }
        }
    }
    output.end(out);
    errors.end(out);
    match docker.wait_container(container, None::<WaitContainerOptions>).next().await {
        Some(Ok(answer)) => Ok(answer.status_code),
        Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(error)) => Err(error),
        None => Ok(0),
    }
}

/// Bytes of one stream, which come in any pieces, as lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, bytes: &[u8], out: LogSink<'_>) {
        self.0.extend_from_slice(bytes);
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            out(String::from_utf8_lossy(&line[..end]).trim_end_matches('\r'));
        }
        if self.0.len() > LINE {
            self.end(out);
        }
    }

    /// What has no line end.
    fn end(&mut self, out: LogSink<'_>) {
        if !self.0.is_empty() {
            out(&String::from_utf8_lossy(&std::mem::take(&mut self.0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn pieces_become_lines() {
        let seen = Mutex::new(Vec::new());
        let out = |line: &str| seen.lock().unwrap().push(line.to_owned());
        let mut lines = Lines::default();
        for piece in ["it ends", "\n", "\na\r\nb\nc"] {
            lines.push(piece.as_bytes(), &out);
        }
        lines.end(&out);
        lines.end(&out);
        assert_eq!(*seen.lock().unwrap(), ["it ends", "", "a", "b", "c"]);
    }
}
