//! Resources that many applications call: the audiences they take, and what they answer to what they refuse.
//!
//! The knowledge is in `resources.tsv`. Not a list of all resources: an unknown audience is an API of one's own. Easy to get
//! wrong: a resource compares the audience as text, so a trailing slash counts where the resource does not list both.

use std::sync::LazyLock;

use super::issuer::matches;

/// What lets an application in, beside the audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Application permissions, in the claim `roles`.
    Roles,
    /// A role assignment in Azure, which no token shows.
    Assignment,
    /// A user in the database.
    Database,
    /// Membership in an organisation or workspace.
    Membership,
    /// Nothing helps: it is switched off.
    Retired,
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) name: &'static str,
    /// Shown among those who refuse another's token.
    pub(super) is_example: bool,
    audiences: Vec<&'static str>,
    /// Status and words for another's token; no status where it speaks no HTTP.
    pub(super) foreign: (Option<u16>, &'static str),
    pub(super) needs: Needs,
    /// The same for an application that lacks what is needed.
    pub(super) forbidden: (Option<u16>, &'static str),
}

static TABLE: LazyLock<Vec<Resource>> = LazyLock::new(|| {
    include_str!("resources.tsv").lines().filter(|line| !line.starts_with('#')).filter_map(parse_line).collect()
});

fn parse_line(line: &'static str) -> Option<Resource> {
    let mut fields = line.split('\t');
    let (name, example) = (fields.next()?, fields.next()?);
    let audiences = fields.next()?.split(' ').collect();
    let foreign = (fields.next()?.parse().ok(), fields.next()?);
    let needs = match fields.next()? {
        "roles" => Needs::Roles,
        "rbac" => Needs::Assignment,
        "database" => Needs::Database,
        "membership" => Needs::Membership,
        "retired" => Needs::Retired,
        _ => return None,
    };
    let forbidden = (fields.next()?.parse().ok(), fields.next()?);
    Some(Resource { name, is_example: example == "shown", audiences, foreign, needs, forbidden })
}

/// All of them.
#[must_use]
pub(super) fn table() -> &'static [Resource] {
    &TABLE
}

/// The resource that takes this audience.
#[must_use]
pub(super) fn of_audience(audience: &str) -> Option<&'static Resource> {
    TABLE.iter().find(|resource| resource.audiences.iter().any(|pattern| matches(pattern, audience)))
}

/// The resource that takes nearly this audience, and the one it takes.
#[must_use]
pub(super) fn near(audience: &str) -> Option<(&'static Resource, &'static str)> {
    let bare = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
    let wanted = bare(audience);
    TABLE.iter().find_map(|resource| {
        let right = resource.audiences.iter().find(|right| !right.contains('*') && bare(right) == wanted)?;
        Some((resource, *right))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_parses() {
        let lines: Vec<_> = include_str!("resources.tsv").lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(TABLE.len(), lines.len());
        assert!(lines.iter().all(|line| line.split('\t').count() == 8));
        assert!(TABLE.iter().filter(|resource| resource.is_example).count() >= 5);
    }

    #[test]
    fn a_resource_is_known_by_url_by_id_and_by_host_of_ones_own() {
        let name = |audience| of_audience(audience).map(|resource| resource.name);
        assert_eq!(name("https://graph.microsoft.com/"), Some("Microsoft Graph"));
        assert_eq!(name("00000003-0000-0000-c000-000000000000"), Some("Microsoft Graph"));
        assert_eq!(name("https://contoso.sharepoint.com"), Some("SharePoint Online"));
        assert_eq!(name("https://acct.blob.core.windows.net"), Some("Azure Storage"));
        assert_eq!(name("api://33333333-dddd-4eee-8fff-444444444444"), None);
    }

    #[test]
    fn a_slash_or_a_capital_too_many_is_a_near_miss() {
        assert_eq!(of_audience("https://vault.azure.net/").map(|resource| resource.name), None);
        let (resource, right) = near("https://Vault.azure.net/").unwrap();
        assert_eq!((resource.name, right), ("Azure Key Vault", "https://vault.azure.net"));
        assert!(near("https://vault.example").is_none());
    }
}
