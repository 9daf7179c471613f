//! How a command ends that did not do what it was asked.

use std::fmt;
use std::process::ExitCode;

use crate::config::ConfigError;

/// One line for the person who ran the command, and the exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The call was wrong: exit code 2.
    Usage(String),
    /// It failed: exit code 1.
    Failed(String),
}

impl Failure {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    /// One line, whatever the message has in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(message) | Self::Failed(message)) = self;
        let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
        f.write_str(lines.next().unwrap_or("it failed"))?;
        lines.try_for_each(|line| write!(f, " {line}"))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        if error.is_usage() {
            Self::Usage(error.to_string())
        } else {
            Self::Failed(error.to_string())
        }
    }
}

impl From<multi_master::OpenError> for Failure {
    fn from(error: multi_master::OpenError) -> Self {
        match error {
            multi_master::OpenError::NoMaster(_) => Self::new(format!(
                "{error}. Where they are lost for good, `endpaper masters lead NAME --accept-loss` \
                 decides that another one goes on without what only they had"
            )),
            error => Self::new(error),
        }
    }
}

impl From<endpaper_device::Failure> for Failure {
    fn from(failure: endpaper_device::Failure) -> Self {
        match failure {
            endpaper_device::Failure::Usage(message) => Self::Usage(message),
            endpaper_device::Failure::Failed(message) => Self::Failed(message),
        }
    }
}

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;
