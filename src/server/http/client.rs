//! Who asks: the other end of a connection, or whom a proxy speaks for.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::HeaderMap;

use crate::config::Network;

/// Who a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// Who a request comes from.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Client(pub(in crate::server) IpAddr);

/// Who asks.
pub(super) fn of(request: &Request, trusted: &[Network]) -> Option<Client> {
    let Peer(peer) = request.extensions().get::<Peer>().copied()?;
    Some(Client(said(request.headers(), peer, trusted)))
}

/// A proxy on this machine, or one that the operator names, says whom it speaks for; nobody else is believed. Each proxy
/// adds at the end, so the last one that is no proxy of ours is the one.
fn said(headers: &HeaderMap, peer: IpAddr, trusted: &[Network]) -> IpAddr {
    let believed = |address: IpAddr| address.is_loopback() || trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let lines = headers.get_all("x-forwarded-for");
    let said = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    for text in said {
        let Some(address) = address(text.trim()).filter(|_| believed(client)) else { break };
        client = address;
    }
    client
}

/// An address; some proxies add its port.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proxies_of_ours_are_believed() {
        let trusted = [Network::try_from("10.0.0.0/8".to_owned()).unwrap()];
        for (peer, lines, client) in [
            ("127.0.0.1", &[][..], "127.0.0.1"),
            ("127.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("192.0.2.9", &["192.0.2.1"], "192.0.2.9"),
            ("10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            // What the client itself says comes before what the proxies saw.
            ("10.0.0.1", &["198.51.100.1, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.1", "192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["192.0.2.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.3"], "10.0.0.3"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            assert_eq!(said(&headers, peer.parse().unwrap(), &trusted).to_string(), client, "{peer}: {lines:?}");
        }
    }
}
