//! `tailrace cluster`: what can be asked of a cluster as a whole.

use clap::{Args, Subcommand};

use super::{BrokerArgs, group::TopicScope};

pub const EXAMPLES: &str = "\
Examples:
  tailrace cluster status                      the controller, the brokers, how far each is with the metadata
  tailrace cluster add-voter 4                 broker 4, which is running, gets a vote on the metadata
  tailrace cluster remove-voter 2              it loses it; to be done before a voter goes for good
  tailrace cluster unregister 2                a broker that does not come back is forgotten
  tailrace cluster reassign logs 0 1,2,4       partition 0 moves to brokers 1, 2 and 4; 1 is to lead
  tailrace cluster reassign logs 0 --cancel    stop a move that is under way
  tailrace cluster reassign logs 0 4,1 --throttle 10000000   the same at 10 MB a second at the most
  tailrace cluster reassignments               the moves under way; their throttle is taken off when there are none
  tailrace cluster elect                       leadership goes back to the preferred replicas";

#[derive(Subcommand, Debug)]
pub enum ClusterCommand {
    /// Show the controller, the brokers and the voters, and count what is not well
    ///
    /// A VOTER decides about the metadata, an OBSERVER follows it. LAG is how many of its records a broker lacks, CAUGHT
    /// UP how long ago it lacked none.
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Give a broker that is running a vote on the metadata
    AddVoter {
        #[command(flatten)]
        target: BrokerId,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Take a broker's vote on the metadata
    RemoveVoter {
        #[command(flatten)]
        target: BrokerId,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Forget a broker that does not come back
    Unregister {
        #[command(flatten)]
        target: BrokerId,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Move a partition to other brokers
    Reassign(ReassignArgs),
    /// List the moves under way, and take their throttle off when there are none
    Reassignments {
        /// Leave throttles as they are
        #[arg(long)]
        preserve_throttles: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Let the preferred replicas lead: of all partitions, or of those named
    Elect(ElectArgs),
}

#[derive(Args, Debug)]
pub struct BrokerId {
    /// The broker's node.id
    #[arg(value_name = "ID", value_parser = clap::value_parser!(i32).range(0..))]
    pub id: i32,
}

#[derive(Args, Debug)]
pub struct ReassignArgs {
    pub topic: String,
    #[arg(value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: i32,
    /// Brokers by their ids, divided by commas; the first is the preferred leader
    #[arg(value_name = "REPLICAS", value_delimiter = ',', num_args = 1, required_unless_present = "cancel")]
    #[arg(value_parser = clap::value_parser!(i32).range(0..))]
    pub replicas: Vec<i32>,
    /// Stop the move that is under way
    #[arg(long, conflicts_with = "replicas")]
    pub cancel: bool,
    /// Bytes a second that each broker sends and is sent for it at the most; until 'reassignments' finds that nothing moves
    #[arg(long, value_name = "BYTES", conflicts_with = "cancel", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    pub throttle: Option<u64>,
    #[command(flatten)]
    pub broker: BrokerArgs,
}

#[derive(Args, Debug)]
pub struct ElectArgs {
    /// TOPIC, or TOPIC:PARTITION,PARTITION [default: every partition that needs it]
    #[arg(value_name = "TOPIC")]
    pub topics: Vec<TopicScope>,
    /// Of partitions without a leader any replica that is alive, even if it lacks records: they are lost
    #[arg(long, requires = "topics")]
    pub unclean: bool,
    #[command(flatten)]
    pub broker: BrokerArgs,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn reassign(args: &[&str]) -> Option<(Vec<i32>, bool)> {
        let line = ["tailrace", "cluster", "reassign"].iter().chain(args);
        let cli = Cli::try_parse_from(line).ok()?;
        let Some(Command::Cluster { command: ClusterCommand::Reassign(args) }) = cli.command else {
            return None;
        };
        Some((args.replicas, args.cancel))
    }

    #[test]
    fn a_move_has_replicas_or_is_cancelled() {
        assert_eq!(reassign(&["t", "0", "3,1,2"]), Some((vec![3, 1, 2], false)));
        assert_eq!(reassign(&["t", "0", "--cancel"]), Some((vec![], true)));
        for bad in
            [&["t", "0"][..], &["t", "0", "1", "--cancel"], &["t", "0", "1,x"], &["t", "0", "-1"], &["t"]]
        {
            assert_eq!(reassign(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn nobody_loses_records_everywhere_at_once() {
        let parse =
            |args: &[&str]| Cli::try_parse_from(["tailrace", "cluster", "elect"].iter().chain(args)).is_ok();
        assert!(parse(&[]));
        assert!(parse(&["--unclean", "logs:0"]));
        assert!(!parse(&["--unclean"]));
    }
}
