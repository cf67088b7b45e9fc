//! A minimal Lambda in Rust: it returns its event. Whatever our functions cost beyond that is our own
//! cost.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let answer = async |LambdaEvent { payload, .. }: LambdaEvent<Box<RawValue>>| Ok::<_, Error>(payload);
    lambda_runtime::run(service_fn(answer)).await
}
