//! Containers that their worker left behind.

use std::collections::HashMap;

use bollard::Docker;
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::{engine, remove};
use crate::model::failure::Failure;

/// The label with the worker's [`owner`].
pub(super) const OWNER: &str = "slipway.owner";

/// The label with the Unix time after which nobody waits for the container.
pub(super) const DEADLINE: &str = "slipway.deadline";

/// This process, told apart from any other that an Engine may serve: the machine's boot, the PID namespace, the PID
/// and when it was given (PIDs come again).
pub(super) fn owner() -> String {
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

/// Removes left containers and says how many.
pub(super) async fn sweep(docker: &Docker, own: &str) -> Result<usize, Failure> {
    let filters = HashMap::from([("label", vec![OWNER])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let mut removed = 0;
    let now = crate::clock::since_epoch().as_secs();
    for container in docker.list_containers(Some(options)).await.map_err(|error| engine(&error))? {
        let labels = container.labels.unwrap_or_default();
        if let Some(id) = container.id
            && left(&labels, own, now)
            && remove(docker, &id).await
        {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether nobody waits for a container with these labels. Of a worker on another machine, or in another container,
/// only the deadline can tell.
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
    labels.get(DEADLINE).and_then(|deadline| deadline.parse().ok()).is_none_or(|deadline: u64| deadline < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(owner: &str, deadline: &str) -> HashMap<String, String> {
        HashMap::from([(OWNER.to_owned(), owner.to_owned()), (DEADLINE.to_owned(), deadline.to_owned())])
    }

    #[test]
    fn only_what_nobody_waits_for_is_left() {
        let place = place();
        let parent = std::os::unix::process::parent_id();
        let parent = format!("{place}/{parent}/{}", started(parent).unwrap_or_default());
        assert!(!left(&labels(&owner(), "0"), &owner(), 10), "our own");
        assert!(!left(&labels(&parent, "0"), &owner(), 10), "a living one's");
        assert!(left(&labels(&format!("{place}/{}/1", std::process::id()), "99"), &owner(), 10), "a PID given again");
        assert!(left(&labels(&format!("{place}/4194305/1"), "99"), &owner(), 10), "a dead one's");
        assert!(!left(&labels("boot/pid:[1]/1/1", "99"), &owner(), 10), "elsewhere, in its time");
        assert!(left(&labels("boot/pid:[1]/1/1", "9"), &owner(), 10), "elsewhere, past its time");
        assert!(left(&labels("", ""), &owner(), 10), "nobody's");
    }
}
