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
        eprintln!("tailrace: {:#}", self.error);
        ExitCode::from(self.code)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: 1, error: error.into() }
    }
}
