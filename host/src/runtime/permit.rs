//! Which event names a run may commit: those that its plugin says it commits, as far as its store grants them. Whether the
//! plugin may work in the store at all was decided before; here each name is looked at once more, where it counts.

use std::sync::Arc;

use crate::runtime::bindings::CommitError;
use crate::store::{Grants, Limit, Pattern, Refusal};

/// What one run may commit, and what it asked for besides.
pub(super) struct Permit {
    /// What the plugin says it needs.
    declared: Arc<Grants>,
    /// What the store grants.
    granted: Arc<Grants>,
    refused: Option<NotGranted>,
}

/// What a run wanted to commit and may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotGranted {
    /// How often.
    pub commits: u64,
    /// The first name.
    pub name: String,
    /// Why, as the guest was told.
    pub reason: String,
}

impl NotGranted {
    /// The same among what the run was refused.
    pub(super) fn refusal(&self) -> Refusal {
        Refusal {
            limit: Limit::GrantCommit,
            asked: self.commits,
            max: 0,
            times: u32::try_from(self.commits).unwrap_or(u32::MAX),
        }
    }
}

impl Permit {
    pub(super) fn new(declared: Arc<Grants>, granted: Arc<Grants>) -> Self {
        Self {
            declared,
            granted,
            refused: None,
        }
    }

    /// Refuses a name that may not be committed, and remembers it.
    pub(super) fn check(&mut self, name: &str) -> Result<(), CommitError> {
        let is_among = |patterns: &[Pattern]| patterns.iter().any(|it| it.matches(name));
        let reason = match (
            is_among(&self.declared.commit),
            is_among(&self.granted.commit),
        ) {
            (true, true) => return Ok(()),
            (false, _) => {
                format!("{name:?} is not among the `commits` of the plugin's description")
            }
            (true, false) => format!(
                "{name:?} is not granted in this store: add it to `commit` of the plugin's grants there"
            ),
        };
        let refused = self.refused.get_or_insert_with(|| NotGranted {
            commits: 0,
            name: name.to_owned(),
            reason: reason.clone(),
        });
        refused.commits += 1;
        Err(CommitError::NotGranted(reason))
    }

    /// What was refused, if anything was.
    pub(super) fn refused(self) -> Option<NotGranted> {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(declared: &[&str], granted: &[&str]) -> Permit {
        let grants = |texts: &[&str]| {
            let pattern = |text: &&str| text.parse().expect("a pattern");
            Arc::new(Grants {
                commit: texts.iter().map(pattern).collect(),
                ..Grants::default()
            })
        };
        Permit::new(grants(declared), grants(granted))
    }

    fn reason(permit: &mut Permit, name: &str) -> String {
        match permit.check(name) {
            Err(CommitError::NotGranted(reason)) => reason,
            other => panic!("{name} was not refused: {other:?}"),
        }
    }

    #[test]
    fn a_name_has_to_be_declared_and_granted() {
        let mut permit = permit(&["v1.A*", "v1.B"], &["v1.AB", "v1.C"]);
        assert!(permit.check("v1.AB").is_ok());
        let undeclared = reason(&mut permit, "v1.C");
        assert!(undeclared.contains("description"), "{undeclared}");
        let not_granted = reason(&mut permit, "v1.B");
        assert!(not_granted.contains("not granted"), "{not_granted}");
        let refused = permit.refused().expect("it was counted");
        assert_eq!((refused.commits, refused.name.as_str()), (2, "v1.C"));
        assert_eq!(refused.reason, undeclared);
    }

    #[test]
    fn a_run_that_asks_for_nothing_else_has_nothing_refused() {
        let mut permit = permit(&["v1.A"], &["*"]);
        assert!(permit.check("v1.A").is_ok());
        assert_eq!(permit.refused(), None);
    }
}
