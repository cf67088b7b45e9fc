//! A child process that cannot outlive us.

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

/// How long a stand-in may take to be ready. On an idle machine each needs one or two seconds.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How many ports are tried: between our finding a free one and the server's binding it, someone else may
/// take it.
const PORTS_TRIED: usize = 3;

/// What a child sees of our environment: where programs and folders are. An account's credentials stay out of
/// it.
const INHERITED: [&str; 6] = ["PATH", "HOME", "TMPDIR", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// A running child, with a folder of its own for its log and its files. Dropping it kills the child and all
/// that the child started.
///
/// The same happens when this process ends without dropping it: by a panic that aborts, Ctrl-C, or `kill -9`.
/// The child shares a process group with a guard, a shell that only waits for the end of a pipe which this
/// process holds open. The system closes the pipe whichever way the process ends, and the guard then kills
/// its whole group. As the group is not the terminal's, Ctrl-C goes to this process alone, and in this order.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    guard: Child,
    folder: TempDir,
}

impl Process {
    /// Starts `program` in an environment of nothing but [`INHERITED`] and `settings`, in `folder`.
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

    /// All that the child wrote so far, both streams in order.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The error to give when the child has ended by itself.
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
        // Only matters where something else killed the guard before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server on a free loopback port and waits until it says `ready` in its log and takes connections.
/// The log is asked as well because a connection alone may be to another process that took the port.
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

/// A folder for a process: on drop it goes, the log in it included.
pub(crate) fn folder(name: &str) -> Result<TempDir, Error> {
    let builder = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir();
    builder.map_err(|source| Error::Spawn { name: name.to_owned(), source })
}
