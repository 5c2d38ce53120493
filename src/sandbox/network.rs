//! The network of commands that need registries.

use std::collections::HashMap;
use std::io;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::InspectNetworkOptions;
use tokio_util::sync::CancellationToken;

use super::engine;
use crate::model::failure::Failure;
use crate::process::{Program, capture};

/// The most characters of a network interface's name (`IFNAMSIZ` less its end).
const INTERFACE_LENGTH: usize = 15;

/// Addresses of the link alone, where clouds keep their metadata services with credentials (RFC 3927).
const LINK_LOCAL: &str = "169.254.0.0/16";

/// Makes the bridge network unless it is there, and closes what no build may reach to it, as far as possible: the
/// link-local addresses and `closed`, each `host:port` or a range of addresses (`10.1.0.0/16`).
///
/// Containers on it do not see each other. What else the bridge's host offers on its addresses, they do see.
pub(super) async fn ensure(docker: &Docker, name: &str, closed: &[String]) -> Result<(), Failure> {
    match docker.inspect_network(name, None::<InspectNetworkOptions>).await {
        Ok(_) => {}
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => create(docker, name).await?,
        Err(error) => return Err(engine(&error)),
    }
    for place in std::iter::once(LINK_LOCAL).chain(closed.iter().map(String::as_str)) {
        if let Err(error) = deny(name, place).await {
            tracing::warn!(network = name, %error, "builds can reach `{place}`; close it in the host's firewall");
        }
    }
    Ok(())
}

async fn create(docker: &Docker, name: &str) -> Result<(), Failure> {
    let options = [
        ("com.docker.network.bridge.name", interface(name)),
        ("com.docker.network.bridge.enable_icc", "false".to_owned()),
    ];
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        options: Some(options.map(|(key, value)| (key.to_owned(), value)).into()),
        labels: Some(HashMap::from([("slipway.network".to_owned(), String::new())])),
        ..NetworkCreateRequest::default()
    };
    match docker.create_network(request).await {
        // Another worker may have been faster.
        Ok(_) | Err(Error::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
        Err(error) => Err(engine(&error)),
    }
}

fn interface(network: &str) -> String {
    network.chars().take(INTERFACE_LENGTH).collect()
}

/// Rejects what containers of the network send to a place: rules in the chain `DOCKER-USER`, which the Engine leaves to
/// the operator, and in `INPUT` for what this machine offers itself. Does nothing where a rule is there. Rules last until
/// the firewall is reset.
///
/// # Errors
/// When a host has no address, when `iptables` is missing or refuses, as it does without root, or when the Engine is on
/// another machine.
async fn deny(network: &str, place: &str) -> io::Result<()> {
    let interface = interface(network);
    for (chains, destination) in destinations(place).await? {
        for chain in chains {
            let mut rule = vec![*chain, "-i", &interface];
            rule.extend(destination.iter().map(String::as_str));
            rule.extend(["-j", "REJECT"]);
            reject(&rule).await?;
        }
    }
    Ok(())
}

/// What containers send on to others, and what they send to this machine.
const EVERYWHERE: &[&str] = &["DOCKER-USER", "INPUT"];

/// A place as `iptables` names it, with the chains that have to know it. Addresses of IPv6 are left out: the network has
/// none. What is named by an address of this machine alone may listen on all of them, the bridge's gateway too: its port
/// is closed on each.
async fn destinations(place: &str) -> io::Result<Vec<(&'static [&'static str], Vec<String>)>> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    if place.contains('/') {
        return Ok(vec![(EVERYWHERE, words(&["-d", place]))]);
    }
    let mut found = Vec::new();
    for address in tokio::net::lookup_host(place).await? {
        let (ip, port) = (address.ip(), address.port().to_string());
        if ip.is_loopback() || ip.is_unspecified() {
            found.push((&["INPUT"][..], words(&["-p", "tcp", "--dport", &port])));
        } else if ip.is_ipv4() {
            found.push((EVERYWHERE, words(&["-d", &ip.to_string(), "-p", "tcp", "--dport", &port])));
        }
    }
    Ok(found)
}

/// Adds a rule before all others, once.
async fn reject(rule: &[&str]) -> io::Result<()> {
    let iptables = async |action: &str| {
        // `-C CHAIN rule`: the chain comes first in a rule.
        let args = ["-w", action].into_iter().chain(rule.iter().copied());
        capture(&Program::new("iptables", args), &CancellationToken::new()).await
    };
    if iptables("-C").await?.success() {
        return Ok(());
    }
    let inserted = iptables("-I").await?;
    if inserted.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&inserted.stderr).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_this_machine_offers_itself_is_closed_on_all_of_its_addresses() {
        let rules = async |place: &str| {
            let found = destinations(place).await.unwrap().into_iter();
            found.map(|(chains, words)| format!("{chains:?} {}", words.join(" "))).collect::<Vec<_>>()
        };
        for place in ["127.0.0.1:5672", "0.0.0.0:5672", "[::1]:5672", "[::]:5672"] {
            assert_eq!(rules(place).await, ["[\"INPUT\"] -p tcp --dport 5672"], "{place}");
        }
        let both = "[\"DOCKER-USER\", \"INPUT\"]";
        assert_eq!(rules("10.1.2.3:5432").await, [format!("{both} -d 10.1.2.3 -p tcp --dport 5432")]);
        assert_eq!(rules("10.20.0.0/16").await, [format!("{both} -d 10.20.0.0/16")]);
        assert!(rules("[2001:db8::1]:5432").await.is_empty());
    }
}
