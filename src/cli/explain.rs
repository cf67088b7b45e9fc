//! `explain`: why a person has their roles, and what would change.
//!
//! First it finds who the person is, from an event, a token or the user pool. Then it shows what the
//! policy grants them, what Permit has, and the difference (`tell`).

mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_types::SdkConfig;
use jiff::Timestamp;
use tokio::sync::mpsc;

use self::tell::{Asked, Directory, Explained, Origin, Person};
use super::people::FileArgs;
use super::run::permit_failed;
use super::settings::Overrides;
use super::{Exit, Failed, Terminal};
use crate::aws::event::TriggerEvent;
use crate::aws::groups_of;
use crate::aws::pool::{PoolError, PoolUser, UserPool as _};
use crate::aws::sdk::CognitoPool;
use crate::aws::{Patience, UserPoolId};
use crate::domain::directory::{Directory as _, Record};
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Evidence, Identity, UserKey};
use crate::domain::plan::Plan;
use crate::domain::policy::Policy;
use crate::domain::source::{Door, Sources};
use crate::file::FileDirectory;
use crate::oidc::explain::unverified_identity;
use crate::oidc::unverified::UnverifiedToken;
use crate::permit::{Error, Permit};
use crate::sync::catalog::Catalog;
use crate::sync::one::{leave_out, may_have};
use crate::{clients, config};

const EXAMPLES: &str = "\
Examples:
  permit-handoff explain --user jane@example.com
  permit-handoff explain --user jane@example.com --role acme/editor     why, or why not
  permit-handoff explain --event event.json --groups admins,acme/editor
  permit-handoff explain --user 4711 --file people.csv --source crm
  pbpaste | permit-handoff explain --token -
  permit-handoff explain --event event.json --offline     asks neither Permit nor the pool

Exits with 1 where the next sync would change anything, and where nobody knows the person.";

const USAGE: &str = "\
permit-handoff explain [OPTIONS] --user <KEY|EMAIL|USERNAME>
       permit-handoff explain [OPTIONS] --event <FILE>
       permit-handoff explain [OPTIONS] --token <FILE>";

/// The timeout of one request to Permit or to the user pool.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Arguments of `explain`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
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
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    file: FileArgs,
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
    /// A user by the key (`sub`), the e-mail address or the user name in the pool or the --file; by the key
    /// in Permit
    #[arg(long, value_name = "KEY|EMAIL|USERNAME")]
    user: Option<String>,
}

impl Args {
    /// Explains a person's roles. Writes nothing.
    pub async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let is_of_file = self.file.file.is_some();
        match (&self.who.user, is_of_file) {
            (None, true) => {
                return Err(Failed::usage(
                    "--file needs a person to explain: give --user KEY|EMAIL|USERNAME",
                ));
            }
            (Some(_), false) if self.offline => {
                return Err(Failed::usage(
                    "--user is looked up in the user pool: leave --offline out, or give --event, --token or --file",
                ));
            }
            _ => {}
        }
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
            Who { user: Some(user), .. } if is_of_file => self.of_file(user, &settings.policy).await?,
            Who { user: Some(user), .. } => {
                let (id, sources) = (settings.user_pool_id, &settings.policy.sources);
                self.of_user(user, &aws, id, sources).await?
            }
            Who { event: None, token: None, user: None } => {
                return Err(Failed::usage("give --event, --token or --user"));
            }
        };
        let permit = match &permit {
            Some(permit) => {
                let asked = ask(permit, &settings.policy, &person).await;
                let address = settings.permit.map(|permit| permit.api_url.to_string()).unwrap_or_default();
                Some(asked.map_err(|error| Failed::failed(permit_failed(&error, &address, "")))?)
            }
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
                    // An old event or a sample: the user no longer exists, and the event contains
                    // everything else.
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
        let refused = |rejection| Failed::usage(format!("the token is not valid: {rejection}"));
        let token = UnverifiedToken::parse(token).map_err(refused)?;
        let sources = &settings.policy.sources;
        let issuer = token.unverified_issuer().to_owned();
        let is_trusted = sources.of_issuer(&issuer).is_some();
        let identity = unverified_identity(token, sources).map_err(refused)?.map_err(Failed::usage)?;
        let groups = self.given_groups().or_else(|| identity.groups.clone());
        // Evaluate the token as if it were issued now.
        let evidence = Evidence::read_at(Timestamp::now());
        Ok(Person::new(Origin::Token { issuer, is_trusted }, Identity { groups, ..identity }.on(evidence)))
    }

    /// The user from the pool. If the pool has no such user, only the key is known.
    async fn of_user(
        &self,
        user: &str,
        aws: &SdkConfig,
        id: Option<UserPoolId>,
        sources: &Sources,
    ) -> Result<Person, Failed> {
        let Some(id) = id else { return Ok(Person::nobody(user, None)) };
        let source = sources.of_user_pool(id.as_str());
        let directory = Directory { source: source.name.clone(), name: "the user pool".to_owned() };
        let pool = CognitoPool::new(aws, id, TIMEOUT);
        let Some(found) = find(&pool, user).await? else {
            return Ok(Person::nobody(user, Some(directory)));
        };
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

    /// The user from the file.
    async fn of_file(&self, user: &str, policy: &Policy) -> Result<Person, Failed> {
        let (people, name) = self.file.open(policy)?;
        let Some(record) = find_in(&people, user).await? else {
            return Ok(Person::nobody(user, Some(Directory { source: people.source().clone(), name })));
        };
        let identity = match record {
            Record::Identity(identity) => identity,
            Record::Invalid { reason, .. } => {
                return Err(Failed::usage(format!(
                    "the record of {user} in {name} cannot be synced: {reason}"
                )));
            }
        };
        let groups = self.given_groups().or_else(|| identity.groups.clone());
        let identity = Identity { groups, ..identity }.on(Evidence::read_at(Timestamp::now()));
        Ok(Person::new(Origin::File, identity))
    }
}

/// Finds a record by key, then by e-mail address, then by user name. If several records have the key, the
/// first counts, as in a sync.
async fn find_in(people: &FileDirectory, user: &str) -> Result<Option<Record>, Failed> {
    let email = Email::new(user);
    let (records, mut received) = mpsc::channel(1_024);
    let mut found: [Vec<Record>; 3] = Default::default();
    let looking = async {
        while let Some(record) = received.recv().await {
            let by = match &record {
                Record::Identity(identity) if identity.key.as_str() == user => 0,
                Record::Identity(identity) if email.is_some() && identity.email == email => 1,
                Record::Identity(identity) if identity.called() == Some(user) => 2,
                Record::Invalid { key: Some(key), .. } if key.as_str() == user => 0,
                Record::Invalid { user: called, .. } if called == user => 2,
                Record::Identity(_) | Record::Invalid { .. } => continue,
            };
            if found[by].len() < 3 {
                found[by].push(record);
            }
        }
    };
    let (read, ()) = tokio::join!(people.read(None, records), looking);
    read.map_err(Failed::failed)?;
    let [by_key, by_email, by_name] = found;
    if let Some(first) = by_key.into_iter().next() {
        return Ok(Some(first));
    }
    for (what, some) in [("e-mail address", by_email), ("user name", by_name)] {
        let mut keys: Vec<&str> = some.iter().filter_map(key_of).collect();
        keys.dedup();
        if keys.len() > 1 {
            let keys = keys.join(" or --user ");
            return Err(Failed::usage(format!("several people have this {what}; say which: --user {keys}")));
        }
        if let Some(first) = some.into_iter().next() {
            return Ok(Some(first));
        }
    }
    Ok(None)
}

fn key_of(record: &Record) -> Option<&str> {
    match record {
        Record::Identity(identity) => Some(identity.key.as_str()),
        Record::Invalid { key, .. } => key.as_ref().map(UserKey::as_str),
    }
}

/// Reads what Permit has of the user, and which of the policy's roles, tenants and instances exist.
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
        leave_out(policy, &known, &mut desired, may_have(actual.as_ref()));
        let plan = Plan::new(&desired, actual.as_ref());
        lacking = catalog.lacking(&permit, policy, plan.grants().collect(), false).await?;
    }
    Ok(Asked { actual, known, lacking })
}

/// Finds a user by `sub`, then by e-mail address, then by user name.
async fn find(pool: &CognitoPool, user: &str) -> Result<Option<PoolUser>, Failed> {
    match pool.user(user).await {
        Ok(Some(found)) => return Ok(Some(found)),
        // If the pool refuses to filter by this text, no user has it.
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
