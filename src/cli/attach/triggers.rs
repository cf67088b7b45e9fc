//! The triggers that can call the function, and the other triggers of a pool.
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the methods' paths are longer than what they say"
)]

use std::fmt;

use anstyle::AnsiColor;
use aws_sdk_cognitoidentityprovider::types::LambdaConfigType;
use serde::Serialize;

use super::Action;
use crate::cli::screen::Line;

/// A trigger that can call the function.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Event {
    /// After each sign-in except the first.
    PostAuthentication,
    /// After a sign-up is confirmed. The next sign-in may be weeks away.
    PostConfirmation,
    /// Before tokens are issued, at nearly every way to sign in. Other programs often use this trigger
    /// too.
    PreTokenGeneration,
}

impl Event {
    /// The triggers that every pool needs.
    pub const NEEDED: [Self; 2] = [Self::PostAuthentication, Self::PostConfirmation];

    /// The function that the pool calls for this trigger.
    pub fn function(self, config: Option<&LambdaConfigType>) -> Option<&str> {
        let config = config?;
        match self {
            Self::PostAuthentication => config.post_authentication(),
            Self::PostConfirmation => config.post_confirmation(),
            Self::PreTokenGeneration => {
                let versioned = config.pre_token_generation_config().map(|config| config.lambda_arn());
                versioned.filter(|arn| !arn.is_empty()).or(config.pre_token_generation())
            }
        }
        .filter(|arn| !arn.is_empty())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// All triggers that can call the function.
const EVERY: [Event; 3] = [Event::PostAuthentication, Event::PostConfirmation, Event::PreTokenGeneration];

/// The pool's other triggers, with their functions.
pub fn others(config: Option<&LambdaConfigType>) -> Vec<(&str, &str)> {
    let Some(config) = config else { return Vec::new() };
    let all = [
        ("PreSignUp", config.pre_sign_up()),
        ("CustomMessage", config.custom_message()),
        ("PreAuthentication", config.pre_authentication()),
        ("DefineAuthChallenge", config.define_auth_challenge()),
        ("CreateAuthChallenge", config.create_auth_challenge()),
        ("VerifyAuthChallengeResponse", config.verify_auth_challenge_response()),
        ("UserMigration", config.user_migration()),
        ("CustomSMSSender", config.custom_sms_sender().map(|sender| sender.lambda_arn())),
        ("CustomEmailSender", config.custom_email_sender().map(|sender| sender.lambda_arn())),
        ("InboundFederation", config.inbound_federation().map(|function| function.lambda_arn())),
    ];
    all.into_iter().filter_map(|(event, function)| Some((event, function?))).collect()
}

/// A trigger's function before and after the change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Trigger {
    pub(super) event: Event,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// The change to all triggers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Change {
    action: Action,
    pub(super) triggers: Vec<Trigger>,
}

impl Change {
    pub(super) fn new(action: Action, config: Option<&LambdaConfigType>, function: &str) -> Self {
        let trigger = |event: Event| {
            let before = event.function(config).map(str::to_owned);
            let after = match action {
                // PreTokenGeneration changes only if the operator asks for it.
                Action::Attach { tokens, .. } if event == Event::PreTokenGeneration && !tokens => {
                    before.clone()
                }
                Action::Attach { .. } => Some(function.to_owned()),
                Action::Detach => before.clone().filter(|before| before != function),
            };
            Trigger { event, before, after }
        };
        Self { action, triggers: EVERY.map(trigger).to_vec() }
    }

    /// Triggers where the change would replace another function without permission.
    pub(super) fn refused(&self) -> impl Iterator<Item = &Trigger> {
        let (attaches, replaces) = match self.action {
            Action::Attach { replace, .. } => (true, replace),
            Action::Detach => (false, false),
        };
        self.triggers.iter().filter(move |trigger| {
            let may_take = replaces && trigger.event != Event::PreTokenGeneration;
            attaches && !may_take && trigger.before.is_some() && trigger.before != trigger.after
        })
    }

    pub(super) fn changes(&self) -> bool {
        self.triggers.iter().any(|trigger| trigger.before != trigger.after)
    }

    pub(super) fn attaches(&self) -> bool {
        matches!(self.action, Action::Attach { .. }) && self.changes()
    }

    /// The pool's triggers with this change; other triggers stay as they are.
    pub(super) fn apply(&self, config: Option<&LambdaConfigType>) -> LambdaConfigType {
        let mut config = config.cloned().unwrap_or_else(|| LambdaConfigType::builder().build());
        for Trigger { event, before, after } in &self.triggers {
            match event {
                Event::PostAuthentication => config.post_authentication.clone_from(after),
                Event::PostConfirmation => config.post_confirmation.clone_from(after),
                Event::PreTokenGeneration if before != after => {
                    config.pre_token_generation.clone_from(after);
                    config.pre_token_generation_config = None;
                }
                Event::PreTokenGeneration => {}
            }
        }
        config
    }

    /// One line per trigger, for the operator.
    pub(super) fn lines(&self) -> Vec<Line> {
        let line = |Trigger { event, before, after }: &Trigger| {
            let function =
                |function: &Option<String>| function.clone().unwrap_or_else(|| "nothing".to_owned());
            let line = Line::new(2).text(format!("{event}: "));
            if before == after {
                return line.text(format!("{}, as before", function(before)));
            }
            line.colour(AnsiColor::Red, function(before))
                .text(" -> ")
                .colour(AnsiColor::Green, function(after))
        };
        self.triggers.iter().map(line).collect()
    }
}
