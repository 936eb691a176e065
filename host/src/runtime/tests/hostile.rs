//! The guests of `tests/hostile`, one after the other: each ends as its row says, and leaves nothing behind that a guest
//! after it could feel.

use std::time::Duration;

use quartermaster_hostile::{End, Guest as Hostile, Quota};

use super::*;
use crate::store::{Ending, RunOutcome, Usage};

/// Bytes of any reason or error that a guest has a hand in: the host's own words, and what it shows of the guest's.
const ERROR_BYTES_MAX: usize = (4 << 10) + 200;

/// The call of `call()` with what the guest is given.
fn call_with(quota: Quota) -> Call {
    let mut call = limits(|limits| {
        // What fuel can end is to be ended by fuel, however busy the machine is.
        limits.run_timeout = Duration::from_secs(120);
        if let Some(fuel) = quota.fuel {
            limits.fuel_per_run = fuel;
        }
        if let Some(millis) = quota.timeout_ms {
            limits.run_timeout = Duration::from_millis(millis);
        }
        if let Some(mebibytes) = quota.memory_mib {
            limits.memory_bytes_max = mebibytes << 20;
        }
    });
    call.request.fuel = call.limits.fuel_per_run;
    call
}

/// That a text which a guest has a hand in is one line, and not a long one.
fn check_text(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) || text.len() > ERROR_BYTES_MAX {
        let length = text.len();
        return Err(format!("a text of {length} bytes: {text:.200?}"));
    }
    Ok(())
}

fn check_refused(error: &Error, words: &str) -> Result<(), String> {
    let text = error.to_string();
    check_text(&text)?;
    if text.contains(words) {
        Ok(())
    } else {
        Err(format!("refused for another reason: {text}"))
    }
}

/// Whether a run ended as it has to, within what it may use.
fn check_run(guest: &Hostile, report: &RunReport) -> Result<(), String> {
    let limits = call_with(guest.quota).limits;
    let usage = &report.usage;
    if usage.fuel > limits.fuel_per_run || usage.memory_peak_bytes > limits.memory_bytes_max {
        return Err(format!("it used too much: {usage:?}"));
    }
    let ending = report.ending.as_str();
    match (guest.end, &report.outcome) {
        (End::Survives, RunOutcome::Finished { drafts, .. }) => {
            let last = drafts.last().ok_or("it did not commit `v1.Survived`")?;
            let expected = ("v1.Survived", "{\"store\":\"workspace-1\"}");
            if (&*last.name, &*last.args) == expected {
                Ok(())
            } else {
                Err(format!("it committed {last:?}"))
            }
        }
        (
            End::Fails(expected, words),
            RunOutcome::Retry { error } | RunOutcome::Reject { error },
        ) => {
            check_text(error)?;
            if ending == expected && error.contains(words) {
                Ok(())
            } else {
                Err(format!("it ended so: {ending}: {error}"))
            }
        }
        (End::Refused(_) | End::Survives | End::Fails(..), _) => Err(format!("{report:?}")),
    }
}

/// Whether a guest ends as its row says, twice.
async fn check(guest: &Hostile) -> Result<(), String> {
    let loaded = load(&guest.file()).await;
    let plugin = match (loaded, guest.end) {
        (Err(error), End::Refused(words)) => return check_refused(&error, words),
        (Err(error), End::Fails(..) | End::Survives) => return Err(format!("refused: {error}")),
        (Ok(_), End::Refused(_)) => return Err("it was loaded".to_owned()),
        (Ok(plugin), End::Fails(..) | End::Survives) => plugin,
    };
    let first = plugin.run(call_with(guest.quota)).await;
    check_run(guest, &first)?;
    let second = plugin.run(call_with(guest.quota)).await;
    // How far a run comes until its time is up is a matter of luck.
    let told = |report: &RunReport| {
        let fuel = (report.ending != Ending::TimedOut).then_some(report.usage.fuel);
        (report.outcome.clone(), fuel)
    };
    if told(&first) != told(&second) {
        return Err(format!("another end the second time: {first:?} {second:?}"));
    }
    Ok(())
}

#[tokio::test]
async fn each_hostile_guest_ends_as_its_row_says_and_the_next_guest_does_not_feel_it() {
    let harmless = quartermaster_hostile::harmless();
    let harmless = load(&harmless).await.expect("a plugin");
    let answer = async || {
        let report = harmless.run(call()).await;
        let usage = report.usage;
        let used = (usage.fuel, usage.memory_peak_bytes, usage.host_calls);
        (report.ending, report.outcome, used)
    };
    let before = answer().await;
    assert_eq!(before.0, Ending::Finished, "{before:?}");
    let mut wrong = Vec::new();
    let only = std::env::var("QM_HOSTILE").ok();
    let wanted = |guest: &Hostile| {
        let named = only.as_deref().is_none_or(|only| guest.name.contains(only));
        named && !guest.is_for_a_child()
    };
    for guest in quartermaster_hostile::all().filter(|guest| wanted(guest)) {
        let began = std::time::Instant::now();
        if let Err(what) = check(guest).await {
            wrong.push(format!("{}: {what}", guest.name));
        }
        if answer().await != before {
            wrong.push(format!("{}: the next guest felt it", guest.name));
        }
        println!("{:>8.3} s  {}", began.elapsed().as_secs_f64(), guest.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A host that panics wherever a guest reaches it.
struct Panicking;

impl KvSource for Panicking {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        async { panic!("no kv\nhere") }.boxed()
    }

    fn list<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
        _: usize,
        _: usize,
    ) -> BoxFuture<'a, Result<KvPage, String>> {
        panic!("no kv\nhere")
    }

    fn totals(&self) -> BoxFuture<'_, Result<KvTotals, String>> {
        panic!("no kv\nhere")
    }

    fn sizes<'a>(&'a self, _: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<Option<u64>>, String>> {
        panic!("no kv\nhere")
    }
}

impl LogSink for Panicking {
    fn write(&self, _: Level, _: &str) {
        panic!("no log\nhere")
    }
}

#[tokio::test]
async fn a_panic_in_a_function_of_the_host_costs_one_run() {
    let list = "(call $kv_list (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1)
        (i32.const 8192)) (i32.const 1024)";
    let log = "(call $log (i32.const 0) (i32.const 4128) (i32.const 3)) (i32.const 1024)";
    for (on_event, words) in [(GET, "no kv"), (list, "no kv"), (log, "no log")] {
        let guest = Guest { on_event, ..IDLE };
        let plugin = guest.load().await.expect("a plugin");
        let kv = Arc::new(Panicking);
        let log = Arc::new(Panicking);
        let report = plugin.run(Call { kv, log, ..call() }).await;
        let error = format!("the host panicked: {words}\\nhere").into();
        assert_eq!(report.outcome, RunOutcome::Retry { error });
        assert_eq!(report.ending, Ending::HostPanicked);
        let after = plugin.run(call()).await;
        assert_eq!(after.ending, Ending::Finished, "{after:?}");
    }
}

/// How many components of chance are tried, of each kind: `QM_RANDOM_COMPONENTS`.
const RANDOM_COMPONENTS: u64 = 300;

/// The numbers of the components of chance; `QM_RANDOM_SEED` begins elsewhere.
fn numbers() -> std::ops::Range<u64> {
    let variable = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|it| it.parse().expect("a number"))
    };
    let first = variable("QM_RANDOM_SEED").unwrap_or(0);
    first..first + variable("QM_RANDOM_COMPONENTS").unwrap_or(RANDOM_COMPONENTS)
}

/// Little to use, so that many can be tried.
fn poor_call() -> Call {
    let mut call = limits(|limits| {
        limits.fuel_per_run = 2_000_000;
        limits.run_timeout = Duration::from_secs(120);
        limits.memory_bytes_max = 8 << 20;
    });
    call.request.fuel = call.limits.fuel_per_run;
    call
}

/// Runs a plugin of chance, twice if it comes to an end by itself. What it did must be within its limits, and the same
/// each time.
async fn try_out(plugin: &Plugin, number: u64) -> Ending {
    let first = plugin.run(poor_call()).await;
    let Usage {
        fuel,
        memory_peak_bytes,
        ..
    } = first.usage;
    assert!(
        fuel <= 2_000_000 && memory_peak_bytes <= 8 << 20,
        "component {number}: {first:?}"
    );
    let at_fault = matches!(first.ending, Ending::HostPanicked | Ending::TimedOut);
    assert!(!at_fault, "component {number}: {first:?}");
    let second = plugin.run(poor_call()).await;
    let told = |report: &RunReport| (report.outcome.clone(), report.ending, report.usage.fuel);
    assert_eq!(told(&first), told(&second), "component {number}");
    first.ending
}

#[tokio::test]
async fn code_of_chance_never_gets_past_its_limits_and_does_the_same_each_time() {
    let mut endings = BTreeMap::new();
    for number in numbers() {
        let ending = match load(&quartermaster_hostile::random::code(number)).await {
            Ok(plugin) => try_out(&plugin, number).await.as_str(),
            Err(Error::Describe(_) | Error::Description(_)) => "refused",
            Err(error) => panic!("component {number}: {error}"),
        };
        *endings.entry(ending).or_insert(0) += 1;
    }
    println!("{endings:?}");
    for ending in ["finished", "trapped", "out-of-fuel", "refused"] {
        assert!(
            endings.contains_key(ending),
            "nothing {ending}: {endings:?}"
        );
    }
}

#[tokio::test]
async fn components_with_changed_bytes_are_refused_or_stay_within_their_limits() {
    let mut loaded = 0;
    for number in numbers() {
        match load(&quartermaster_hostile::random::mutant(number)).await {
            Ok(plugin) => {
                try_out(&plugin, number).await;
                loaded += 1;
            }
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains("panic"), "component {number}: {text}");
                check_text(&text).unwrap_or_else(|what| panic!("component {number}: {what}"));
            }
        }
    }
    println!("{loaded} of {:?} were loaded", numbers());
    assert!(loaded > 0, "all were refused: this shows nothing of runs");
}
