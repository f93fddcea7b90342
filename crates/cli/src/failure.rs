//! How a command fails: what could not be done, the chain of causes, and the way out.

use std::error::Error;
use std::fmt;
use std::io;

/// A failed command. Its display is what the user reads.
#[derive(Debug)]
pub struct Failure {
    /// 1: the work failed; 2: the command line, the configuration or the connection was wrong.
    pub exit_code: u8,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    way_out: Option<String>,
}

impl Failure {
    /// The work failed.
    pub fn new(message: impl Into<String>) -> Self {
        Self { exit_code: 1, message: message.into(), source: None, way_out: None }
    }

    /// The command line, the configuration or the connection is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit_code: 2, ..Self::new(message) }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Adds the way out.
    #[must_use]
    pub fn try_this(self, way_out: impl Into<String>) -> Self {
        Self { way_out: Some(way_out.into()), ..self }
    }

    /// Whether the reader of stdout went away, which is no failure of ours.
    pub fn broken_pipe(&self) -> bool {
        let mut next: Option<&(dyn Error + 'static)> = self.source.as_deref().map(|e| e as _);
        while let Some(error) = next {
            if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
                return true;
            }
            next = error.source();
        }
        false
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        let mut said = self.message.clone();
        let mut next: Option<&(dyn Error + 'static)> = self.source.as_deref().map(|e| e as _);
        while let Some(error) = next {
            let text = error.to_string();
            // Some libraries repeat their cause in their own text.
            if !text.is_empty() && !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = error.source();
        }
        if let Some(way_out) = &self.way_out {
            write!(f, "\n  {}", way_out.replace('\n', "\n  "))?;
        }
        Ok(())
    }
}

/// Shorthand for `map_err` with a message.
pub trait Context<T> {
    /// The work failed: this message, then the cause.
    fn context(self, message: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Context<T> for Result<T, E> {
    fn context(self, message: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(message).because(e))
    }
}

impl From<payouts_service::config::Error> for Failure {
    fn from(error: payouts_service::config::Error) -> Self {
        match error {
            payouts_service::config::Error::Read { path, source } => {
                Self::usage(format!("cannot read the configuration {path}")).because(source)
            }
            payouts_service::config::Error::Catalog(source) => Self::usage("configuration: [reports]").because(source),
            other => Self::usage(other.to_string()),
        }
    }
}

impl From<payouts_service::auth::Error> for Failure {
    fn from(error: payouts_service::auth::Error) -> Self {
        Self::new("tokens cannot be made or checked").because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_the_chain_and_the_way_out() {
        let cause = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let failure = Failure::new("cannot read x.csv").because(cause).try_this("check the path\nor make it");
        assert_eq!(failure.to_string(), "error: cannot read x.csv: no such file\n  check the path\n  or make it");
    }
}
