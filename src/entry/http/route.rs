//! Which address a request is for, whatever the deployment puts before it.

use std::collections::HashMap;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    /// `/handoff`
    Handoff,
    /// `/health`
    Health,
}

/// Where a request went, as the event says.
pub(super) struct Place<'e> {
    /// The path as the client wrote it, which may begin with the stage or a base path
    pub(super) path: &'e str,
    pub(super) stage: Option<&'e str>,
    /// The path of the API's route, a template: `/handoff`, `/auth/{proxy+}`
    pub(super) template: Option<&'e str>,
    /// The values of the template's parameters
    pub(super) parameters: &'e HashMap<String, String>,
}

impl Route {
    /// The allowed methods, as in the header `Allow`.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::Handoff => "POST, OPTIONS",
            Self::Health => "GET, HEAD, OPTIONS",
        }
    }

    /// `None` if there is no such address.
    ///
    /// The base path of a custom domain is in the path, but the event does not name it. So if the API has
    /// a route for the request, the route's last segment decides. Otherwise the whole path must match: a
    /// path that a firewall's rules do not know must not lead here.
    pub(super) fn of(place: &Place<'_>) -> Option<Self> {
        let Place { path, stage, template, parameters } = *place;
        let in_template = template.and_then(|template| template.rsplit_once('/')).and_then(|(_, last)| {
            match last.strip_prefix('{').and_then(|last| last.strip_suffix('}')) {
                None => Some(last),
                Some(name) => parameters.get(name.trim_end_matches('+')).map(String::as_str),
            }
        });
        let in_path = path.strip_prefix('/').unwrap_or(path);
        let in_stage = stage
            .and_then(|stage| in_path.strip_prefix(stage))
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(in_path);
        match in_template.unwrap_or(in_stage) {
            "handoff" => Some(Self::Handoff),
            "health" => Some(Self::Health),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str, stage: Option<&str>, template: Option<&str>, proxy: Option<&str>) -> Option<Route> {
        let parameters = proxy.map(|proxy| ("proxy".to_owned(), proxy.to_owned())).into_iter().collect();
        Route::of(&Place { path, stage, template, parameters: &parameters })
    }

    #[test]
    fn the_path_decides_whole() {
        for path in ["/handoff", "handoff"] {
            assert_eq!(route(path, None, None, None), Some(Route::Handoff), "{path}");
        }
        assert_eq!(route("/health", Some("$default"), None, None), Some(Route::Health));
        for path in
            ["", "/", "/handoff/", "//handoff", "/x/handoff", "/Handoff", "/handof%66", "/handoff?x", "*"]
        {
            assert_eq!(route(path, Some("$default"), None, None), None, "{path}");
        }
    }

    #[test]
    fn a_stage_before_it_is_left_out() {
        assert_eq!(route("/prod/handoff", Some("prod"), None, None), Some(Route::Handoff));
        assert_eq!(route("/handoff", Some("prod"), None, None), Some(Route::Handoff));
        assert_eq!(route("/handoff", Some("handoff"), None, None), Some(Route::Handoff));
        assert_eq!(route("/handoff/health", Some("handoff"), None, None), Some(Route::Health));
        assert_eq!(route("/test/handoff", Some("prod"), None, None), None);
        assert_eq!(route("/prodhandoff", Some("prod"), None, None), None);
    }

    #[test]
    fn the_apis_route_decides_where_there_is_one() {
        assert_eq!(route("/base/handoff", Some("prod"), Some("/handoff"), None), Some(Route::Handoff));
        assert_eq!(route("/base/auth/handoff", None, Some("/auth/handoff"), None), Some(Route::Handoff));
        assert_eq!(route("/base/handoff", None, Some("/{proxy+}"), Some("handoff")), Some(Route::Handoff));
        assert_eq!(route("/base/x/handoff", None, Some("/{proxy+}"), Some("x/handoff")), None);
        assert_eq!(route("/base/other", None, Some("/other"), None), None);
        assert_eq!(route("/base", None, Some("/"), None), None);
    }
}
