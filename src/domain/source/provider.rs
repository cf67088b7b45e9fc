//! The providers' default forms, compiled in.

use std::sync::LazyLock;

use toml::de::DeTable;

use super::Forms;
use super::parse::forms;
use crate::domain::table::{Fault, Faults, Table};

/// Every provider's name and file.
pub const PROVIDERS: [(&str, &str); 11] = [
    ("auth0", include_str!("../../../providers/auth0.toml")),
    ("clerk", include_str!("../../../providers/clerk.toml")),
    ("cognito", include_str!("../../../providers/cognito.toml")),
    ("entra", include_str!("../../../providers/entra.toml")),
    ("firebase", include_str!("../../../providers/firebase.toml")),
    ("google", include_str!("../../../providers/google.toml")),
    ("keycloak", include_str!("../../../providers/keycloak.toml")),
    ("oidc", include_str!("../../../providers/oidc.toml")),
    ("okta", include_str!("../../../providers/okta.toml")),
    ("supabase", include_str!("../../../providers/supabase.toml")),
    ("workos", include_str!("../../../providers/workos.toml")),
];

pub(super) fn file_of(name: &str) -> Option<&'static str> {
    PROVIDERS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The forms of the provider with this name. Empty if there is no such provider.
pub(super) fn forms_of(name: &str) -> Forms {
    /// The forms of a pool without a `[[source]]`. Every event asks for them.
    static COGNITO: LazyLock<Forms> = LazyLock::new(|| read("cognito"));

    fn read(name: &str) -> Forms {
        file_of(name).map(|text| load(text).0).unwrap_or_default()
    }

    if name == "cognito" { COGNITO.clone() } else { read(name) }
}

/// The forms in a provider's file, and what is wrong with it. A test makes sure that nothing is.
pub(super) fn load(text: &str) -> (Forms, Vec<Fault>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let faults = Faults::of(text);
    for error in errors {
        faults.add(&error.span().unwrap_or_default(), error.message());
    }
    let mut read = Forms::default();
    forms(&mut read, Table::new("the provider", document.get_ref(), document.span(), &faults));
    (read, faults.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_read_without_a_fault_and_knows_its_people() {
        for (name, text) in PROVIDERS {
            let (Forms { claims, file, .. }, faults) = load(text);
            assert_eq!(faults, [], "{name}");
            assert!(!claims.key.is_empty() && !file.claims.key.is_empty(), "{name}");
            let heading: String = text.lines().take_while(|line| line.starts_with('#')).collect();
            assert!(heading.contains("https://") && heading.contains("November 2026"), "{name}: {heading}");
        }
    }
}
