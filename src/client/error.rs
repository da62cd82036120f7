//! What can go wrong between a tool and a broker, each as one sentence that says what to do.

use std::{fmt, io};

use model::ErrorCode;
use net::wire::{ApiKey, Malformed};

pub type Result<T> = std::result::Result<T, ClientError>;

#[derive(Debug)]
pub enum ClientError {
    /// Nobody answers at this address.
    Unreachable { address: String, source: io::Error },
    /// The connection broke, or an answer did not come in time.
    Lost { address: String, source: io::Error },
    /// The broker and this client have no version of the API in common.
    NoCommonVersion { address: String, api: ApiKey },
    /// The answer is not what the protocol says.
    Malformed { address: String, api: ApiKey },
    /// The broker said no.
    Refused { what: String, code: i16, message: Option<String> },
    /// Anything else, already a sentence.
    Other(String),
}

impl ClientError {
    pub fn refused(what: impl Into<String>, code: i16, message: Option<&str>) -> Self {
        Self::Refused { what: what.into(), code, message: message.map(str::to_owned) }
    }

    pub fn malformed(address: &str, api: ApiKey) -> impl Fn(Malformed) -> Self {
        move |_| Self::Malformed { address: address.to_owned(), api }
    }

    /// May the same request succeed a moment later?
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => true,
            Self::Refused { code, .. } => ErrorCode::from_code(*code).is_some_and(ErrorCode::is_retriable),
            _ => false,
        }
    }

    pub fn has_code(&self, expected: ErrorCode) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == expected.code())
    }
}

/// `Ok` for code 0.
pub fn check(what: &str, code: i16, message: Option<&str>) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(ClientError::refused(what, code, message)) }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { address, source } => write!(
                f,
                "no broker answers at {address} ({}): start one with 'tailrace serve', or name another with -b HOST:PORT",
                reason(source)
            ),
            Self::Lost { address, source } => {
                write!(f, "the connection to {address} was lost ({}): see the broker's log", reason(source))
            }
            Self::NoCommonVersion { address, api } => write!(
                f,
                "the broker at {address} serves no version of {} that this client speaks: use a Kafka broker of 2.1 or later",
                api.name()
            ),
            Self::Malformed { address, api } => write!(
                f,
                "the answer of {address} to {} does not follow the Kafka protocol: is it a Kafka broker, and without TLS?",
                api.name()
            ),
            Self::Refused { what, code, message } => {
                write!(f, "{what}: ")?;
                match (ErrorCode::from_code(*code), message.as_deref().filter(|m| !m.is_empty())) {
                    (Some(code), Some(message)) => write!(f, "{message} ({code:?})"),
                    (Some(code), None) => write!(f, "{} ({code:?})", code.text()),
                    (None, message) => {
                        write!(f, "{} (error code {code})", message.unwrap_or("unknown error"))
                    }
                }
            }
            Self::Other(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for ClientError {}

/// What people read of an IO error, without Rust's and the kernel's numbers.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        io::ErrorKind::UnexpectedEof => "closed by the broker".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_what_to_do() {
        fn check(error: ClientError, expected: &str) {
            assert_eq!(error.to_string(), expected);
        }
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        check(
            ClientError::Unreachable { address: "h:1".into(), source: refused },
            "no broker answers at h:1 (connection refused): start one with 'tailrace serve', or name another with -b HOST:PORT",
        );
        check(
            ClientError::refused("topic a", 36, None),
            "topic a: A topic of this name already exists. (TopicAlreadyExists)",
        );
        check(
            ClientError::refused("topic a", 36, Some("It is there.")),
            "topic a: It is there. (TopicAlreadyExists)",
        );
        check(ClientError::refused("topic a", 999, None), "topic a: unknown error (error code 999)");
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        assert!(ClientError::refused("x", ErrorCode::NotLeaderOrFollower.code(), None).is_retriable());
        assert!(!ClientError::refused("x", ErrorCode::MessageTooLarge.code(), None).is_retriable());
        assert!(!ClientError::refused("x", 999, None).is_retriable());
    }
}
