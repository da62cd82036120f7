//! Listeners in Kafka's notation: `NAME://host:port`, separated by commas.

use std::collections::{BTreeMap, BTreeSet};

use super::{broker::ConfigError, value::parse_list};
use crate::metadata::{Endpoint, SecurityProtocol};

/// Security protocol by listener name, as `listener.security.protocol.map` says.
pub(super) type ProtocolMap = BTreeMap<String, SecurityProtocol>;

pub(super) fn parse_protocol_map(text: &str) -> Result<ProtocolMap, ConfigError> {
    const KEY: &str = "listener.security.protocol.map";
    let parse = |item: &str| {
        let (name, protocol) = item.split_once(':')?;
        Some((listener_name(name)?, protocol_by_name(protocol.trim())?))
    };
    let mut map = ProtocolMap::new();
    for item in parse_list(text) {
        let (name, protocol) = parse(item).ok_or_else(|| {
            let why = "is not NAME:PROTOCOL with one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL";
            ConfigError::new(KEY, format!("'{item}' {why}."))
        })?;
        if map.insert(name.clone(), protocol).is_some() {
            return Err(ConfigError::new(KEY, format!("names {name} twice; keep one of them.")));
        }
    }
    Ok(map)
}

/// `key` is the name for sentences. Names are unique; so are addresses, except that port 0 lets the kernel choose.
pub(super) fn parse_listeners(
    key: &'static str,
    text: &str,
    protocols: &ProtocolMap,
) -> Result<Vec<Endpoint>, ConfigError> {
    let mut endpoints: Vec<Endpoint> = vec![];
    let mut addresses = BTreeSet::new();
    for item in parse_list(text) {
        let (listener, host, port) = parse_listener(item).ok_or_else(|| {
            ConfigError::new(
                key,
                format!("'{item}' is not NAME://host:port, as in PLAINTEXT://localhost:9092."),
            )
        })?;
        let &protocol = protocols.get(&listener).ok_or_else(|| {
            let advice = "give it one in listener.security.protocol.map";
            ConfigError::new(key, format!("{listener} has no security protocol; {advice}."))
        })?;
        if endpoints.iter().any(|e| e.listener == listener) {
            return Err(ConfigError::new(
                key,
                format!("names {listener} twice; each listener needs its own name."),
            ));
        }
        if port != 0 && !addresses.insert((host.clone(), port)) {
            return Err(ConfigError::new(
                key,
                format!("uses {host}:{port} twice; each listener needs its own port."),
            ));
        }
        endpoints.push(Endpoint { listener, protocol, host, port });
    }
    Ok(endpoints)
}

/// HOST:PORT, for a listener that speaks no Kafka. Its name is that of its key.
pub(super) fn parse_address(key: &'static str, text: &str) -> Result<Endpoint, ConfigError> {
    let (_, host, port) = parse_listener(&format!("{key}://{}", text.trim()))
        .ok_or_else(|| ConfigError::new(key, format!("'{text}' is not host:port, as in 127.0.0.1:9644.")))?;
    Ok(Endpoint { listener: key.to_owned(), protocol: SecurityProtocol::Plaintext, host, port })
}

fn parse_listener(item: &str) -> Option<(String, String, u16)> {
    let (name, address) = item.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']')?,
        // A bare IPv6 address would be cut in the wrong place.
        None if host.contains(':') => return None,
        None => host,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:%".contains(c);
    if !host.chars().all(plain) {
        return None;
    }
    Some((listener_name(name)?, host.to_owned(), port.parse().ok()?))
}

fn listener_name(name: &str) -> Option<String> {
    let name = name.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_ascii_uppercase())
}

fn protocol_by_name(name: &str) -> Option<SecurityProtocol> {
    match name.to_ascii_uppercase().as_str() {
        "PLAINTEXT" => Some(SecurityProtocol::Plaintext),
        "SSL" => Some(SecurityProtocol::Ssl),
        "SASL_PLAINTEXT" => Some(SecurityProtocol::SaslPlaintext),
        "SASL_SSL" => Some(SecurityProtocol::SaslSsl),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<(String, String, u16)>, String> {
        let map = parse_protocol_map("PLAINTEXT:PLAINTEXT,SSL:SSL,OUT:SASL_SSL").unwrap();
        let endpoints = parse_listeners("listeners", text, &map).map_err(|e| e.to_string())?;
        Ok(endpoints.into_iter().map(|e| (e.listener, e.host, e.port)).collect())
    }

    #[test]
    fn listeners_are_read_as_kafka_reads_them() {
        let one = |name: &str, host: &str, port| Ok(vec![(name.to_owned(), host.to_owned(), port)]);
        assert_eq!(parse("PLAINTEXT://:9092"), one("PLAINTEXT", "", 9092));
        assert_eq!(parse(" plaintext://0.0.0.0:0 "), one("PLAINTEXT", "0.0.0.0", 0));
        assert_eq!(parse("OUT://[::1]:9094"), one("OUT", "::1", 9094));
        assert_eq!(parse("PLAINTEXT://a.b-c:1,SSL://a.b-c:2").unwrap().len(), 2);
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn what_is_no_listener_is_told_with_the_notation() {
        for bad in [
            "localhost:9092",
            "PLAINTEXT://localhost",
            "PLAINTEXT://::1:9092",
            "://a:1",
            "PLAINTEXT://a:70000",
            "PLAINTEXT://a b:1",
            "PLAINTEXT://[::1:9092",
            "PLAINTEXT://a:1,",
        ] {
            assert!(parse(bad).unwrap_err().contains("NAME://host:port"), "{bad}");
        }
        assert!(parse("IN://a:1").unwrap_err().contains("listener.security.protocol.map"));
        assert!(parse("SSL://a:1,SSL://a:2").unwrap_err().contains("twice"));
        assert!(parse("SSL://a:1,PLAINTEXT://a:1").unwrap_err().contains("twice"));
        assert!(
            parse_address("metrics.listener", "PLAINTEXT://a:1")
                .unwrap_err()
                .to_string()
                .contains("host:port")
        );
        assert!(parse_address("metrics.listener", "9644").is_err());
        assert!(parse_protocol_map("A:TLS").is_err());
        assert!(parse_protocol_map("A:SSL,a:SSL").is_err());
    }
}
