//! The `reference` grammar of the distribution project.

/// The longest repository that registries take, the registry's own name excluded.
const REPOSITORY_LIMIT: usize = 255;

/// Splits `host:port`; a bracketed IPv6 address keeps its colons.
pub(super) fn split_port(registry: &str) -> (&str, Option<&str>) {
    match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    }
}

/// `host[:port]`. As in Docker's grammar, the first part of a name is only a registry when it
/// has a dot, a port, or is `localhost`; anything else would mean a path on a hub.
pub(super) fn is_registry(value: &str) -> bool {
    let (host, port) = split_port(value);
    let port_ok = port.is_none_or(|port| !port.starts_with('+') && port.parse::<u16>().is_ok_and(|number| number > 0));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let host_ok = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.len() <= 253 && host.split('.').all(label),
    };
    let named = host == "localhost" || host.contains('.') || host.starts_with('[') || port.is_some();
    port_ok && host_ok && named
}

/// `component(/component)*`, components being `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
pub(super) fn is_repository(value: &str) -> bool {
    !value.is_empty() && value.len() <= REPOSITORY_LIMIT && value.split('/').all(is_component)
}

fn is_component(value: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    value.starts_with(alphanumeric)
        && value.ends_with(alphanumeric)
        && value
            .split(alphanumeric)
            .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}
