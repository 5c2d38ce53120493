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

/// Makes the bridge network unless it is there, and closes the link-local addresses to it as far as possible.
///
/// Containers on it do not see each other. What the bridge's host offers on its addresses, they do see.
pub(super) async fn ensure(docker: &Docker, name: &str) -> Result<(), Failure> {
    match docker.inspect_network(name, None::<InspectNetworkOptions>).await {
        Ok(_) => {}
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => create(docker, name).await?,
        Err(error) => return Err(engine(&error)),
    }
    if let Err(error) = deny_link_local(name).await {
        tracing::warn!(network = name, %error, "builds can reach link-local addresses ({LINK_LOCAL}); block them in the host's firewall");
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

/// Rejects what containers of the network send to link-local addresses: a rule in the chain `DOCKER-USER`, which the
/// Engine leaves to the operator. Does nothing when the rule is there. The rule lasts until the firewall is reset.
///
/// # Errors
/// When `iptables` is missing or refuses, as it does without root, or when the Engine is on another machine.
pub async fn deny_link_local(network: &str) -> io::Result<()> {
    let interface = interface(network);
    let rule = ["DOCKER-USER", "-i", &interface, "-d", LINK_LOCAL, "-j", "REJECT"];
    let iptables = async |action: &str| {
        let args = ["-w", action].into_iter().chain(rule);
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
