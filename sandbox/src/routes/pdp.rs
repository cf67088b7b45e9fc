//! The PDP's own answers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::call::{Call, Reply};
use crate::error::ApiError;
use crate::world::World;

/// A user's permissions as far as the PDP knows, with an entry per tenant and resource instance. A role
/// without permissions is left out.
pub(super) fn user_permissions(world: &mut World, call: &mut Call) -> Result<Reply, ApiError> {
    let mut answer: BTreeMap<String, (Vec<Value>, Vec<&str>)> = BTreeMap::new();
    let user = call.body["user"]["key"].as_str().unwrap_or_default();
    for target in world.users.find(user).map(|serial| world.known_to_pdp(serial)).unwrap_or_default() {
        let may = world.roles.get(target.role).and_then(|role| role.fields.get("permissions")?.as_array());
        let Some(may) = may.filter(|may| !may.is_empty()) else { continue };
        let place = world.instance_name(target.instance).map(str::to_owned);
        let place = place.unwrap_or_else(|| format!("__tenant:{}", world.tenant_key(target.tenant)));
        let (permissions, roles) = answer.entry(place).or_default();
        permissions.extend(may.iter().cloned());
        roles.push(world.role_key(target.role));
    }
    let entry =
        |(place, (permissions, roles))| (place, json!({ "permissions": permissions, "roles": roles }));
    Ok(Reply::ok(&answer.into_iter().map(entry).collect::<Map<String, Value>>()))
}
