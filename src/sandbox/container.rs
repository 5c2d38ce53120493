//! What the Engine is told to create.

use std::collections::HashMap;
use std::path::{Component, Path};

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits};

use super::Settings;
use super::ownership::{HOME, Identity};
use crate::leftovers::containers;
use crate::model::command::{Command, Network};
use crate::model::failure::{Failure, FailureCode};

/// The container of a command. The hostname is fixed, since tools write it into artifacts.
///
/// # Errors
/// `configuration_invalid` when a mount's target is no absolute path, or would hide what the sandbox itself needs.
pub(super) fn body(
    command: &Command,
    settings: &Settings,
    identity: Identity,
    passwd: &Path,
) -> Result<ContainerCreateBody, Failure> {
    if command.argv.is_empty() {
        return Err(Failure::new(FailureCode::Internal, "a command without a program"));
    }
    let mut env = command.env.clone();
    env.entry("HOME".to_owned()).or_insert_with(|| HOME.to_owned());
    Ok(ContainerCreateBody {
        image: Some(command.image.clone()),
        // An image's own entrypoint is none of ours.
        entrypoint: Some(Vec::new()),
        cmd: Some(command.argv.clone()),
        user: Some(identity.to_string()),
        working_dir: Some(command.workdir.display().to_string()),
        hostname: Some("slipway".to_owned()),
        env: Some(env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(labels(command)),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        host_config: Some(host_config(command, settings, identity, passwd)?),
        ..ContainerCreateBody::default()
    })
}

fn labels(command: &Command) -> HashMap<String, String> {
    let mut labels = containers::labels(&command.build, command.limits.timeout);
    labels.insert("slipway.step".to_owned(), command.step.name().to_owned());
    if let Some(directory) = command.workspace.parent() {
        labels.insert(containers::DIRECTORY.to_owned(), directory.display().to_string());
    }
    labels
}

fn host_config(
    command: &Command,
    settings: &Settings,
    identity: Identity,
    passwd: &Path,
) -> Result<HostConfig, Failure> {
    let limits = &command.limits;
    let memory = i64::try_from(limits.memory).unwrap_or(i64::MAX);
    // Pages of a tmpfs count as the container's memory, so more than its memory would only be killed.
    let (temporary, home) = (limits.memory / 2, limits.memory / 4);
    let owner = format!("uid={},gid={}", identity.uid, identity.gid);
    Ok(HostConfig {
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(true),
        init: Some(true),
        network_mode: Some(match command.network {
            Network::None => "none".to_owned(),
            Network::Bridge => settings.network.clone(),
            Network::Host => "host".to_owned(),
        }),
        // The default is `noexec`, and tools run what they unpack there.
        tmpfs: Some(HashMap::from([
            ("/tmp".to_owned(), format!("rw,nosuid,nodev,exec,size={temporary},mode=1777")),
            (HOME.to_owned(), format!("rw,nosuid,nodev,exec,size={home},mode=0700,{owner}")),
        ])),
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(i64::try_from(limits.millicpus.saturating_mul(1_000_000)).unwrap_or(i64::MAX)),
        pids_limit: Some(limits.processes),
        ulimits: Some(vec![ulimit("nofile", settings.open_files), ulimit("core", 0)]),
        // Output goes through the attachment; the Engine's own logs would cost ten times the time, and disk.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: Some(HashMap::new()) }),
        mounts: Some(mounts(command, passwd)?),
        // Or the state, which tells about memory, would be gone with the container.
        auto_remove: Some(false),
        ..HostConfig::default()
    })
}

fn ulimit(name: &str, value: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(value), hard: Some(value) }
}

/// Binds as `Mounts`: a missing source of the older `Binds` would become a directory of root's on the host.
fn mounts(command: &Command, passwd: &Path) -> Result<Vec<Mount>, Failure> {
    let mut mounts =
        vec![bind(passwd, Path::new("/etc/passwd"), true), bind(&command.workspace, Path::new("/workspace"), false)];
    for cache in &command.caches {
        mounts.push(bind(&cache.source, checked(&cache.target)?, false));
    }
    for file in &command.files {
        mounts.push(bind(&file.source, checked(&file.target)?, true));
    }
    Ok(mounts)
}

fn checked(target: &Path) -> Result<&Path, Failure> {
    let plain = target.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    let taken = ["/", "/workspace", "/etc/passwd", "/tmp", HOME].map(Path::new).contains(&target);
    let kernel = ["/proc", "/sys", "/dev"].iter().any(|directory| target.starts_with(directory));
    if target.is_absolute() && plain && !taken && !kernel {
        return Ok(target);
    }
    let text = format!("nothing can be mounted at `{}` in a sandbox", target.display());
    Err(Failure::new(FailureCode::ConfigurationInvalid, text))
}

fn bind(source: &Path, target: &Path, read_only: bool) -> Mount {
    Mount {
        source: Some(source.display().to_string()),
        target: Some(target.display().to_string()),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_that_would_open_the_sandbox_are_refused() {
        for bad in ["/", "cache", "/a/../etc/passwd", "/etc/passwd", "/proc/sys", "/workspace", "/tmp", HOME] {
            assert!(checked(Path::new(bad)).is_err(), "{bad}");
        }
        for good in ["/cache/m2", "/etc/ssl/certs/ca-certificates.crt", "/workspace/target", "/tmp/home/settings.xml"] {
            assert!(checked(Path::new(good)).is_ok(), "{good}");
        }
    }
}
