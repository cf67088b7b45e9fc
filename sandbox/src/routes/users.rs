//! `users`: single users.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use super::assignments::UserRole;
use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::semantics::{PostExistingUser, PutRoleAssignments, PutWithoutAttributes};
use crate::world::{Profile, Size, Target, User, World};

#[derive(Debug, Deserialize)]
pub(super) struct UserCreate {
    pub(super) key: String,
    #[serde(flatten)]
    update: UserUpdate,
    pub(super) role_assignments: Option<Vec<UserRole>>,
}

/// `UserUpdate`.
///
/// The outer `None` means absent; the inner `None` is `null`, which clears the field.
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
    /// The updated profile. Absent fields keep their value.
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

/// POST or PUT of one user, alone or as an item of a bulk call. The arguments say whether role
/// assignments are honoured, and after how many milliseconds a PDP sees them.
pub(super) type Write = fn(&mut World, UserCreate, bool, Option<i64>) -> Result<u32, ApiError>;

pub(super) fn list(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let search = call.text("search").filter(|search| !search.is_empty()).map(str::to_lowercase);
    let from_start = call.text("search_operator") == Some("startswith");
    let matches = |user: &User| {
        search.as_ref().is_none_or(|search| {
            let texts = [Some(&*user.key), user.profile.email.as_deref()];
            let mut texts = texts.into_iter().flatten().map(str::to_lowercase);
            texts.any(|text| if from_start { text.starts_with(search) } else { text.contains(search) })
        })
    };
    let filter: Option<&dyn Fn(&User) -> bool> = if search.is_some() { Some(&matches) } else { None };
    let found = world.users.page(world.semantics.list_order, call.page(), filter);
    Ok(Reply::page(call, &found, |serial| world.user_read(serial, None)))
}

pub(super) fn get(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let serial = world.users.find(call.param("user_id"))?;
    Ok(Reply::ok(&world.user_read(serial, None)))
}

pub(super) fn create(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    write(world, call, 200, post)
}

pub(super) fn replace(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let named = call.param("user_id");
    let found = world.users.find(named).ok();
    let key = found.and_then(|serial| world.users.get(serial)).map_or(named, |user| &user.key);
    if call.body["key"] != key {
        let body = &call.body["key"];
        let message = format!("the key of a user cannot change: the path says '{named}', the body {body}");
        return Err(ApiError::bad_input(message));
    }
    write(world, call, if found.is_some() { 200 } else { 201 }, put)
}

fn write(world: &mut World, call: &mut Call, status: u16, write: Write) -> Result<Reply, ApiError> {
    let user = call.body()?;
    // The assignments in a user write reach a PDP after the user, and nobody waits for them.
    let visible_in_ms = call.visible_in_ms.map(|delay_ms| 2 * delay_ms);
    let serial = world.change(Size::Single, |world| write(world, user, true, visible_in_ms))?;
    Ok(Reply::json(status, &world.user_read(serial, None)))
}

pub(super) fn update(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let update: UserUpdate = call.body()?;
    let serial = world.users.find(call.param("user_id"))?;
    let profile = world.users.get(serial).map(|user| user.profile.clone()).unwrap_or_default();
    let profile = update.onto(profile);
    world.change(Size::Single, |world| world.set_profile(serial, profile))?;
    Ok(Reply::ok(&world.user_read(serial, None)))
}

pub(super) fn delete(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let serial = world.users.find(call.param("user_id"))?;
    world.change(Size::Single, |world| {
        world.remove_user(serial);
        Ok(Reply::empty(204))
    })
}

pub(super) fn post(
    world: &mut World,
    user: UserCreate,
    honour_roles: bool,
    visible_in_ms: Option<i64>,
) -> Result<u32, ApiError> {
    if world.semantics.post_existing_user == PostExistingUser::ReturnExisting
        && let Ok(serial) = world.users.find(&user.key)
    {
        return Ok(serial);
    }
    let targets = targets(world, &user)?;
    let serial = world.add_user(&user.key, user.update.onto(Profile::default()))?;
    if honour_roles {
        assign_missing(world, serial, &targets, visible_in_ms)?;
    }
    Ok(serial)
}

pub(super) fn put(
    world: &mut World,
    user: UserCreate,
    honour_roles: bool,
    visible_in_ms: Option<i64>,
) -> Result<u32, ApiError> {
    let Ok(serial) = world.users.find(&user.key) else {
        return post(world, user, honour_roles, visible_in_ms);
    };
    let targets = targets(world, &user)?;
    let named_roles = user.role_assignments.is_some();
    let keeps = world.semantics.put_without_attributes == PutWithoutAttributes::Keep;
    let was = world.users.get(serial).filter(|_| keeps).map(|user| user.profile.clone());
    let profile = user.update.onto(was.unwrap_or_default());
    world.set_profile(serial, profile)?;
    let semantics = world.semantics.put_role_assignments;
    if !honour_roles || !named_roles || semantics == PutRoleAssignments::Ignore {
        return Ok(serial);
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
    Ok(serial)
}

fn targets(world: &mut World, user: &UserCreate) -> Result<Vec<Target>, ApiError> {
    user.role_assignments.iter().flatten().map(|role| role.target(world)).collect()
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
