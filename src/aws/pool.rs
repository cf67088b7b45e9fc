//! The user pool, page by page: the requests, and how they may fail.

use std::fmt;

use async_trait::async_trait;

/// One page of a list. Only a missing token marks the last page; a short page does not.
pub struct Page<T> {
    pub items: Vec<T>,
    /// The token of the next page. `None` on the last page.
    pub next: Option<String>,
}

/// A user as the pool lists them.
#[derive(Clone)]
pub struct PoolUser {
    pub username: String,
    /// The attributes, including `sub`.
    pub attributes: Vec<(String, String)>,
    /// Whether they may sign in.
    pub enabled: bool,
}

impl PoolUser {
    pub fn sub(&self) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == "sub").map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for PoolUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PoolUser(..)")
    }
}

/// Why a request to the pool failed. The messages hold nothing about any user.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PoolError {
    /// Too many requests: ListUsers and ListUsersInGroup share 30 a second in the whole account.
    #[error("Cognito is throttling {action}: something else in this AWS account uses its quota too")]
    Throttled { action: &'static str },
    #[error("{action} is not allowed: the role needs cognito-idp:{action} on the user pool")]
    NotAuthorized {
        /// The API call, which is also the name of the permission.
        action: &'static str,
    },
    /// The pool, or the group, does not exist.
    #[error("there is no user pool {0} in this account and region: set USER_POOL_ID to the right one")]
    NoSuchPool(String),
    #[error("the user pool {pool} was looked for in the region {region}: set AWS_REGION to the pool's own")]
    WrongRegion {
        /// The pool's id, which begins with its region.
        pool: String,
        /// The region that was asked.
        region: String,
    },
    #[error("the user is not in the user pool")]
    NoSuchUser,
    #[error("the user pool refuses to filter users by their sub")]
    FilterRefused,
    /// The page's token has expired (it lasts about an hour). Start again from the first page.
    #[error("a page token of {action} has expired: start the list again")]
    TokenExpired { action: &'static str },
    /// Cognito refused for another reason; asking again does not help.
    #[error("Cognito refuses {action}: {code}")]
    Rejected { action: &'static str, code: String },
    /// Cognito could not be reached, or failed.
    #[error("{action} failed: {reason}")]
    Unavailable { action: &'static str, reason: String },
}

impl PoolError {
    /// Whether the same call may work a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unavailable { .. })
    }
}

/// A user pool. Each method makes one request. A token is valid only with the same parameters as the page
/// that returned it.
#[async_trait]
pub trait UserPool: Send + Sync {
    /// The names of the groups (ListGroups).
    async fn groups(&self, token: Option<&str>) -> Result<Page<String>, PoolError>;

    /// The users in `group` (ListUsersInGroup).
    async fn members(&self, group: &str, token: Option<&str>) -> Result<Page<PoolUser>, PoolError>;

    /// The users whose `sub` starts with `sub_prefix`, or all (ListUsers), disabled ones included.
    async fn users(&self, sub_prefix: Option<&str>, token: Option<&str>)
    -> Result<Page<PoolUser>, PoolError>;

    /// The groups that `username` is in (AdminListGroupsForUser).
    async fn groups_of(&self, username: &str, token: Option<&str>) -> Result<Page<String>, PoolError>;

    /// The user with this `sub` (ListUsers). `None` if there is no such user.
    async fn user(&self, sub: &str) -> Result<Option<PoolUser>, PoolError>;

    /// Whether a user has this `sub` (ListUsers).
    async fn contains(&self, sub: &str) -> Result<bool, PoolError> {
        Ok(self.user(sub).await?.is_some())
    }
}
