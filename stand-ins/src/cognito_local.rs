//! cognito-local: a user pool that people can sign in to, and that fires triggers.

use std::fs;

use serde_json::{Value, json};

use crate::aws::REGION;
use crate::moto::text;
use crate::process::{folder, serve};
use crate::user_pool::PASSWORD;
use crate::{AwsApi, Error, Person, Process, Settings, UserPool, installed};

/// The functions that it calls, by name. `None` calls no function.
///
/// Version 5.3 differs from Cognito: PostAuthentication fires only for USER_PASSWORD_AUTH, and a
/// trigger's error does not fail the sign-in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Triggers<'a> {
    /// Called after each sign-in.
    pub post_authentication: Option<&'a str>,
    /// Called after a confirmed sign-up.
    pub post_confirmation: Option<&'a str>,
}

/// A running cognito-local. It starts empty, and its state is lost when it stops. Its lists have no
/// pages, so tests that need pages use [`crate::Moto`].
#[derive(Debug)]
pub struct CognitoLocal {
    process: Process,
    url: String,
}

/// The JWTs of a sign-in.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Says who the person is.
    pub id_token: String,
    /// Says what the person may do; has no profile.
    pub access_token: String,
}

impl CognitoLocal {
    /// Starts it on a free port, and returns once it answers. It calls its triggers at `lambda_url` with
    /// Lambda's `Invoke`: `POST /2015-03-31/functions/NAME/invocations`.
    pub async fn start(lambda_url: &str, triggers: Triggers<'_>) -> Result<Self, Error> {
        let program = installed::program("npm/node_modules/.bin/cognito-local")?;
        let Triggers { post_authentication, post_confirmation } = triggers;
        let mut functions = serde_json::Map::new();
        for (trigger, name) in
            [("PostAuthentication", post_authentication), ("PostConfirmation", post_confirmation)]
        {
            functions.extend(name.map(|name| (trigger.to_owned(), Value::from(name))));
        }
        let config = json!({
            "TriggerFunctions": functions,
            "LambdaClient": {
                "endpoint": lambda_url,
                "region": REGION,
                "credentials": {"accessKeyId": "local", "secretAccessKey": "local"},
            },
        });
        let (process, port) = serve("Cognito Local running on", |port| {
            let folder = folder("cognito-local")?;
            let settings = folder.path().join(".cognito");
            fs::create_dir(&settings)
                .and_then(|()| fs::write(settings.join("config.json"), config.to_string()))
                .map_err(|source| Error::Spawn { name: "cognito-local".to_owned(), source })?;
            let environment = [("HOST", "127.0.0.1".to_owned()), ("PORT", port.to_string())];
            let environment = environment.map(|(key, value)| (key.to_owned(), value)).to_vec();
            Process::start("cognito-local", &program, &[], environment, folder)
        })
        .await?;
        Ok(Self { process, url: format!("http://127.0.0.1:{port}") })
    }

    /// Its address. The issuer of a pool's tokens is `URL/POOL_ID`, and the keys are at
    /// `URL/POOL_ID/.well-known/jwks.json`. The discovery document names a wrong port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The setting that makes a function use this Cognito, and other services elsewhere.
    pub fn settings(&self) -> Settings {
        vec![("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER".to_owned(), self.url.clone())]
    }

    /// Creates a user pool whose users sign in with their e-mail address.
    pub async fn create_pool(&self, name: &str) -> Result<UserPool, Error> {
        UserPool::create(AwsApi::cognito(&self.url), name).await
    }

    /// Creates an app client of a pool. Returns its id, which is the audience of ID tokens.
    pub async fn create_client(&self, pool: &UserPool) -> Result<String, Error> {
        let client = json!({
            "UserPoolId": pool.id(),
            "ClientName": "app",
            "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"],
        });
        let created = pool.api().call("CreateUserPoolClient", client).await?;
        Ok(text(&created["UserPoolClient"]["ClientId"]))
    }

    /// Sets a user's password to [`PASSWORD`], and signs in with it (USER_PASSWORD_AUTH). The trigger has
    /// answered when this returns.
    pub async fn sign_in(&self, pool: &UserPool, client_id: &str, email: &str) -> Result<Tokens, Error> {
        let password =
            json!({"UserPoolId": pool.id(), "Username": email, "Password": PASSWORD, "Permanent": true});
        pool.api().call("AdminSetUserPassword", password).await?;
        let sign_in = json!({
            "AuthFlow": "USER_PASSWORD_AUTH",
            "ClientId": client_id,
            "AuthParameters": {"USERNAME": email, "PASSWORD": PASSWORD},
        });
        let answer = pool.api().call("InitiateAuth", sign_in).await?;
        let tokens = &answer["AuthenticationResult"];
        Ok(Tokens { id_token: text(&tokens["IdToken"]), access_token: text(&tokens["AccessToken"]) })
    }

    /// Signs a new person up as an app does, adds them to their groups, and confirms the sign-up as an
    /// administrator does. The trigger PostConfirmation has answered when this returns. Returns their
    /// `sub`.
    pub async fn sign_up(&self, pool: &UserPool, client_id: &str, person: &Person) -> Result<String, Error> {
        pool.add_groups_of(std::slice::from_ref(person)).await?;
        let sign_up = json!({
            "ClientId": client_id,
            "Username": person.email,
            "Password": PASSWORD,
            "UserAttributes": person.user_attributes(),
        });
        let sub = text(&pool.api().call("SignUp", sign_up).await?["UserSub"]);
        pool.join(&sub, &person.groups).await?;
        let confirmation = json!({"UserPoolId": pool.id(), "Username": person.email});
        pool.api().call("AdminConfirmSignUp", confirmation).await?;
        Ok(sub)
    }

    /// The process, for its log.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
