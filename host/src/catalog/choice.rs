//! Which version of a plugin a store gets. Pure: it is told what there is and what was said, and reads neither the folder
//! nor a clock.

use crate::config::Rollout;
use crate::control::{Pin, Version};
use crate::id::{PluginDigest, PluginName, StoreId};
use crate::time::Timestamp;

/// Percents are counted in hundredths, so that 1 % of many stores is neither none nor a tenth too many.
const SHARES: u64 = 10_000;

/// Everything that decides about one plugin.
#[derive(Clone, Debug)]
pub(super) struct Lineup {
    pub(super) plugin: PluginName,
    /// Whether its file is in the folder, be it one that was refused.
    pub(super) present: bool,
    /// The versions that are known, the newest first: the one whose file was put there last.
    pub(super) versions: Vec<Version>,
    /// What was said by hand.
    pub(super) pins: Vec<Pin>,
    /// What the configuration says of new versions.
    pub(super) rollout: Option<Rollout>,
}

impl Lineup {
    pub(super) fn new(plugin: PluginName) -> Self {
        Self {
            plugin,
            present: false,
            versions: Vec::new(),
            pins: Vec::new(),
            rollout: None,
        }
    }

    /// The version for `store`, whose configuration may name one by itself; or why there is none.
    pub(super) fn choose(
        &self,
        store: &StoreId,
        configured: Option<&PluginDigest>,
    ) -> Result<&Version, String> {
        let plugin = &self.plugin;
        if !self.present {
            return Err(format!(
                "{plugin}.wasm is not in the plugin folder; the store keeps its place in the log for it until it is"
            ));
        }
        if let Some(sha256) = configured {
            let advice = "put that file into the folder once more, or change `sha256` in the store's configuration";
            return self.pinned(sha256, "the configuration", advice);
        }
        let of_store = |pin: &&Pin| pin.store.as_ref() == Some(store);
        let pin = self.pins.iter().find(of_store);
        let pin = pin.or_else(|| self.pins.iter().find(|pin| pin.store.is_none()));
        if let Some(pin) = pin {
            let by = format!("{} by hand", pin.act.by);
            return self.pinned(&pin.sha256, &by, "`quartermaster plugin unpin` ends that");
        }
        let Some(newest) = self.newest() else {
            return Err(format!("no version of {plugin} can be used"));
        };
        if self.is_for(newest, store) {
            return Ok(newest);
        }
        let what = if newest.withdrawn {
            "was withdrawn"
        } else {
            "is only for the stores of its rollout"
        };
        self.stable().ok_or_else(|| {
            format!(
                "{} {what}, and no version was for every store before; `quartermaster plugin promote {plugin}` makes it so",
                name_of(newest)
            )
        })
    }

    fn pinned(&self, sha256: &PluginDigest, by: &str, advice: &str) -> Result<&Version, String> {
        self.version(sha256).ok_or_else(|| {
            let short = sha256.short();
            format!(
                "it is pinned to sha256 {short} by {by}, and that version is not kept; {advice}"
            )
        })
    }

    /// Whether the newest version is for `store`, as far as nobody pinned another.
    fn is_for(&self, newest: &Version, store: &StoreId) -> bool {
        let promoted = || self.stable().is_some_and(|it| it.sha256 == newest.sha256);
        !newest.withdrawn
            && (promoted()
                || self
                    .rollout
                    .as_ref()
                    .is_none_or(|rollout| takes_part(rollout, &self.plugin, store)))
    }

    /// The version whose file was put there last.
    pub(super) fn newest(&self) -> Option<&Version> {
        self.versions.first()
    }

    /// The version for every store, unless something more special is said: the one that was promoted last.
    pub(super) fn stable(&self) -> Option<&Version> {
        self.before(None)
    }

    /// The version that comes after `without` when that is withdrawn: only one that was for every store once.
    pub(super) fn before(&self, without: Option<&PluginDigest>) -> Option<&Version> {
        let usable = self
            .versions
            .iter()
            .filter(|it| !it.withdrawn && Some(&it.sha256) != without);
        usable
            .filter(|it| it.promoted_at.is_some())
            .max_by_key(|it| it.promoted_at)
    }

    /// The version that stores get which nothing special is said about, or would get with the rollout at its end.
    pub(super) fn current(&self) -> Option<&Version> {
        self.newest()
            .filter(|newest| !newest.withdrawn)
            .or_else(|| self.stable())
    }

    pub(super) fn version(&self, sha256: &PluginDigest) -> Option<&Version> {
        self.versions.iter().find(|it| it.sha256 == *sha256)
    }

    /// Takes a version in, in place of what was known of it.
    pub(super) fn put(&mut self, version: Version) {
        self.versions.retain(|it| it.sha256 != version.sha256);
        self.versions.push(version);
        self.versions
            .sort_by_key(|it| (std::cmp::Reverse(it.seen_at), it.sha256.clone()));
    }

    /// Takes a pin in, in place of the one for the same store; none ends it.
    pub(super) fn put_pin(&mut self, store: Option<&StoreId>, pin: Option<Pin>) {
        self.pins.retain(|it| it.store.as_ref() != store);
        self.pins.extend(pin);
    }

    /// A time for what happens to a version now: later than everything that happened before, also if the clock was set
    /// back meanwhile, because the last one decides.
    pub(super) fn later_than_all(&self, now: Timestamp) -> Timestamp {
        const TICK: std::time::Duration = std::time::Duration::from_millis(1);
        let times = self
            .versions
            .iter()
            .flat_map(|it| [Some(it.seen_at), it.promoted_at])
            .flatten();
        times.max().map_or(now, |last| now.max(last + TICK))
    }
}

/// A version, for people.
pub(super) fn name_of(version: &Version) -> String {
    format!(
        "version {} (sha256 {})",
        version.version,
        version.sha256.short()
    )
}

/// Whether a store is among the first to get a new version: always the same stores for one plugin, and others for another.
fn takes_part(rollout: &Rollout, plugin: &PluginName, store: &StoreId) -> bool {
    match rollout {
        Rollout::Stores(stores) => stores.contains(store),
        Rollout::Percent(percent) => share(plugin, store) < u64::from(*percent) * (SHARES / 100),
    }
}

/// A number below [`SHARES`] that never changes.
fn share(plugin: &PluginName, store: &StoreId) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(plugin.as_str().as_bytes());
    hasher.update(b"\0");
    hasher.update(store.as_str().as_bytes());
    let mut number = [0; 8];
    number.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(number) % SHARES
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::act::Act;

    pub(in crate::catalog) fn digest(digit: char) -> PluginDigest {
        digit.to_string().repeat(64).parse().expect("a digest")
    }

    pub(in crate::catalog) fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    pub(in crate::catalog) fn store(id: &str) -> StoreId {
        id.parse().expect("a store id")
    }

    pub(in crate::catalog) fn act() -> Act {
        Act {
            by: "alice (uid 7)".into(),
            why: "".into(),
            at: at(1),
        }
    }

    pub(in crate::catalog) fn version(digit: char, seen: u64, promoted: Option<u64>) -> Version {
        Version {
            plugin: "echo".parse().expect("a name"),
            sha256: digest(digit),
            version: format!("1.0.{digit}").into(),
            size_bytes: 7,
            seen_at: at(seen),
            promoted_at: promoted.map(at),
            withdrawn: false,
            act: None,
        }
    }

    pub(in crate::catalog) fn pin(digit: char, of: Option<&str>) -> Pin {
        Pin {
            plugin: "echo".parse().expect("a name"),
            store: of.map(store),
            sha256: digest(digit),
            act: act(),
        }
    }

    /// `a` was promoted long ago, `b` after it, and `c` is new.
    pub(in crate::catalog) fn lineup() -> Lineup {
        let mut lineup = Lineup::new("echo".parse().expect("a name"));
        lineup.present = true;
        lineup.put(version('a', 10, Some(10)));
        lineup.put(version('b', 20, Some(20)));
        lineup.put(version('c', 30, None));
        lineup
    }

    #[track_caller]
    fn assert_chosen(lineup: &Lineup, of: &str, configured: Option<char>, expected: char) {
        let configured = configured.map(digest);
        let chosen = lineup.choose(&store(of), configured.as_ref());
        assert_eq!(chosen.map(|it| &it.sha256), Ok(&digest(expected)));
    }

    #[test]
    fn without_a_rollout_every_store_gets_the_newest() {
        assert_chosen(&lineup(), "shop", None, 'c');
    }

    #[test]
    fn a_candidate_is_for_the_stores_of_its_rollout_until_it_is_promoted() {
        let mut lineup = lineup();
        lineup.rollout = Some(Rollout::Stores([store("shop")].into()));
        assert_chosen(&lineup, "shop", None, 'c');
        assert_chosen(&lineup, "other", None, 'b');
        lineup.put(version('c', 30, Some(40)));
        assert_chosen(&lineup, "other", None, 'c');
    }

    #[test]
    fn an_old_version_that_is_put_there_again_is_rolled_out_again() {
        let mut lineup = lineup();
        lineup.put(version('a', 50, Some(10)));
        lineup.rollout = Some(Rollout::Percent(0));
        assert_chosen(&lineup, "shop", None, 'b');
        lineup.rollout = Some(Rollout::Percent(100));
        assert_chosen(&lineup, "shop", None, 'a');
    }

    #[test]
    fn the_more_special_word_counts() {
        let mut lineup = lineup();
        lineup.put_pin(None, Some(pin('b', None)));
        assert_chosen(&lineup, "shop", None, 'b');
        lineup.put_pin(Some(&store("shop")), Some(pin('c', Some("shop"))));
        assert_chosen(&lineup, "shop", None, 'c');
        assert_chosen(&lineup, "other", None, 'b');
        assert_chosen(&lineup, "shop", Some('a'), 'a');
        lineup.put_pin(Some(&store("shop")), None);
        assert_chosen(&lineup, "shop", None, 'b');
    }

    #[test]
    fn a_withdrawn_version_is_passed_over_unless_somebody_pins_it() {
        let mut lineup = lineup();
        let withdrawn = Version {
            withdrawn: true,
            ..version('c', 30, Some(40))
        };
        lineup.put(withdrawn);
        assert_chosen(&lineup, "shop", None, 'b');
        assert_eq!(lineup.current().map(|it| &it.sha256), Some(&digest('b')));
        lineup.put_pin(None, Some(pin('c', None)));
        assert_chosen(&lineup, "shop", None, 'c');
    }

    #[test]
    fn whoever_gets_nothing_is_told_why_and_what_to_do() {
        let words = |lineup: &Lineup, configured: Option<char>, words: &[&str]| {
            let configured = configured.map(digest);
            let refused = lineup.choose(&store("shop"), configured.as_ref());
            let reason = refused.expect_err("a reason");
            for word in words {
                assert!(reason.contains(word), "{word} is missing: {reason}");
            }
        };
        let mut all = lineup();
        words(
            &all,
            Some('d'),
            &["dddddddddddd", "the configuration", "not kept"],
        );
        all.put_pin(None, Some(pin('e', None)));
        words(&all, None, &["eeeeeeeeeeee", "alice", "unpin"]);
        all.present = false;
        words(&all, Some('a'), &["echo.wasm", "not in the plugin folder"]);
        let mut first = Lineup::new("echo".parse().expect("a name"));
        first.present = true;
        words(&first, None, &["no version"]);
        first.put(version('a', 1, None));
        first.rollout = Some(Rollout::Percent(0));
        words(&first, None, &["version 1.0.a", "rollout", "promote echo"]);
    }

    #[test]
    fn a_share_of_the_stores_is_always_the_same_and_about_as_large_as_was_said() {
        let plugin: PluginName = "echo".parse().expect("a name");
        let stores: Vec<StoreId> = (0..20_000).map(|n| store(&format!("store-{n}"))).collect();
        let count = |percent: u8| {
            let rollout = Rollout::Percent(percent);
            let those = stores.iter().filter(|it| takes_part(&rollout, &plugin, it));
            those.count()
        };
        assert_eq!((count(0), count(100)), (0, stores.len()));
        for percent in [1, 10, 50, 90] {
            let expected = stores.len() * usize::from(percent) / 100;
            let found = count(percent);
            // Four times the deviation that chance allows.
            let slack = 4 * expected.min(stores.len() - expected).isqrt();
            assert!(found.abs_diff(expected) <= slack, "{percent} %: {found}");
        }
        // Whoever is among the first 10 % is among the first 20 %.
        let (ten, twenty) = (Rollout::Percent(10), Rollout::Percent(20));
        let grows =
            |it: &StoreId| !takes_part(&ten, &plugin, it) || takes_part(&twenty, &plugin, it);
        assert!(stores.iter().all(grows));
        // Written down once: a change here would move stores between versions at an update of the host.
        let known = ["shop", "workspace-1", "a"].map(|id| share(&plugin, &store(id)));
        assert_eq!(known, [4596, 7720, 5359]);
        let other: PluginName = "digest".parse().expect("a name");
        let differs = |it: &&StoreId| share(&plugin, it) != share(&other, it);
        assert!(stores.iter().filter(differs).count() > stores.len() / 2);
    }

    #[test]
    fn what_happens_now_is_later_than_everything_before() {
        let lineup = lineup();
        assert_eq!(lineup.later_than_all(at(5)), at(31));
        assert_eq!(lineup.later_than_all(at(500)), at(500));
    }
}
