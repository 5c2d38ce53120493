//! Containers: their labels, and how those that nobody waits for are found.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use tracing::Instrument as _;

use super::directory::is_let_go;

/// The label with the build's id.
pub const BUILD: &str = "slipway.build";

/// The label with the worker: see [`owner`].
const OWNER: &str = "slipway.owner";

/// The label with the Unix time after which nobody waits for the container.
const DEADLINE: &str = "slipway.deadline";

/// The label with the build's directory, which its worker holds locked.
pub const DIRECTORY: &str = "slipway.directory";

/// How often an Engine that did not remove a container is asked again, and the time between.
const TRIES: u32 = 1800;
const PAUSE: Duration = Duration::from_secs(1);

/// Some time for the Engine's own work before and after.
const SLACK: Duration = Duration::from_mins(10);

/// The labels of a container that a build of this process needs for so long.
#[must_use]
pub fn labels(build: &str, time: Duration) -> HashMap<String, String> {
    let deadline = crate::clock::since_epoch().saturating_add(time).saturating_add(SLACK);
    HashMap::from([
        (BUILD.to_owned(), build.to_owned()),
        (OWNER.to_owned(), owner()),
        (DEADLINE.to_owned(), deadline.as_secs().to_string()),
    ])
}

/// Removes a container by force and says whether it is gone. An Engine that is away is asked again in the background, since
/// it keeps the container while it restarts; what stays even so is for the next [`sweep`].
pub async fn remove(docker: &Docker, id: &str) -> bool {
    let Err(error) = try_remove(docker, id).await else { return true };
    tracing::warn!(container = id, %error, "cannot remove a container yet");
    tokio::spawn(remove_later(docker.clone(), id.to_owned()).in_current_span());
    false
}

async fn remove_later(docker: Docker, id: String) {
    for _ in 0..TRIES {
        tokio::time::sleep(PAUSE).await;
        if try_remove(&docker, &id).await.is_ok() {
            tracing::info!(container = id, "the container is removed now");
            return;
        }
    }
    tracing::error!(container = id, "a container stays behind until the next start");
}

async fn try_remove(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match docker.remove_container(id, Some(options)).await {
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        answer => answer,
    }
}

/// This process, told apart from any other that an Engine may serve: the machine's boot, the PID namespace, the PID
/// and when it was given (PIDs come again).
fn owner() -> String {
    let pid = std::process::id();
    format!("{}/{pid}/{}", place(), started(pid).unwrap_or_default())
}

/// Where PIDs mean the same as here.
fn place() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}/{}", boot.trim(), namespace.display())
}

/// When a process started, in ticks since the boot (`proc(5)`, field 22 of `stat`).
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    String::from_utf8_lossy(&stat).rsplit_once(')')?.1.split_ascii_whitespace().nth(19).map(str::to_owned)
}

/// Removes the containers of workers that are gone, and those past their time; says how many. Those of a living worker
/// stay.
///
/// # Errors
/// What the Engine answers to the question for containers.
pub async fn sweep(docker: &Docker) -> Result<usize, Error> {
    let filters = HashMap::from([("label", vec![OWNER])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let (mut removed, own) = (0, owner());
    let now = crate::clock::since_epoch().as_secs();
    for container in docker.list_containers(Some(options)).await? {
        let labels = container.labels.unwrap_or_default();
        if let Some(id) = container.id
            && left(&labels, &own, now)
            && remove(docker, &id).await
        {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether nobody waits for a container with these labels. Of a worker in another container, as the one before this was
/// that Compose made anew, the lock of the directory tells that they share; else only the deadline can.
fn left(labels: &HashMap<String, String>, own: &str, now: u64) -> bool {
    let owner = labels.get(OWNER).map_or("", String::as_str);
    if owner == own {
        return false;
    }
    let mut parts = owner.rsplitn(3, '/');
    let (start, pid, there) = (parts.next(), parts.next().and_then(|pid| pid.parse().ok()), parts.next());
    if let (Some(start), Some(pid), Some(there)) = (start, pid, there)
        && there == place()
    {
        return started(pid).as_deref() != Some(start);
    }
    if labels.get(DIRECTORY).is_some_and(|directory| is_let_go(Path::new(directory))) {
        return true;
    }
    labels.get(DEADLINE).and_then(|deadline| deadline.parse().ok()).is_none_or(|deadline: u64| deadline < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(owner: &str, deadline: &str) -> HashMap<String, String> {
        HashMap::from([(OWNER.to_owned(), owner.to_owned()), (DEADLINE.to_owned(), deadline.to_owned())])
    }

    #[test]
    fn only_what_nobody_waits_for_is_left() {
        let place = place();
        let parent = std::os::unix::process::parent_id();
        let parent = format!("{place}/{parent}/{}", started(parent).unwrap_or_default());
        assert!(!left(&labelled(&owner(), "0"), &owner(), 10), "our own");
        assert!(!left(&labelled(&parent, "0"), &owner(), 10), "a living one's");
        assert!(left(&labelled(&format!("{place}/{}/1", std::process::id()), "99"), &owner(), 10), "a PID given again");
        assert!(left(&labelled(&format!("{place}/4194305/1"), "99"), &owner(), 10), "a dead one's");
        assert!(!left(&labelled("boot/pid:[1]/1/1", "99"), &owner(), 10), "elsewhere, in its time");
        assert!(left(&labelled("boot/pid:[1]/1/1", "9"), &owner(), 10), "elsewhere, past its time");
        assert!(left(&labelled("", ""), &owner(), 10), "nobody's");

        let parent = tempfile::tempdir().unwrap();
        let own = super::super::OwnDirectory::create(parent.path(), "b1").unwrap();
        let elsewhere = |directory: &Path| {
            let mut labels = labelled("boot/pid:[1]/1/1", "99");
            labels.insert(DIRECTORY.to_owned(), directory.display().to_string());
            left(&labels, &owner(), 10)
        };
        assert!(!elsewhere(own.path()), "of a worker in another container that lives");
        assert!(!elsewhere(&parent.path().join("none")), "on another machine");
        let dead = parent.path().join("b2");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join(super::super::directory::LOCK), "").unwrap();
        assert!(elsewhere(&dead), "of a worker in another container that is dead");
    }
}
