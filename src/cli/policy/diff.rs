//! `policy diff`: who gains and who loses what, and by which line. It streams: each person is compared
//! and then dropped.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;

use anstyle::AnsiColor::{Green, Red};
use serde_json::json;

use super::read;
use super::views::{Views, who};
use crate::cli::overview::Overview;
use crate::cli::people::FileArgs;
use crate::cli::run::permit_failed;
use crate::cli::screen::{Line, counted, figure};
use crate::cli::summary;
use crate::cli::summary::Shown;
use crate::cli::summary::sections::Section;
use crate::cli::{Exit, Failed, Terminal};
use crate::domain::directory::Record;
use crate::domain::identity::Identity;
use crate::domain::plan::{Change, Diff, NewUser, Plan};
use crate::domain::policy::WhenDisabled;
use crate::sync::bulk::Planned;
use crate::sync::bulk::problems::Cause;
use crate::sync::catalog::Catalog;
use crate::sync::compare::{Comparison, Side};
use crate::sync::one::SyncError;
use crate::{clients, config};

const EXAMPLES: &str = "\
Examples:
  permit-handoff policy diff policy/policy.toml new.toml
  permit-handoff policy diff old.toml new.toml --file users.csv --source crm
  permit-handoff policy diff old.toml new.toml --max-losses 0    in a pull request: nobody may lose anything

It is the difference between a bulk sync by OLD and one by NEW. Where Permit's settings are there, roles and tenants are \
looked up in Permit; without them, each is taken to exist. Departures are left out: they do not depend on rules. Exits \
with 1 if more than --max-losses people lose a role.";

/// The timeout of one request to Permit.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Arguments of `policy diff`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub(super) struct Args {
    /// The policy as it is
    old: PathBuf,
    /// The policy as it is to be
    new: PathBuf,
    /// Exit with 1 if more people than this lose a role
    #[arg(long, value_name = "N")]
    max_losses: Option<u64>,
    /// Take every role and tenant to exist, and do not ask Permit
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    shown: Shown,
    /// The user pool, instead of USER_POOL_ID
    #[arg(long, value_name = "REGION_ID")]
    user_pool_id: Option<String>,
    #[command(flatten)]
    file: FileArgs,
}

/// How many people each rule moves, by policy, line and role.
type Moved = BTreeMap<(Side, usize, String), u64>;

impl Args {
    pub(super) async fn run(
        self,
        terminal: &mut Terminal<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Exit, Failed> {
        let (old, new) = (read(&self.old)?, read(&self.new)?);
        let aws = clients::aws().await.map_err(Failed::usage)?;
        let pool = self.user_pool_id.clone().or_else(|| variable("USER_POOL_ID"));
        let people = Views::open(&self.file, pool, (&old, &new), &aws).await?;
        let has_permit =
            ["PERMIT_API_KEY", "PERMIT_API_KEY_SECRET_ID"].iter().any(|name| variable(name).is_some());
        let known = if self.offline || !has_permit {
            None
        } else {
            let settings = config::PermitSettings::new(variable).map_err(Failed::usage)?;
            let permit = clients::permit(&settings, &aws, TIMEOUT).map_err(Failed::usage)?;
            let catalog = Catalog::of(old.resources().into_iter().chain(new.resources()));
            let known = catalog.ask(&permit).await;
            Some(known.map_err(|error| {
                let failed = permit_failed(&error, &settings.api_url.to_string(), "");
                Failed::failed(format!("{failed}; or give --offline, to ask nobody"))
            })?)
        };
        let comparison = Comparison { old: &old, new: &new, known: known.as_deref() };
        let mut found = Found::new(self.shown, terminal.json, new.deprovision.disabled);
        let read = people.read(&mut |old, new| found.compare(&comparison, old, new)).await;
        read.map_err(|error| Failed::failed(format!("{error}. The comparison is incomplete: run it again")))?;
        found.tell(terminal, &people.name, new.deprovision.max_percent, &self)?;
        let losing = found.overview.totals.losing;
        Ok(if self.max_losses.is_some_and(|most| losing > most) { Exit::Look } else { Exit::Done })
    }
}

#[derive(Default)]
struct Found {
    overview: Overview,
    moved: Moved,
    read: u64,
    /// How many people Permit has after a sync by the old policy.
    has_any: u64,
    /// Hashes of the people who were read: only a person's first record counts.
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Found {
    fn new(shown: Shown, json: bool, when_disabled: WhenDisabled) -> Self {
        Self { overview: Overview::new(shown.people(json), false, when_disabled), ..Self::default() }
    }

    fn compare(&mut self, comparison: &Comparison<'_>, old: Option<&Record>, new: Option<&Record>) {
        let Some(record) = new.or(old) else { return };
        let who = who(record);
        if !self.seen.insert(self.hasher.hash_one(who)) {
            return;
        }
        self.read += 1;
        let old = match old {
            Some(Record::Identity(identity)) => Some(identity),
            Some(Record::Invalid { .. }) | None => None,
        };
        match new {
            Some(Record::Identity(new)) => self.compare_person(comparison, old, new),
            // The new policy cannot identify the person, so they keep what they have.
            Some(Record::Invalid { reason, .. }) => {
                self.overview.rejected(
                    who,
                    old.and_then(|old| old.email.as_ref()),
                    &Cause::of_record(reason),
                );
                self.keeps(comparison, old);
            }
            None => self.keeps(comparison, old),
        }
    }

    fn keeps(&mut self, comparison: &Comparison<'_>, old: Option<&Identity>) {
        let facts = old.and_then(|old| comparison.before(old));
        self.has_any += u64::from(facts.is_some());
        self.overview.add(Planned::Sync(Diff { plan: &Plan::Unchanged, actual: facts.as_ref() }));
    }

    fn compare_person(&mut self, comparison: &Comparison<'_>, old: Option<&Identity>, new: &Identity) {
        let (facts, plan) = comparison.of(old, new);
        self.has_any += u64::from(facts.is_some());
        self.overview.met(new);
        let (lost, gained) = match &plan {
            Plan::Change(Change { revoke, grant, .. }) => (Some(revoke), Some(grant)),
            Plan::Create(NewUser { grants, .. }) => (None, Some(grants)),
            Plan::Unchanged => (None, None),
            Plan::Refused(refused) => {
                let cause = Cause::of_error(&SyncError::Evidence(refused.clone()));
                self.overview.rejected(new.key.as_str(), new.email.as_ref(), &cause);
                (None, None)
            }
        };
        for (side, identity, moved) in [(Side::Old, old, lost), (Side::New, Some(new), gained)] {
            let (Some(identity), Some(moved)) = (identity, moved) else { continue };
            let rules = if moved.is_empty() { BTreeMap::new() } else { comparison.rules(identity, side) };
            for role in moved {
                for line in rules.get(role).into_iter().flatten() {
                    *self.moved.entry((side, *line, role.to_string())).or_default() += 1;
                }
            }
        }
        self.overview.add(Planned::Sync(Diff { plan: &plan, actual: facts.as_ref() }));
    }

    fn tell(
        &self,
        terminal: &mut Terminal<'_>,
        people: &str,
        max_percent: f64,
        args: &Args,
    ) -> Result<(), Failed> {
        let totals = &self.overview.totals;
        if terminal.json {
            let rules = self.moved.iter().map(|((side, line, role), count)| {
                json!({"policy": side, "line": line, "role": role, "people": count})
            });
            let named: Vec<_> = self.overview.people().collect();
            return Ok(terminal.json(&json!({
                "people_read": self.read, "totals": totals, "roles": self.overview.roles,
                "rules": rules.collect::<Vec<_>>(), "people": named,
                "people_more": totals.touched().saturating_sub(named.len() as u64),
            }))?);
        }
        let columns = terminal.columns;
        let mut lines = vec![verdict(&self.overview)];
        let (old, new) = (args.old.display(), args.new.display());
        lines.push(Line::new(2).text(format!("{old} compared with {new}, over {people}")));
        let read = counted(self.read, "person", "people");
        lines.push(
            Line::new(2).text(format!("{read} read; {} would stay as they are.", figure(totals.unchanged))),
        );
        #[expect(clippy::cast_precision_loss, reason = "a user pool has at most 40 million users")]
        let is_too_much = totals.losing as f64 * 100.0 > max_percent * self.has_any.max(1) as f64;
        if totals.losing > 0 && is_too_much {
            let text = format!(
                " more than max_percent = {max_percent} lose something. They keep it until `sync --approve-deprovision`."
            );
            lines.push(Line::new(2).colour(Red, "A sync refuses this:").text(text));
        }
        let sections = vec![
            summary::sections::roles(&self.overview, args.shown.all),
            self.rules(args),
            summary::sections::problems(&self.overview, args.shown.all),
            summary::people::section(&self.overview, args.shown, columns),
        ];
        let room = if args.shown.all { usize::MAX } else { summary::LINES - lines.len() };
        lines.extend(summary::sections::fitted(sections, room, columns));
        lines.iter().try_for_each(|line| terminal.show(line))?;
        Ok(())
    }

    /// One line per rule and role, losses first.
    fn rules(&self, args: &Args) -> Section {
        let mut moved: Vec<_> = self.moved.iter().collect();
        moved.sort_by_key(|((side, line, _), count)| (*side, std::cmp::Reverse(**count), *line));
        let entry = |((side, line, role), count): (&(Side, usize, String), &u64)| {
            let people = counted(*count, "person", "people");
            let (colour, sign, file) = match side {
                Side::Old => (Red, "-", args.old.display()),
                Side::New => (Green, "+", args.new.display()),
            };
            vec![
                Line::new(6)
                    .text("  ")
                    .colour(colour, format!("{sign}{role}"))
                    .text(format!("  {people}, by {file}:{line}")),
            ]
        };
        Section {
            heading: vec![Line::plain("By which line")],
            entries: moved.into_iter().map(entry).collect(),
            more: 0,
            names: ("rule", "rules"),
        }
    }
}

fn verdict(overview: &Overview) -> Line {
    let totals = &overview.totals;
    let line = Line::new(2);
    if totals.losing + totals.gaining + totals.changed == 0 {
        return line.colour(Green, "No difference.").text(" Both policies give everybody the same.");
    }
    let fields = totals.fields_alone;
    let gains = counted(totals.gaining, "person gains", "people gain");
    let line = if totals.losing > 0 {
        line.colour(Red, format!("{} a role", counted(totals.losing, "person loses", "people lose")))
            .text(", ")
    } else {
        line.text("Nobody loses a role, ")
    };
    let line = line.text(format!("{gains} one."));
    if fields > 0 {
        line.text(format!(" {} fields alone.", counted(fields, "person changes in", "people change in")))
    } else {
        line
    }
}
