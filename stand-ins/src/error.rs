//! Errors of the stand-ins.

use std::io;

/// Why a stand-in did not start or a call to it failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `scripts/install-stand-ins.sh` was not run, or not since the pinned versions changed.
    #[error("{program} is not installed in .local/: run `make stand-ins`")]
    NotInstalled {
        /// The missing program, as a path in the project.
        program: String,
    },
    /// `scripts/install-providers.sh` was not run, or did not complete.
    #[error(
        "the stand-ins of identity providers are not installed in .local/providers: run `make providers`"
    )]
    NoProviders,
    /// The operating system could not start the process.
    #[error("{name} could not be started: {source}")]
    Spawn {
        /// The process to start.
        name: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The process ended by itself.
    #[error("{name} ended by itself ({status}); the end of its log:\n{log}")]
    Ended {
        /// The process.
        name: String,
        /// Its exit status.
        status: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// The process runs, but was not ready or did not answer in time.
    #[error("{name} did not answer within {seconds} s; the end of its log:\n{log}")]
    TimedOut {
        /// The process.
        name: String,
        /// How long this program waited.
        seconds: u64,
        /// The last lines that it wrote.
        log: String,
    },
    /// A request got no answer.
    #[error("no answer to {request}: {source}")]
    Unreachable {
        /// The request, without its body.
        request: String,
        /// The HTTP client's error.
        source: reqwest::Error,
    },
    /// The request was refused, or the answer was not in the expected form.
    #[error("{request} was answered with {status}: {body}")]
    Refused {
        /// The request, without its body.
        request: String,
        /// The HTTP status code.
        status: u16,
        /// The answer's body, cut to 500 bytes.
        body: String,
    },
}
