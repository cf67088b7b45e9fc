//! The settings that `doctor` reads: every valid one, and the faults of the others.

use super::reader::{InvalidSettings, Reader, SettingFault};
use super::{FileSync, Handoff, PermitSettings, Reconcile, SignIn, parse};
use crate::aws::UserPoolId;
use crate::domain::policy::Policy;

/// Settings of the command line's `doctor`. An invalid one is `None` and has a fault. The others can
/// still be checked.
#[derive(Debug)]
pub struct Doctor {
    pub permit: Option<PermitSettings>,
    /// `HANDOFF_POLICY` or `HANDOFF_POLICY_FILE`.
    pub policy: Option<Policy>,
    /// `USER_POOL_ID`.
    pub user_pool_id: Option<UserPoolId>,
    /// `RECONCILE_QUEUE_URL`.
    pub overflow_queue_url: Option<String>,
    /// `DEAD_LETTER_QUEUE_URL`.
    pub dead_letter_queue_url: Option<String>,
    /// Everything that would stop one of the programs from starting, each fault once.
    pub faults: Vec<SettingFault>,
}

impl Doctor {
    /// Reads the settings through `lookup`. A setting that one program alone requires may be left out.
    pub fn new(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader::new(&lookup);
        Self {
            permit: PermitSettings::read(&mut reader),
            policy: reader.policy(),
            user_pool_id: reader.parsed("USER_POOL_ID", parse::named).value(),
            overflow_queue_url: reader.parsed("RECONCILE_QUEUE_URL", parse::queue_url).value(),
            dead_letter_queue_url: reader.parsed("DEAD_LETTER_QUEUE_URL", parse::queue_url).value(),
            faults: faults(&lookup),
        }
    }

    /// Whether this setting has no fault.
    pub fn has_right(&self, setting: &str) -> bool {
        !self.faults.iter().any(|fault| fault.settings.split(", ").any(|name| name == setting))
    }
}

fn faults(lookup: &dyn Fn(&str) -> Option<String>) -> Vec<SettingFault> {
    let is_set = |name: &str| lookup(name).is_some_and(|text| !text.trim().is_empty());
    let has_handoff = is_set("HANDOFF_ALLOWED_ORIGINS");
    let programs = [
        SignIn::new(lookup).err(),
        Reconcile::new(lookup).err(),
        FileSync::new(lookup).err(),
        has_handoff.then(|| Handoff::new(lookup).err()).flatten(),
    ];
    let mut faults: Vec<SettingFault> = Vec::new();
    for fault in programs.into_iter().flatten().flat_map(|InvalidSettings(faults)| faults) {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    faults
}
