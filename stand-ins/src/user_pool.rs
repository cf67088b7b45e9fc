//! A user pool with people in it, in moto or in cognito-local.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::moto::text;
use crate::{AwsApi, Error};

/// The password of every person who has one.
pub const PASSWORD: &str = "Correct-horse-9";

/// A person to add to a user pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The e-mail address that the person signs in with. It counts as verified.
    pub email: String,
    /// Further attributes by Cognito's names.
    pub attributes: Vec<(String, String)>,
    /// The person's groups. They are created if needed.
    pub groups: Vec<String>,
    /// Whether the person may sign in.
    pub enabled: bool,
}

impl Person {
    /// An enabled person without groups or further attributes.
    pub fn new(email: &str) -> Self {
        Self { email: email.to_owned(), attributes: Vec::new(), groups: Vec::new(), enabled: true }
    }

    /// Adds a group.
    #[must_use]
    pub fn in_group(mut self, group: &str) -> Self {
        self.groups.push(group.to_owned());
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, attribute: &str, value: &str) -> Self {
        self.attributes.push((attribute.to_owned(), value.to_owned()));
        self
    }

    /// Disables the person, who then cannot sign in.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// The attributes in the form of a request.
    pub(crate) fn user_attributes(&self) -> Vec<Value> {
        let always = [("email", self.email.as_str()), ("email_verified", "true")];
        let further = self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        always.into_iter().chain(further).map(|(name, value)| json!({"Name": name, "Value": value})).collect()
    }
}

/// Returns `count` people, the same ones each time: one in ten is an admin, one in three an editor and
/// one in four a viewer of the tenant `acme` (some are several), and one in fifty is disabled.
pub fn people(count: usize) -> Vec<Person> {
    let person = |number: usize| {
        let mut person = Person::new(&format!("person-{number:05}@example.com"))
            .with("given_name", &format!("Given {number}"))
            .with("family_name", &format!("Family {number}"));
        let groups = [(10, "admins"), (3, "acme/editor"), (4, "acme/viewer")];
        let groups = groups.into_iter().filter(|(every, _)| number.is_multiple_of(*every));
        person.groups = groups.map(|(_, group)| group.to_owned()).collect();
        person.enabled = number % 50 != 49;
        person
    };
    (0..count).map(person).collect()
}

/// A user pool of a stand-in.
#[derive(Debug, Clone)]
pub struct UserPool {
    api: AwsApi,
    id: String,
}

impl UserPool {
    pub(crate) async fn create(api: AwsApi, name: &str) -> Result<Self, Error> {
        let created =
            api.call("CreateUserPool", json!({"PoolName": name, "UsernameAttributes": ["email"]})).await?;
        Ok(Self { api, id: text(&created["UserPool"]["Id"]) })
    }

    /// The pool's id, the setting `USER_POOL_ID`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Cognito, for calls that are missing here.
    pub fn api(&self) -> &AwsApi {
        &self.api
    }

    /// Creates a group.
    pub async fn add_group(&self, group: &str) -> Result<(), Error> {
        self.api.call("CreateGroup", json!({"UserPoolId": self.id, "GroupName": group})).await?;
        Ok(())
    }

    /// Adds one person, their groups first. Returns their `sub`.
    pub async fn add(&self, person: &Person) -> Result<String, Error> {
        let subs = self.add_all(std::slice::from_ref(person)).await?;
        Ok(subs.into_iter().next().unwrap_or_default())
    }

    /// Adds people, their groups first. Returns each person's `sub`, in the same order. Existing groups
    /// stay as they are.
    ///
    /// One person at a time: moto handles one request at a time anyway, about 5 ms each, and sometimes
    /// fails concurrent writes.
    pub async fn add_all(&self, people: &[Person]) -> Result<Vec<String>, Error> {
        self.add_groups_of(people).await?;
        let mut subs = Vec::with_capacity(people.len());
        for person in people {
            subs.push(self.create_user(person).await?);
        }
        Ok(subs)
    }

    pub(crate) async fn add_groups_of(&self, people: &[Person]) -> Result<(), Error> {
        let groups: BTreeSet<&str> =
            people.iter().flat_map(|person| &person.groups).map(String::as_str).collect();
        for group in groups {
            match self.add_group(group).await {
                Err(Error::Refused { body, .. }) if body.contains("GroupExistsException") => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Adds a user to groups, by the user name that Cognito returned: cognito-local stores memberships by
    /// the name that it is given, and looks them up by this one.
    pub(crate) async fn join(&self, username: &str, groups: &[String]) -> Result<(), Error> {
        for group in groups {
            let membership = json!({"UserPoolId": self.id, "Username": username, "GroupName": group});
            self.api.call("AdminAddUserToGroup", membership).await?;
        }
        Ok(())
    }

    async fn create_user(&self, person: &Person) -> Result<String, Error> {
        let Person { email, attributes: _, groups, enabled } = person;
        let created = self
            .api
            .call(
                "AdminCreateUser",
                json!({
                    "UserPoolId": self.id,
                    "Username": email,
                    "MessageAction": "SUPPRESS",
                    "UserAttributes": person.user_attributes(),
                }),
            )
            .await?;
        // In such a pool the user name is the `sub`.
        let username = text(&created["User"]["Username"]);
        self.join(&username, groups).await?;
        if !enabled {
            self.api.call("AdminDisableUser", json!({"UserPoolId": self.id, "Username": username})).await?;
        }
        Ok(username)
    }
}
