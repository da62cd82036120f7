//! The names in a broker's certificate: which broker it is, and of which cluster.
//!
//! ```text
//!   broker-3.tailrace                                        the broker with node.id 3
//!   cluster-0123456789abcdef0123456789abcdef.tailrace        the cluster, its 16 bytes as hex
//! ```
//! DNS names, because that is what every tool can put into a certificate (subjectAltName). Hex, because DNS has no
//! case and Kafka's base64 has. A cluster's CA has the second name alone.

use model::{BrokerId, TopicId};

const DOMAIN: &str = ".tailrace";
const BROKER: &str = "broker-";
const CLUSTER: &str = "cluster-";

/// Why the names of a certificate do not say who it is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NamesError {
    #[error("names no broker (a DNS name broker-N.tailrace)")]
    NoBroker,
    #[error("names more than one broker")]
    ManyBrokers,
    #[error("names no cluster (a DNS name cluster-HEX.tailrace)")]
    NoCluster,
    #[error("names more than one cluster")]
    ManyClusters,
}

/// A cluster's id: 16 bytes, 22 characters of Kafka's base64 for people, hex in certificates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClusterId(TopicId);

impl ClusterId {
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(TopicId(bytes))
    }

    /// `None` unless this is how Kafka writes 16 bytes: another text would come back from a certificate changed.
    pub fn parse(text: &str) -> Option<Self> {
        TopicId::from_base64(text).filter(|id| id.to_string() == text).map(Self)
    }

    pub fn dns_name(self) -> String {
        format!("{CLUSTER}{:032x}{DOMAIN}", u128::from_be_bytes(self.0.0))
    }

    fn from_dns_name(name: &str) -> Option<Self> {
        let hex = name.strip_prefix(CLUSTER)?.strip_suffix(DOMAIN)?;
        let is_hex = hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let bits = is_hex.then(|| u128::from_str_radix(hex, 16).ok())??;
        Some(Self::from_bytes(bits.to_be_bytes()))
    }
}

impl std::fmt::Display for ClusterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

pub fn broker_dns_name(broker: BrokerId) -> String {
    format!("{BROKER}{broker}{DOMAIN}")
}

fn broker_of_dns_name(name: &str) -> Option<BrokerId> {
    let digits = name.strip_prefix(BROKER)?.strip_suffix(DOMAIN)?;
    let broker = BrokerId(digits.parse().ok()?);
    // One name a broker: no sign, no leading zero.
    (broker.0 >= 0 && broker_dns_name(broker) == name).then_some(broker)
}

/// The broker and the cluster among the names of a certificate. Other names are none of our business.
pub fn broker_and_cluster<'a>(
    names: impl Iterator<Item = &'a str>,
) -> Result<(BrokerId, ClusterId), NamesError> {
    let names: Vec<String> = names.map(str::to_ascii_lowercase).collect();
    let cluster = cluster(names.iter().map(String::as_str))?;
    let brokers = names.iter().filter_map(|name| broker_of_dns_name(name));
    let broker = only(brokers, NamesError::NoBroker, NamesError::ManyBrokers)?;
    Ok((broker, cluster))
}

/// The cluster among the names of a certificate, as of a CA.
pub fn cluster<'a>(names: impl Iterator<Item = &'a str>) -> Result<ClusterId, NamesError> {
    let clusters = names.filter_map(|name| ClusterId::from_dns_name(&name.to_ascii_lowercase()));
    only(clusters, NamesError::NoCluster, NamesError::ManyClusters)
}

fn only<T: PartialEq>(
    mut found: impl Iterator<Item = T>,
    none: NamesError,
    many: NamesError,
) -> Result<T, NamesError> {
    let first = found.next().ok_or(none)?;
    if found.all(|other| other == first) { Ok(first) } else { Err(many) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "qrvM3e7_ABEiM0RVZneImQ";
    const NAME: &str = "cluster-aabbccddeeff00112233445566778899.tailrace";

    #[test]
    fn a_cluster_id_survives_its_dns_name() {
        let id = ClusterId::parse(ID).unwrap();
        assert_eq!((id.dns_name().as_str(), id.to_string().as_str()), (NAME, ID));
        for n in 0..200u8 {
            let id =
                ClusterId::from_bytes(std::array::from_fn(|i| n.wrapping_mul(31).wrapping_add(i as u8 * 17)));
            assert_eq!(ClusterId::from_dns_name(&id.dns_name()), Some(id));
            assert_eq!(ClusterId::parse(&id.to_string()), Some(id));
        }
    }

    #[test]
    fn a_text_that_would_come_back_changed_is_no_cluster_id() {
        // The last character carries two bits only; R is Q with others set.
        for bad in
            ["", "short", "qrvM3e7_ABEiM0RVZneImR", "qrvM3e7_ABEiM0RVZneIm*", "qrvM3e7_ABEiM0RVZneImQ="]
        {
            assert_eq!(ClusterId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_certificate_names_one_broker_of_one_cluster() {
        fn check(names: &[&str], expected: Result<i32, NamesError>) {
            let found = broker_and_cluster(names.iter().copied());
            assert_eq!(found.map(|(broker, _)| broker.0), expected, "{names:?}");
        }
        check(&["broker-3.tailrace", NAME], Ok(3));
        check(&["logs.example.org", NAME, "BROKER-3.tailrace"], Ok(3));
        check(&["broker-3.tailrace", NAME, "broker-3.tailrace", NAME], Ok(3));
        check(&["broker-2147483647.tailrace", NAME], Ok(i32::MAX));
        check(&[NAME], Err(NamesError::NoBroker));
        for bad in
            ["broker--1", "broker-03", "broker-+3", "broker-", "broker-2147483648", "xbroker-3", "broker-3.x"]
        {
            check(&[&format!("{bad}.tailrace"), NAME], Err(NamesError::NoBroker));
        }
        check(&["broker-3.tailrace.example.org", NAME], Err(NamesError::NoBroker));
        check(&["broker-3.tailrace"], Err(NamesError::NoCluster));
        for bad in ["cluster-", "cluster-00", "cluster-+abbccddeeff00112233445566778899"] {
            check(&["broker-3.tailrace", &format!("{bad}.tailrace")], Err(NamesError::NoCluster));
        }
        check(&["broker-3.tailrace", "broker-4.tailrace", NAME], Err(NamesError::ManyBrokers));
        let other = ClusterId::from_bytes([7; 16]).dns_name();
        check(&["broker-3.tailrace", NAME, &other], Err(NamesError::ManyClusters));
    }
}
