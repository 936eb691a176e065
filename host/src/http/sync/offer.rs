//! What is served at one moment, and how that becomes something else while clients are connected: who may stay, and who
//! is told to go. An offer is never changed: the next one takes its place, so a request sees one of them and no mixture.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

use super::knocks::Knocks;
use super::pace::Pace;
use super::socket::Ended;
use super::{Addresses, Served};
use crate::id::StoreId;

/// What is served at one moment.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) stores: HashMap<StoreId, Arc<Open>>,
    pub(super) addresses: Addresses,
    /// Goes on counting in the next offer, unless that has another limit.
    pub(super) knocks: Arc<Knocks>,
}

/// One store that clients may come to.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) served: Served,
    pub(super) tenure: Arc<Tenure>,
}

/// What the connections of a store have in common for as long as the rules by which they were let in hold.
#[derive(Debug)]
pub(super) struct Tenure {
    pub(super) pace: Pace,
    over: CancellationToken,
    /// Why it is over, if not because the host stops.
    why: OnceLock<Leave>,
}

/// Why clients of a store have to go although the host stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It is not served any more.
    Removed,
    /// Other clients may come in than before.
    Changed,
}

/// The store is not served any more. Codes from 4000 on are an application's own (RFC 6455, 7.4.2); this one reminds of
/// 404, which is the answer to whoever connects again.
const REMOVED: u16 = 4404;

impl Offer {
    /// Nothing is served.
    pub(super) fn nothing(addresses: Addresses) -> Self {
        Self {
            stores: HashMap::new(),
            knocks: Arc::new(Knocks::new(addresses.connects_per_minute)),
            addresses,
        }
    }

    /// The offer of `stores` that follows this one, and whose clients have to go once it holds. Stores begin their
    /// tenures under `closing`.
    pub(super) fn followed_by(
        &self,
        addresses: Addresses,
        stores: Vec<Served>,
        closing: &CancellationToken,
    ) -> (Self, Vec<(Arc<Tenure>, Leave)>) {
        let mut over = Vec::new();
        let mut next = HashMap::with_capacity(stores.len());
        for served in stores {
            let store = served.log.store().clone();
            let before = self.stores.get(&store);
            let open = match before {
                Some(before) if before.served == served => Arc::clone(before),
                Some(before) if before.served.has_rules_of(&served) => {
                    before.tenure.pace.change(served.limits.events_per_second);
                    let tenure = Arc::clone(&before.tenure);
                    Arc::new(Open { served, tenure })
                }
                Some(before) => {
                    over.push((Arc::clone(&before.tenure), Leave::Changed));
                    Arc::new(Open::new(served, closing))
                }
                None => Arc::new(Open::new(served, closing)),
            };
            next.insert(store, open);
        }
        let removed = self.stores.iter().filter(|(id, _)| !next.contains_key(*id));
        over.extend(removed.map(|(_, open)| (Arc::clone(&open.tenure), Leave::Removed)));
        let knocks = match addresses.connects_per_minute == self.knocks.per_minute() {
            true => Arc::clone(&self.knocks),
            false => Arc::new(Knocks::new(addresses.connects_per_minute)),
        };
        let next = Self {
            stores: next,
            addresses,
            knocks,
        };
        (next, over)
    }
}

impl Open {
    fn new(served: Served, closing: &CancellationToken) -> Self {
        let tenure = Tenure {
            pace: Pace::new(served.limits.events_per_second),
            over: closing.child_token(),
            why: OnceLock::new(),
        };
        Self {
            served,
            tenure: Arc::new(tenure),
        }
    }
}

impl Tenure {
    /// Tells all who came in under it to go.
    pub(super) fn end(&self, leave: Leave) {
        // The first reason stands.
        self.why.get_or_init(|| leave);
        self.over.cancel();
    }

    /// Waits until it is over. Cancel-safe.
    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// What its clients are told once it is over.
    pub(super) fn goodbye(&self) -> Ended {
        let (code, reason) = match self.why.get() {
            None => (CloseCode::Away.into(), "going away"),
            Some(Leave::Changed) => (
                CloseCode::Restart.into(),
                "the rules of this store have changed; connect again",
            ),
            Some(Leave::Removed) => (REMOVED, "this store is no longer served here"),
        };
        Ended::Told(code, reason.to_owned())
    }
}

/// Whether a close with this code is of our making only, so that the client need not be waited for long.
pub(super) fn is_ours(code: u16) -> bool {
    code == u16::from(CloseCode::Away) || code == u16::from(CloseCode::Restart) || code == REMOVED
}
