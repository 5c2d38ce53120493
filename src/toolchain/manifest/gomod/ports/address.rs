//! Addresses that a program listens on.

/// Host and port of `:8080`, `0.0.0.0:8080`, `localhost:8080`, and of no other host; of several beside one another
/// (`127.0.0.1:25 [::1]:25`, `:80,:443`) the first that more than the machine itself reaches.
pub(in crate::toolchain::manifest::gomod) fn address(text: &str) -> Option<(&str, u16)> {
    let each = text.split([' ', ',']).filter(|one| !one.is_empty()).map(one_address);
    let all = each.collect::<Option<Vec<_>>>()?;
    all.iter().find(|(host, _)| !is_loopback(host)).or(all.first()).copied()
}

fn one_address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let own = host.is_empty() || ["0.0.0.0", "[::]", "*"].contains(&host) || is_loopback(host);
    let port = port.parse().ok().filter(|port| *port > 0)?;
    own.then_some((host, port))
}

pub(in crate::toolchain::manifest::gomod) fn is_loopback(host: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].contains(&host)
}
