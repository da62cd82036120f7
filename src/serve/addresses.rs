//! From listeners to socket addresses that are free. The shards bind them with SO_REUSEPORT, which would share a port
//! with any other broker of the same user in silence; so each is claimed once without it first.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs},
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};
use coordinator::{BrokerConfig, metadata::Endpoint};

/// One listener and the addresses that every shard binds for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    pub listener: String,
    pub addresses: Vec<SocketAddr>,
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://", self.listener)?;
        for (i, address) in self.addresses.iter().enumerate() {
            write!(f, "{}{address}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

const BIND_PATIENCE: Duration = Duration::from_secs(3);
const BIND_PAUSE: Duration = Duration::from_millis(5);

/// The command line's name for the listeners of clients, and for that of metrics.
const LISTEN: &str = "--listen";
const METRICS: &str = "--metrics";

/// Checks that every address is free, and puts the ports that the kernel chose (for port 0) into the configuration.
pub fn claim(config: &mut BrokerConfig) -> anyhow::Result<Vec<Bound>> {
    let mut bound = Vec::new();
    for listener in &mut config.listeners {
        let addresses = claim_listener(listener, LISTEN)?;
        let port = addresses[0].port();
        let advertised = config.advertised_listeners.iter_mut();
        advertised.filter(|a| a.listener == listener.listener && a.port == 0).for_each(|a| a.port = port);
        listener.port = port;
        bound.push(Bound { listener: listener.listener.clone(), addresses });
    }
    Ok(bound)
}

/// The same for the listener of metrics, if there is to be one.
pub fn claim_metrics(config: &mut BrokerConfig) -> anyhow::Result<Vec<SocketAddr>> {
    let Some(listener) = &mut config.metrics_listener else { return Ok(vec![]) };
    let addresses = claim_listener(listener, METRICS)?;
    listener.port = addresses[0].port();
    Ok(addresses)
}

/// Where to receive from other brokers: the first address of the name, every interface without one.
pub fn resolve(listener: &Endpoint, option: &str) -> anyhow::Result<SocketAddr> {
    let ips = candidates(listener, option)?;
    let ip = ips.first().ok_or_else(|| anyhow!("{option}: the name {} has no address", listener.host))?;
    Ok(SocketAddr::new(*ip, listener.port))
}

/// `option` is what sentences advise to change.
fn claim_listener(listener: &Endpoint, option: &str) -> anyhow::Result<Vec<SocketAddr>> {
    let mut claimed: Vec<SocketAddr> = Vec::new();
    let mut unavailable = None;
    for ip in candidates(listener, option)? {
        let port = claimed.first().map_or(listener.port, SocketAddr::port);
        match bind_patiently(ip, port).and_then(|socket| socket.local_addr()) {
            Ok(address) => claimed.push(address),
            // A machine without IPv6 has names that resolve to it all the same.
            Err(error) if is_unavailable(&error) => unavailable = Some(refused(listener, &error, option)),
            Err(error) => return Err(refused(listener, &error, option)),
        }
    }
    match unavailable {
        Some(error) if claimed.is_empty() => Err(error),
        _ if claimed.is_empty() => {
            bail!("the name {} has no address; choose another with {option}", listener.host)
        }
        _ => Ok(claimed),
    }
}

/// A broker that was killed an instant ago is gone, but the kernel lets go of its ring, and with it of its listening
/// sockets, only a little later: an address in use is asked for again before it is believed.
fn bind_patiently(ip: IpAddr, port: u16) -> io::Result<TcpListener> {
    let deadline = Instant::now() + BIND_PATIENCE;
    loop {
        match TcpListener::bind((ip, port)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(BIND_PAUSE);
            }
            done => return done,
        }
    }
}

/// No host is every interface, a name is all its addresses: a client may resolve it to any of them.
fn candidates(listener: &Endpoint, option: &str) -> anyhow::Result<Vec<IpAddr>> {
    if listener.host.is_empty() {
        return Ok(vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]);
    }
    let host = listener.host.trim_matches(['[', ']']);
    let resolved = (host, listener.port).to_socket_addrs();
    let resolved =
        resolved.map_err(|e| anyhow!("cannot resolve the name {host}: {e}; choose another with {option}"))?;
    let mut ips: Vec<IpAddr> = Vec::new();
    for address in resolved {
        if !ips.contains(&address.ip()) {
            ips.push(address.ip());
        }
    }
    Ok(ips)
}

fn is_unavailable(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || error.kind() == ErrorKind::Unsupported
}

fn refused(listener: &Endpoint, error: &io::Error, option: &str) -> anyhow::Error {
    let host = if listener.host.is_empty() { "*" } else { &listener.host };
    let address = format!("{host}:{}", listener.port);
    match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow!(
                "{address} is in use by another process; stop it, or choose another address with {option}"
            )
        }
        ErrorKind::AddrNotAvailable => {
            anyhow!("{address} is no address of this machine; choose another with {option}")
        }
        ErrorKind::PermissionDenied => {
            anyhow!("this user may not listen on {address}; choose a port above 1023 with {option}")
        }
        _ => anyhow!("cannot listen on {address}: {error}; choose another address with {option}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listeners: &str) -> BrokerConfig {
        BrokerConfig::parse([("listeners", listeners)]).unwrap()
    }

    #[test]
    fn the_kernel_s_choice_of_a_port_is_advertised() {
        let mut config = config("PLAINTEXT://127.0.0.1:0");
        let bound = claim(&mut config).unwrap();
        let port = bound[0].addresses[0].port();
        assert_ne!(port, 0);
        assert_eq!((config.listeners[0].port, config.advertised_listeners[0].port), (port, port));
        assert_eq!(bound[0].to_string(), format!("PLAINTEXT://127.0.0.1:{port}"));
    }

    #[test]
    fn a_port_in_use_is_one_sentence() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap();
        let error = claim(&mut config(&format!("PLAINTEXT://{address}"))).unwrap_err();
        let expected = format!(
            "{address} is in use by another process; stop it, or choose another address with --listen"
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn every_interface_has_both_families_on_one_port() {
        let bound = claim(&mut config("PLAINTEXT://:0")).unwrap();
        let addresses = &bound[0].addresses;
        assert!(addresses.iter().all(|a| a.ip().is_unspecified() && a.port() == addresses[0].port()));
        assert!(addresses.iter().any(SocketAddr::is_ipv4));
    }

    #[test]
    fn a_foreign_address_is_refused() {
        let error = claim(&mut config("PLAINTEXT://192.0.2.1:9092")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "192.0.2.1:9092 is no address of this machine; choose another with --listen"
        );
    }
}
