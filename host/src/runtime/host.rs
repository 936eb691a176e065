//! The interfaces `store`, `kv`, `schedule` and `log` as the guest calls them. Each function first charges fuel for the work that
//! it makes, so that a loop of host calls is no cheaper than one of instructions. Of the functions of `bindings!` none is
//! used here, because they do not see the store's fuel.

use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime::{StoreContextMut, Trap};

use crate::runtime::Level;
use crate::runtime::bindings::{CommitError, Entry, KvError, RawTask, ScheduleError};
use crate::runtime::kv::{self, KvSource, Unknown};
use crate::runtime::log::LINE_BYTES_MAX;
use crate::runtime::schedule::ScheduleSource;
use crate::runtime::state::State;
use crate::runtime::task::check_times;
use crate::store::Mode;

/// Fuel for any host call: the call itself takes the time of 250 to 1,000 instructions.
pub(super) const CALL_FUEL: u64 = 1_000;
/// Fuel for each byte that is copied.
pub(super) const BYTE_FUEL: u64 = 1;
/// Fuel for each byte of JSON that is checked, besides the copy.
const JSON_BYTE_FUEL: u64 = 4;
/// Fuel for a question to the journal: a way to another thread and back, and a look into a B-tree.
const READ_FUEL: u64 = 20_000;
/// Fuel for each further look into the B-tree with the same question.
const LOOK_FUEL: u64 = 2_000;
/// Fuel for a task that is read from the journal, or told to the guest: its rhythm and its zone are looked up by their names.
const TASK_FUEL: u64 = 2_000;
/// Fuel for a task that a guest puts: its pattern is read, and the first time looked for at which it is due, in some 20 to 100
/// microseconds.
const TIMETABLE_FUEL: u64 = 100_000;
/// Fuel besides for one that makes no sense: if a pattern is never due, that is known only after a search over many years,
/// which takes some ten milliseconds. It leaves room for a mistake or two even where a run has a tenth of the usual fuel.
const NEVER_DUE_FUEL: u64 = 8_000_000;

type Context<'a> = StoreContextMut<'a, State>;

/// Links the interfaces of `quartermaster:plugin@0.1.0`.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("quartermaster:plugin/types@0.1.0")?;

    let mut store = linker.instance("quartermaster:plugin/store@0.1.0")?;
    store.func_wrap_async("commit", |context, (name, args): (String, String)| {
        Box::new(async move { Ok((commit(context, &name, &args).await?,)) })
    })?;
    store.func_wrap_async("head", |context, ()| {
        Box::new(async move { Ok((head(context).await?,)) })
    })?;

    let mut kv = linker.instance("quartermaster:plugin/kv@0.1.0")?;
    kv.func_wrap_async("get", |context, (key,): (String,)| {
        Box::new(async move { Ok((get(context, &key).await?,)) })
    })?;
    kv.func_wrap_async("put", |context, (key, value): (String, Vec<u8>)| {
        Box::new(async move { Ok((put(context, &key, value).await?,)) })
    })?;
    kv.func_wrap_async("delete", |context, (key,): (String,)| {
        Box::new(async move { Ok((delete(context, &key).await?,)) })
    })?;
    kv.func_wrap_async(
        "list",
        |context, (prefix, after, limit): (String, Option<String>, u32)| {
            Box::new(async move { Ok((list(context, &prefix, after, limit).await?,)) })
        },
    )?;

    let mut schedule = linker.instance("quartermaster:plugin/schedule@0.1.0")?;
    schedule.func_wrap_async("put", |context, (task,): (RawTask,)| {
        Box::new(async move { Ok((put_task(context, task).await?,)) })
    })?;
    schedule.func_wrap_async("remove", |context, (id,): (String,)| {
        Box::new(async move { Ok((remove_task(context, &id).await?,)) })
    })?;
    schedule.func_wrap_async("list", |context, ()| {
        Box::new(async move { Ok((list_tasks(context).await?,)) })
    })?;

    let mut log_lines = linker.instance("quartermaster:plugin/log@0.1.0")?;
    log_lines.func_wrap_async("log", |context, (level, text): (Level, String)| {
        Box::new(log(context, level, text))
    })
}

async fn commit(
    mut context: Context<'_>,
    name: &str,
    args: &str,
) -> wasmtime::Result<Result<(), CommitError>> {
    let copied = carry(&mut context, name.len() + args.len());
    charge(&mut context, copied + JSON_BYTE_FUEL * args.len() as u64).await?;
    let (session, limits) = context.data_mut().session()?;
    Ok(match session.mode {
        Mode::Projecting => Err(CommitError::Projecting),
        Mode::Reacting => session.drafts.commit(
            limits,
            (&mut session.permit, &mut session.refusals),
            name,
            args,
        ),
    })
}

async fn head(mut context: Context<'_>) -> wasmtime::Result<u64> {
    charge(&mut context, 0).await?;
    let (session, _) = context.data_mut().session()?;
    Ok(session.head.get())
}

async fn log(mut context: Context<'_>, level: Level, text: String) -> wasmtime::Result<()> {
    // Past the part that is kept, only the copy is to be paid.
    let kept = text.len().min(LINE_BYTES_MAX);
    let copied = carry(&mut context, text.len());
    charge(&mut context, copied + bytes_fuel(8 * kept)).await?;
    context.data().log.write(level, &text);
    Ok(())
}

async fn put(
    mut context: Context<'_>,
    key: &str,
    value: Vec<u8>,
) -> wasmtime::Result<Result<(), KvError>> {
    let copied = carry(&mut context, key.len() + value.len());
    charge(&mut context, copied).await?;
    let meter = Arc::clone(&context.data().meter);
    loop {
        let (session, limits) = context.data_mut().session()?;
        let Some(unknown) = session.writes.unknown(limits, key, value.len()) else {
            let refusals = &mut session.refusals;
            return Ok(session.writes.write(limits, refusals, key, Some(value)));
        };
        let source = Arc::clone(&session.kv);
        let learned = match unknown {
            Unknown::Totals => {
                pay(&mut context, READ_FUEL).await?;
                let totals = meter.waiting(source.totals()).await;
                let (session, _) = context.data_mut().session()?;
                totals.map(|totals| session.writes.learn_totals(totals))
            }
            Unknown::Sizes(keys) => {
                pay(&mut context, READ_FUEL + LOOK_FUEL * keys.len() as u64).await?;
                let sizes = meter.waiting(source.sizes(&keys)).await;
                let (session, _) = context.data_mut().session()?;
                sizes.map(|sizes| session.writes.learn_sizes(keys, sizes))
            }
        };
        if let Err(error) = learned {
            return Ok(Err(KvError::Unavailable(error)));
        }
    }
}

async fn delete(mut context: Context<'_>, key: &str) -> wasmtime::Result<Result<(), KvError>> {
    let copied = carry(&mut context, key.len());
    charge(&mut context, copied).await?;
    let (session, limits) = context.data_mut().session()?;
    let refusals = &mut session.refusals;
    Ok(session.writes.write(limits, refusals, key, None))
}

async fn get(
    mut context: Context<'_>,
    key: &str,
) -> wasmtime::Result<Result<Option<Vec<u8>>, KvError>> {
    let copied = carry(&mut context, key.len());
    charge(&mut context, READ_FUEL + copied).await?;
    if let Err(refusal) = kv::check_key(key) {
        return Ok(Err(refusal));
    }
    let (session, _) = context.data_mut().session()?;
    let value = match session.writes.get(key) {
        Some(own) => Ok(own),
        None => {
            let source: Arc<dyn KvSource> = Arc::clone(&session.kv);
            let meter = Arc::clone(&context.data().meter);
            let asked = meter.waiting(source.get(key)).await;
            asked.map_err(KvError::Unavailable)
        }
    };
    if let Ok(Some(value)) = &value {
        let copied = carry(&mut context, value.len());
        pay(&mut context, copied).await?;
    }
    Ok(value)
}

async fn list(
    mut context: Context<'_>,
    prefix: &str,
    mut after: Option<String>,
    limit: u32,
) -> wasmtime::Result<Result<Vec<Entry>, KvError>> {
    let copied = carry(&mut context, prefix.len());
    charge(&mut context, copied).await?;
    if prefix.len() > kv::KEY_BYTES_MAX {
        return Ok(kv::check_key(prefix).map(|()| Vec::new()));
    }
    let limit = limit.clamp(1, kv::LIST_ENTRIES_MAX) as usize;
    let source = Arc::clone(&context.data_mut().session()?.0.kv);
    let meter = Arc::clone(&context.data().meter);
    // A page of which the run has deleted every key says nothing yet: only an empty answer means the end.
    loop {
        pay(&mut context, READ_FUEL).await?;
        let asked = source.list(prefix, after.as_deref(), limit, kv::LIST_BYTES_MAX);
        let page = match meter.waiting(asked).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(KvError::Unavailable(error))),
        };
        let page_bytes: usize = page
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        let copied = carry(&mut context, page_bytes);
        pay(&mut context, copied).await?;
        let last = page.last().map(|(key, _)| key.clone());
        let (session, _) = context.data_mut().session()?;
        let room = (limit, kv::LIST_BYTES_MAX);
        let merged = session.writes.merge(prefix, after.as_deref(), page, room);
        pay(&mut context, bytes_fuel(merged.own_bytes)).await?;
        match last {
            Some(last) if merged.entries.is_empty() => after = Some(last),
            Some(_) | None => return Ok(Ok(merged.entries)),
        }
    }
}

async fn put_task(
    mut context: Context<'_>,
    task: RawTask,
) -> wasmtime::Result<Result<(), ScheduleError>> {
    let payload = task.payload.len();
    let copied = carry(&mut context, task.id.len() + payload);
    let checked = TIMETABLE_FUEL + JSON_BYTE_FUEL * payload as u64;
    charge(&mut context, copied + checked).await?;
    let (session, _) = context.data_mut().session()?;
    let (id, plan) = match session.schedule.plan(task) {
        Ok(planned) => planned,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(text) = check_times(&plan) {
        pay(&mut context, NEVER_DUE_FUEL).await?;
        return Ok(Err(ScheduleError::BadTask(text)));
    }
    if let Err(error) = learn_tasks(&mut context).await? {
        return Ok(Err(error));
    }
    let (session, limits) = context.data_mut().session()?;
    let refusals = &mut session.refusals;
    Ok(session.schedule.put(limits, refusals, id, plan))
}

async fn remove_task(
    mut context: Context<'_>,
    id: &str,
) -> wasmtime::Result<Result<(), ScheduleError>> {
    let copied = carry(&mut context, id.len());
    charge(&mut context, copied).await?;
    if let Err(error) = learn_tasks(&mut context).await? {
        return Ok(Err(error));
    }
    let (session, _) = context.data_mut().session()?;
    Ok(session.schedule.remove(&mut session.refusals, id))
}

async fn list_tasks(
    mut context: Context<'_>,
) -> wasmtime::Result<Result<Vec<RawTask>, ScheduleError>> {
    charge(&mut context, 0).await?;
    if let Err(error) = learn_tasks(&mut context).await? {
        return Ok(Err(error));
    }
    pay_for_tasks(&mut context).await?;
    let (session, _) = context.data_mut().session()?;
    Ok(Ok(session.schedule.list()))
}

/// Finds out once in a run which tasks there were at its start.
async fn learn_tasks(context: &mut Context<'_>) -> wasmtime::Result<Result<(), ScheduleError>> {
    let (session, _) = context.data_mut().session()?;
    if !session.schedule.is_unknown() {
        return Ok(Ok(()));
    }
    let source: Arc<dyn ScheduleSource> = Arc::clone(&session.tasks);
    let meter = Arc::clone(&context.data().meter);
    pay(context, READ_FUEL).await?;
    let tasks = match meter.waiting(source.tasks()).await {
        Ok(tasks) => tasks,
        Err(error) => return Ok(Err(ScheduleError::Unavailable(error))),
    };
    let (session, _) = context.data_mut().session()?;
    session.schedule.learn(tasks);
    pay_for_tasks(context).await?;
    Ok(Ok(()))
}

/// Takes the fuel for all tasks that there are: they were read, or are about to be told.
async fn pay_for_tasks(context: &mut Context<'_>) -> wasmtime::Result<()> {
    let (session, _) = context.data_mut().session()?;
    let (count, bytes) = session.schedule.totals();
    let copied = carry(context, bytes);
    pay(context, copied + TASK_FUEL.saturating_mul(count as u64)).await
}

/// Counts a host call and takes its fuel, `fuel` more, and what WASI owes.
async fn charge(context: &mut Context<'_>, fuel: u64) -> wasmtime::Result<()> {
    context.data_mut().host_calls += 1;
    pay(context, CALL_FUEL.saturating_add(fuel)).await
}

/// Takes fuel from the tank, or empties it and ends the guest. wasmtime then begins to count another slice; a guest that
/// calls often would never come to the end of one, so it is looked at here.
async fn pay(context: &mut Context<'_>, fuel: u64) -> wasmtime::Result<()> {
    let meter = Arc::clone(&context.data().meter);
    let price = fuel.saturating_add(meter.take_owed());
    let left = context.get_fuel()?;
    let rest = left.saturating_sub(price);
    context.set_fuel(rest)?;
    let had_its_slice = meter.paid(meter.fuel_max() - rest);
    if price > left {
        return Err(Trap::OutOfFuel.into());
    }
    if had_its_slice {
        meter.yield_now().await;
    }
    Ok(())
}

/// Counts bytes that go from the guest to the host or back; answers what the copy costs.
fn carry(context: &mut Context<'_>, bytes: usize) -> u64 {
    let carried = &mut context.data_mut().host_bytes;
    *carried = carried.saturating_add(bytes as u64);
    bytes_fuel(bytes)
}

fn bytes_fuel(bytes: usize) -> u64 {
    BYTE_FUEL.saturating_mul(bytes as u64)
}
