//! Sign-ins by a token of any OpenID provider: `POST /handoff`, `GET /health`, and the authorizer of an
//! API Gateway.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`event`] | AWS's events: a request, or an authorizer's question; and answers in their form |
//! | [`route`] | the two addresses |
//! | [`bearer`] | the token of a request |
//! | [`answer`] | the HTTP answers: statuses, and problems (RFC 9457) |
//! | [`cors`] | the browser apps that may ask |
//! | [`question`] | an authorizer's event, in AWS's forms |
//! | [`authorizer`] | the authorizer's answers |

mod answer;
mod authorizer;
mod bearer;
mod cors;
mod event;
mod question;
mod route;

use std::sync::Arc;

use lambda_http::Response;
use lambda_http::http::{Method, StatusCode};
use tokio::time::Instant;

use self::answer::Refusal;
use self::bearer::NoBearer;
use self::cors::Cors;
use self::event::{Call, Event, Form};
pub use self::event::{Reply, Unanswered};
use self::route::Route;
use crate::domain::identity::{Evidence, UserKey};
use crate::oidc::Verifier;
use crate::sync::one::sign_in::{Arrival, Outcome, SignIn};
use crate::telemetry::metrics;

/// The largest body that is accepted, in bytes. No body is needed: the token says everything.
const MAX_BODY: usize = 64 * 1024;

/// Handles all events of the function `handoff`.
pub struct Endpoint {
    verifier: Arc<Verifier>,
    sign_in: SignIn,
    cors: Cors,
}

/// A person whose token is valid, and the result of the sync.
struct Arrived {
    key: UserKey,
    /// The policy has no role for them: the token decides every condition, and none holds.
    has_no_grants: bool,
    outcome: Outcome,
}

impl Endpoint {
    /// Makes no request yet. `allowed_origins` are spelled as in the header `Origin`.
    pub fn new(verifier: Arc<Verifier>, sign_in: SignIn, allowed_origins: Vec<String>) -> Self {
        Self { verifier, sign_in, cors: Cors::new(allowed_origins) }
    }

    /// Handles the JSON text of an event: a request of a function URL, an HTTP API, a REST API or a load
    /// balancer, or an authorizer's question.
    ///
    /// # Errors
    /// If there is no answer. API Gateway then makes one from the error: 401 from
    /// [`Unanswered::Unauthorized`], 500 from the others.
    pub async fn handle(&self, event: &str) -> Result<Reply, Unanswered> {
        match Event::parse(event)? {
            Event::Request(form, call) => Ok(form.reply(self.answer(call).await)),
            // In a form that each front door takes.
            Event::Unreadable => {
                Ok(Form::HttpApi.reply(answer::problem(StatusCode::BAD_REQUEST, "request_unreadable")))
            }
            Event::Question(question) => {
                let arrived = self.arrive(question.bearer()).await;
                question.answer(arrived)
            }
        }
    }

    async fn answer(&self, call: Call) -> Response<String> {
        let Call { method, route, headers, body_len } = call;
        let mut response = match route {
            None => answer::problem(StatusCode::NOT_FOUND, "not_found"),
            Some(_) if body_len > MAX_BODY => {
                answer::problem(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
            }
            Some(route) => match (route, &method) {
                (Route::Handoff, &Method::POST) => {
                    let arrived = self.arrive(bearer::of_headers(&headers)).await;
                    arrived.map_or_else(Refusal::into_response, answer::of_arrived)
                }
                (Route::Health, &Method::GET | &Method::HEAD) => answer::healthy(),
                (_, &Method::OPTIONS) => answer::options(route),
                _ => answer::method_not_allowed(route),
            },
        };
        self.cors.apply(route, &method, &headers, response.headers_mut());
        if method == Method::HEAD {
            response.body_mut().clear();
        }
        response
    }

    /// Verifies the token and syncs the person. The sync's budget starts after the token is verified, so
    /// that fetching keys does not use it.
    async fn arrive(&self, bearer: Result<&str, NoBearer>) -> Result<Arrived, Refusal> {
        let claims = self.verifier.verify(bearer?).await.inspect_err(|rejection| {
            tracing::info!(code = rejection.code(), reason = %rejection, "the token is refused");
            metrics::token_refused();
        })?;
        let now = self.verifier.now();
        let identity = claims.identity(now).inspect_err(|error| {
            tracing::warn!(issuer = claims.issuer(), %error, "the token is valid, but its person cannot be a Permit user");
        })?;
        let source = claims.source();
        let evidence = Evidence::token(claims.issued_at(), now, source.adopt, source.fresh_seconds);
        let identity = identity.on(evidence);

        let key = identity.key.clone();
        let groups = identity.groups.clone();
        let desired = self.sign_in.policy().evaluate(&identity);
        let has_no_grants = desired.grants.is_empty() && desired.untold.is_empty();
        // Some issuers give tokens to anybody, so a person without a grant does not become a user.
        let arrival = Arrival { identity, is_new: false, may_be_new: false, now };
        let outcome = self.sign_in.run(Instant::now(), arrival, |_| async { groups }).await;
        Ok(Arrived { key, has_no_grants, outcome })
    }
}
