//! Logs and metrics, without personal data.
//!
//! A Lambda writes its logs as JSON lines on standard output, and the command line writes readable lines
//! on standard error. Metrics go into the same log in CloudWatch's embedded format, and cost no request.
//! In both, a user appears as a [`UserHash`].

pub mod metrics;
mod user_hash;

use std::io::{self, IsTerminal as _};
use std::panic::{self, PanicHookInfo};

use metrics_cloudwatch_embedded::{Builder, Collector};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use self::user_hash::{UserHash, UserHasher};
use crate::config::{InvalidSettings, SettingFault};

/// The namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "PermitHandoff";

/// The crates of this project, as the log's `target` names them.
const OURS: [&str; 5] = ["permit_handoff", "post_authentication", "handoff", "bulk_sync", "reconcile"];

/// How logs are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Lines of JSON on standard output, for a Lambda.
    Json,
    /// Lines for people on standard error, for the command line.
    Human,
}

/// Why logs and metrics could not begin.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// `RUST_LOG` is not a log filter.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    #[error("the metrics were set up before: call `telemetry::init` once in a process")]
    Twice,
}

/// The metrics of this process; see [`metrics`] for what is recorded.
pub struct Metrics {
    collector: &'static Collector,
}

impl Metrics {
    /// Writes the metrics since the last call to standard output. Call it at the end of each invocation,
    /// before the answer, since Lambda may freeze the process after the answer.
    pub fn flush(&self) {
        self.flush_to(io::stdout().lock());
    }

    /// Writes the metrics since the last call, one line of JSON for each set of dimensions.
    pub fn flush_to(&self, writer: impl io::Write) {
        if let Err(error) = self.collector.flush(writer) {
            tracing::warn!(%error, "the metrics of this invocation are lost");
        }
    }
}

/// Starts logs and metrics, once in a process. `lookup` gives `RUST_LOG` (`info` if it is not set) and
/// `AWS_LAMBDA_FUNCTION_NAME`, the metrics' dimension `function` (`program` if it is not set).
///
/// A panic is logged with its place. Its message is left out, because it may hold what a person typed.
///
/// # Errors
/// If `RUST_LOG` is not a log filter, or this was called before.
pub fn init(
    program: &'static str,
    format: Format,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Metrics, InitError> {
    let setting = |name| lookup(name).filter(|text| !text.trim().is_empty());
    let filter = setting("RUST_LOG").unwrap_or_else(|| "info".to_owned());
    let filter = filter.parse::<Targets>().map_err(|error| {
        let message = format!("not a log filter ({error}): write a level, such as info, or target=level");
        InvalidSettings(vec![SettingFault { settings: "RUST_LOG", message }])
    })?;
    let filtered = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_logged));
    let logs = tracing_subscriber::fmt::layer().with_span_events(FmtSpan::NONE);
    // It is fine if logs are set up already: a test, or a program around this one, may want its own.
    let _ = match format {
        Format::Json => {
            let logs = logs.json().flatten_event(true).with_current_span(false).with_span_list(true);
            filtered.with(logs.with_writer(io::stdout)).try_init()
        }
        Format::Human => {
            let colours = io::stderr().is_terminal() && setting("NO_COLOR").is_none();
            let logs = logs.with_target(false).without_time().with_ansi(colours);
            filtered.with(logs.with_writer(io::stderr)).try_init()
        }
    };
    panic::set_hook(Box::new(log_panic));

    let function = setting("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| program.to_owned());
    let collector =
        Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension("function", function).init();
    let collector = collector.map_err(|_| InitError::Twice)?;
    metrics::describe();
    Ok(Metrics { collector })
}

/// Whether a line may be logged, whatever `RUST_LOG` asks for. Below `info`, libraries log the data that
/// passes through them: the Lambda runtime logs whole events, HTTP clients log headers and bodies.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let is_ours = OURS.iter().any(|name| {
        metadata.target().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    });
    is_ours || *metadata.level() <= Level::INFO
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a panic; its message is left out, since it may hold personal data");
}
