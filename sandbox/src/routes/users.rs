//! `users`: one at a time.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use super::assignments::UserRoleCreate;
use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::semantics::{PostExistingUser, PutRoleAssignments, PutWithoutAttributes};
use crate::world::{Profile, Size, Target, User, World};

/// `UserCreate`.
#[derive(Debug, Deserialize)]
pub(super) struct UserCreate {
    pub(super) key: String,
    #[serde(flatten)]
    update: UserUpdate,
    pub(super) role_assignments: Option<Vec<UserRoleCreate>>,
}

/// `UserUpdate`.
///
/// The outer `None`: left out; the inner: `null`, which clears.
#[expect(clippy::option_option, reason = "left out and null are two things")]
#[derive(Debug, Deserialize)]
struct UserUpdate {
    #[serde(default, deserialize_with = "given")]
    email: Option<Option<Arc<str>>>,
    #[serde(default, deserialize_with = "given")]
    first_name: Option<Option<Box<str>>>,
    #[serde(default, deserialize_with = "given")]
    last_name: Option<Option<Box<str>>>,
    #[serde(default, deserialize_with = "given")]
    attributes: Option<Option<Map<String, Value>>>,
}

fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl UserUpdate {
    /// The profile; what is left out is as it was.
    fn onto(self, was: Profile) -> Profile {
        let Self { email, first_name, last_name, attributes } = self;
        Profile {
            email: email.unwrap_or(was.email),
            first_name: first_name.unwrap_or(was.first_name),
            last_name: last_name.unwrap_or(was.last_name),
            attributes: match attributes {
                Some(attributes) => attributes.and_then(|attributes| to_raw_value(&attributes).ok()),
                None => was.attributes,
            },
        }
    }
}

/// What a write made of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Created(u32),
    Existing(u32),
}

pub(super) fn list(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let (page, per_page) = call.page();
    let search = call.text("search").filter(|search| !search.is_empty()).map(str::to_lowercase);
    let from_start = call.text("search_operator") == Some("startswith");
    let order = world.semantics().list_order;
    let matches = |user: &User| {
        search.as_ref().is_none_or(|search| {
            let texts = [Some(&*user.key), user.profile.email.as_deref()];
            let mut texts = texts.into_iter().flatten().map(str::to_lowercase);
            texts.any(|text| if from_start { text.starts_with(search) } else { text.contains(search) })
        })
    };
    let filter: Option<&dyn Fn(&User) -> bool> = if search.is_some() { Some(&matches) } else { None };
    let found = world.users.page(order, page, per_page, filter);
    let read = |&serial: &u32| Some(world.user_read(serial, world.users.get(serial)?, None));
    let data: Vec<_> = found.serials.iter().filter_map(read).collect();
    Ok(Reply::page(&data, &found, per_page))
}

pub(super) fn get(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let serial = world.user(call.param("user_id"))?;
    Ok(reply(world, 200, serial))
}

pub(super) fn create(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    create_visible_in(world, call, None)
}

/// Creates a user whose embedded role assignments a PDP knows of in `visible_in_ms`.
pub(super) fn create_visible_in(
    world: &mut World,
    call: &mut Call,
    visible_in_ms: Option<i64>,
) -> Result<Reply, ApiError> {
    let user: UserCreate = call.body()?;
    let written = world.change(Size::Single, |world| post(world, user, true, visible_in_ms))?;
    let (Written::Created(serial) | Written::Existing(serial)) = written;
    Ok(reply(world, 200, serial))
}

pub(super) fn replace(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    replace_visible_in(world, call, None)
}

/// Replaces or creates a user whose embedded role assignments a PDP knows of in `visible_in_ms`.
pub(super) fn replace_visible_in(
    world: &mut World,
    call: &mut Call,
    visible_in_ms: Option<i64>,
) -> Result<Reply, ApiError> {
    let user: UserCreate = call.body()?;
    let named = call.param("user_id");
    let named_key =
        world.user(named).ok().and_then(|serial| world.users.get(serial)).map(|user| user.key.clone());
    if named_key.as_deref().unwrap_or(named) != user.key {
        let key = &user.key;
        let message = format!("the key of a user cannot change: the path says '{named}', the body '{key}'");
        return Err(ApiError::bad_input(message));
    }
    let written = world.change(Size::Single, |world| put(world, user, true, visible_in_ms))?;
    Ok(match written {
        Written::Created(serial) => reply(world, 201, serial),
        Written::Existing(serial) => reply(world, 200, serial),
    })
}

pub(super) fn update(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let update: UserUpdate = call.body()?;
    let serial = world.user(call.param("user_id"))?;
    let profile = world.users.get(serial).map(|user| user.profile.clone()).unwrap_or_default();
    let profile = update.onto(profile);
    world.change(Size::Single, |world| world.set_profile(serial, profile))?;
    Ok(reply(world, 200, serial))
}

pub(super) fn delete(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let serial = world.user(call.param("user_id"))?;
    world.change(Size::Single, |world| {
        world.remove_user(serial);
        Ok(())
    })?;
    Ok(Reply::empty(204))
}

/// POST of one user, alone or as an item of a bulk call.
pub(super) fn post(
    world: &mut World,
    user: UserCreate,
    honour_roles: bool,
    visible_in_ms: Option<i64>,
) -> Result<Written, ApiError> {
    if world.semantics().post_existing_user == PostExistingUser::ReturnExisting
        && let Ok(serial) = world.user(&user.key)
    {
        return Ok(Written::Existing(serial));
    }
    let targets = targets(world, &user)?;
    let (key, profile) = user.into_parts();
    let serial = world.add_user(&key, profile)?;
    if honour_roles {
        assign_missing(world, serial, &targets, visible_in_ms)?;
    }
    Ok(Written::Created(serial))
}

/// PUT of one user, alone or as an item of a bulk call.
pub(super) fn put(
    world: &mut World,
    user: UserCreate,
    honour_roles: bool,
    visible_in_ms: Option<i64>,
) -> Result<Written, ApiError> {
    let targets = targets(world, &user)?;
    let named_roles = user.role_assignments.is_some();
    let Ok(serial) = world.user(&user.key) else {
        let (key, profile) = user.into_parts();
        let serial = world.add_user(&key, profile)?;
        if honour_roles {
            assign_missing(world, serial, &targets, visible_in_ms)?;
        }
        return Ok(Written::Created(serial));
    };
    let keeps = world.semantics().put_without_attributes == PutWithoutAttributes::Keep;
    let was = world.users.get(serial).filter(|_| keeps).map(|user| user.profile.clone());
    let profile = user.update.onto(was.unwrap_or_default());
    world.set_profile(serial, profile)?;
    let semantics = world.semantics().put_role_assignments;
    if !honour_roles || !named_roles || semantics == PutRoleAssignments::Ignore {
        return Ok(Written::Existing(serial));
    }
    if semantics == PutRoleAssignments::Replace {
        let assigned = world.users.get(serial).map(|user| user.assignments.clone()).unwrap_or_default();
        for at in assigned {
            if world.assignments.get(at).is_some_and(|assignment| !targets.contains(&assignment.target)) {
                world.unassign(at, None);
            }
        }
    }
    assign_missing(world, serial, &targets, visible_in_ms)?;
    Ok(Written::Existing(serial))
}

fn targets(world: &mut World, user: &UserCreate) -> Result<Vec<Target>, ApiError> {
    user.role_assignments.iter().flatten().map(|assignment| assignment.target(world)).collect()
}

fn assign_missing(
    world: &mut World,
    user: u32,
    targets: &[Target],
    visible_in_ms: Option<i64>,
) -> Result<(), ApiError> {
    for &target in targets {
        if world.assigned(user, target).is_none() {
            world.assign(user, target, visible_in_ms)?;
        }
    }
    Ok(())
}

fn reply(world: &World, status: u16, serial: u32) -> Reply {
    let user = world.users.get(serial).map(|user| world.user_read(serial, user, None));
    Reply::json(status, &user)
}

impl UserCreate {
    fn into_parts(self) -> (String, Profile) {
        let Self { key, update, role_assignments: _ } = self;
        (key, update.onto(Profile::default()))
    }
}
