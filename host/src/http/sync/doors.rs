//! How many clients are inside, and how often an address knocks. Whoever is inside holds a [`Place`], which counts down
//! when it is dropped, however its connection ended.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::answer::Refusal;
use super::peer::counted_as;
use super::{Addresses, Limits};
use crate::id::StoreId;
use crate::telemetry::{Metrics, SyncGauge};

/// The counts of all stores and addresses.
#[derive(Debug)]
pub(super) struct Doors {
    connections_per_address: u32,
    knocks: DefaultKeyedRateLimiter<IpAddr>,
    /// Knocks until the limiter forgets addresses that knock no more.
    until_sweep: AtomicU32,
    /// A lock, because connections come and go on every thread, and three counts must be looked at together. It is held
    /// for three look-ups, at the beginning and the end of a connection.
    inside: RwLock<HashMap<Key, u32>>,
    metrics: Arc<Metrics>,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Store(StoreId),
    StoreAndAddress(StoreId, IpAddr),
    Address(IpAddr),
}

/// One client that is inside.
#[derive(Debug)]
pub(super) struct Place {
    doors: Arc<Doors>,
    store: StoreId,
    address: IpAddr,
    _gauge: SyncGauge,
}

/// A sweep looks at every address, and memory for this many more is little.
const KNOCKS_PER_SWEEP: u32 = 4096;

impl Doors {
    /// Nobody is inside.
    pub(super) fn new(addresses: &Addresses, metrics: Arc<Metrics>) -> Self {
        let per_minute = NonZeroU32::new(addresses.connects_per_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            connections_per_address: addresses.connections,
            knocks: RateLimiter::keyed(Quota::per_minute(per_minute)),
            until_sweep: AtomicU32::new(KNOCKS_PER_SWEEP),
            inside: RwLock::default(),
            metrics,
        }
    }

    /// Counts an attempt to come in.
    ///
    /// # Errors
    /// The address made too many of them.
    pub(super) fn knock(&self, address: IpAddr) -> Result<(), Refusal> {
        // One of all threads sees it arrive at 0.
        if self.until_sweep.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.knocks.retain_recent();
            self.knocks.shrink_to_fit();
            self.until_sweep.store(KNOCKS_PER_SWEEP, Ordering::Relaxed);
        }
        let checked = self.knocks.check_key(&counted_as(address));
        checked.map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Refusal::TooOften(wait)
        })
    }

    /// Takes a place in `store`.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn enter(
        self: &Arc<Self>,
        store: &StoreId,
        address: IpAddr,
        limits: &Limits,
    ) -> Result<Place, Refusal> {
        let address = counted_as(address);
        let limited = [
            (
                Key::Store(store.clone()),
                limits.connections,
                "of this store (limits.connections)",
            ),
            (
                Key::StoreAndAddress(store.clone(), address),
                limits.connections_per_address,
                "of this address to this store (limits.connections_per_address)",
            ),
            (
                Key::Address(address),
                self.connections_per_address,
                "of this address (server.connections_per_address)",
            ),
        ];
        // A thread that panicked with the lock in hand was in the middle of counting, at worst by one.
        let mut inside = self.inside.write().unwrap_or_else(PoisonError::into_inner);
        for (key, most, what) in &limited {
            if inside.get(key).is_some_and(|count| count >= most) {
                return Err(Refusal::TooMany(what));
            }
        }
        for (key, ..) in limited {
            *inside.entry(key).or_default() += 1;
        }
        drop(inside);
        Ok(Place {
            doors: Arc::clone(self),
            store: store.clone(),
            address,
            _gauge: self.metrics.sync_connection(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let inside = &self.doors.inside;
        let mut inside = inside.write().unwrap_or_else(PoisonError::into_inner);
        let (store, address) = (self.store.clone(), self.address);
        for key in [
            Key::Store(store.clone()),
            Key::StoreAndAddress(store, address),
            Key::Address(address),
        ] {
            if let Some(count) = inside.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    inside.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        connections: 3,
        connections_per_address: 2,
        events_per_second: 1,
        message_bytes_max: 1,
    };

    fn doors(connections: u32, connects_per_minute: u32) -> Arc<Doors> {
        let addresses = Addresses {
            connections,
            connects_per_minute,
            trusted_proxies: Vec::new(),
        };
        Arc::new(Doors::new(&addresses, Arc::default()))
    }

    fn store(name: &str) -> StoreId {
        name.parse().expect("an id")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_limit_on_connections_holds_and_a_place_that_is_left_is_free() {
        let doors = doors(3, 1);
        let enter = |name: &str, address: &str| doors.enter(&store(name), ip(address), &LIMITS);
        let refused = |name: &str, address: &str| enter(name, address).map(drop);
        let first = enter("shop", "1.1.1.1").expect("a place");
        let second = enter("shop", "1.1.1.1").expect("a place");
        let of_address = "of this address to this store (limits.connections_per_address)";
        assert_eq!(
            refused("shop", "1.1.1.1"),
            Err(Refusal::TooMany(of_address))
        );
        let third = enter("shop", "2.2.2.2").expect("a place");
        let of_store = "of this store (limits.connections)";
        assert_eq!(refused("shop", "3.3.3.3"), Err(Refusal::TooMany(of_store)));
        let elsewhere = enter("other", "1.1.1.1").expect("a place");
        let of_all = "of this address (server.connections_per_address)";
        assert_eq!(refused("third", "1.1.1.1"), Err(Refusal::TooMany(of_all)));
        drop(first);
        assert_eq!(refused("third", "1.1.1.1"), Ok(()));
        assert_eq!(refused("shop", "1.1.1.1"), Ok(()));
        drop((second, third, elsewhere));
        let inside = doors.inside.read().expect("no panic");
        assert!(inside.is_empty(), "{inside:?}");
    }

    #[test]
    fn an_address_that_knocks_too_often_is_told_when_to_come_again() {
        let doors = doors(1, 2);
        assert_eq!(doors.knock(ip("1.1.1.1")), Ok(()));
        assert_eq!(doors.knock(ip("1.1.1.1")), Ok(()));
        let Err(Refusal::TooOften(wait)) = doors.knock(ip("1.1.1.1")) else {
            panic!("the third of a minute passed");
        };
        assert!(wait.as_secs() <= 30, "{wait:?}");
        assert_eq!(doors.knock(ip("2.2.2.2")), Ok(()));
    }

    #[test]
    fn an_address_is_not_forgotten_while_its_knocks_count() {
        let doors = doors(1, 2);
        assert_eq!(doors.knock(ip("1.1.1.1")), Ok(()));
        assert_eq!(doors.knock(ip("1.1.1.1")), Ok(()));
        for number in 0..2 * KNOCKS_PER_SWEEP {
            let address = IpAddr::V4(number.into());
            assert_eq!(doors.knock(address), Ok(()));
        }
        assert!(doors.knock(ip("1.1.1.1")).is_err());
    }
}
