//! `explain`: why a person has the roles that they have, and what would change.
//!
//! First who it is, as an event, a token or the user pool says it; then what the policy says of them, what Permit has,
//! and the difference (`tell`).

mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_types::SdkConfig;
use jiff::Timestamp;

use self::tell::{Asked, Explained, Origin, Person};
use super::settings::Overrides;
use super::{Exit, Failed, Terminal};
use crate::aws::event::TriggerEvent;
use crate::aws::groups_of;
use crate::aws::pool::{PoolError, PoolUser, UserPool as _};
use crate::aws::sdk::CognitoPool;
use crate::aws::{Patience, UserPoolId};
use crate::domain::grant::Grant;
use crate::domain::identity::{Evidence, Identity, UserKey};
use crate::domain::plan::Plan;
use crate::domain::policy::Policy;
use crate::domain::source::{Door, Sources};
use crate::oidc::explain::unverified_identity;
use crate::oidc::unverified::UnverifiedToken;
use crate::permit::{Error, Permit};
use crate::sync::catalog::Catalog;
use crate::sync::one::leave_out;
use crate::{clients, config};

const EXAMPLES: &str = "\
Examples:
  permit-handoff explain --user jane@example.com
  permit-handoff explain --user jane@example.com --role acme/editor     why, or why not
  permit-handoff explain --event event.json --groups admins,acme/editor
  pbpaste | permit-handoff explain --token -
  permit-handoff explain --event event.json --offline     asks neither Permit nor the pool

Exits with 1 where the next sync would change anything, and where nobody knows the person.";

/// One request to Permit or to the user pool.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Arguments of `explain`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    who: Who,
    /// The groups to take the person to be in, instead of asking the user pool
    #[arg(long, value_name = "GROUP,...", value_delimiter = ',')]
    groups: Option<Vec<String>>,
    /// Why the person has this role, or what they lack for it
    #[arg(long, value_name = "TENANT/ROLE")]
    role: Option<Grant>,
    /// Show the rules that do not hold, too
    #[arg(long)]
    all: bool,
    /// Do not ask Permit or the user pool
    #[arg(long, conflicts_with = "user")]
    offline: bool,
    #[command(flatten)]
    settings: Overrides,
}

#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
struct Who {
    /// A trigger's event, as JSON; `-`: standard input
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// A token, whose signature is not checked; `-`: standard input
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// A user by the key (`sub`), the e-mail address or the user name in the pool; by the key in Permit
    #[arg(long, value_name = "KEY|EMAIL|USERNAME")]
    user: Option<String>,
}

impl Args {
    /// Explains. Writes nothing.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let settings =
            config::Explain::new(self.settings.before(variable), !self.offline).map_err(Failed::usage)?;
        let aws = clients::aws().await.map_err(Failed::usage)?;
        let permit = match &settings.permit {
            Some(permit) => Some(clients::permit(permit, &aws, TIMEOUT).map_err(Failed::usage)?),
            None => None,
        };
        let person = match &self.who {
            Who { event: Some(path), .. } => self.of_event(path, &aws, &settings).await?,
            Who { token: Some(path), .. } => self.of_token(path, &settings)?,
            Who { user: Some(user), .. } => {
                let (id, sources) = (settings.user_pool_id, &settings.policy.sources);
                self.of_user(user, &aws, id, sources).await?
            }
            Who { event: None, token: None, user: None } => {
                return Err(Failed::usage("give --event, --token or --user"));
            }
        };
        let permit = match &permit {
            Some(permit) => Some(ask(permit, &settings.policy, &person).await.map_err(Failed::failed)?),
            None => None,
        };
        let file = self.settings.before(variable)("HANDOFF_POLICY_FILE");
        let Self { role, all, .. } = self;
        Explained { policy: &settings.policy, file, person: &person, permit, role, all }.tell(terminal)
    }

    fn given_groups(&self) -> Option<BTreeSet<String>> {
        self.groups.as_ref().map(|groups| groups.iter().cloned().collect())
    }

    async fn of_event(
        &self,
        path: &Path,
        aws: &SdkConfig,
        settings: &config::Explain,
    ) -> Result<Person, Failed> {
        let event = TriggerEvent::parse(read(path)?.as_bytes()).map_err(Failed::usage)?;
        let groups = match self.given_groups() {
            Some(groups) => Some(groups),
            None if self.offline || !settings.policy.needs_groups() => None,
            None => {
                let pool = CognitoPool::new(aws, event.user_pool_id.clone(), TIMEOUT);
                match groups_of(&pool, &event.user_name, Patience::SIGN_IN).await {
                    Ok(groups) => Some(groups),
                    // An old event, or a sample: the person is gone, and the event tells the rest.
                    Err(PoolError::NoSuchUser) => None,
                    Err(error) => {
                        return Err(Failed::failed(format!("{error}; or give --groups, or --offline")));
                    }
                }
            }
        };
        let source = settings.policy.sources.of_user_pool(event.user_pool_id.as_str());
        let identity = event.identity(&source, groups).map_err(Failed::usage)?;
        let identity = Identity { user_name: Some(event.user_name.clone()), ..identity };
        let identity = identity.on(Evidence::read_at(Timestamp::now()));
        Ok(Person::new(Origin::Event, identity))
    }

    fn of_token(&self, path: &Path, settings: &config::Explain) -> Result<Person, Failed> {
        let text = read(path)?;
        let text = text.trim();
        let token = text.strip_prefix("Bearer ").unwrap_or(text).trim();
        let refused = |rejection| Failed::usage(format!("the token is refused as it stands: {rejection}"));
        let token = UnverifiedToken::parse(token).map_err(refused)?;
        let sources = &settings.policy.sources;
        let issuer = token.unverified_issuer().to_owned();
        let is_trusted = sources.of_issuer(&issuer).is_some();
        let identity = unverified_identity(token, sources).map_err(refused)?.map_err(Failed::usage)?;
        let groups = self.given_groups().or_else(|| identity.groups.clone());
        // What a token that was made now would do.
        let evidence = Evidence::read_at(Timestamp::now());
        Ok(Person::new(Origin::Token { issuer, is_trusted }, Identity { groups, ..identity }.on(evidence)))
    }

    /// The person as the pool has them; where it has not, by the key alone.
    async fn of_user(
        &self,
        user: &str,
        aws: &SdkConfig,
        id: Option<UserPoolId>,
        sources: &Sources,
    ) -> Result<Person, Failed> {
        let asked_pool = id.is_some();
        let nobody = || Person {
            origin: Origin::Nowhere { asked_pool },
            asked: user.to_owned(),
            key: UserKey::new(user).ok(),
            identity: None,
        };
        let Some(id) = id else { return Ok(nobody()) };
        let source = sources.of_user_pool(id.as_str());
        let pool = CognitoPool::new(aws, id, TIMEOUT);
        let Some(found) = find(&pool, user).await? else { return Ok(nobody()) };
        let groups = match self.given_groups() {
            Some(groups) => groups,
            None => groups_of(&pool, &found.username, Patience::SIGN_IN).await.map_err(Failed::failed)?,
        };
        let (enabled, user_name) = (found.enabled, found.username);
        let identity = source.identity_of_user(&Door::Pool, found.attributes, Some(groups), Timestamp::now());
        let identity = identity.map_err(Failed::usage)?;
        let enabled = identity.enabled && enabled;
        let identity = Identity { enabled, user_name: Some(user_name), ..identity }
            .on(Evidence::read_at(Timestamp::now()));
        Ok(Person::new(Origin::Pool, identity))
    }
}

/// What Permit has of the user, and what of it exists that the policy would give them.
async fn ask(permit: &Permit, policy: &Policy, person: &Person) -> Result<Asked, Error> {
    let (catalog, permit) = (Catalog::new(policy), permit.seeing_instances(!policy.resources().is_empty()));
    let user = async {
        match &person.key {
            Some(key) => permit.user(key).await,
            None => Ok(None),
        }
    };
    let (actual, known) = futures::try_join!(user, catalog.ask(&permit))?;
    let mut lacking = BTreeMap::new();
    if let Some(identity) = &person.identity {
        let mut desired = policy.evaluate(identity);
        leave_out(policy, &known, &mut desired);
        let plan = Plan::new(&desired, actual.as_ref());
        lacking = catalog.would_lack(&permit, policy, plan.grants().collect()).await?;
    }
    Ok(Asked { actual, known, lacking })
}

/// Looks for a user by the `sub`, then by the e-mail address, then by the user name.
async fn find(pool: &CognitoPool, user: &str) -> Result<Option<PoolUser>, Failed> {
    match pool.user(user).await {
        Ok(Some(found)) => return Ok(Some(found)),
        // A pool that does not filter by this text has nobody with it.
        Ok(None) | Err(PoolError::FilterRefused) => {}
        Err(error) => return Err(Failed::failed(error)),
    }
    for attribute in ["email", "username"] {
        let mut found = match pool.users_by(attribute, user).await {
            Ok(found) => found,
            Err(PoolError::FilterRefused) => continue,
            Err(error) => return Err(Failed::failed(error)),
        };
        if found.len() > 1 {
            let subs: Vec<&str> = found.iter().filter_map(PoolUser::sub).collect();
            return Err(Failed::usage(format!(
                "{} users have this {attribute}; say which, by --user SUB: {}",
                found.len(),
                subs.join(", ")
            )));
        }
        if let Some(found) = found.pop() {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The text of a file, or of standard input.
fn read(path: &Path) -> Result<String, Failed> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failed::usage(format!("{}: {error}", path.display())))?;
    Ok(text)
}
