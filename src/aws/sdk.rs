//! A user pool, through the AWS SDK.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::Builder;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::types::{
    GroupType, IdentityProviderTypeType, UserPoolClientType, UserPoolType, UserType,
};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;

use super::UserPoolId;
use super::fault::AwsFault;
use super::pool::{Page, PoolError, PoolUser, UserPool};
use super::retry::{Patience, all_pages};

/// Users or groups on a page: the most that Cognito gives.
const PAGE: i32 = 60;

/// A user pool of Amazon Cognito.
///
/// Each call is tried once. The caller retries, because it knows how long it can wait (see
/// [`super::retry::Patience`]).
#[derive(Debug)]
pub struct CognitoPool {
    client: Client,
    id: UserPoolId,
    region: String,
}

impl CognitoPool {
    /// The pool `id`. A call takes `timeout` at most.
    pub fn new(aws: &SdkConfig, id: UserPoolId, timeout: Duration) -> Self {
        let timeout = TimeoutConfig::builder().operation_timeout(timeout).build();
        let config = Builder::from(aws).retry_config(RetryConfig::disabled()).timeout_config(timeout).build();
        let region = aws.region().map(ToString::to_string).unwrap_or_default();
        Self { client: Client::from_conf(config), id, region }
    }

    /// The answer of a call, or why it failed.
    fn answered<T, E: ProvideErrorMetadata>(
        &self,
        request: Request,
        answer: Result<T, SdkError<E>>,
    ) -> Result<T, PoolError> {
        answer.map_err(|error| self.explain(request, &AwsFault::new("Cognito", &error)))
    }

    fn explain(&self, request: Request, fault: &AwsFault) -> PoolError {
        let Request { action, has_filter, has_token } = request;
        let unavailable = |fault: &AwsFault| PoolError::Unavailable { action, reason: fault.to_string() };
        let AwsFault::Refused { status, code, .. } = fault else { return unavailable(fault) };
        match code.as_str() {
            "TooManyRequestsException" | "ThrottlingException" | "LimitExceededException" => {
                PoolError::Throttled { action }
            }
            "AccessDeniedException" | "NotAuthorizedException" => PoolError::NotAuthorized { action },
            "UserNotFoundException" => PoolError::NoSuchUser,
            "ResourceNotFoundException" if self.id.region() != self.region && self.id.region() != "local" => {
                PoolError::WrongRegion { pool: self.id.to_string(), region: self.region.clone() }
            }
            "ResourceNotFoundException" => PoolError::NoSuchPool(self.id.to_string()),
            // The first page worked with the same filter, so the token is at fault.
            "InvalidParameterException" if has_token => PoolError::TokenExpired { action },
            "InvalidParameterException" if has_filter => PoolError::FilterRefused,
            // cognito-local's code for a filter that it does not support.
            code if has_filter && code.contains("Unsupported") => PoolError::FilterRefused,
            _ if *status >= 500 => unavailable(fault),
            _ if *status == 429 => PoolError::Throttled { action },
            code => PoolError::Rejected { action, code: format!("{status} {code}") },
        }
    }

    /// The pool's own settings (DescribeUserPool).
    pub async fn describe(&self) -> Result<UserPoolType, PoolError> {
        let call = self.client.describe_user_pool().user_pool_id(self.id.as_str());
        let answer = self.answered(Request::of("DescribeUserPool"), call.send().await)?;
        answer.user_pool.ok_or_else(|| PoolError::NoSuchPool(self.id.to_string()))
    }

    /// The pool's name, and about how many users it has (DescribeUserPool). `None` if the pool does not
    /// say.
    pub async fn name_and_size(&self) -> Result<(Option<String>, Option<u64>), PoolError> {
        let pool = self.describe().await?;
        let users = u64::try_from(pool.estimated_number_of_users).ok().filter(|users| *users > 0);
        Ok((pool.name, users))
    }

    /// The settings of all app clients (ListUserPoolClients, DescribeUserPoolClient).
    pub async fn app_clients(&self) -> Result<Vec<UserPoolClientType>, PoolError> {
        let patience = Patience::BULK;
        let ids = all_pages(patience, |token| async move { self.app_client_ids(token.as_deref()).await });
        let mut clients = Vec::new();
        for id in ids.await? {
            clients.extend(patience.ask(|| self.app_client(&id)).await?);
        }
        Ok(clients)
    }

    async fn app_client_ids(&self, token: Option<&str>) -> Result<Page<String>, PoolError> {
        let call = self.client.list_user_pool_clients().user_pool_id(self.id.as_str()).max_results(PAGE);
        let answer = call.set_next_token(token.map(str::to_owned)).send().await;
        let answer = self.answered(Request::page("ListUserPoolClients", token), answer)?;
        let clients = answer.user_pool_clients.unwrap_or_default().into_iter();
        Ok(Page { items: clients.filter_map(|client| client.client_id).collect(), next: answer.next_token })
    }

    /// `None` if it was deleted meanwhile.
    async fn app_client(&self, id: &str) -> Result<Option<UserPoolClientType>, PoolError> {
        let call = self.client.describe_user_pool_client().user_pool_id(self.id.as_str()).client_id(id);
        let answer = self.answered(Request::of("DescribeUserPoolClient"), call.send().await);
        Ok(if_there(answer)?.and_then(|answer| answer.user_pool_client))
    }

    /// At most 60 users whose `attribute` is `value` (ListUsers). Cognito can search by `username`,
    /// `email`, `phone_number` and a few more.
    pub async fn users_by(&self, attribute: &str, value: &str) -> Result<Vec<PoolUser>, PoolError> {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        let filter = format!("{attribute} = \"{value}\"");
        let Page { items, next: _ } = self.list_users(Some(filter), PAGE, None).await?;
        Ok(items)
    }

    /// The identity providers (ListIdentityProviders, DescribeIdentityProvider).
    pub async fn identity_providers(&self) -> Result<Vec<IdentityProvider>, PoolError> {
        let patience = Patience::BULK;
        let names = all_pages(patience, |token| async move { self.provider_names(token.as_deref()).await });
        let mut providers = Vec::new();
        for name in names.await? {
            providers.extend(patience.ask(|| self.provider(&name)).await?);
        }
        Ok(providers)
    }

    async fn provider_names(&self, token: Option<&str>) -> Result<Page<String>, PoolError> {
        let call = self.client.list_identity_providers().user_pool_id(self.id.as_str()).max_results(PAGE);
        let answer = call.set_next_token(token.map(str::to_owned)).send().await;
        let answer = self.answered(Request::page("ListIdentityProviders", token), answer)?;
        let names = answer.providers.into_iter().filter_map(|provider| provider.provider_name);
        Ok(Page { items: names.collect(), next: answer.next_token })
    }

    /// `None` if it was deleted meanwhile.
    async fn provider(&self, name: &str) -> Result<Option<IdentityProvider>, PoolError> {
        let call =
            self.client.describe_identity_provider().user_pool_id(self.id.as_str()).provider_name(name);
        let answer = self.answered(Request::of("DescribeIdentityProvider"), call.send().await);
        let provider = if_there(answer)?.and_then(|answer| answer.identity_provider);
        Ok(provider.map(|provider| IdentityProvider {
            name: name.to_owned(),
            kind: provider.provider_type,
            mapping: provider.attribute_mapping.unwrap_or_default().into_iter().collect(),
        }))
    }

    async fn list_users(
        &self,
        filter: Option<String>,
        limit: i32,
        token: Option<&str>,
    ) -> Result<Page<PoolUser>, PoolError> {
        let request = Request { has_filter: filter.is_some(), ..Request::page("ListUsers", token) };
        let call = self.client.list_users().user_pool_id(self.id.as_str()).limit(limit).set_filter(filter);
        let answer = call.set_pagination_token(token.map(str::to_owned)).send().await;
        let answer = self.answered(request, answer)?;
        Ok(Page { items: users(answer.users), next: answer.pagination_token })
    }
}

/// An identity provider of a pool, without its secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityProvider {
    /// The name, as in the names of the groups that Cognito creates, `POOLID_NAME`.
    pub name: String,
    /// Google, SAML, OIDC, ...
    pub kind: Option<IdentityProviderTypeType>,
    /// From each attribute of the pool to the provider's attribute that fills it.
    pub mapping: BTreeMap<String, String>,
}

/// The parts of a request that decide what an error means.
struct Request {
    action: &'static str,
    has_filter: bool,
    has_token: bool,
}

impl Request {
    fn of(action: &'static str) -> Self {
        Self { action, has_filter: false, has_token: false }
    }

    fn page(action: &'static str, token: Option<&str>) -> Self {
        Self { has_token: token.is_some(), ..Self::of(action) }
    }
}

/// `None` if the thing was deleted in the meantime.
fn if_there<T>(answer: Result<T, PoolError>) -> Result<Option<T>, PoolError> {
    match answer {
        Err(PoolError::NoSuchPool(_)) => Ok(None),
        answer => answer.map(Some),
    }
}

#[async_trait]
impl UserPool for CognitoPool {
    async fn groups(&self, token: Option<&str>) -> Result<Page<String>, PoolError> {
        let call = self.client.list_groups().user_pool_id(self.id.as_str()).limit(PAGE);
        let answer = call.set_next_token(token.map(str::to_owned)).send().await;
        let answer = self.answered(Request::page("ListGroups", token), answer)?;
        Ok(Page { items: names(answer.groups), next: answer.next_token })
    }

    async fn members(&self, group: &str, token: Option<&str>) -> Result<Page<PoolUser>, PoolError> {
        let call = self.client.list_users_in_group().user_pool_id(self.id.as_str()).group_name(group);
        let answer = call.limit(PAGE).set_next_token(token.map(str::to_owned)).send().await;
        let answer = self.answered(Request::page("ListUsersInGroup", token), answer)?;
        Ok(Page { items: users(answer.users), next: answer.next_token })
    }

    async fn users(
        &self,
        sub_prefix: Option<&str>,
        token: Option<&str>,
    ) -> Result<Page<PoolUser>, PoolError> {
        self.list_users(sub_prefix.map(|prefix| format!("sub ^= \"{prefix}\"")), PAGE, token).await
    }

    async fn groups_of(&self, username: &str, token: Option<&str>) -> Result<Page<String>, PoolError> {
        let call = self.client.admin_list_groups_for_user().user_pool_id(self.id.as_str()).username(username);
        let answer = call.limit(PAGE).set_next_token(token.map(str::to_owned)).send().await;
        let answer = self.answered(Request::page("AdminListGroupsForUser", token), answer)?;
        Ok(Page { items: names(answer.groups), next: answer.next_token })
    }

    async fn user(&self, sub: &str) -> Result<Option<PoolUser>, PoolError> {
        // A quote would end the filter. No `sub` that Permit accepts as a key has one.
        if sub.contains(['"', '\\']) {
            return Ok(None);
        }
        let Page { items, next: _ } = self.list_users(Some(format!("sub = \"{sub}\"")), 1, None).await?;
        Ok(items.into_iter().find(|user| user.sub() == Some(sub)))
    }
}

fn names(groups: Option<Vec<GroupType>>) -> Vec<String> {
    groups.unwrap_or_default().into_iter().filter_map(|group| group.group_name).collect()
}

fn users(users: Option<Vec<UserType>>) -> Vec<PoolUser> {
    users.unwrap_or_default().into_iter().map(user).collect()
}

fn user(user: UserType) -> PoolUser {
    let attributes = user.attributes.unwrap_or_default().into_iter();
    let attributes = attributes.filter_map(|attribute| Some((attribute.name, attribute.value?)));
    // Trigger events use this name for the status.
    let status =
        user.user_status.map(|status| ("cognito:user_status".to_owned(), status.as_str().to_owned()));
    PoolUser {
        username: user.username.unwrap_or_default(),
        attributes: attributes.chain(status).collect(),
        enabled: user.enabled,
    }
}
