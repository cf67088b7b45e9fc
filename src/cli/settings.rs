//! The main settings as flags, so that the operator can try one without changing the environment.

/// Settings that go before the environment's.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Settings, instead of the environment's")]
#[group(skip)]
pub(super) struct Overrides {
    /// The policy, instead of HANDOFF_POLICY_FILE and HANDOFF_POLICY
    #[arg(long, value_name = "FILE")]
    policy_file: Option<String>,
    /// The user pool, instead of USER_POOL_ID
    #[arg(long, value_name = "REGION_ID")]
    user_pool_id: Option<String>,
}

impl Overrides {
    /// The flags first, then `variable`.
    pub(super) fn before<'a>(
        &'a self,
        variable: &'a dyn Fn(&str) -> Option<String>,
    ) -> impl Fn(&str) -> Option<String> + 'a {
        let Self { policy_file, user_pool_id } = self;
        move |name| match (name, policy_file, user_pool_id) {
            ("HANDOFF_POLICY_FILE", Some(file), _) => Some(file.clone()),
            ("HANDOFF_POLICY", Some(_), _) => None,
            ("USER_POOL_ID", _, Some(id)) => Some(id.clone()),
            _ => variable(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_goes_before_both_ways_of_setting_the_policy() {
        let environment = |name: &str| Some(format!("{name} of the environment"));
        let overrides = Overrides { policy_file: Some("p.toml".into()), user_pool_id: None };
        let variable = overrides.before(&environment);
        assert_eq!(variable("HANDOFF_POLICY_FILE").as_deref(), Some("p.toml"));
        assert_eq!(variable("HANDOFF_POLICY"), None);
        assert_eq!(variable("USER_POOL_ID").as_deref(), Some("USER_POOL_ID of the environment"));
    }
}
