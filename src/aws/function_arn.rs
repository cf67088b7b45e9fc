//! The ARN of a Lambda function.

use std::fmt;
use std::str::FromStr;

/// `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, with or without `:QUALIFIER`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionArn(String);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a function's ARN: it has the form arn:aws:lambda:REGION:ACCOUNT:function:NAME")]
pub struct InvalidFunctionArn;

impl FromStr for FunctionArn {
    type Err = InvalidFunctionArn;

    fn from_str(text: &str) -> Result<Self, InvalidFunctionArn> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            ["arn", partition, "lambda", region, account, "function", name, qualifier @ ..]
                if partition.starts_with("aws")
                    && !region.is_empty()
                    && account.bytes().all(|b| b.is_ascii_digit())
                    && account.len() == 12
                    && !name.is_empty()
                    && (qualifier.is_empty() || matches!(qualifier, [one] if !one.is_empty())) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidFunctionArn),
        }
    }
}

impl fmt::Display for FunctionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FunctionArn {
    pub fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }

    /// Whether the ARN `called` names this function, or a version or alias of it.
    pub fn is_called_as(&self, called: &str) -> bool {
        called.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }
}
