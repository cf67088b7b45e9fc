//! Why a call to AWS failed: the one place that reads the SDK's errors.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// A failed request, without the texts of the request and the answer: these may hold personal data.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AwsFault {
    /// The service answered with an error.
    #[error("{service} answered {status} {code}")]
    Refused {
        /// The service, such as `SQS`.
        service: &'static str,
        status: u16,
        /// The error code, such as `AccessDeniedException`. Empty if the answer has none.
        code: String,
    },
    /// There was no readable answer.
    #[error("{service} {reason}")]
    Unanswered {
        /// The service, such as `SQS`.
        service: &'static str,
        /// What happened, as the rest of a sentence.
        reason: &'static str,
    },
}

impl AwsFault {
    pub fn new<E: ProvideErrorMetadata>(service: &'static str, error: &SdkError<E, HttpResponse>) -> Self {
        let reason = match error {
            SdkError::ServiceError(refused) => {
                let code = refused.err().code().unwrap_or_default().to_owned();
                return Self::Refused { service, status: refused.raw().status().as_u16(), code };
            }
            SdkError::ConstructionFailure(_) => "was not called: check the AWS credentials and the region",
            SdkError::TimeoutError(_) => "did not answer in time",
            SdkError::DispatchFailure(failure) if failure.is_timeout() => "did not answer in time",
            SdkError::DispatchFailure(_) => {
                "could not be reached: check the network from here to AWS, and AWS_CA_BUNDLE if it is set"
            }
            _ => "gave an answer that could not be read",
        };
        Self::Unanswered { service, reason }
    }

    /// The service's error code. Empty if there is none.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Unanswered { .. } => "",
        }
    }
}
