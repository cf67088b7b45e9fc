//! The settings: environment variables, read once into typed values.
//!
//! Each program has one struct, built from a look-up function (`|name| std::env::var(name).ok()` in
//! `bin`, a map in a test). Either every setting is valid, or [`InvalidSettings`] lists every fault. An
//! empty or blank variable counts as not set, because a deployment template passes an empty parameter
//! like that.

mod doctor;
mod parse;
mod reader;

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

pub use self::doctor::Doctor;
pub use self::reader::{InvalidSettings, SettingFault, policy};
use self::reader::{Reader, read};
use crate::aws::{FunctionArn, UserPoolId};
use crate::domain::policy::Policy;
use crate::oidc::Issuers;
use crate::permit::{Address, Environment, Limits};

/// Permit's address if `PERMIT_API_URL` is not set.
const PERMIT_API_URL: &str = "https://api.permit.io";

pub struct Common {
    pub permit: PermitSettings,
    /// `HANDOFF_POLICY` or `HANDOFF_POLICY_FILE`.
    pub policy: Policy,
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { permit, policy } = self;
        let rules = policy.rules.len();
        f.debug_struct("Common")
            .field("permit", permit)
            .field("policy", &format_args!("{rules} rules"))
            .finish()
    }
}

#[derive(Debug)]
pub struct PermitSettings {
    /// `PERMIT_API_URL`.
    pub api_url: Address,
    /// `PERMIT_API_KEY_SECRET_ID` or `PERMIT_API_KEY`.
    pub key: KeySetting,
    /// `PERMIT_PROJECT` and `PERMIT_ENVIRONMENT`, each an id or a key. If `None`, the API key's scope
    /// decides.
    pub environment: Option<Environment>,
    /// `PERMIT_PDP_URL`. `None` if the PDP is not used.
    pub pdp_url: Option<Address>,
    /// `PERMIT_LIMITS`. Permit's documented limits if it is not set.
    pub limits: Limits,
}

/// Where the API key is.
#[derive(Debug)]
pub enum KeySetting {
    /// In the secret with this name or ARN.
    SecretId(String),
    /// The key itself, for local use.
    Key(SecretString),
}

/// Where a person's groups come from at sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInGroups {
    /// From the user pool, unless the event has them.
    Lookup,
    /// From nowhere: grants by group are left to the bulk sync.
    Skip,
    /// From PreTokenGeneration events only.
    Event,
}

/// What happens to a sign-in that could not be synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFailure {
    /// The person gets in, with the roles that they have.
    Admit,
    /// The person is told to try again.
    Deny,
}

/// The settings of `post-authentication` that can still be read when others are wrong.
pub struct BadDeployment {
    /// `SIGN_IN_ON_FAILURE`. An unknown value means `Deny`: whoever set it did not want the default.
    pub on_failure: OnFailure,
    /// `RECONCILE_QUEUE_URL` and `USER_POOL_ID`, if both are valid.
    pub queue: Option<(String, UserPoolId)>,
}

impl BadDeployment {
    pub fn new(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let on_failure = match lookup("SIGN_IN_ON_FAILURE").as_deref().map(str::trim) {
            None | Some("" | "admit") => OnFailure::Admit,
            Some(_) => OnFailure::Deny,
        };
        let mut reader = Reader::new(&lookup);
        let url = reader.parsed("RECONCILE_QUEUE_URL", parse::queue_url).value();
        let pool = reader.parsed("USER_POOL_ID", parse::named).value();
        Self { on_failure, queue: url.zip(pool) }
    }
}

/// Settings of `post-authentication`.
#[derive(Debug)]
pub struct SignIn {
    pub common: Common,
    /// `SIGN_IN_GROUPS`.
    pub groups: SignInGroups,
    /// `SIGN_IN_ON_FAILURE`.
    pub on_failure: OnFailure,
    /// `SIGN_IN_BUDGET_MS`: the time limit of the handler.
    pub budget: Duration,
    /// `SIGN_IN_CACHE_SECONDS`. Zero turns the cache off.
    pub cache_ttl: Duration,
    /// `RECONCILE_QUEUE_URL`. `None` if there is no queue.
    pub overflow_queue_url: Option<String>,
    /// `USER_POOL_ID`: the only pool whose events are served, and in which `reconcile` reads people
    /// again. If `None`, every pool's events are served, and queue messages carry the person's data.
    pub user_pool_id: Option<UserPoolId>,
}

/// Settings of `bulk-sync`, and of the command line's `plan` and `sync`.
#[derive(Debug)]
pub struct BulkSync {
    pub common: Common,
    /// `USER_POOL_ID`.
    pub user_pool_id: UserPoolId,
    /// `BULK_SHARE`: the share of Permit's limits that the sync may use, in (0, 1].
    pub share: f64,
    /// `RECONCILE_QUEUE_URL`. If `None`, the people that a run changes get no second look.
    pub queue_url: Option<String>,
    /// `TRIGGER_FUNCTION_ARN`: the function that the pool must call at sign-ins. If `None`, the run does
    /// not check this.
    pub trigger: Option<FunctionArn>,
    /// `CHANGE_EVENTS`: the pool's changes arrive as events, and a run counts the changes that they
    /// missed.
    pub change_events: bool,
}

/// Settings of the command line's `sync --file`.
#[derive(Debug)]
pub struct FileSync {
    pub common: Common,
    /// `BULK_SHARE`.
    pub share: f64,
}

/// Settings of the command line's `explain`.
pub struct Explain {
    /// `HANDOFF_POLICY` or `HANDOFF_POLICY_FILE`.
    pub policy: Policy,
    /// How to reach Permit. `None` if Permit is not asked.
    pub permit: Option<PermitSettings>,
    /// `USER_POOL_ID`. If `None`, people are looked up in Permit only.
    pub user_pool_id: Option<UserPoolId>,
}

/// Settings of `handoff`.
#[derive(Debug)]
pub struct Handoff {
    pub sign_in: SignIn,
    /// The issuers of the policy's sources, at least one.
    pub issuers: Issuers,
    /// `HANDOFF_ALLOWED_ORIGINS`, each as a browser spells it in `Origin`: `https://app.example.com`.
    pub allowed_origins: Vec<String>,
}

/// Settings of `reconcile`.
#[derive(Debug)]
pub struct Reconcile {
    pub common: Common,
    /// `USER_POOL_ID`: the pool in which people are read again.
    pub user_pool_id: Option<UserPoolId>,
    /// `RECONCILE_QUEUE_URL`: the queue that the batches come from. If `None`, there are no second looks.
    pub queue_url: Option<String>,
    /// `DEAD_LETTER_QUEUE_URL`: where `reconcile` puts messages that no later try could sync, with the
    /// reason. If `None`, SQS moves them there without a reason, after as many tries as its redrive
    /// policy says.
    pub dead_letter_queue_url: Option<String>,
    /// `BULK_SYNC_STATE_MACHINE_ARN`: what to start after a change that names no person. If `None`, the
    /// change waits for the schedule.
    pub state_machine_arn: Option<String>,
}

impl Common {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let permit = PermitSettings::read(reader);
        let policy = reader.policy();
        Some(Self { permit: permit?, policy: policy? })
    }
}

impl PermitSettings {
    /// Reads only these settings through `lookup`.
    pub fn new(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        read(&lookup, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let api_url = reader.parsed_or("PERMIT_API_URL", PERMIT_API_URL, parse::parsed);
        let secret_id = reader.parsed("PERMIT_API_KEY_SECRET_ID", parse::secret_id);
        let key = reader.parsed("PERMIT_API_KEY", parse::api_key);
        reader.exactly_one(
            ("PERMIT_API_KEY_SECRET_ID", secret_id.is_set()),
            ("PERMIT_API_KEY", key.is_set()),
            "set PERMIT_API_KEY_SECRET_ID to the name of the secret that holds Permit's API key \
             (or PERMIT_API_KEY to the key itself, for local use)",
        );
        let secret_id = secret_id.map(KeySetting::SecretId).value();
        let project = reader.parsed("PERMIT_PROJECT", parse::permit_name);
        let environment = reader.parsed("PERMIT_ENVIRONMENT", parse::permit_name);
        if project.is_set() != environment.is_set() {
            reader.fault(
                "PERMIT_PROJECT, PERMIT_ENVIRONMENT",
                "only one is set: set both, or neither, and the API key's own environment is used",
            );
        }
        Some(Self {
            pdp_url: reader.parsed("PERMIT_PDP_URL", parse::pdp_address).value(),
            limits: reader.parsed("PERMIT_LIMITS", parse::parsed).value().unwrap_or_default(),
            api_url: api_url?,
            key: secret_id.or(key.map(KeySetting::Key).value())?,
            environment: (project.value().zip(environment.value()))
                .map(|(project, environment)| Environment { project, environment }),
        })
    }
}

impl SignIn {
    pub fn new(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        read(&lookup, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let common = Common::read(reader);
        let groups = reader.one_of(
            "SIGN_IN_GROUPS",
            &[("lookup", SignInGroups::Lookup), ("skip", SignInGroups::Skip), ("event", SignInGroups::Event)],
        );
        let on_failure =
            reader.one_of("SIGN_IN_ON_FAILURE", &[("admit", OnFailure::Admit), ("deny", OnFailure::Deny)]);
        let budget = reader.parsed_or("SIGN_IN_BUDGET_MS", "3500", |text| {
            parse::whole_number(text, 100..=4500, "milliseconds (Cognito waits for 5000 in all)")
        });
        let cache_ttl = reader.parsed_or("SIGN_IN_CACHE_SECONDS", "300", |text| {
            parse::whole_number(text, 0..=86_400, "seconds (0: always look)")
        });
        Some(Self {
            overflow_queue_url: reader.parsed("RECONCILE_QUEUE_URL", parse::queue_url).value(),
            user_pool_id: reader.parsed("USER_POOL_ID", parse::named).value(),
            common: common?,
            groups: groups?,
            on_failure: on_failure?,
            budget: Duration::from_millis(budget?),
            cache_ttl: Duration::from_secs(cache_ttl?),
        })
    }
}

impl BulkSync {
    pub fn new(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        read(&lookup, |reader| {
            let common = Common::read(reader);
            let user_pool_id = reader.required(
                "USER_POOL_ID",
                "set it to the id of the Cognito user pool, as in eu-west-1_AbCdEfGhI",
                parse::named,
            );
            let share = reader.parsed_or("BULK_SHARE", "0.7", parse::share);
            let change_events = reader.one_of("CHANGE_EVENTS", &[("off", false), ("on", true)]);
            Some(Self {
                trigger: reader.parsed("TRIGGER_FUNCTION_ARN", parse::named).value(),
                queue_url: reader.parsed("RECONCILE_QUEUE_URL", parse::queue_url).value(),
                common: common?,
                user_pool_id: user_pool_id?,
                share: share?,
                change_events: change_events?,
            })
        })
    }
}

impl FileSync {
    pub fn new(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        read(&lookup, |reader| {
            let common = Common::read(reader);
            let share = reader.parsed_or("BULK_SHARE", "0.7", parse::share);
            Some(Self { common: common?, share: share? })
        })
    }
}

impl Explain {
    /// Reads the settings through `lookup`. Those of Permit are read only if `asks_permit`.
    pub fn new(lookup: impl Fn(&str) -> Option<String>, asks_permit: bool) -> Result<Self, InvalidSettings> {
        read(&lookup, |reader| {
            let permit = if asks_permit { PermitSettings::read(reader).map(Some) } else { Some(None) };
            let policy = reader.policy();
            let user_pool_id = reader.parsed("USER_POOL_ID", parse::named).value();
            Some(Self { user_pool_id, policy: policy?, permit: permit? })
        })
    }
}

impl Handoff {
    pub fn new(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        read(&lookup, |reader| {
            let sign_in = SignIn::read(reader);
            // Faults in the issuers are already reported with the policy.
            let issuers = reader.issuers.take();
            if issuers.as_ref().is_some_and(Issuers::is_empty) {
                let what = "the policy names no issuer whose tokens are trusted: give a [[source]] an `issuer` and `audiences`";
                reader.fault("HANDOFF_POLICY", what);
            }
            let allowed_origins = reader.parsed("HANDOFF_ALLOWED_ORIGINS", parse::origins).value();
            let allowed_origins = allowed_origins.unwrap_or_default();
            Some(Self { sign_in: sign_in?, issuers: issuers?, allowed_origins })
        })
    }
}

impl Reconcile {
    pub fn new(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        read(&lookup, |reader| {
            let common = Common::read(reader);
            let state_machine_arn = reader.parsed("BULK_SYNC_STATE_MACHINE_ARN", parse::state_machine_arn);
            Some(Self {
                user_pool_id: reader.parsed("USER_POOL_ID", parse::named).value(),
                queue_url: reader.parsed("RECONCILE_QUEUE_URL", parse::queue_url).value(),
                dead_letter_queue_url: reader.parsed("DEAD_LETTER_QUEUE_URL", parse::queue_url).value(),
                state_machine_arn: state_machine_arn.value(),
                common: common?,
            })
        })
    }
}
