//! The command line: what can be asked, and how it is explained. Only names and help stand here; what they do is in
//! `cmd` and `serve`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub mod cert;
pub mod cluster;
pub mod demo;
pub mod group;

const EXAMPLES: &str = "\
Examples:
  tailrace                                          a broker on 127.0.0.1:9092, data in ./tailrace-data
  tailrace serve --config server.properties         with a Kafka configuration file
  tailrace serve --data /srv/logs --listen 0.0.0.0:9092 --shards 4 -o num.partitions=4
  tailrace topic create logs -p 4                   a topic of four partitions
  seq 1000 | tailrace produce logs                  a record a line
  tailrace consume logs -o beginning -e             everything that is there, then exit
  tailrace group describe readers                   how far a group is behind
  tailrace demo                                     a cluster of three, on this machine

Exit codes: 0 done, 1 it could not be done, 2 the command line or the configuration is wrong.";

const SERVE_EXAMPLES: &str = "\
Examples:
  tailrace serve                                    127.0.0.1:9092, ./tailrace-data, a shard a core
  tailrace serve --config /etc/kafka/server.properties
  tailrace serve --listen 0.0.0.0:9092 -o advertised.listeners=PLAINTEXT://logs.example.org:9092
  tailrace serve -o num.partitions=4 -o log.durability=written

What -o says goes before --data, --listen and --metrics, and they go before the file. The names are Kafka's.
SIGTERM or SIGINT stops the broker in order; a second one ends it at once (nothing acknowledged is lost, the next
start takes a moment longer).";

const PRODUCE_EXAMPLES: &str = "\
Examples:
  seq 1000 | tailrace produce logs                  a record a line
  tailrace produce logs -l access.log -z zstd       a file, compressed
  tailrace produce users -K : -l users.txt          lines of key:value
  tailrace produce logs -p 0 --acks 1 -b broker:9092

Each record arrives once and in order within its partition, also when the connection breaks in between (an idempotent
producer; not so with --acks 0 or 1).";

const CONSUME_EXAMPLES: &str = "\
Examples:
  tailrace consume logs                             what arrives from now on
  tailrace consume logs -o beginning -e             everything that is there, then exit
  tailrace consume logs -o -10 -e                   the last ten records of each partition
  tailrace consume logs -p 0 -o 1234 -c 1           one record
  tailrace consume logs -f '%t %p %o %T %k: %s\\n'

Format (-f):
  %s value    %S its length (-1: null)    %t topic       %o offset       %h headers
  %k key      %K its length (-1: null)    %p partition   %T timestamp    %% a percent sign
  \\n \\r \\t \\\\ \\xHH";

/// A log broker that speaks Kafka's protocol: one process, one shard a core, acknowledged means on stable storage.
///
/// Whoever has a Kafka client has a tailrace client. Without a command, it serves.
#[derive(Parser, Debug)]
#[command(name = "tailrace", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: ServeArgs,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the broker (also without a command)
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Create, list, describe, delete and alter topics
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Topic {
        #[command(subcommand)]
        command: TopicCommand,
    },
    /// List, describe and delete groups of consumers, and move their offsets
    #[command(subcommand_required = true, arg_required_else_help = true, after_help = group::EXAMPLES)]
    Group {
        #[command(subcommand)]
        command: group::GroupCommand,
    },
    /// Show how the cluster is, change who votes, move replicas and leadership
    #[command(subcommand_required = true, arg_required_else_help = true, after_help = cluster::EXAMPLES)]
    Cluster {
        #[command(subcommand)]
        command: cluster::ClusterCommand,
    },
    /// Make the certificates by which the brokers of a cluster know each other
    #[command(subcommand_required = true, arg_required_else_help = true, after_help = cert::EXAMPLES)]
    Cert {
        #[command(subcommand)]
        command: cert::CertCommand,
    },
    /// Run three brokers on this machine as a cluster, to try things out
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::DemoArgs),
    /// Send lines from a file or from standard input
    #[command(after_help = PRODUCE_EXAMPLES)]
    Produce(ProduceArgs),
    /// Read records and print them
    #[command(after_help = CONSUME_EXAMPLES)]
    Consume(ConsumeArgs),
}

#[derive(Args, Debug, Default, Clone)]
pub struct ServeArgs {
    /// Configuration in the form of Kafka's server.properties
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory (log.dirs) [default: ./tailrace-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to listen, HOST:PORT (listeners) [default: 127.0.0.1:9092]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Where to serve metrics to Prometheus, HOST:PORT (metrics.listener) [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<String>,
    /// How many shards, each a thread bound to a core [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub shards: Option<u16>,
    /// One configuration value, by Kafka's name; may be given several times
    #[arg(short = 'o', value_name = "KEY=VALUE", value_parser = key_value)]
    pub options: Vec<(String, String)>,
    /// What to log, as RUST_LOG has it: info, debug, net=trace,info [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

#[derive(Args, Debug, Clone)]
pub struct BrokerArgs {
    /// A broker of the cluster, HOST:PORT
    #[arg(short = 'b', long = "broker", value_name = "ADDR", default_value = "127.0.0.1:9092")]
    pub broker: String,
}

#[derive(Subcommand, Debug)]
pub enum TopicCommand {
    /// Create a topic
    Create {
        name: String,
        /// How many partitions [default: the broker's num.partitions]
        #[arg(short = 'p', long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// On how many brokers each partition is kept [default: the broker's]
        #[arg(short = 'r', long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
        replicas: Option<i16>,
        /// A configuration value of the topic; may be given several times
        #[arg(short = 'c', long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
        configs: Vec<(String, String)>,
        /// A topic that is there already is no error
        #[arg(long)]
        if_not_exists: bool,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// List the topics: partitions, records, size on disk
    List {
        /// Also how fast they grow, measured for so long (2s, 500ms)
        #[arg(long, value_name = "DURATION", value_parser = interval)]
        rate: Option<Duration>,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Show partitions, leaders, in-sync replicas, offsets, size and configuration of a topic
    ///
    /// START is the first offset, END the one behind the last record that can be read, DURABLE the one below which
    /// everything is on stable storage (told by tailrace only), SIZE what the leader's log takes on disk.
    Describe {
        name: String,
        /// Also how fast it grows, measured for so long (2s, 500ms)
        #[arg(long, value_name = "DURATION", value_parser = interval)]
        rate: Option<Duration>,
        /// Also the values that nobody has set
        #[arg(short = 'a', long)]
        all: bool,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Delete topics, with everything in them
    Delete {
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Give a topic more partitions or other configuration values
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
    Alter {
        name: String,
        /// How many partitions there shall be in all
        #[arg(short = 'p', long, value_name = "N", group = "change")]
        partitions: Option<i32>,
        /// Set a configuration value; may be given several times
        #[arg(short = 'c', long = "config", value_name = "KEY=VALUE", value_parser = key_value, group = "change")]
        configs: Vec<(String, String)>,
        /// Go back to the broker's value; may be given several times
        #[arg(short = 'u', long = "unset", value_name = "KEY", group = "change")]
        unset: Vec<String>,
        #[command(flatten)]
        broker: BrokerArgs,
    },
}

#[derive(Args, Debug, Clone)]
pub struct ProduceArgs {
    pub topic: String,
    /// Lines of this file instead of standard input
    #[arg(short = 'l', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What stands between key and value of a line; a line without it has no key
    #[arg(short = 'K', value_name = "DELIMITER")]
    pub key_delimiter: Option<String>,
    /// An empty key or value is null
    #[arg(short = 'Z')]
    pub null: bool,
    /// The partition [default: by key; a batch to each in turn without keys]
    #[arg(short = 'p', long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// Compress the batches
    #[arg(short = 'z', value_name = "CODEC", value_enum, default_value_t = Codec::None)]
    pub compression: Codec,
    /// When a batch counts as sent: once all in-sync replicas have it, once the leader has it, or at once
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub acks: Acks,
    /// How long a batch may wait for more lines, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10)]
    pub linger: u64,
    /// Size at which a batch is sent, before compression
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 10, value_parser = clap::value_parser!(u32).range(1024..=64 << 20))]
    pub batch_bytes: u32,
    /// Say nothing at the end
    #[arg(short = 'q', long)]
    pub quiet: bool,
    #[command(flatten)]
    pub broker: BrokerArgs,
}

#[derive(Args, Debug, Clone)]
pub struct ConsumeArgs {
    pub topic: String,
    /// Where to begin: beginning, end, an offset, -N for the last N of each partition, s@MS for a timestamp
    #[arg(short = 'o', value_name = "OFFSET", default_value = "end", allow_hyphen_values = true)]
    pub offset: crate::client::consumer::StartAt,
    /// Only this partition
    #[arg(short = 'p', long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// Exit when everything that is there has been read
    #[arg(short = 'e')]
    pub exit_at_end: bool,
    /// Exit after this many records
    #[arg(short = 'c', value_name = "N")]
    pub count: Option<u64>,
    /// How a record is printed [default: %s\n]
    #[arg(short = 'f', value_name = "FORMAT", conflicts_with = "key_delimiter")]
    pub format: Option<crate::client::format::Format>,
    /// Print the key and this before the value
    #[arg(short = 'K', value_name = "DELIMITER")]
    pub key_delimiter: Option<String>,
    /// Also records of transactions that are open or were aborted
    #[arg(long)]
    pub read_uncommitted: bool,
    /// Say nothing at the end
    #[arg(short = 'q', long)]
    pub quiet: bool,
    #[command(flatten)]
    pub broker: BrokerArgs,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<Codec> for model::Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::None,
            Codec::Gzip => Self::Gzip,
            Codec::Snappy => Self::Snappy,
            Codec::Lz4 => Self::Lz4,
            Codec::Zstd => Self::Zstd,
        }
    }
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    #[value(alias = "-1")]
    All,
    #[value(name = "1")]
    One,
    #[value(name = "0")]
    None,
}

impl Acks {
    pub fn number(self) -> i16 {
        match self {
            Self::All => -1,
            Self::One => 1,
            Self::None => 0,
        }
    }
}

/// Longest measurement: whoever wants to know what happens in an hour asks twice.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// `2s`, `500ms`, `1m`; a bare number is seconds.
fn interval(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("", 1000)];
    let parsed = units.iter().find_map(|(unit, ms)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_millis(number.checked_mul(*ms)?))
    });
    match parsed {
        Some(interval) if !interval.is_zero() && interval <= INTERVAL_MAX => Ok(interval),
        _ => Err("write it as 2s or 500ms, an hour at most".to_owned()),
    }
}

/// `key=value`; a value may hold further equals signs, and may be empty.
fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        let cli = Cli::try_parse_from(["tailrace", "--shards", "2", "-o", "a=b=c", "-o", "d="]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.shards, Some(2));
        let expected = [("a", "b=c"), ("d", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(cli.serve.options, expected);
    }

    #[test]
    fn an_interval_has_a_unit() {
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(interval(text).ok().map(|interval| interval.as_millis() as u64), expected, "{text}");
        }
        check("2s", Some(2000));
        check("500ms", Some(500));
        check("1m", Some(60_000));
        check("3", Some(3000));
        for bad in ["", "0s", "s", "-1s", "2h", "1.5s", "61m", "99999999999999999999"] {
            check(bad, None);
        }
    }

    #[test]
    fn an_option_without_a_key_is_refused() {
        for bad in ["a", "=b", " =b"] {
            assert!(Cli::try_parse_from(["tailrace", "-o", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_records_are_asked_for_with_a_minus() {
        let cli = Cli::try_parse_from(["tailrace", "consume", "t", "-o", "-5", "-e"]).unwrap();
        let Some(Command::Consume(args)) = cli.command else { panic!("{cli:?}") };
        assert_eq!(args.offset, crate::client::consumer::StartAt::Last(5));
        assert!(args.exit_at_end);
    }
}
