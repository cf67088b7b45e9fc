//! The valid values of each setting. An error says what is wrong and what to write instead.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use reqwest::Url;
use secrecy::SecretString;

use crate::aws::secrets;
use crate::domain::grant::Key;
use crate::permit::Address;
use crate::tls;

/// A base address that paths are appended to: no query, no fragment, no credentials.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let url = web_url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`{text}` has a query or a fragment: give the address alone"));
    }
    Ok(url)
}

pub(super) fn state_machine_arn(text: &str) -> Result<String, String> {
    match text.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "states", _, _, "stateMachine", name] if !name.is_empty() => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` is not the ARN of a state machine: it has the form arn:aws:states:REGION:ACCOUNT:stateMachine:NAME"
        )),
    }
}

pub(super) fn queue_url(text: &str) -> Result<String, String> {
    let url = base_url(text)?;
    if url.path() == "/" {
        return Err(format!("`{text}` names no queue: the address ends in /ACCOUNT/QUEUE"));
    }
    Ok(text.to_owned())
}

/// An address that sign-ins go to or come from. Nobody on the way may be able to read them.
fn web_url(text: &str) -> Result<Url, String> {
    // The messages do not repeat the text, because it may hold a password.
    let url = Url::parse(text).map_err(|error| format!("not an address ({error}): give https://..."))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or a password in it: take them out".to_owned());
    }
    if !tls::is_private(&url) {
        let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
        return Err(format!(
            "{scheme}://{host} is not encrypted: use https://... (http is allowed only to this machine)"
        ));
    }
    Ok(url)
}

/// Origins, separated by commas.
pub(super) fn origins(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(origin).collect()
}

fn origin(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err(format!("`{text}` would let every site call with a person's token: name each origin"));
    }
    let url = base_url(text)?;
    if url.path() != "/" {
        return Err(format!(
            "`{text}` has a path: an origin is scheme, host and port, as in https://app.example.com"
        ));
    }
    Ok(url.origin().ascii_serialization())
}

pub(super) fn whole_number(text: &str, range: RangeInclusive<u64>, unit: &str) -> Result<u64, String> {
    let (least, most) = (range.start(), range.end());
    let fault =
        || format!("`{text}` is not a valid value: give a whole number from {least} to {most}, in {unit}");
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(fault)
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    let fault =
        || format!("`{text}` is not a valid share: use a number above 0 and at most 1, for example 0.7");
    text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0).ok_or_else(fault)
}

/// The id or key of a project or an environment. It becomes part of a URL path.
pub(super) fn permit_name(text: &str) -> Result<String, String> {
    let fault = || format!("`{text}` is not an id or a key: use letters, digits, - and _");
    Key::new(text).map(|key| key.to_string()).ok_or_else(fault)
}

pub(super) fn api_key(text: &str) -> Result<SecretString, String> {
    let fault =
        || "it is not a valid API key: it contains a space or an illegal character; copy it again".to_owned();
    secrets::api_key(text).ok_or_else(fault)
}

/// A secret's name or ARN (Secrets Manager takes letters, digits and `/_+=.@-` in a name).
pub(super) fn secret_id(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:".contains(c);
    if !text.chars().all(allowed) {
        // The message does not repeat the text: it could be the secret itself, pasted in the wrong place.
        return Err(
            "not a secret's name or ARN: it may contain only letters, digits and / _ + = . @ - :".to_owned()
        );
    }
    Ok(text.to_owned())
}

/// A value that parses itself.
pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|invalid: T::Err| invalid.to_string())
}

/// As [`parsed`], for an error that reads as a continuation of "`text` is".
pub(super) fn named<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|invalid: T::Err| format!("`{text}` is {invalid}"))
}

pub(super) fn pdp_address(text: &str) -> Result<Address, String> {
    Address::pdp(text).map_err(|invalid| invalid.to_string())
}
