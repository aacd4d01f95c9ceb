//! Permission templates of scoped signing keys.
//!
//! A subject of a template may have holes, which the user's claims fill: `{{name()}}`,
//! `{{subject()}}`, `{{account-name()}}`, `{{account-subject()}}`, `{{tag(key)}}` and
//! `{{account-tag(key)}}`. Tags may have several values; the subject is then repeated for each.

use super::AuthError;
use crate::jwt::{AccountClaims, UserClaims, UserLimits};

/// The most subjects that one list of a template may grow to.
const EXPANSIONS_MAX: usize = 4096;

/// What becomes of a subject that cannot be filled to a valid one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Invalid {
    /// An allow that is dropped allows less.
    Drop,
    /// A deny that is dropped would allow more.
    Refuse,
}

/// Fills the template for a user.
pub(super) fn expand(
    template: &UserLimits,
    user: &UserClaims,
    account: &AccountClaims,
) -> Result<UserLimits, AuthError> {
    let mut limits = template.clone();
    for permission in [&mut limits.publish, &mut limits.subscribe] {
        let allowed_something = !permission.allow.is_empty();
        permission.allow = expand_list(&permission.allow, user, account, Invalid::Drop)?;
        permission.deny = expand_list(&permission.deny, user, account, Invalid::Refuse)?;
        if allowed_something && permission.allow.is_empty() {
            // An empty allow list would allow everything.
            permission.deny.push(">".to_owned());
        }
    }
    Ok(limits)
}

fn expand_list(
    list: &[String],
    user: &UserClaims,
    account: &AccountClaims,
    invalid: Invalid,
) -> Result<Vec<String>, AuthError> {
    let mut expanded = Vec::new();
    for template in list {
        let error = |reason| AuthError::Template {
            template: template.clone(),
            reason,
        };
        if !template.contains("{{") {
            expanded.push(template.clone());
            continue;
        }
        for subject in fill(template, user, account).map_err(error)? {
            if subject::is_valid_subscribe(subject.as_bytes()) {
                expanded.push(subject);
            } else if invalid == Invalid::Refuse {
                return Err(error("the filled subject is not valid"));
            }
        }
        if expanded.len() > EXPANSIONS_MAX {
            return Err(error("too many combinations of tags"));
        }
    }
    Ok(expanded)
}

/// Every way to fill the holes of one subject.
fn fill(
    template: &str,
    user: &UserClaims,
    account: &AccountClaims,
) -> Result<Vec<String>, &'static str> {
    let mut filled = vec![String::new()];
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (hole, after) = after.split_once("}}").ok_or("braces are not closed")?;
        rest = after;
        let values = values_of(hole.trim(), user, account)?;
        if filled.len().saturating_mul(values.len()) > EXPANSIONS_MAX {
            return Err("too many combinations of tags");
        }
        filled = filled
            .iter()
            .flat_map(|start| {
                values
                    .iter()
                    .map(move |value| format!("{start}{before}{value}"))
            })
            .collect();
    }
    Ok(filled.into_iter().map(|start| start + rest).collect())
}

fn values_of(
    hole: &str,
    user: &UserClaims,
    account: &AccountClaims,
) -> Result<Vec<String>, &'static str> {
    let one = |value: &str| Ok(vec![value.to_owned()]);
    match hole.to_lowercase().as_str() {
        "name()" => one(&user.name),
        "subject()" => one(&user.subject),
        "account-name()" => one(&account.name),
        "account-subject()" => one(&account.subject),
        lower => {
            let (function, key) = lower
                .strip_suffix(')')
                .and_then(|call| call.split_once('('))
                .ok_or("unknown function")?;
            let tags = match function {
                "tag" => &user.tags,
                "account-tag" => &account.tags,
                _ => return Err("unknown function"),
            };
            Ok(tag_values(tags, key))
        }
    }
}

/// The values of the tags `key:value`. Without any, a value that makes the subject invalid.
fn tag_values(tags: &[String], key: &str) -> Vec<String> {
    let values: Vec<String> = tags
        .iter()
        .filter_map(|tag| tag.split_once(':'))
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value.to_owned())
        .collect();
    if values.is_empty() {
        vec![" ".to_owned()]
    } else {
        values
    }
}
