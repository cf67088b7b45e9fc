//! A run as one self-contained HTML page: the verdict, problems, roles, and a searchable table of people.
//!
//! The page (`page.html`) is a template; `page.js` draws the table from the data in it. The page's
//! content security policy allows no other script and no requests.

pub(super) mod place;
mod requests;

use std::collections::HashMap;

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use self::requests::Chart;
use super::overview::{Moves, Overview, Person};
use super::screen::{counted, figure};
use super::shown::shown_lines;
use super::summary::View;
use super::summary::sections::named;
use super::watch::Sample;
use crate::permit::Limits;

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
/// How many roles the page shows.
const ROLES: usize = 2_000;
/// How many people a problem names.
const NAMED: usize = 20;

pub(super) struct Page<'a> {
    pub(super) view: View<'a>,
    pub(super) failure: Option<&'a str>,
    pub(super) limits: Limits,
    /// The number of requests over time, if the run had to wait for Permit's limits.
    pub(super) samples: &'a [Sample],
}

#[derive(Template)]
#[template(path = "page.html")]
struct Html<'a> {
    title: &'static str,
    policy: String,
    style: &'static str,
    script: &'static str,
    tone: &'static str,
    verdict: String,
    facts: Vec<String>,
    failure: Option<String>,
    lose: &'static str,
    gain: &'static str,
    problems: Vec<ProblemRow<'a>>,
    roles: Vec<(&'a str, Moves)>,
    roles_more: usize,
    people: usize,
    people_more: String,
    data: String,
    charts: Vec<Chart>,
    run_id: &'a str,
}

struct ProblemRow<'a> {
    people: String,
    what: String,
    remedy: &'a str,
    named: String,
}

/// A person, in the form that the script reads.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    person: &'a Person,
    /// Indexes into the list of problems.
    problems: Vec<usize>,
}

pub(super) fn page(page: &Page<'_>) -> Result<String, askama::Error> {
    let Page { view, failure, limits, samples } = page;
    let View { report, overview, .. } = view;
    let (verdict, facts) = view.told();
    let problems = overview.problems.sorted();
    let roles = overview.sorted_roles();
    let blocked = overview.blocked();
    let rows = rows(overview, &blocked);
    let causes: Vec<&str> = problems.iter().map(|problem| problem.what.as_str()).collect();
    let listed = rows.len();
    let people_more = overview.totals.touched().saturating_sub((listed - blocked.len()) as u64);
    Html {
        title: if report.dry_run { "Plan of a bulk sync" } else { "Bulk sync" },
        policy: policy(),
        style: STYLE,
        script: SCRIPT,
        tone: tone(view, failure.is_some()),
        verdict,
        facts,
        failure: failure.map(shown_lines),
        lose: if report.dry_run { "Lose" } else { "Lost" },
        gain: if report.dry_run { "Gain" } else { "Gained" },
        problems: problems
            .iter()
            .map(|problem| ProblemRow {
                people: counted(problem.count, "person", "people"),
                what: shown_lines(&problem.what),
                remedy: &problem.remedy,
                named: shown_lines(&named(problem, NAMED, String::clone)),
            })
            .collect(),
        roles_more: roles.len().saturating_sub(ROLES),
        roles: roles.into_iter().take(ROLES).collect(),
        people: listed,
        people_more: if people_more > 0 { figure(people_more) } else { String::new() },
        data: embedded(&safe(json!({"people": rows, "problems": causes}))),
        charts: requests::charts(limits, samples),
        run_id: &report.run_id,
    }
    .render()
}

/// The content security policy: no requests, and no script except this page's.
fn policy() -> String {
    let hash = STANDARD.encode(digest(&SHA256, SCRIPT.as_bytes()));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
    )
}

fn tone(view: &View<'_>, failed: bool) -> &'static str {
    let report = view.report;
    if failed || report.refused.is_some() || !report.complete || (!report.dry_run && !report.converged) {
        return "bad";
    }
    if view.overview.totals.losing > 0 && report.dry_run { "warn" } else { "good" }
}

/// People, with their problems.
fn rows<'a>(overview: &'a Overview, blocked: &'a [Person]) -> Vec<Row<'a>> {
    let sorted = overview.problems.sorted();
    let places: HashMap<(&str, &str), usize> = sorted
        .iter()
        .enumerate()
        .map(|(place, problem)| ((problem.code.as_str(), problem.what.as_str()), place))
        .collect();
    let problems = |person: &Person| {
        let of = overview.problems_of(&person.key).iter();
        of.filter_map(|(code, what)| places.get(&(code.as_str(), what.as_str())).copied()).collect()
    };
    let people = overview.people().chain(blocked);
    people.map(|person| Row { problems: problems(person), person }).collect()
}

/// The value, with every invisible or control character in its texts escaped.
fn safe(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(shown_lines(&text)),
        Value::Array(items) => items.into_iter().map(safe).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (shown_lines(&name), safe(value))).collect()
        }
        value => value,
    }
}

/// JSON to embed in a script, escaped so that no text in it can end the script.
fn embedded(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Map;

    use super::super::summary::Place;
    use super::*;
    use crate::domain::deprovision::Departure;
    use crate::domain::facts::Facts;
    use crate::domain::identity::UserKey;
    use crate::domain::policy::WhenDisabled;
    use crate::sync::bulk::Planned;
    use crate::sync::bulk::problems::Cause;
    use crate::sync::bulk::report::Report;

    #[test]
    fn nothing_of_a_record_is_markup_and_nothing_is_fetched() {
        let evil = "</script><script>alert(1)</script><img src=x>";
        let mut overview = Overview::new(1, false, WhenDisabled::Unassign);
        for key in ["u1", "u2", "u3"] {
            let key = UserKey::new(key).unwrap();
            let facts = Facts::new(key, Some(evil), None, None, Map::new(), BTreeSet::new());
            overview.add(Planned::Depart { actual: &facts, departure: &Departure::Delete });
        }
        overview.rejected(evil, None, &Cause::of_record(evil));
        let report = Report { refused: Some("40% <of>".into()), complete: true, ..Report::default() };
        let place = Place { directory: "<b>pool</b>".into(), permit: "Permit".into() };
        let view = View {
            place: &place,
            report: &report,
            overview: &overview,
            failed: true,
            shown: crate::cli::summary::Shown { all: false, details: false },
            next: None,
        };
        let html =
            page(&Page { view, failure: Some("<b>broke</b>"), limits: Limits::default(), samples: &[] });
        let html = html.unwrap();
        assert!(
            !html.contains("<img")
                && !html.contains("<b>")
                && !html.contains("http:")
                && !html.contains("https:"),
            "{html}"
        );
        assert_eq!(html.matches("<script").count(), 2, "{html}");
        assert_eq!(html.matches("</script").count(), 2, "{html}");
        assert!(html.contains("40% &#60;of") || html.contains("40% &lt;of"), "{html}");
        assert!(html.contains("2 more people are counted above"), "{html}");
    }
}
