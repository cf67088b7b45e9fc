//! What can go wrong with a stand-in.

use std::io;

/// Why a stand-in did not start, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `scripts/install-stand-ins.sh` was not run, or not with the pinned versions of now.
    #[error("{program} is not installed in .local/: run `make stand-ins`")]
    NotInstalled {
        /// The missing program, as a path in the project.
        program: String,
    },
    /// `scripts/install-providers.sh` was not run to its end.
    #[error(
        "the stand-ins of identity providers are not installed in .local/providers: run `make providers`"
    )]
    NoProviders,
    /// The operating system refused to start it.
    #[error("{name} could not be started: {source}")]
    Spawn {
        /// What was to be started.
        name: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// It ended by itself.
    #[error("{name} ended by itself ({status}); the end of its log:\n{log}")]
    Ended {
        /// Which process.
        name: String,
        /// Its exit status.
        status: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// It runs, and was not ready in time or did not answer in time.
    #[error("{name} did not answer within {seconds} s; the end of its log:\n{log}")]
    TimedOut {
        /// Which process.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// The last lines that it wrote.
        log: String,
    },
    /// A request got no answer.
    #[error("no answer to {request}: {source}")]
    Unreachable {
        /// The request, without its body.
        request: String,
        /// What the HTTP client says.
        source: reqwest::Error,
    },
    /// A request was refused, or answered by something that is not an answer.
    #[error("{request} was answered with {status}: {body}")]
    Refused {
        /// The request, without its body.
        request: String,
        /// HTTP's status code.
        status: u16,
        /// The answer's body, cut to 500 bytes.
        body: String,
    },
}
