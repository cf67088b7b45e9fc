//! A minimal Lambda with the clients of `post-authentication`: it builds them and uses none.

use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use permit_handoff::aws::sdk::CognitoPool;
use permit_handoff::aws::secrets::SecretsManagerKey;
use permit_handoff::clients;
use serde_json::value::RawValue;

const TIMEOUT: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = clients::aws_in_lambda()?;
    let secret = &SecretsManagerKey::new(&aws, "permit/api-key".to_owned(), TIMEOUT);
    let queue = &clients::queue(&aws, "https://sqs.eu-central-1.amazonaws.com/1/q".to_owned(), TIMEOUT);
    let pool = &CognitoPool::new(&aws, "eu-central-1_Bench0000".parse()?, TIMEOUT);
    let answer = async |LambdaEvent { payload, .. }: LambdaEvent<Box<RawValue>>| {
        std::hint::black_box((secret, queue, pool));
        Ok::<_, Error>(payload)
    };
    lambda_runtime::run(service_fn(answer)).await
}
