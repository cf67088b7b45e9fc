//! A run as one self-contained HTML page: no script, no outside resource, readable on a phone.

pub(super) mod place;
mod requests;

use std::fmt::Write as _;

use super::shown::shown_lines;
use super::watch::Sample;
use crate::permit::Limits;
use crate::sync::bulk::report::{Rejection, Report};

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.5rem}
dl div{border:1px solid #8886;border-radius:.5rem;padding:.5rem}
dt{font-size:.8rem;opacity:.75}dd{margin:0;font-size:1.4rem;font-variant-numeric:tabular-nums}
.bad{color:#c62828}@media(prefers-color-scheme:dark){.bad{color:#ff8a80}}
figure{margin:1rem 0}figcaption{font-size:.9rem}
svg{display:block;box-sizing:border-box;width:100%;height:6rem;border:1px solid #8886;border-radius:.5rem}
polyline{fill:none;stroke:#1e88e5;stroke-width:2;vector-effect:non-scaling-stroke}
.limit{stroke:#c62828;stroke-dasharray:6 4;vector-effect:non-scaling-stroke}
pre{white-space:pre-wrap;border:1px solid #8886;border-radius:.5rem;padding:.5rem}
li{margin:.5rem 0}";

/// Figures that somebody should look at where they are not zero.
const TAKING: [&str; 5] =
    ["roles unassigned", "deleted", "marked as missing", "rejected", "read back differing"];

/// What a page shows.
pub(super) struct Page<'a> {
    pub(super) report: &'a Report,
    /// Why the run broke off.
    pub(super) failure: Option<&'a str>,
    /// Diffs as the terminal shows them.
    pub(super) changes: &'a [&'a str],
    /// How many changes there are in all.
    pub(super) count: usize,
    pub(super) limits: Limits,
    /// The requests, over the run's time.
    pub(super) samples: &'a [Sample],
}

/// The page, whole.
pub(super) fn page(page: &Page<'_>) -> String {
    let Page { report, failure, changes, count, limits, samples } = page;
    let title = if report.dry_run { "Plan of a bulk sync" } else { "Bulk sync" };
    let verdict = match (failure, &report.refused, report.complete, report.dry_run, report.converged) {
        (Some(_), ..) => ("bad", "Broke off; what was done until then stands"),
        (None, Some(_), ..) => ("bad", "Refused to deprovision"),
        (None, None, false, ..) => ("bad", "Stopped before the end"),
        (None, None, true, true, _) => ("", "Nothing was written"),
        (None, None, true, false, true) => ("", "Converged: what was read back equals what was wanted"),
        (None, None, true, false, false) => ("bad", "Not converged"),
    };
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1>\n<p class=\"{}\"><strong>{}</strong></p>\n",
        verdict.0, verdict.1
    );
    for why in failure.iter().copied().chain(report.refused.as_deref()) {
        push(&mut html, format_args!("<p class=\"bad\">{}</p>\n", escaped(why)));
    }
    let figures = [
        ("people", report.pool.users),
        ("groups", report.pool.groups),
        ("users in Permit", report.permit.users),
        ("of them ours", report.permit.owned),
        ("created", report.created),
        ("updated", report.updated),
        ("unchanged", report.unchanged),
        ("roles assigned", report.assigned),
        ("roles unassigned", report.unassigned),
        ("deleted", report.deleted),
        ("marked as missing", report.tombstoned),
        ("rejected", report.rejections()),
        ("read back", report.verified.checked),
        ("read back differing", report.verified.drifted),
        ("reads", report.permit_requests.read),
        ("writes", report.permit_requests.write),
        ("bulk calls", report.permit_requests.bulk),
        ("throttled", report.permit_requests.throttled),
    ];
    html.push_str("<dl>");
    for (name, figure) in figures {
        let is_bad = figure > 0 && TAKING.contains(&name);
        let class = if is_bad { " class=\"bad\"" } else { "" };
        push(&mut html, format_args!("<div><dt>{name}</dt><dd{class}>{figure}</dd></div>"));
    }
    push(&mut html, format_args!("<div><dt>seconds</dt><dd>{:.1}</dd></div></dl>\n", report.seconds));
    html.push_str("<h2>Requests to Permit</h2>\n");
    requests::charts(&mut html, limits, samples);
    if !report.rejected.is_empty() {
        html.push_str("<h2>Rejected</h2>\n<ul>");
        for Rejection { user, reason, code } in &report.rejected {
            let (user, reason, code) = (escaped(user), escaped(reason), escaped(code));
            push(&mut html, format_args!("<li><code>{user}</code> ({code}): {reason}</li>\n"));
        }
        html.push_str("</ul>\n");
        if report.rejected_more > 0 {
            push(&mut html, format_args!("<p>... and {} more</p>\n", report.rejected_more));
        }
    }
    if *count > 0 {
        push(&mut html, format_args!("<h2>Changes: {count}</h2>\n"));
        for change in *changes {
            push(&mut html, format_args!("<pre>{}</pre>\n", escaped(change.trim_end())));
        }
        if *count > changes.len() {
            push(&mut html, format_args!("<p>... and {} more</p>\n", count - changes.len()));
        }
    }
    push(&mut html, format_args!("<p><small>run {}</small></p>\n</body></html>\n", escaped(&report.run_id)));
    html
}

fn push(html: &mut String, piece: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = html.write_fmt(piece);
}

fn escaped(text: &str) -> String {
    shown_lines(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_record_is_markup_and_nothing_is_fetched() {
        let mut report = Report { refused: Some("40% <of>".into()), ..Report::default() };
        report.reject("<script>alert(1)</script>", "\"quoted\" & 'so'", "INVALID_INPUT");
        report.reject("u\u{202e}2", "\u{1b}[2J\u{200b}", "INVALID_INPUT");
        let changes = ["+ user u1\n  first_name: \"</pre><img src=x>\"\n"];
        let html = page(&Page {
            report: &report,
            failure: Some("<b>broke</b>"),
            changes: &changes,
            count: 3,
            limits: Limits::default(),
            samples: &[],
        });
        assert!(
            !html.contains("<script")
                && !html.contains("<img")
                && !html.contains("http://")
                && !html.contains("https://")
        );
        assert!(!html.contains(['\u{202e}', '\u{1b}', '\u{200b}']) && html.contains("u\\u{202e}2"), "{html}");
        assert!(
            html.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && html.contains("&lt;/pre&gt;"),
            "{html}"
        );
        assert!(
            html.contains("... and 2 more") && html.contains("&lt;b&gt;broke") && html.contains("40% &lt;of"),
            "{html}"
        );
    }
}
