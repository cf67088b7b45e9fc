use std::time::UNIX_EPOCH;

use reqwest::header::HeaderValue;
use serde_json::json;

use super::*;

fn permit_error(code: &str, message: &str) -> String {
    let body = json!({"id": "0", "title": "t", "error_code": code, "message": message, "support_link": "", "additional_info": {}});
    body.to_string()
}

fn error_of(status: u16, body: &str) -> Error {
    error(StatusCode::from_u16(status).unwrap(), body.as_bytes(), false)
}

#[test]
fn a_path_that_nobody_knows_is_no_missing_user() {
    let not_found = permit_error("NOT_FOUND", "could not find 'User' with the given filters");
    let of = |body: &str, by_pdp| error(StatusCode::NOT_FOUND, body.as_bytes(), by_pdp);
    for by_pdp in [false, true] {
        assert_eq!(of(&not_found, by_pdp), Error::NotFound, "{by_pdp}");
        assert_eq!(of("{\"detail\": \"Not Found\"}", by_pdp), Error::NoSuchPath, "{by_pdp}");
    }
    assert_eq!((of("", false), of("", true)), (Error::NotFound, Error::NoSuchPath));
}

#[test]
fn a_status_is_one_error_whatever_the_body() {
    let html = "<!DOCTYPE html><title>x</title>";
    let unavailable = |status, may_be_applied| Error::Unavailable { status: Some(status), may_be_applied };
    let rejected = |status| Error::Rejected { status, code: None, fields: vec![] };
    let conflict = Error::Conflict { code: None, about_email: false };
    for (status, empty, page) in [
        (400, rejected(400), unavailable(400, false)),
        (401, Error::Unauthorized, Error::Unauthorized),
        (403, Error::Forbidden { code: None }, Error::Forbidden { code: None }),
        (404, Error::NotFound, unavailable(404, false)),
        (408, unavailable(408, true), unavailable(408, true)),
        (409, conflict, unavailable(409, false)),
        (413, rejected(413), unavailable(413, false)),
        (422, rejected(422), unavailable(422, false)),
        (424, rejected(424), unavailable(424, false)),
        (425, unavailable(425, true), unavailable(425, true)),
        (500, unavailable(500, true), unavailable(500, true)),
        (502, unavailable(502, true), unavailable(502, true)),
        (503, unavailable(503, true), unavailable(503, true)),
        (504, unavailable(504, true), unavailable(504, true)),
    ] {
        assert_eq!(error_of(status, ""), empty, "{status}, empty");
        assert_eq!(error_of(status, html), page, "{status}, HTML");
        for odd in ["{}", "[]", "null", "\"x\"", "{\"error_code\": 7, \"message\": []}"] {
            assert_eq!(error_of(status, odd), empty, "{status}, {odd}");
        }
    }
}

#[test]
fn codes_are_kept_where_they_are_codes() {
    let code = |text| ErrorCode::new(text);
    assert_eq!(
        error_of(409, &permit_error("DUPLICATE_ENTITY", "There is a user with the key 'u1'")),
        Error::Conflict { code: code("DUPLICATE_ENTITY"), about_email: false }
    );
    assert_eq!(
        error_of(400, &permit_error("INVALID_INPUT", "no")),
        Error::Rejected { status: 400, code: code("INVALID_INPUT"), fields: vec![] }
    );
    assert_eq!(error_of(403, &permit_error("FORBIDDEN_ACCESS", "no")).code(), "FORBIDDEN_ACCESS");
    assert_eq!(error_of(409, &permit_error("jane@example.com", "no")).code(), "CONFLICT");
    // This 409 says nothing about the request.
    let busy = permit_error("CONCURRENT_OPERATION_DISALLOWED", "busy");
    assert_eq!(error_of(409, &busy), Error::Unavailable { status: Some(409), may_be_applied: false });
}

#[test]
fn a_conflict_about_an_email_is_told_from_one_about_a_key() {
    let names_email = |message: &str| error_of(409, &permit_error("DUPLICATE_ENTITY", message)).names_email();
    assert!(names_email("There is another user with the email 'jane@example.com'"));
    assert!(names_email("The e-mail \"jane@example.com\" is taken"));
    assert!(!names_email("There is a user with the key 'jane@email.example.com'"));
    let unprocessable =
        |loc: Value| error_of(422, &json!({"detail": [{"loc": loc, "msg": "m", "type": "t"}]}).to_string());
    assert!(unprocessable(json!(["body", "email"])).names_email());
    assert!(unprocessable(json!(["body", "operations", 17, "email"])).names_email());
    assert!(!unprocessable(json!(["body", "email_address"])).names_email());
}

#[test]
fn a_422_keeps_where_and_not_what() {
    let body = json!({"detail": [
        {"loc": ["body", "operations", 17, "role_assignments", 0, "role"], "msg": "jane@example.com", "type": "t"},
        {"loc": ["body", "attributes", "jane@example.com"], "msg": "m", "type": "t"},
        {"loc": "body", "msg": "m"},
        {"msg": "m"},
        7,
    ]});
    let error = error_of(422, &body.to_string());
    let Error::Rejected { status: 422, code: None, fields } = &error else { panic!("{error:?}") };
    assert_eq!(fields, &["body.operations.17.role_assignments.0.role", "body.attributes.?"]);
}

#[test]
fn nothing_personal_is_kept() {
    let words = "jane@example.com is taken by Jane Doe, user 'u-17'";
    for status in [400, 403, 404, 409, 422, 500] {
        let bodies = [
            permit_error("jane@example.com", words),
            json!({"detail": [{"loc": ["body", "Jane Doe"], "msg": words, "type": words}], "title": words})
                .to_string(),
        ];
        for body in bodies {
            let error = error_of(status, &body);
            let printed = format!("{error} {error:?} {}", error.code()).to_lowercase();
            assert!(!printed.contains("jane") && !printed.contains("u-17"), "{printed}");
        }
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = UNIX_EPOCH + Duration::from_hours(500_000);
    let date = |seconds| httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    for (value, wait) in [
        ("7".to_owned(), Some(7)),
        (" 0 ".to_owned(), Some(0)),
        (date(1_800_000_090), Some(90)),
        (date(1_799_999_000), Some(0)),
        ("99999999".to_owned(), Some(3600)),
        ("soon".to_owned(), None),
        ("-1".to_owned(), None),
        (String::new(), None),
    ] {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(&value).unwrap())]);
        assert_eq!(retry_after(&headers, now), wait.map(Duration::from_secs), "{value:?}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
}
