//! `schema`: the roles, and the attributes of users.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::ids::{Kind, id};
use crate::views::{role_read, user_attribute_read};
use crate::world::{Role, UserAttribute, World, now_ms};

pub(super) fn list_roles(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let search = call.text("search").filter(|search| !search.is_empty()).map(str::to_lowercase);
    let matches = |role: &Role| {
        search.as_ref().is_none_or(|search| {
            let name = role.fields["name"].as_str().unwrap_or_default();
            role.key.to_lowercase().contains(search) || name.to_lowercase().contains(search)
        })
    };
    let filter: Option<&dyn Fn(&Role) -> bool> = if search.is_some() { Some(&matches) } else { None };
    let (page, per_page) = call.page();
    let order = world.semantics().list_order;
    let found = world.roles.page(order, page, per_page, filter);
    let data: Vec<Value> = found
        .serials
        .iter()
        .filter_map(|&serial| Some(role_read(serial, world.roles.get(serial)?)))
        .collect();
    Ok(Reply::list(call, &data, &found))
}

pub(super) fn create_role(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let mut fields: Map<String, Value> = call.body()?;
    let key = fields.remove("key").unwrap_or_default();
    // Only in requests, or an id in answers.
    fields.remove("v1compat_is_built_in");
    if fields.remove("granted_to").is_some() {
        fields.insert("granted_to".to_owned(), json!({ "id": id(Kind::Role, world.roles.next()) }));
    }
    let serial = world.add_role(key.as_str().unwrap_or_default(), fields)?;
    Ok(Reply::ok(&world.roles.get(serial).map(|role| role_read(serial, role))))
}

pub(super) fn list_user_attributes(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let (page, per_page) = call.page();
    let from = (page - 1).saturating_mul(per_page);
    let attributes = (0..).zip(&world.user_attributes).skip(from).take(per_page);
    let data: Vec<Value> =
        attributes.map(|(serial, attribute)| user_attribute_read(serial, attribute)).collect();
    Ok(Reply::ok(&data))
}

pub(super) fn create_user_attribute(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    /// `ResourceAttributeCreate`.
    #[derive(Debug, Deserialize)]
    struct Create {
        key: String,
        #[serde(rename = "type")]
        kind: String,
        description: Option<String>,
    }
    let Create { key, kind, description } = call.body()?;
    if world.user_attributes.iter().any(|attribute| attribute.key == key) {
        return Err(ApiError::duplicate(format!("There is a user attribute with the key '{key}'")));
    }
    let attribute = UserAttribute { key, kind, description, created_ms: now_ms() };
    let serial = u32::try_from(world.user_attributes.len()).unwrap_or(u32::MAX);
    let read = user_attribute_read(serial, &attribute);
    world.user_attributes.push(attribute);
    Ok(Reply::ok(&read))
}
