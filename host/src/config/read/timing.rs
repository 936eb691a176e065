//! `timing`: periods and patience.

use figment::value::Value;

use super::{HOUR, MINUTE};
use crate::config::fields::{Context, Fields};
use crate::config::keys::{BREAKER, RETRY};
use crate::config::quantity::{count, duration};
use crate::store::{BreakerSettings, Retry, Timing};

/// The keys that a store's machine knows of.
pub(super) fn timing(fields: &Fields<'_>, timing: &mut Timing, context: &mut Context<'_>) {
    let timeout = |value: &Value| duration(value, 100..=10 * MINUTE);
    let period = |value: &Value| duration(value, 100..=HOUR);
    fields.set(
        &mut timing.connect_timeout,
        "connect_timeout",
        context,
        timeout,
    );
    fields.set(&mut timing.check_period, "check_period", context, period);
    fields.set(&mut timing.pull_timeout, "pull_timeout", context, timeout);
    fields.set(&mut timing.push_timeout, "push_timeout", context, timeout);
    if let Some(fields) = fields.section("reconnect", RETRY, context) {
        // 0 is for ever.
        retry(&fields, &mut timing.reconnect, 0, context);
    }
    if let Some(fields) = fields.section("run", RETRY, context) {
        // For ever would let one poisoned event hold up a subscription, and crash the process again and again.
        retry(&fields, &mut timing.run, 1, context);
    }
    if let Some(fields) = fields.section("breaker", BREAKER, context) {
        breaker(&fields, &mut timing.breaker, context);
    }
}

fn breaker(fields: &Fields<'_>, breaker: &mut BreakerSettings, context: &mut Context<'_>) {
    let wait = |value: &Value| duration(value, 10..=24 * HOUR);
    // 0 is never.
    let failures = |value: &Value| count(value, 0..=1_000_000);
    fields.set(&mut breaker.failures, "failures", context, failures);
    fields.set(&mut breaker.first, "first", context, wait);
    fields.set(&mut breaker.longest, "longest", context, wait);
    breaker.longest = breaker.longest.max(breaker.first);
}

fn retry(fields: &Fields<'_>, retry: &mut Retry, attempts_min: u32, context: &mut Context<'_>) {
    let wait = |value: &Value| duration(value, 10..=24 * HOUR);
    let attempts = |value: &Value| count(value, attempts_min..=1_000_000);
    fields.set(&mut retry.first, "first", context, wait);
    fields.set(&mut retry.longest, "longest", context, wait);
    retry.longest = retry.longest.max(retry.first);
    fields.set(&mut retry.attempts_max, "attempts_max", context, attempts);
}
