//! How many clients are inside. Whoever is inside holds a [`Place`], which counts down when it is dropped, however its
//! connection ended. The limits are told anew by everybody who wants in, because they may change while others are inside.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use super::Limits;
use super::answer::Refusal;
use super::peer::counted_as;
use crate::id::StoreId;
use crate::telemetry::{Metrics, SyncGauge};

/// The counts of all stores and addresses.
#[derive(Debug)]
pub(super) struct Doors {
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

impl Doors {
    /// Nobody is inside.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            inside: RwLock::default(),
            metrics,
        }
    }

    /// Takes a place in `store`; `connections_of_address` is how many the address may have over all stores.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn enter(
        self: &Arc<Self>,
        store: &StoreId,
        address: IpAddr,
        limits: &Limits,
        connections_of_address: u32,
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
                connections_of_address,
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

    fn store(name: &str) -> StoreId {
        name.parse().expect("an id")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_limit_on_connections_holds_and_a_place_that_is_left_is_free() {
        let doors = Arc::new(Doors::new(Arc::default()));
        let enter = |name: &str, address: &str| doors.enter(&store(name), ip(address), &LIMITS, 3);
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
    fn a_lower_limit_sends_nobody_away_and_counts_those_who_are_inside() {
        let doors = Arc::new(Doors::new(Arc::default()));
        let enter = |connections: u32| {
            let limits = Limits {
                connections,
                ..LIMITS
            };
            doors.enter(&store("shop"), ip("1.1.1.1"), &limits, 9)
        };
        let (first, second) = (enter(2).expect("a place"), enter(2).expect("a place"));
        assert!(enter(1).is_err());
        drop(first);
        assert!(enter(1).is_err());
        drop(second);
        assert!(enter(1).is_ok());
    }
}
