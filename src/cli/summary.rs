//! `plan` and `sync` on one screen, for any number of people: what is compared, losses first, problems by
//! cause, and what to type next.

pub(super) mod people;
pub(super) mod sections;

pub(super) use self::people::ON_A_SCREEN;

use anstyle::AnsiColor::{Cyan, Green, Red, Yellow};

use super::Terminal;
use super::overview::{Overview, Totals};
use super::screen::{Line, counted, figure, joined};
use crate::sync::bulk::report::{AtPdpTotals, Report, Unowned};

/// The height of a terminal in its default size.
pub(super) const LINES: usize = 24;

/// How many people `--json` names without `--all`.
const IN_JSON: usize = 1_000;

/// What is compared with what.
#[derive(Clone, Default, Debug)]
pub(super) struct Place {
    /// The directory's name, such as `user pool company (eu-west-1_AbC)`.
    pub(super) directory: String,
    /// Permit's project and environment.
    pub(super) permit: String,
}

/// How much is shown.
#[derive(clap::Args, Clone, Copy, Debug)]
#[group(skip)]
pub(super) struct Shown {
    /// Show everybody, every role and every problem
    #[arg(long)]
    pub(super) all: bool,
    /// Show the fields of each person, before and after, and the ledger
    #[arg(long)]
    pub(super) details: bool,
}

impl Shown {
    /// How many people to name.
    pub(super) fn people(self, json: bool) -> usize {
        match (self.all, json) {
            (true, _) => usize::MAX,
            (false, true) => IN_JSON,
            (false, false) => ON_A_SCREEN,
        }
    }
}

/// Everything that the screen shows.
pub(super) struct View<'a> {
    pub(super) place: &'a Place,
    pub(super) report: &'a Report,
    pub(super) overview: &'a Overview,
    /// Whether the run failed. Its message is shown elsewhere.
    pub(super) failed: bool,
    pub(super) shown: Shown,
    /// The command to type next, and why.
    pub(super) next: Option<(String, &'static str)>,
}

impl View<'_> {
    pub(super) fn show(&self, terminal: &mut Terminal<'_>) -> std::io::Result<()> {
        self.lines(terminal.columns).iter().try_for_each(|line| terminal.show(line))
    }

    /// The lines, for a terminal of `columns`.
    pub(super) fn lines(&self, columns: usize) -> Vec<Line> {
        let mut lines = self.heading();
        let mut end: Vec<Line> = Vec::new();
        if let Some((command, why)) = &self.next {
            end.push(Line::default());
            end.extend((!why.is_empty()).then(|| Line::new(2).text(format!("{why}:"))));
            end.push(Line::new(6).command().text("Next: ").colour(Cyan, command));
        }
        let used: usize = lines.iter().chain(&end).map(|line| line.rendered(columns, false).len()).sum();
        let all = self.shown.all;
        let room = if all { usize::MAX } else { LINES.saturating_sub(used) };
        let problems = sections::problems(self.overview, all);
        // If the run stopped early, its plan does not show what it did.
        let sections = if self.failed || !self.report.complete {
            vec![problems]
        } else {
            vec![
                sections::roles(self.overview, all),
                problems,
                people::section(self.overview, self.shown, columns),
            ]
        };
        lines.extend(sections::fitted(sections, room, columns));
        lines.extend(end);
        lines
    }

    /// The verdict, and the lines below it, as plain text.
    pub(super) fn told(&self) -> (String, Vec<String>) {
        let mut lines = self.heading().into_iter().map(|line| line.rendered(usize::MAX, false).concat());
        (lines.next().unwrap_or_default(), lines.collect())
    }

    fn heading(&self) -> Vec<Line> {
        let Self { place, report, overview, .. } = self;
        let mut lines = vec![self.verdict()];
        if !place.directory.is_empty() {
            let verb = if report.dry_run { "compared with" } else { "to" };
            lines.push(Line::new(2).text(format!("{} {verb} {}", place.directory, place.permit)));
        }
        if report.pool.users + report.permit.users > 0 {
            lines.push(Line::new(2).text(format!(
                "{} read; {} in Permit, {} of them ours",
                counted(report.pool.users, "person", "people"),
                counted(report.permit.users, "user", "users"),
                figure(report.permit.owned)
            )));
        }
        let counts = if report.dry_run { planned(&overview.totals) } else { done(report) };
        if !counts.is_empty() && !self.failed {
            let counts = joined(&counts);
            let mut letters = counts.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            lines.push(Line::new(2).text(format!("{}{}.", first.collect::<String>(), letters.as_str())));
        }
        if let Some(refused) = &report.refused {
            lines.push(Line::new(2).colour(Red, "Why: ").text(refused).text("."));
        }
        for (kept, who) in [
            (report.revocations_refused, "in the directory keep roles that the policy no longer gives them"),
            (report.disabled_kept, "who may not sign in any more keep their roles"),
        ] {
            let who = if kept == 1 { who.replacen("keep", "keeps", 1) } else { who.to_owned() };
            if kept > 0 {
                let people = counted(kept, "person", "people");
                lines.push(Line::new(2).colour(Red, format!("{people} {who}.")));
            }
        }
        if let Some(first) = report.unowned.users.first() {
            let Unowned { people, roles, .. } = &report.unowned;
            let roles = counted(*roles, "role", "roles");
            let people = counted(*people, "person", "people");
            lines.push(Line::new(2).colour(Yellow, "In no ledger: ").text(format!(
                "{roles} of {people} that a rule could give, for example {} of {}. They are left: --json names them",
                first.roles.join(", "),
                first.user
            )));
        }
        lines.extend(report.verified.at_pdp.map(at_pdp));
        if !report.dry_run {
            lines.push(self.cost());
        }
        lines
    }

    fn verdict(&self) -> Line {
        let Self { report, overview, failed, .. } = self;
        let Totals { losing, blocked, .. } = overview.totals;
        let touched = overview.totals.touched();
        let line = Line::new(2);
        if *failed {
            return line.colour(Red, "Broke off.").text(what_stands(report));
        }
        if !report.complete {
            let line = line.colour(Yellow, "Stopped before the end.");
            return line.text(what_stands(report));
        }
        if report.refused.is_some() {
            return self.refused();
        }
        if !report.dry_run {
            let checked = counted(report.verified.checked, "user", "users");
            return match (report.converged, report.verified.drifted) {
                (true, _) if report.verified.checked == 0 => {
                    line.colour(Green, "Done.").text(" Permit was as it should be: nothing was written.")
                }
                (true, _) => {
                    let text = format!(" {checked} read back: all are as they should be.");
                    line.colour(Green, "Done, and proven.").text(text)
                }
                (false, drifted) => {
                    let text = format!(" {checked} read back, {} not as they should be.", figure(drifted));
                    line.colour(Red, "Not done.").text(text)
                }
            };
        }
        let blocked = match blocked {
            0 => String::new(),
            _ => format!(" {} blocked.", counted(blocked, "person is", "people are")),
        };
        match (touched, losing) {
            (0, _) => line.colour(Green, "Nothing to do.").text(blocked),
            (_, 0) => {
                let text =
                    format!(" {} would change, nobody loses anything.", counted(touched, "person", "people"));
                line.colour(Green, "Plan.").text(text).text(blocked)
            }
            _ => {
                let loses = if losing == 1 { "person would lose" } else { "people would lose" };
                let text = format!("{} {loses} something", figure(losing));
                let of = format!(" of {} who would change.", figure(touched));
                line.colour(Red, "Plan. ").colour(Red, text).text(of).text(blocked)
            }
        }
    }

    /// The verdict if the breaker stopped all losses.
    fn refused(&self) -> Line {
        let Self { report, overview, .. } = self;
        let Totals { losing, .. } = overview.totals;
        let touched = overview.totals.touched();
        // The directory may have more people than it listed. Then the breaker is not the reason for the
        // refusal.
        let nobody = match (losing, report.dry_run) {
            (0, true) => "Refused: nobody would lose anything.",
            (0, false) => "Refused: nobody lost anything.",
            _ => "Refused: nobody counts as missing.",
        };
        let line = Line::new(2).colour(Red, nobody);
        if report.dry_run {
            let loses = counted(losing, "person would lose something", "people would lose something");
            let line = if losing > 0 { line.text(format!(" {loses}.")) } else { line };
            let others = counted(touched - losing, "other person would change", "other people would change");
            return if touched > losing { line.text(format!(" {others}.")) } else { line };
        }
        let checked = counted(report.verified.checked, "user", "users");
        match (report.converged, report.verified.checked) {
            (true, 0) => line.text(" Nothing was written."),
            (true, _) => line
                .text(format!(" The rest is done, and proven: {checked} read back, all as they should be.")),
            (false, _) => {
                let drifted = figure(report.verified.drifted);
                line.text(format!(" Of the rest, {checked} read back, {drifted} are not as they should be."))
            }
        }
    }

    /// The run's time and requests.
    fn cost(&self) -> Line {
        let Report { permit_requests: requests, seconds, .. } = self.report;
        Line::new(2).text(format!(
            "It took {seconds:.1} s, {}, {} and {}.",
            counted(requests.read, "read", "reads"),
            counted(requests.write, "write", "writes"),
            counted(requests.bulk, "bulk call", "bulk calls")
        ))
    }
}

/// How many people the PDP was asked about, and what it answered.
fn at_pdp(AtPdpTotals { asked, agreed, seconds }: AtPdpTotals) -> Line {
    let (asked_about, line) =
        (counted(asked, "person who was changed", "people who were changed"), Line::new(2));
    if agreed == asked {
        let text = format!(" asked about {asked_about}, and it knew after {seconds:.1} s.");
        return line.colour(Green, "PDP:").text(text);
    }
    let lacks = figure(asked - agreed);
    let text = format!(
        " asked about {asked_about}, and after {seconds:.0} s it still does not know of {lacks} of them. Its permission checks are out \
         of date: `permit-handoff doctor` looks closer."
    );
    line.colour(Red, "PDP:").text(text)
}

/// Whether a run that stopped early wrote anything.
pub(super) fn what_stands(report: &Report) -> &'static str {
    if report.dry_run || report.permit_requests.write + report.permit_requests.bulk == 0 {
        " Nothing was written."
    } else {
        " What was written until then stands."
    }
}

/// How many people are created, changed, removed or left alone.
fn planned(totals: &Totals) -> Vec<String> {
    let counts = [
        (totals.deleted, "to be deleted"),
        (totals.leaving, "to lose what is ours (not in the directory)"),
        (totals.missing, "to be marked as missing"),
        (totals.new, "new"),
        (totals.changed, "to be changed"),
        (totals.unchanged, "unchanged"),
    ];
    told(counts.map(|(count, what)| (count, what, what)))
}

/// What was done.
fn done(report: &Report) -> Vec<String> {
    told([
        (report.unassigned, "role taken back", "roles taken back"),
        (report.assigned, "role assigned", "roles assigned"),
        (report.deleted, "user deleted", "users deleted"),
        (report.tombstoned, "marked as missing", "marked as missing"),
        (report.created, "user made", "users made"),
        (report.updated, "changed", "changed"),
        (report.unchanged, "unchanged", "unchanged"),
    ])
}

fn told<const N: usize>(counts: [(u64, &str, &str); N]) -> Vec<String> {
    let counts = counts.into_iter().filter(|(count, ..)| *count > 0);
    counts.map(|(count, one, many)| counted(count, one, many)).collect()
}

#[cfg(test)]
mod tests;
