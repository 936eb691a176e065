//! What an order about a plugin's versions changes, or why it cannot be followed. Pure: nothing is changed here.

use std::collections::BTreeSet;

use crate::act::Act;
use crate::catalog::choice::{Lineup, name_of};
use crate::catalog::desk::{Choice, OrderError};
use crate::control::{Pin, Version};
use crate::id::{PluginDigest, StoreId};

/// Digits that name a version. With fewer, a typing error could name another one.
const DIGITS_MIN: usize = 6;

/// What is to be written down, in this order, each before it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A version is promoted or withdrawn.
    Version(Version),
    /// A pin is there.
    Pin(Pin),
    /// The pin of this store, or of all, is there no more.
    Unpin(Option<StoreId>),
}

/// What is known around an order.
pub(super) struct Around<'a> {
    pub(super) lineup: &'a Lineup,
    /// The versions whose file can be read.
    pub(super) kept: &'a BTreeSet<PluginDigest>,
    /// The stores that are configured to use the plugin.
    pub(super) stores: &'a BTreeSet<StoreId>,
    pub(super) act: &'a Act,
}

impl Around<'_> {
    /// What the order changes.
    pub(super) fn decide(&self, choice: &Choice) -> Result<Vec<Change>, OrderError> {
        match choice {
            Choice::Rollback { to } => self.roll_back(to.as_deref()),
            Choice::Pin { to, store } => self.pin(to, store.as_ref()),
            Choice::Unpin { store } => self.unpin(store.as_ref()),
            Choice::Promote => self.promote(),
        }
    }

    fn roll_back(&self, to: Option<&str>) -> Result<Vec<Change>, OrderError> {
        let (lineup, plugin) = (self.lineup, &self.lineup.plugin);
        let Some(current) = lineup.current() else {
            return Err(impossible(format!("no version of {plugin} is in use")));
        };
        let target = match to {
            Some(digits) => self.kept(digits)?,
            None => lineup.before(Some(&current.sha256)).ok_or_else(|| {
                impossible(format!(
                    "there is nothing to go back to from {}: no other version that is kept was for every store; name \
                     one of `quartermaster plugin list` to go to",
                    name_of(current)
                ))
            })?,
        };
        if target.sha256 == current.sha256 {
            let name = name_of(current);
            return Err(impossible(format!("{name} of {plugin} is in use already")));
        }
        // First the one to go to: if the second cannot be written, there is a version for every store in any case.
        Ok(vec![
            Change::Version(self.promoted(target)),
            Change::Version(Version {
                withdrawn: true,
                act: Some(self.act.clone()),
                ..current.clone()
            }),
        ])
    }

    fn promote(&self) -> Result<Vec<Change>, OrderError> {
        let (lineup, plugin) = (self.lineup, &self.lineup.plugin);
        let Some(newest) = lineup.newest() else {
            return Err(impossible(format!("no version of {plugin} can be used")));
        };
        let stable = lineup.stable().map(|it| &it.sha256);
        if stable == Some(&newest.sha256) {
            let name = name_of(newest);
            return Err(impossible(format!(
                "{name} of {plugin} is for every store already"
            )));
        }
        Ok(vec![Change::Version(self.promoted(newest))])
    }

    fn promoted(&self, version: &Version) -> Version {
        Version {
            promoted_at: Some(self.lineup.later_than_all(self.act.at)),
            withdrawn: false,
            act: Some(self.act.clone()),
            ..version.clone()
        }
    }

    fn pin(&self, digits: &str, store: Option<&StoreId>) -> Result<Vec<Change>, OrderError> {
        let version = self.kept(digits)?;
        if let Some(store) = store.filter(|store| !self.stores.contains(store)) {
            return Err(OrderError::Unknown(format!(
                "store {store} is not configured to use {}",
                self.lineup.plugin
            )));
        }
        Ok(vec![Change::Pin(Pin {
            plugin: self.lineup.plugin.clone(),
            store: store.cloned(),
            sha256: version.sha256.clone(),
            act: self.act.clone(),
        })])
    }

    fn unpin(&self, store: Option<&StoreId>) -> Result<Vec<Change>, OrderError> {
        let there = |pin: &Pin| pin.store.as_ref() == store;
        if self.lineup.pins.iter().any(there) {
            return Ok(vec![Change::Unpin(store.cloned())]);
        }
        let place = store.map_or("all stores".to_owned(), |store| format!("store {store}"));
        Err(OrderError::Unknown(format!(
            "{} is not pinned by hand for {place}",
            self.lineup.plugin
        )))
    }

    /// The one version that these digits begin, if its file can be read.
    fn kept(&self, digits: &str) -> Result<&Version, OrderError> {
        let plugin = &self.lineup.plugin;
        let digits = digits.to_ascii_lowercase();
        if digits.len() < DIGITS_MIN || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(OrderError::Unknown(format!(
                "{digits:?} is no version: expected at least {DIGITS_MIN} digits of its sha256, as \
                 `quartermaster plugin list` shows it"
            )));
        }
        let meant = |it: &&Version| it.sha256.as_str().starts_with(&digits);
        let mut found = self.lineup.versions.iter().filter(meant);
        let Some(version) = found.next() else {
            return Err(OrderError::Unknown(format!(
                "no version of {plugin} begins with {digits}; `quartermaster plugin list` shows those that are \
                 kept"
            )));
        };
        if let Some(other) = found.next() {
            return Err(OrderError::Unknown(format!(
                "{digits} begins more than one version of {plugin}: {} and {}",
                version.sha256, other.sha256
            )));
        }
        if !self.kept.contains(&version.sha256) {
            return Err(impossible(format!(
                "the file of {} of {plugin} is not kept; put it into the plugin folder once more",
                name_of(version)
            )));
        }
        Ok(version)
    }
}

fn impossible(text: String) -> OrderError {
    OrderError::Impossible(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::choice::tests::{act, at, digest, lineup, pin, store, version};

    fn decide(lineup: &Lineup, choice: &Choice) -> Result<Vec<Change>, OrderError> {
        let kept = ['a', 'b', 'c'].map(digest).into();
        let act = Act {
            at: at(100),
            ..act()
        };
        let around = Around {
            lineup,
            kept: &kept,
            stores: &[store("shop")].into(),
            act: &act,
        };
        around.decide(choice)
    }

    /// The line-up after the order.
    #[track_caller]
    fn after(mut lineup: Lineup, choice: &Choice) -> Lineup {
        for change in decide(&lineup, choice).expect("an order that can be followed") {
            match change {
                Change::Version(version) => lineup.put(version),
                Change::Pin(pin) => lineup.put_pin(pin.store.clone().as_ref(), Some(pin)),
                Change::Unpin(store) => lineup.put_pin(store.as_ref(), None),
            }
        }
        lineup
    }

    #[track_caller]
    fn assert_refused(lineup: &Lineup, choice: &Choice, words: &str) {
        let error = decide(lineup, choice).expect_err("an order that cannot be followed");
        assert!(error.to_string().contains(words), "{error}");
    }

    fn to(digits: &str) -> Choice {
        let to = Some(digits.to_owned());
        Choice::Rollback { to }
    }

    fn chosen(lineup: &Lineup) -> PluginDigest {
        let chosen = lineup.choose(&store("shop"), None).expect("a version");
        chosen.sha256.clone()
    }

    const BACK: Choice = Choice::Rollback { to: None };

    #[test]
    fn a_rollback_goes_one_version_back_each_time() {
        let once = after(lineup(), &BACK);
        assert_eq!(chosen(&once), digest('b'));
        assert!(once.version(&digest('c')).expect("known").withdrawn);
        let twice = after(once, &BACK);
        assert_eq!(chosen(&twice), digest('a'));
        assert_refused(&twice, &BACK, "nothing to go back to");
        let again = after(twice, &Choice::Promote);
        assert_eq!(chosen(&again), digest('c'));
    }

    #[test]
    fn a_rollback_to_a_named_version_uses_it_even_if_it_was_withdrawn() {
        let mut line = lineup();
        line.versions[2].withdrawn = true;
        let there = after(line, &to("AAAAAA"));
        assert_eq!(chosen(&there), digest('a'));
        assert_refused(&there, &to("aaaaaaaa"), "in use already");
    }

    #[test]
    fn a_candidate_is_promoted_once() {
        let line = after(lineup(), &Choice::Promote);
        assert_eq!(line.stable().map(|it| &it.sha256), Some(&digest('c')));
        assert_refused(&line, &Choice::Promote, "for every store already");
    }

    #[test]
    fn a_pin_is_set_and_ended() {
        let one = |to: &str, of: Option<&str>| Choice::Pin {
            to: to.to_owned(),
            store: of.map(store),
        };
        let line = after(lineup(), &one("aaaaaa", Some("shop")));
        assert_eq!(line.pins[0].sha256, digest('a'));
        assert_eq!(chosen(&line), digest('a'));
        let all = Choice::Unpin { store: None };
        assert_refused(&line, &all, "not pinned by hand for all stores");
        let shop = Choice::Unpin {
            store: Some(store("shop")),
        };
        assert_eq!(chosen(&after(line, &shop)), digest('c'));
        assert_refused(
            &lineup(),
            &one("aaaaaa", Some("shpo")),
            "store shpo is not configured",
        );
        let mut pinned = lineup();
        pinned.put_pin(None, Some(pin('a', None)));
        assert_eq!(after(pinned, &one("bbbbbb", None)).pins.len(), 1);
    }

    #[test]
    fn digits_must_name_exactly_one_version_that_is_kept() {
        let mut line = lineup();
        assert_refused(&line, &to("aaaaa"), "at least 6 digits");
        assert_refused(&line, &to("aaaaaz"), "at least 6 digits");
        assert_refused(
            &line,
            &to("123456"),
            "no version of echo begins with 123456",
        );
        let mut twin = version('b', 5, None);
        twin.sha256 = format!("{}{}", "b".repeat(63), 'c')
            .parse()
            .expect("a digest");
        line.put(twin);
        assert_refused(&line, &to("bbbbbbb"), "more than one version");
        line.put(version('d', 6, None));
        assert_refused(&line, &to("dddddd"), "is not kept");
    }
}
