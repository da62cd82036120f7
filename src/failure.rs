//! Why the process ends otherwise than hoped: a sentence for people, an exit code for scripts.

use std::process::ExitCode;

#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// The command line or the configuration is wrong, not the machine (clap's own number).
    pub fn usage(error: anyhow::Error) -> Self {
        Self { code: 2, error }
    }

    pub fn tell(&self) -> ExitCode {
        eprintln!("tailrace: {}", sentence(&self.error));
        ExitCode::from(self.code)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: 1, error: error.into() }
    }
}

/// The error and its causes. Some errors tell their cause themselves; nothing is said twice.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.contains(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn no_cause_is_told_twice() {
        let error = anyhow!("the file ends").context("cannot read a: the file ends").context("shard 0");
        assert_eq!(sentence(&error), "shard 0: cannot read a: the file ends");
    }
}
