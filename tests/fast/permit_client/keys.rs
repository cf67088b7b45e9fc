use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use permit_handoff::permit::{ApiKey, ApiKeyError, Environment, Error, Reach};
use permit_sandbox::{KeyScope, Sandbox};
use secrecy::{ExposeSecret, SecretString};

use super::*;

/// A secret that can be read again, and that counts the reads.
struct Rotated {
    new: Result<&'static str, ApiKeyError>,
    renewed: AtomicU32,
}

#[async_trait]
impl ApiKey for Rotated {
    async fn current(&self) -> Result<SecretString, ApiKeyError> {
        let rotated = self.renewed.load(Ordering::Relaxed) > 0;
        Ok(if rotated { self.new.clone()? } else { "permit_key_old" }.into())
    }

    async fn renew(&self, refused: &SecretString) -> Result<SecretString, ApiKeyError> {
        assert_eq!(refused.expose_secret(), "permit_key_old");
        self.renewed.fetch_add(1, Ordering::Relaxed);
        Ok(self.new.clone()?.into())
    }
}

fn rotated(sandbox: &Sandbox, new: Result<&'static str, ApiKeyError>) -> (Permit, Arc<Rotated>) {
    let key = Arc::new(Rotated { new, renewed: AtomicU32::new(0) });
    (Permit::new(Settings::new(sandbox.url().parse().unwrap()), key.clone()).unwrap(), key)
}

#[tokio::test]
async fn a_key_that_was_rotated_is_read_again_and_the_request_repeated() {
    let sandbox = Sandbox::builder().key("permit_key_old", KeyScope::Environment).start().await.unwrap();
    sandbox.add_key("permit_key_new", KeyScope::Environment);
    let (permit, source) = rotated(&sandbox, Ok("permit_key_new"));
    permit.environment().await.unwrap();
    sandbox.revoke_key("permit_key_old");
    permit.create_user(&new_user("u1", &["default/viewer"])).await.unwrap();
    permit.user(&key("u1")).await.unwrap().unwrap();
    assert_eq!(source.renewed.load(Ordering::Relaxed), 1);
    assert_eq!(sandbox.counts().of("POST users"), 2);
}

#[tokio::test]
async fn a_wrong_key_is_not_hammered_with() {
    let sandbox = Sandbox::start().await.unwrap();
    let unavailable = ApiKeyError::Unavailable { reason: "x".to_owned() };
    for (new, error, requests) in [
        (Ok("permit_key_wrong"), Error::Unauthorized, 2),
        (Ok("permit_key_old"), Error::Unauthorized, 1),
        (Err(ApiKeyError::Unchanged), Error::Unauthorized, 1),
        (Err(unavailable.clone()), Error::Key(unavailable), 1),
    ] {
        sandbox.clear_requests();
        let (permit, source) = rotated(&sandbox, new);
        assert_eq!(permit.patient(1.0).environment().await, Err(error.clone()));
        assert_eq!(
            (source.renewed.load(Ordering::Relaxed), sandbox.counts().all),
            (1, requests),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_secret_that_is_no_header_is_no_key() {
    let sandbox = Sandbox::start().await.unwrap();
    let of = |text: &str| {
        let key = StaticKey::new(text.to_owned().into());
        Permit::new(Settings::new(sandbox.url().parse().unwrap()), Arc::new(key)).unwrap()
    };
    let error = of("line one\nline two").environment().await.unwrap_err();
    assert!(matches!(error, Error::Key(ApiKeyError::Invalid { .. })));
    assert!(!format!("{error} {error:?}").contains("line"));
    assert_eq!(sandbox.counts().all, 0);
    of(&format!("{}\n", sandbox.api_key())).environment().await.unwrap();
}

#[tokio::test]
async fn a_key_of_more_than_one_environment_is_told_what_to_set() {
    let sandbox = Sandbox::start().await.unwrap();
    for (scope, level) in [(KeyScope::Organization, "organization"), (KeyScope::Project, "project")] {
        sandbox.add_key(permit_sandbox::API_KEY, scope);
        let error = plain(&sandbox).user(&key("u1")).await.unwrap_err();
        assert_eq!(error, Error::KeyScope { level });
        assert!(error.to_string().contains("PERMIT_PROJECT and PERMIT_ENVIRONMENT"));
    }
}

#[tokio::test]
async fn how_far_a_key_reaches_is_told_whatever_environment_is_set() {
    let sandbox = Sandbox::start().await.unwrap();
    let reach = async |scope| {
        sandbox.add_key(permit_sandbox::API_KEY, scope);
        let (project, environment) = (sandbox.project(), sandbox.environment());
        let set = Some(Environment { project, environment });
        client(&sandbox, |settings| settings.environment = set).reach().await.unwrap()
    };
    assert_eq!(reach(KeyScope::Organization).await, Reach::Organization);
    assert!(matches!(reach(KeyScope::Project).await, Reach::Project(id) if id.len() == 36));
    assert_eq!(reach(KeyScope::Environment).await, Reach::Environment);
}
