//! Which other tool manages the pool, by the pool's tags. That tool's next deployment removes the
//! triggers.

use aws_sdk_cognitoidentityprovider::types::UserPoolType;

/// The tool that created the pool, by the pool's tags. `None` if no tag says so: a person, or a tool
/// without tags.
pub(super) fn by(pool: &UserPoolType) -> Option<String> {
    let tags = pool.user_pool_tags.as_ref()?;
    let says = |word: &str| {
        tags.iter().any(|(name, value)| {
            // Other tags may contain a tool's name by chance, such as the name of our own stack.
            let is_about_a_tool = ["manage", "tool", "iac", "provision", "created", "deploy", word]
                .iter()
                .any(|part| name.to_lowercase().contains(part));
            is_about_a_tool && (name.to_lowercase().contains(word) || value.to_lowercase().contains(word))
        })
    };
    let manager = match tags.get("aws:cloudformation:stack-name") {
        // Amplify deploys CloudFormation stacks too. Its tools name them `amplify-...`.
        stack if says("amplify") || stack.is_some_and(|stack| stack.starts_with("amplify-")) => "Amplify",
        // SAM and CDK use CloudFormation too.
        Some(stack) => return Some(format!("the CloudFormation stack {stack}")),
        None if says("terraform") || says("opentofu") => "Terraform",
        None if says("pulumi") => "Pulumi",
        None => return None,
    };
    Some(manager.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managed(tags: &[(&str, &str)]) -> Option<String> {
        let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        by(&UserPoolType::builder().set_user_pool_tags(Some(tags)).build())
    }

    #[test]
    fn the_tags_tell_what_made_the_pool() {
        let stack = "aws:cloudformation:stack-name";
        for (tags, expected) in [
            (&[(stack, "auth")][..], Some("the CloudFormation stack auth")),
            (&[(stack, "amplify-shop-dev-auth")], Some("Amplify")),
            (&[("amplify:deployment-type", "branch"), (stack, "auth")], Some("Amplify")),
            (&[("ManagedBy", "Terraform")], Some("Terraform")),
            (&[("terraform", "true")], Some("Terraform")),
            (&[("managed-by", "OpenTofu")], Some("Terraform")),
            (&[("pulumi:project", "auth")], Some("Pulumi")),
            (&[("team", "terraforming"), ("cost-center", "pulumi")], None),
            (&[], None),
        ] {
            assert_eq!(managed(tags).as_deref(), expected, "{tags:?}");
        }
    }
}
