//! The events of AWS's front doors, and answers in the form of each.
//!
//! The types are `lambda_http`'s. Its conversion to a request is not used: it panics on an invalid
//! `Host`, and keeps only one of two `Authorization` headers.

use std::collections::HashMap;

use lambda_http::Response;
use lambda_http::aws_lambda_events::alb::{AlbTargetGroupRequest, AlbTargetGroupResponse};
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayProxyRequest, ApiGatewayProxyResponse, ApiGatewayV2httpRequest, ApiGatewayV2httpResponse,
};
use lambda_http::aws_lambda_events::encodings::Body;
use lambda_http::http::{HeaderMap, Method};
use lambda_http::request::LambdaRequest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::question::Question;
use super::route::{Place, Route};

pub(super) enum Event {
    /// A request, through a front door of this form
    Request(Form, Call),
    /// A request with an invalid header, method or the like
    Unreadable,
    /// An authorizer's question: may this person pass?
    Question(Question),
}

/// The parts of a request that are used.
pub(super) struct Call {
    pub(super) method: Method,
    /// `None` if there is no such address
    pub(super) route: Option<Route>,
    pub(super) headers: HeaderMap,
    /// The length in bytes, as the event has the body: perhaps in base64
    pub(super) body_len: usize,
}

/// The front doors by the form of their answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// A REST API, or an HTTP API with payload 1.0
    RestApi,
    /// An HTTP API with payload 2.0, or a function URL
    HttpApi,
    /// An Application Load Balancer
    LoadBalancer,
}

/// The answer, to be serialized.
#[derive(Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Reply {
    RestApi(ApiGatewayProxyResponse),
    HttpApi(ApiGatewayV2httpResponse),
    LoadBalancer(AlbTargetGroupResponse),
    Authorizer(Value),
}

/// Why there is no answer. API Gateway and the log see the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unanswered {
    /// The token is invalid. API Gateway knows this exact word, and answers 401
    #[error("Unauthorized")]
    Unauthorized,
    /// There is no decision yet. This is not a denial, because API Gateway caches denials
    #[error("the token cannot be checked, or the person cannot be synced, right now: try again")]
    Unavailable,
    /// The event has another sender
    #[error(
        "unknown event: invoke the function through a function URL, HTTP API, REST API or load balancer, or as an API Gateway authorizer"
    )]
    UnknownEvent,
}

impl Event {
    pub(super) fn parse(event: &str) -> Result<Self, Unanswered> {
        /// The members that distinguish the kinds of events. A client cannot set the names at the top
        /// level.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind<'e> {
            #[serde(borrow)]
            method_arn: Option<&'e RawValue>,
            #[serde(borrow)]
            route_arn: Option<&'e RawValue>,
            #[serde(borrow)]
            request_context: Option<&'e RawValue>,
        }
        let kind: Kind<'_> = serde_json::from_str(event).map_err(|_| Unanswered::UnknownEvent)?;
        if kind.method_arn.is_some() || kind.route_arn.is_some() {
            return serde_json::from_str(event).map(Self::Question).map_err(|_| Unanswered::UnknownEvent);
        }
        match serde_json::from_str(event) {
            Ok(LambdaRequest::ApiGatewayV1(request)) => Ok(Self::Request(Form::RestApi, rest_api(request))),
            Ok(LambdaRequest::ApiGatewayV2(request)) => Ok(Self::Request(Form::HttpApi, http_api(request))),
            Ok(LambdaRequest::Alb(request)) => Ok(Self::Request(Form::LoadBalancer, load_balancer(request))),
            Ok(_) | Err(_) if kind.request_context.is_some() => Ok(Self::Unreadable),
            Ok(_) | Err(_) => Err(Unanswered::UnknownEvent),
        }
    }
}

fn rest_api(request: ApiGatewayProxyRequest) -> Call {
    let place = Place {
        path: request.path.as_deref().unwrap_or_default(),
        stage: request.request_context.stage.as_deref(),
        template: request.resource.as_deref(),
        parameters: &request.path_parameters,
    };
    Call {
        route: Route::of(&place),
        method: request.http_method,
        headers: every_value(request.multi_value_headers, request.headers),
        body_len: request.body.map_or(0, |body| body.len()),
    }
}

fn http_api(request: ApiGatewayV2httpRequest) -> Call {
    let place = Place {
        path: request.raw_path.as_deref().unwrap_or_default(),
        stage: request.request_context.stage.as_deref(),
        // `POST /handoff`, or `$default`.
        template: request.route_key.as_deref().and_then(|key| key.split_once(' ')).map(|(_, path)| path),
        parameters: &request.path_parameters,
    };
    Call {
        route: Route::of(&place),
        method: request.request_context.http.method,
        headers: request.headers,
        body_len: request.body.map_or(0, |body| body.len()),
    }
}

fn load_balancer(request: AlbTargetGroupRequest) -> Call {
    let place = Place {
        path: request.path.as_deref().unwrap_or_default(),
        stage: None,
        template: None,
        parameters: &HashMap::new(),
    };
    Call {
        route: Route::of(&place),
        method: request.http_method,
        headers: every_value(request.multi_value_headers, request.headers),
        body_len: request.body.map_or(0, |body| body.len()),
    }
}

/// The headers with all their values, or with only the last of each if the front door does not send all.
fn every_value(multi_value_headers: HeaderMap, headers: HeaderMap) -> HeaderMap {
    if multi_value_headers.is_empty() { headers } else { multi_value_headers }
}

impl Form {
    pub(super) fn reply(self, response: Response<String>) -> Reply {
        let (parts, body) = response.into_parts();
        let (status, headers) = (parts.status, parts.headers);
        let body = (!body.is_empty()).then_some(Body::Text(body));
        match self {
            Self::RestApi => {
                let mut answer = ApiGatewayProxyResponse::default();
                answer.status_code = status.as_u16().into();
                answer.multi_value_headers = headers;
                answer.body = body;
                Reply::RestApi(answer)
            }
            Self::HttpApi => {
                let mut answer = ApiGatewayV2httpResponse::default();
                answer.status_code = status.as_u16().into();
                answer.headers = headers;
                answer.body = body;
                Reply::HttpApi(answer)
            }
            Self::LoadBalancer => {
                let mut answer = AlbTargetGroupResponse::default();
                answer.status_code = status.as_u16().into();
                answer.status_description = Some(status.to_string());
                // A setting of the target group decides which of the two is read.
                answer.headers = headers.clone();
                answer.multi_value_headers = headers;
                answer.body = body;
                Reply::LoadBalancer(answer)
            }
        }
    }
}
