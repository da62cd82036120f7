//! `tailrace group`: what can be asked of groups.

use clap::{ArgGroup, Args, Subcommand};

use super::BrokerArgs;
use crate::client::time::{Datetime, Span};

pub const EXAMPLES: &str = "\
Examples:
  tailrace group list                               every group, its state and how many are in it
  tailrace group describe readers                   how far it is, in records and in time
  tailrace group describe --all --json              the same of all groups, for machines
  tailrace group reset-offsets readers --topic logs --to-earliest            what would change
  tailrace group reset-offsets readers --topic logs --to-earliest --execute  change it
  tailrace group reset-offsets readers --topic logs:0,3 --by-duration PT2H   two hours back
  tailrace group delete readers";

#[derive(Subcommand, Debug)]
pub enum GroupCommand {
    /// List the groups: type, state, members
    List {
        /// Only groups in this state; may be given several times
        #[arg(long = "state", value_name = "STATE")]
        states: Vec<String>,
        /// Only groups of this type, classic or consumer; may be given several times
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Show what groups have committed, how far behind they are, and who reads what
    #[command(group = ArgGroup::new("which").required(true))]
    Describe(DescribeArgs),
    /// Move the offsets of a group that nobody is in (shows what it would do; --execute does it)
    #[command(group = ArgGroup::new("where").required(true))]
    #[command(group = ArgGroup::new("what").required(true).args(["topics", "all_topics", "from_file"]))]
    ResetOffsets(ResetArgs),
    /// Delete groups that nobody is in, with all they have committed
    Delete {
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Forget what a group has committed for topics it does not read
    DeleteOffsets {
        group: String,
        /// TOPIC, or TOPIC:PARTITION,PARTITION; may be given several times
        #[arg(long = "topic", value_name = "TOPIC", required = true)]
        topics: Vec<TopicScope>,
        #[command(flatten)]
        broker: BrokerArgs,
    },
}

#[derive(Args, Debug)]
pub struct DescribeArgs {
    #[arg(value_name = "GROUP", group = "which")]
    pub groups: Vec<String>,
    /// All groups
    #[arg(long, group = "which")]
    pub all: bool,
    /// The members and what they read, instead of offsets (with --offsets: as well)
    #[arg(long)]
    pub members: bool,
    /// Offsets and lag [the default]
    #[arg(long)]
    pub offsets: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub broker: BrokerArgs,
}

#[derive(Args, Debug)]
pub struct ResetArgs {
    pub group: String,
    /// TOPIC, or TOPIC:PARTITION,PARTITION; may be given several times
    #[arg(long = "topic", value_name = "TOPIC", conflicts_with = "all_topics")]
    pub topics: Vec<TopicScope>,
    /// Every topic that the group has committed for
    #[arg(long)]
    pub all_topics: bool,
    /// To the first record there is
    #[arg(long, group = "where")]
    pub to_earliest: bool,
    /// Behind the last record there is
    #[arg(long, group = "where")]
    pub to_latest: bool,
    /// To this offset, or to the end of the log that is nearest
    #[arg(long, value_name = "N", group = "where", value_parser = clap::value_parser!(i64).range(0..))]
    pub to_offset: Option<i64>,
    /// So many records on, or back (negative)
    #[arg(long, value_name = "N", group = "where", allow_hyphen_values = true)]
    pub shift_by: Option<i64>,
    /// To the first record from this time on: 2026-01-31T12:00:00.000, with Z or +02:00 for another zone than UTC
    #[arg(long, value_name = "TIME", group = "where")]
    pub to_datetime: Option<Datetime>,
    /// To the first record of the last PnDTnHnMnS: PT30M, P1DT12H
    #[arg(long, value_name = "DURATION", group = "where")]
    pub by_duration: Option<Span>,
    /// To where it is now; the end of the log where it has committed nothing
    #[arg(long, group = "where")]
    pub to_current: bool,
    /// To what a file says: lines of TOPIC,PARTITION,OFFSET or GROUP,TOPIC,PARTITION,OFFSET
    #[arg(long, value_name = "FILE", group = "where")]
    pub from_file: Option<std::path::PathBuf>,
    /// Show what would change [the default]
    #[arg(long, conflicts_with = "execute")]
    pub dry_run: bool,
    /// Change it
    #[arg(long)]
    pub execute: bool,
    #[command(flatten)]
    pub broker: BrokerArgs,
}

/// A topic, or some partitions of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicScope {
    pub topic: String,
    /// None: all.
    pub partitions: Option<Vec<i32>>,
}

impl std::str::FromStr for TopicScope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || "write it as TOPIC or TOPIC:PARTITION,PARTITION".to_owned();
        let (topic, partitions) = match text.split_once(':') {
            None => (text, None),
            Some((topic, list)) => {
                let number = |text: &str| text.trim().parse().ok().filter(|&n: &i32| n >= 0);
                let numbers: Option<Vec<i32>> = list.split(',').map(number).collect();
                (topic, Some(numbers.ok_or_else(refused)?))
            }
        };
        if topic.is_empty() { Err(refused()) } else { Ok(Self { topic: topic.to_owned(), partitions }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_be_narrowed_to_partitions() {
        let scope = |topic: &str, partitions: Option<&[i32]>| {
            Ok(TopicScope { topic: topic.to_owned(), partitions: partitions.map(<[i32]>::to_vec) })
        };
        assert_eq!("logs".parse(), scope("logs", None));
        assert_eq!("logs:0, 3".parse(), scope("logs", Some(&[0, 3])));
        for bad in ["", ":1", "logs:", "logs:a", "logs:-1", "logs:1,"] {
            assert!(bad.parse::<TopicScope>().is_err(), "{bad}");
        }
    }
}
