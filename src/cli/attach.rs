//! `attach`: placeholder, see the command's own commit.

use super::{Exit, Failed, Terminal};

/// Arguments of `attach`.
#[derive(clap::Args, Debug)]
pub struct Args {}

impl Args {
    /// Runs it.
    pub async fn run(
        self,
        _terminal: &mut Terminal<'_>,
        _variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        Err(Failed::failed("not here yet"))
    }
}

/// Arguments of `detach`.
#[derive(clap::Args, Debug)]
pub struct DetachArgs {}

impl DetachArgs {
    /// Runs it.
    pub async fn run(
        self,
        _terminal: &mut Terminal<'_>,
        _variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        Err(Failed::failed("not here yet"))
    }
}
