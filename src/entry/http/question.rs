//! An authorizer's event, in AWS's forms. The token is the one by which API Gateway caches the answer.

use std::collections::BTreeMap;

use lambda_http::http::header::AUTHORIZATION;
use serde::Deserialize;

use super::bearer::{self, NoBearer};

/// An authorizer's event, of any of the three forms.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Question {
    #[serde(rename = "type")]
    kind: Kind,
    /// `arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH`; an HTTP API with payload 2.0 has
    /// `routeArn` instead
    pub(super) method_arn: Option<String>,
    /// Only in `TOKEN` events
    authorization_token: Option<String>,
    /// Only from HTTP APIs: the values of the identity sources. With payload 1.0 they are one text,
    /// separated by commas
    identity_source: Option<IdentitySource>,
    headers: Option<BTreeMap<String, String>>,
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum IdentitySource {
    Values(Vec<String>),
    Joined(String),
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Token,
    Request,
}

impl Question {
    pub(super) fn bearer(&self) -> Result<&str, NoBearer> {
        if self.kind == Kind::Token {
            let token = self.authorization_token.as_deref().ok_or(NoBearer::Missing)?;
            return bearer::of_value(token.as_bytes());
        }
        match &self.identity_source {
            Some(IdentitySource::Values(values)) => {
                return of_identity_source(values.iter().map(String::as_str));
            }
            Some(IdentitySource::Joined(values)) => return of_identity_source(values.split(',')),
            None => {}
        }
        let (multi, single) = (self.multi_value_headers.iter().flatten(), self.headers.iter().flatten());
        let multi = multi.flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let named = |(name, _): &(&String, &String)| name.eq_ignore_ascii_case(AUTHORIZATION.as_str());
        let mut values: Vec<&String> = multi.filter(named).map(|(_, value)| value).collect();
        if values.is_empty() {
            values = single.filter(named).map(|(_, value)| value).collect();
        }
        match values[..] {
            [] => Err(NoBearer::Missing),
            [value] => bearer::of_value(value.as_bytes()),
            _ => Err(NoBearer::Malformed),
        }
    }
}

/// The only token among the identity source's values. Other values, such as a path or a stage, may be
/// beside it.
fn of_identity_source<'a>(values: impl Iterator<Item = &'a str>) -> Result<&'a str, NoBearer> {
    let tokens = values.map(|value| bearer::of_value(value.as_bytes()));
    let mut tokens = tokens.filter(|token| *token != Err(NoBearer::Missing));
    match (tokens.next(), tokens.next()) {
        (None, _) => Err(NoBearer::Missing),
        (Some(token), None) => token,
        (Some(_), Some(_)) => Err(NoBearer::Malformed),
    }
}
