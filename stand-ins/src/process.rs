//! A child process that cannot outlive this one.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{Error, Settings};

/// How long a stand-in may take to start. On an idle machine each takes one or two seconds.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How many ports to try: another process may take a free port before the server binds it.
const PORTS_TRIED: usize = 3;

/// The environment variables that a child inherits: where programs and folders are. AWS credentials are
/// not among them.
const INHERITED: [&str; 6] = ["PATH", "HOME", "TMPDIR", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// A running child with its own folder for its log and files. Dropping it kills the child and everything
/// that the child started.
///
/// The same happens if this process ends without dropping it: by an aborting panic, Ctrl-C, or `kill -9`.
/// The child shares a process group with a guard, a shell that waits for the end of a pipe that this
/// process holds open. However this process ends, the system closes the pipe, and the guard kills its
/// whole group. The group is not the terminal's, so Ctrl-C reaches this process first and alone.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    guard: Child,
    folder: TempDir,
}

impl Process {
    /// Starts `program` in `folder`, with only [`INHERITED`] and `settings` as its environment.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        arguments: &[&str],
        settings: Settings,
        folder: TempDir,
    ) -> Result<Self, Error> {
        let spawned = || -> io::Result<(Child, Child)> {
            let log = File::create(folder.path().join("log"))?;
            let mut guard = Command::new("sh")
                .args(["-c", "read -r _; kill -KILL 0"])
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            let inherited = INHERITED.into_iter().filter_map(|key| Some((key, std::env::var_os(key)?)));
            let child = Command::new(program)
                .args(arguments)
                .env_clear()
                .envs(inherited)
                .env("NO_COLOR", "1")
                .envs(settings)
                .current_dir(folder.path())
                .process_group(guard.id().cast_signed())
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn();
            match child {
                Ok(child) => Ok((child, guard)),
                Err(error) => {
                    guard.kill()?;
                    guard.wait()?;
                    Err(error)
                }
            }
        };
        match spawned() {
            Ok((child, guard)) => Ok(Self { name: name.to_owned(), child, guard, folder }),
            Err(source) => Err(Error::Spawn { name: name.to_owned(), source }),
        }
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that the child wrote so far, both streams in order.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// An error if the child has ended.
    pub(crate) fn still_runs(&mut self) -> Result<(), Error> {
        let status = match self.child.try_wait() {
            Ok(None) => return Ok(()),
            Ok(Some(status)) => ExitStatus::to_string(&status),
            Err(error) => error.to_string(),
        };
        Err(Error::Ended { name: self.name.clone(), status, log: self.log_tail() })
    }

    pub(crate) fn timed_out(&self, after: Duration) -> Error {
        Error::TimedOut { name: self.name.clone(), seconds: after.as_secs(), log: self.log_tail() }
    }

    /// The last 20 lines of the log.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Waiting closes the guard's pipe first, so the guard kills the group and itself.
        let _ = self.guard.wait();
        // Needed only if something else killed the guard first.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server on a free loopback port, and waits until its log contains `ready` and it takes
/// connections. A connection alone is not enough: another process may have taken the port.
pub(crate) async fn serve(
    ready: &str,
    start: impl Fn(u16) -> Result<Process, Error>,
) -> Result<(Process, u16), Error> {
    let mut tried = 1;
    loop {
        let port = free_port()
            .map_err(|source| Error::Spawn { name: "a server on a free port".to_owned(), source })?;
        let mut process = start(port)?;
        match wait_until_ready(&mut process, ready, port).await {
            Ok(()) => return Ok((process, port)),
            Err(Error::Ended { .. }) if tried < PORTS_TRIED => tried += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn wait_until_ready(process: &mut Process, ready: &str, port: u16) -> Result<(), Error> {
    let until = Instant::now() + READY_WITHIN;
    while Instant::now() < until {
        process.still_runs()?;
        let said = process.log().contains(ready);
        if said && tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return process.still_runs();
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err(process.timed_out(READY_WITHIN))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A folder for a process. Dropping it deletes it, with the log in it.
pub(crate) fn folder(name: &str) -> Result<TempDir, Error> {
    let builder = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir();
    builder.map_err(|source| Error::Spawn { name: name.to_owned(), source })
}
