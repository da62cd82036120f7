//! The cluster that a broker belongs to, as its file tells: who votes, where the others reach it, and by what they know
//! each other.

use model::BrokerId;

use super::{broker::ConfigError, listeners::parse_address};
use crate::metadata::Endpoint;

const VOTERS: &str = "controller.quorum.voters";
const LISTENER: &str = "cluster.listener";
const CERTIFICATES: &str = "cluster.certificates";

/// A broker and the UDP port of its shard 0; those of its other shards follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoterAddress {
    pub id: BrokerId,
    pub host: String,
    pub port: u16,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorum {
    /// Of a new cluster. Later the metadata log knows better who votes, and these are where to ask.
    pub voters: Vec<VoterAddress>,
    /// Where this broker is reached.
    pub listener: Endpoint,
    /// Folder of certificates.
    pub certificates: String,
}

impl Quorum {
    /// `None`: a broker alone.
    pub(super) fn read(
        broker: BrokerId,
        voters: &[String],
        listener: Option<&str>,
        certificates: Option<&str>,
    ) -> Result<Option<Self>, ConfigError> {
        let voters = voters.iter().map(|voter| parse_voter(voter)).collect::<Result<Vec<_>, _>>()?;
        if voters.iter().all(|voter| voter.id == broker) {
            return Ok(None);
        }
        for (n, voter) in voters.iter().enumerate() {
            if voters[..n].iter().any(|other| other.id == voter.id) {
                return Err(ConfigError::new(VOTERS, format!("names broker {} twice.", voter.id)));
            }
        }
        let own = voters.iter().find(|voter| voter.id == broker);
        let listener = match (listener, own) {
            (Some(text), _) => parse_address(LISTENER, text)?,
            (None, Some(own)) => parse_address(LISTENER, &format!("{}:{}", own.host, own.port))?,
            (None, None) => {
                let advice =
                    "is needed by a broker that is not in controller.quorum.voters, as in 10.0.0.4:9192.";
                return Err(ConfigError::new(LISTENER, advice));
            }
        };
        let Some(certificates) = certificates else {
            let advice = "is needed by a broker of a cluster; make the certificates with 'tailrace cert ca' and \
                          'tailrace cert node', and name their folder here.";
            return Err(ConfigError::new(CERTIFICATES, advice));
        };
        Ok(Some(Self { voters, listener, certificates: certificates.to_owned() }))
    }
}

fn parse_voter(text: &str) -> Result<VoterAddress, ConfigError> {
    let parse = || {
        let (id, address) = text.trim().split_once('@')?;
        let id = BrokerId(id.parse().ok().filter(|&id| id >= 0)?);
        let endpoint = parse_address(VOTERS, address).ok()?;
        let named = !endpoint.host.is_empty() && endpoint.port != 0;
        named.then_some(VoterAddress { id, host: endpoint.host, port: endpoint.port })
    };
    parse().ok_or_else(|| {
        ConfigError::new(VOTERS, format!("'{text}' is not id@host:port, as in 1@10.0.0.1:9192."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        voters: &str,
        listener: Option<&str>,
        certificates: Option<&str>,
    ) -> Result<Option<Quorum>, String> {
        let voters: Vec<String> = voters.split(',').filter(|v| !v.is_empty()).map(str::to_owned).collect();
        Quorum::read(BrokerId(1), &voters, listener, certificates).map_err(|error| error.sentence)
    }

    #[test]
    fn a_broker_alone_needs_nothing() {
        assert_eq!(read("", None, None), Ok(None));
        assert_eq!(read("1@localhost:9093", None, None), Ok(None));
    }

    #[test]
    fn a_voter_is_reached_where_the_others_look_for_it() {
        let quorum = read("1@a:1,2@b:2,3@[::1]:3", None, Some("certs")).unwrap().unwrap();
        assert_eq!((quorum.listener.host.as_str(), quorum.listener.port), ("a", 1));
        assert_eq!(quorum.voters[1], VoterAddress { id: BrokerId(2), host: "b".into(), port: 2 });
        let quorum = read("1@a:1,2@b:2", Some("0.0.0.0:7"), Some("certs")).unwrap().unwrap();
        assert_eq!((quorum.listener.host.as_str(), quorum.listener.port), ("0.0.0.0", 7));
    }

    #[test]
    fn what_is_missing_is_said() {
        assert!(read("1@a:1,2@b:2", None, None).unwrap_err().starts_with("cluster.certificates: is needed"));
        assert!(read("2@b:2,3@c:3", None, Some("x")).unwrap_err().starts_with("cluster.listener: is needed"));
        for bad in ["a:1", "x@a:1", "-1@a:1", "1@a", "1@:5", "1@a:0"] {
            assert!(read(bad, None, Some("x")).unwrap_err().contains("is not id@host:port"), "{bad}");
        }
        assert!(read("1@a:1,2@b:2,2@c:3", None, Some("x")).unwrap_err().contains("twice"));
    }
}
