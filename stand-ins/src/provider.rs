//! Identity providers: `emulate` stands for Okta and Clerk, Firebase's Auth emulator for Firebase.

use std::path::Path;

use serde_json::Value;

use crate::process::{folder, serve};
use crate::{Error, Process, installed, project_root};

/// A running provider. It stops when this handle is dropped.
#[derive(Debug)]
pub struct Provider {
    _process: Process,
    port: u16,
}

fn script() -> String {
    project_root().join("stand-ins/npm-providers/serve.cjs").display().to_string()
}

impl Provider {
    /// Okta or Clerk, with the people of `seed` (in the form that `emulate` reads below the service's
    /// name).
    pub async fn emulate(service: &str, seed: &Value) -> Result<Self, Error> {
        Self::start(service, &seed.to_string()).await
    }

    /// Firebase's Auth emulator, without accounts.
    pub async fn firebase(project: &str) -> Result<Self, Error> {
        Self::start("firebase", project).await
    }

    async fn start(service: &str, more: &str) -> Result<Self, Error> {
        let packages = installed::providers()?.display().to_string();
        let (process, port) = serve("ready", |port| {
            let (script, port) = (script(), port.to_string());
            let arguments = [script.as_str(), &packages, service, &port, more];
            Process::start(service, Path::new("node"), &arguments, Vec::new(), folder(service)?)
        })
        .await?;
        Ok(Self { _process: process, port })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Writes the output of `firebase auth:export FILE` for this emulator's `project`.
    pub async fn firebase_export(&self, project: &str, file: &Path) -> Result<(), Error> {
        let (packages, port, file) = (installed::providers()?, self.port.to_string(), file.to_owned());
        let mut command = tokio::process::Command::new("node");
        command.arg(script()).arg(packages).args(["firebase-export", &port, project]).arg(file);
        let spawned = |source| Error::Spawn { name: "firebase-export".to_owned(), source };
        let output = command.output().await.map_err(spawned)?;
        if output.status.success() {
            return Ok(());
        }
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Error::Ended { name: "firebase-export".to_owned(), status: output.status.to_string(), log })
    }
}
