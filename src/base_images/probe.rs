//! Runs one command in a container of an image, cut off from everything, and looks at files in it.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, RemoveContainerOptions, StartContainerOptions, WaitContainerOptions,
};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::definition::Probe;
use super::engine::unavailable;
use crate::leftovers::containers;
use crate::model::failure::Failure;

/// A probe that takes longer has failed.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The bytes of a probe's output that are looked at.
const OUTPUT: usize = 64 << 10;

/// Runs a probe in an image: what is wrong, or nothing.
///
/// # Errors
///
/// `EngineUnavailable` when the Engine does not answer.
pub(super) async fn run(docker: &Docker, image: &str, probe: &Probe) -> Result<Option<String>, Failure> {
    // A command has to be there even where only files are looked at.
    let command = if probe.command.is_empty() { vec!["-".to_owned()] } else { probe.command.clone() };
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(Vec::new()),
        cmd: Some(command),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        labels: Some(containers::labels("probe", TIMEOUT)),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            init: Some(!probe.command.is_empty()),
            tmpfs: Some(HashMap::from([("/tmp".to_owned(), "rw,nosuid,nodev,exec,size=256m,mode=1777".to_owned())])),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let container =
        docker.create_container(None::<CreateContainerOptions>, body).await.map_err(|e| unavailable(&e))?.id;
    let result = tokio::time::timeout(TIMEOUT, examine(docker, &container, probe)).await;
    let remove = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
    let removed = docker.remove_container(&container, Some(remove)).await;
    match result {
        Err(_) => Ok(Some(format!("it does not end within {} s", TIMEOUT.as_secs()))),
        Ok(Err(error)) => Err(unavailable(&error)),
        Ok(Ok(problem)) => removed.map(|()| problem).map_err(|error| unavailable(&error)),
    }
}

async fn examine(docker: &Docker, container: &str, probe: &Probe) -> Result<Option<String>, Error> {
    for (path, wanted) in
        probe.files.iter().map(|path| (path, true)).chain(probe.absent.iter().map(|path| (path, false)))
    {
        if has_file(docker, container, path).await? != wanted {
            return Ok(Some(format!("`{path}` is {}there", if wanted { "not " } else { "" })));
        }
    }
    if probe.command.is_empty() {
        return Ok(None);
    }
    // Attached before the start, or the output of a short command is lost.
    let attach =
        AttachContainerOptions { stdout: true, stderr: true, stream: true, ..AttachContainerOptions::default() };
    let mut attached = docker.attach_container(container, Some(attach)).await?;
    match docker.start_container(container, None::<StartContainerOptions>).await {
        Err(Error::DockerResponseServerError { status_code: 400..500, message }) => return Ok(Some(message)),
        other => other?,
    }
    let mut output = Vec::new();
    while let Some(chunk) = attached.output.next().await {
        let chunk = chunk?.into_bytes();
        // What is over is read all the same: an unread stream blocks the Engine.
        let room = OUTPUT.saturating_sub(output.len());
        output.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    let code = match docker.wait_container(container, None::<WaitContainerOptions>).try_next().await {
        Ok(answer) => answer.map_or(0, |answer| answer.status_code),
        Err(Error::DockerContainerWaitError { code, .. }) => code,
        Err(error) => return Err(error),
    };
    Ok(judge(probe, code, &String::from_utf8_lossy(&output)))
}

async fn has_file(docker: &Docker, container: &str, path: &str) -> Result<bool, Error> {
    let options = bollard::query_parameters::ContainerArchiveInfoOptions { path: path.to_owned() };
    match docker.get_container_archive_info(container, Some(options)).await {
        Ok(_) => Ok(true),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn judge(probe: &Probe, code: i64, output: &str) -> Option<String> {
    let command = probe.command.join(" ");
    let shown = output.lines().next().unwrap_or_default();
    if code != 0 {
        return Some(format!("`{command}` ended with {code}: {shown}"));
    }
    let expected = probe.expect.as_deref().filter(|expected| !output.contains(expected))?;
    Some(format!("`{command}` does not say `{expected}`: {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_wants_success_and_its_text() {
        let probe = Probe {
            command: vec!["java".into(), "-version".into()],
            expect: Some("\"17.".into()),
            files: vec![],
            absent: vec![],
        };
        assert_eq!(judge(&probe, 0, "openjdk version \"17.0.21\"\n"), None);
        assert_eq!(judge(&probe, 1, "x\ny").unwrap(), "`java -version` ended with 1: x");
        assert_eq!(judge(&probe, 0, "openjdk 21").unwrap(), "`java -version` does not say `\"17.`: openjdk 21");
    }
}
