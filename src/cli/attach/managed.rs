//! Who manages the pool beside us, by its tags: their next deployment takes the triggers away.

use std::fmt;

use aws_sdk_cognitoidentityprovider::types::UserPoolType;

use crate::aws::UserPoolId;

/// What made the pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Manager {
    /// AWS Amplify.
    Amplify,
    /// CloudFormation, SAM or CDK, in this stack.
    CloudFormation(String),
    /// Terraform or OpenTofu.
    Terraform,
    /// Pulumi.
    Pulumi,
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amplify => f.write_str("Amplify"),
            Self::CloudFormation(stack) => write!(f, "the CloudFormation stack {stack}"),
            Self::Terraform => f.write_str("Terraform"),
            Self::Pulumi => f.write_str("Pulumi"),
        }
    }
}

impl Manager {
    pub(super) fn warning(&self, pool: &UserPoolId) -> String {
        format!(
            "{pool} is managed by {self}, by its tags. Its next deployment there takes the triggers away again, without a \
             word. Put them there: docs/deploy.md, \"Triggers that stay\", has the lines"
        )
    }
}

/// What the pool's tags say. None of them: nobody, or somebody who leaves no tag.
pub(super) fn by(pool: &UserPoolType) -> Option<Manager> {
    let tags = pool.user_pool_tags.as_ref()?;
    let says = |word: &str| {
        tags.iter().any(|(name, value)| {
            // Our own stack's name, say, is not a tool's.
            let is_about_a_tool = ["manage", "tool", "iac", "provision", "created", "deploy", word]
                .iter()
                .any(|part| name.to_lowercase().contains(part));
            is_about_a_tool && (name.to_lowercase().contains(word) || value.to_lowercase().contains(word))
        })
    };
    let stack = tags.get("aws:cloudformation:stack-name");
    // Amplify's are CloudFormation stacks too. Its tools call them amplify-....
    if says("amplify") || stack.is_some_and(|stack| stack.starts_with("amplify-")) {
        return Some(Manager::Amplify);
    }
    if let Some(stack) = stack {
        return Some(Manager::CloudFormation(stack.clone()));
    }
    if says("terraform") || says("opentofu") {
        return Some(Manager::Terraform);
    }
    says("pulumi").then_some(Manager::Pulumi)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managed(tags: &[(&str, &str)]) -> Option<Manager> {
        let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        by(&UserPoolType::builder().set_user_pool_tags(Some(tags)).build())
    }

    #[test]
    fn the_tags_tell_what_made_the_pool() {
        let stack = "aws:cloudformation:stack-name";
        for (tags, expected) in [
            (&[(stack, "auth")][..], Some(Manager::CloudFormation("auth".to_owned()))),
            (&[(stack, "amplify-shop-dev-auth")], Some(Manager::Amplify)),
            (&[("amplify:deployment-type", "branch"), (stack, "auth")], Some(Manager::Amplify)),
            (&[("ManagedBy", "Terraform")], Some(Manager::Terraform)),
            (&[("terraform", "true")], Some(Manager::Terraform)),
            (&[("managed-by", "OpenTofu")], Some(Manager::Terraform)),
            (&[("pulumi:project", "auth")], Some(Manager::Pulumi)),
            (&[("team", "terraforming"), ("cost-center", "pulumi")], None),
            (&[], None),
        ] {
            assert_eq!(managed(tags), expected, "{tags:?}");
        }
    }
}
