mod made_up;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::*;
use crate::domain::source::{Door, Rejected, Sources};

/// A person as a trigger event shows them.
fn person(attributes: &[(&str, &str)]) -> Result<Identity, InvalidIdentity> {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let source = Sources::default().of_user_pool("eu-west-1_abc");
    let read = source.identity_of_user(&Door::Trigger, attributes, None, Timestamp::UNIX_EPOCH);
    read.map_err(|rejected| match rejected {
        Rejected::Key(error, _) => error,
        other => panic!("{other}"),
    })
}

#[test]
fn a_key_is_taken_as_it_is_or_refused() {
    assert_eq!(UserKey::new("auth0|5f7c.A+b@c_d-e").unwrap().as_str(), "auth0|5f7c.A+b@c_d-e");
    assert_eq!(UserKey::new(""), Err(InvalidIdentity::NoKey));
    for key in [".", "..", "a b", "a/b", "ä", "a\n", "a:b", &"x".repeat(256)] {
        assert_eq!(UserKey::new(key), Err(InvalidIdentity::NotAKey), "{key}");
    }
}

#[test]
fn an_address_is_the_same_in_any_case_and_no_other() {
    use std::collections::HashSet;

    let email = |address: &str| person(&[("sub", "u1"), ("email", address)]).unwrap().email.unwrap();
    assert!(email("Jane@Example.com") == email("jane@example.com"));
    assert!(email("jane@example.com") != email("june@example.com"));
    let set = HashSet::from(["Jane@Example.com", "jane@example.com", "june@example.com"].map(email));
    assert_eq!(set.len(), 2);
    assert!(set.contains(&email("JUNE@example.com")));
}

#[test]
fn a_source_is_written_as_it_is_called() {
    assert_eq!(Source::named("eu-west-1_abc").to_string(), "eu-west-1_abc");
}

#[test]
fn a_record_without_a_sub_is_no_identity() {
    assert_eq!(person(&[("email", "jane@example.com")]), Err(InvalidIdentity::NoKey));
    assert_eq!(person(&[("sub", "")]), Err(InvalidIdentity::NoKey));
    assert_eq!(person(&[("sub", "../../etc")]), Err(InvalidIdentity::NotAKey));
}

#[test]
fn names_are_readable_and_empty_values_are_absent() {
    let long = "名".repeat(2048);
    let identity = person(&[
        ("sub", "u1"),
        ("given_name", " Ja\u{0}ne\u{7} "),
        ("family_name", "\u{1}\t "),
        ("custom:bio", &long),
        ("locale", "  "),
        ("custom:tier", " pro "),
    ])
    .unwrap();
    assert_eq!(identity.first_name.as_deref(), Some("Jane"));
    assert_eq!(identity.last_name, None);
    assert_eq!(identity.attributes["custom:bio"], Value::String(long));
    assert!(!identity.attributes.contains_key("locale"));
    assert_eq!(identity.attributes["custom:tier"], "pro");
}

#[test]
fn a_value_with_a_control_character_is_kept_as_it_came_and_an_address_with_one_is_none() {
    for odd in ["a@ac\u{1}me.com", "a@acme.com\u{0}", "\u{7f}a@acme.com", "a@acme\u{9b}.com", "a@acme.com\n"]
    {
        let identity = person(&[("sub", "u"), ("email", odd), ("email_verified", "true")]).unwrap();
        assert!(identity.email.is_none() && identity.verified_email.is_none(), "{odd:?}");
        assert_eq!(identity.unclean().collect::<Vec<_>>(), ["email"]);
        assert_eq!(identity.attributes["email"], odd);
    }
    for (value, clean) in [
        ("12 Main Street\nExample\tTown", true),
        ("pro\n", false),
        ("\tpro", false),
        (" \r pro", false),
        (" ", true),
    ] {
        assert_eq!(is_clean(&value.into()), clean, "{value:?}");
    }
    let nested = serde_json::json!({"org": [{"na\u{0}me": "acme"}]});
    assert!(!is_clean(&nested) && is_clean(&serde_json::json!({"org": [{"name": "acme"}]})));
}

#[test]
fn only_a_verified_email_is_a_verified_email() {
    let verified = |flag| person(&[("sub", "u"), ("email", "J@Acme.COM"), ("email_verified", flag)]).unwrap();
    assert_eq!(verified("true").verified_email.unwrap().domain(), "acme.com");
    for flag in ["false", "", "TRUE", "1"] {
        assert_eq!(verified(flag).verified_email, None, "{flag}");
    }
    assert_eq!(person(&[("sub", "u"), ("email", "j@acme.com")]).unwrap().verified_email, None);
}

#[test]
fn what_is_no_email_is_left_out() {
    for text in
        ["jane", "@acme.com", "jane@", "jane@acme", "a@b@acme.com", "ja ne@acme.com", "j@acme..com", "j@.com"]
    {
        assert!(Email::new(text).is_none(), "{text}");
    }
    assert!(Email::new(&format!("{}@acme.com", "x".repeat(250))).is_none());
    assert_eq!(Email::new("J@ACME.com"), Email::new("j@acme.com"));
}

#[test]
fn a_cognito_issuer_is_its_user_pool() {
    let pool = Source::named("eu-west-1_abc");
    for host in ["cognito-idp", "issuer-cognito-idp"] {
        for domain in ["amazonaws.com", "amazonaws.com.cn"] {
            assert_eq!(Source::issuer(&format!("https://{host}.eu-west-1.{domain}/eu-west-1_abc")), pool);
        }
    }
    for iss in [
        "https://cognito-idp.evil.example/eu-west-1_abc",
        "https://issuer-cognito-idp.evil.example/eu-west-1_abc",
        "https://evil.issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc",
        "https://login.example.com/",
        "https://cognito-idp.eu-west-1.amazonaws.com/a/b",
    ] {
        assert_eq!(Source::issuer(iss).as_str(), iss);
    }
}

#[test]
fn a_token_counts_from_the_end_of_its_second_and_never_from_the_future() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let (iat, now) = (time("2026-11-24T08:00:00Z"), time("2026-11-24T08:00:07.1234567Z"));
    let token = Evidence::token(Some(iat), now, false, 600);
    assert_eq!(token.as_of, Some(time("2026-11-24T08:00:00.999Z")));
    let early = Evidence::token(Some(now), iat, false, 600);
    assert_eq!(early.as_of, Some(iat));
    assert_eq!(Evidence::read_at(now).as_of, Some(time("2026-11-24T08:00:07.123Z")));
    let is_stale = |fresh_seconds| Evidence { fresh_seconds, ..token }.is_stale(now);
    assert!(is_stale(6) && !is_stale(7) && !is_stale(0));
    let undated = Evidence::token(None, now, true, 600);
    assert!(undated.as_of.is_none() && undated.is_stale(now) && !Evidence::read_at(iat).is_stale(now));
}

proptest::proptest! {
    /// The clocks of several machines are ahead of Permit's or behind it. After the correction, what is
    /// read later counts as newer (or as the same time), and no evidence is later than Permit's own time.
    #[test]
    fn evidence_of_any_machine_is_in_permits_order(
        reads in proptest::collection::vec((0_i64..1_000_000, -1_000_000_i64..1_000_000, 0_i64..600), 2..8),
    ) {
        let time = |second| Timestamp::from_second(1_700_000_000 + second).unwrap();
        for (at, ahead, took) in reads {
            let ahead = SignedDuration::from_secs(ahead);
            let here = |second| time(second) + ahead;
            let read = Evidence::read_at(here(at)).by_permits_clock(ahead, here(at + took));
            proptest::prop_assert_eq!(read.as_of, Some(time(at)));
            proptest::prop_assert_eq!(read.by_permits_clock(ahead, here(at + took)).as_of.min(Some(time(at))), read.as_of, "once");
            let token = Evidence::token(Some(time(at)), here(at), false, 600).by_permits_clock(ahead, here(at + took));
            let late = token.as_of.unwrap().duration_since(time(at));
            // On a machine whose clock is behind, the token's time lies in the future. The machine's own
            // time counts instead, which makes the token older, never newer.
            let is_kept = late >= SignedDuration::ZERO || ahead.is_negative();
            proptest::prop_assert!(is_kept && late < SignedDuration::from_secs(1), "an issuer's time stays");
            let early = Evidence::token(Some(here(at)), here(at), false, 600).by_permits_clock(ahead, here(at + took));
            proptest::prop_assert!(early.as_of <= Some(time(at + took)), "and is bounded");
        }
    }
}

#[test]
fn debug_prints_nothing_personal() {
    let identity = person(&[("sub", "u-1"), ("email", "jane@example.com"), ("given_name", "Jane")]).unwrap();
    let printed = format!("{identity:?} {:?} {:?}", identity.key, identity.email);
    assert_eq!(printed, "Identity(..) UserKey(..) Some(Email(..))");
}
