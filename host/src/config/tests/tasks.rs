//! Tasks: read, refused, laid over what their plugin describes, and told when they change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::calendar::{Fold, Gap, Rhythm};
use crate::config::{Diff, PluginConfig, Source, TaskConfig};
use crate::store::{Missed, Overlap, TaskPlan, TaskWish};
use crate::time::Timestamp;

/// One store file.
fn shop(text: &str) -> Setup {
    Setup::main("").file("stores/shop.toml", format!("{SYNC}{text}"))
}

fn only_plugin(store: &StoreConfig) -> PluginConfig {
    let [plugin] = store.plugins.as_slice() else {
        panic!("expected one plugin, found {:?}", store.plugins);
    };
    plugin.clone()
}

/// A plugin's own word on its tasks.
fn described(id: &str, rhythm: &str) -> Vec<(Arc<str>, TaskWish)> {
    let wish = TaskWish {
        rhythm: Some(Rhythm::Cron(rhythm.parse().expect("a pattern"))),
        timeout: Some(Duration::from_secs(60)),
        ..TaskWish::default()
    };
    vec![(id.into(), wish)]
}

/// What is planned for the only plugin, and what cannot be.
fn planned(
    store: &StoreConfig,
    described: Option<&[(Arc<str>, TaskWish)]>,
) -> (BTreeMap<Arc<str>, TaskPlan>, Vec<String>) {
    let planned = only_plugin(store).planned(store, described);
    let problems = planned.unplanned.iter();
    (
        planned.plans,
        problems.map(|it| it.message.clone()).collect(),
    )
}

fn at(iso: &str) -> Timestamp {
    Timestamp::parse_iso(iso).expect("a time")
}

/// When a task with these lines is due, once.
fn once(lines: &str) -> Timestamp {
    let (plans, _) = planned(
        &shop(&format!("[plugins.a.tasks.t]\n{lines}")).only_store(),
        None,
    );
    match plans["t"].timetable.rhythm {
        Rhythm::At(once) => once,
        Rhythm::Cron(_) | Rhythm::Every { .. } => panic!("{lines}: not once"),
    }
}

#[test]
fn every_key_of_a_task_arrives() {
    let store = shop(
        r#"
        quota = { tasks = 7 }
        [tasks]
        late_after = "5s"
        [plugins.a]
        quota = { tasks = 3 }
        grants = { schedule = true }
        [plugins.a.tasks.daily]
        cron = "0 8 * * 1-5"
        time_zone = "Europe/Berlin"
        gap = "skip"
        fold = "both"
        from = 2026-01-01
        until = "2027-01-01T00:00:00Z"
        jitter = "1m"
        payload = { list = [1, true], at = 2026-01-01, text = "x" }
        overlap = "queue"
        catch_up = "1h"
        missed = { all = 20 }
        attempts = 3
        timeout = "30s"
        "#,
    )
    .only_store();
    let plugin = only_plugin(&store);
    assert!(plugin.grants.schedule);
    assert_eq!((store.quota.run.tasks, plugin.quota.tasks), (7, Some(3)));
    assert_eq!(plugin.quota.run(&store.quota.run).tasks, 3);
    assert_eq!(store.tasks.late_after, Duration::from_secs(5));
    let (plans, problems) = planned(&store, None);
    assert_eq!(problems, [""; 0]);
    let plan = &plans["daily"];
    let timetable = &plan.timetable;
    assert_eq!(timetable.zone.name(), "Europe/Berlin");
    assert_eq!((timetable.gap, timetable.fold), (Gap::Skip, Fold::Both));
    assert_eq!(timetable.from, Some(at("2025-12-31T23:00:00Z")));
    assert_eq!(timetable.until, Some(at("2027-01-01T00:00:00Z")));
    assert_eq!(timetable.jitter, Duration::from_secs(60));
    let first = timetable.next_after(at("2026-01-01T12:00:00Z"));
    assert_eq!(first, Some(at("2026-01-02T07:00:00Z")));
    assert_eq!(
        &*plan.payload,
        r#"{"at":"2026-01-01","list":[1,true],"text":"x"}"#
    );
    assert_eq!(plan.overlap, Overlap::Queue);
    assert_eq!(plan.catch_up, Duration::from_secs(3600));
    assert_eq!(plan.missed, Missed::All { max: 20 });
    assert_eq!(plan.attempts_max, Some(3));
    assert_eq!(plan.timeout, Some(Duration::from_secs(30)));
}

#[test]
fn a_time_without_a_distance_is_of_the_tasks_clocks() {
    let zone = "time_zone = \"Europe/Berlin\"\n";
    for (written, due) in [
        ("2026-12-24T18:00:00", "2026-12-24T17:00:00Z"),
        ("\"2026-12-24T18:00\"", "2026-12-24T17:00:00Z"),
        ("2026-12-24", "2026-12-23T23:00:00Z"),
        ("2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z"),
        ("\"2026-12-24T18:00-05:00\"", "2026-12-24T23:00:00Z"),
        // It does not exist: an hour later, at 3:30.
        ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
        // It comes twice: the first.
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
    ] {
        assert_eq!(once(&format!("{zone}at = {written}")), at(due), "{written}");
    }
    let (plans, _) = planned(
        &shop("tasks.time_zone = \"Asia/Tokyo\"\nplugins.a.tasks.t.at = 2026-12-24T18:00:00")
            .only_store(),
        None,
    );
    let rhythm = &plans["t"].timetable.rhythm;
    assert_eq!(
        *rhythm,
        Rhythm::At(at("2026-12-24T09:00:00Z")),
        "the store's"
    );
}

#[test]
fn bad_tasks_are_told_with_file_line_and_key() {
    let problem = |lines: &str| {
        let problems = shop(&format!("[plugins.a.tasks.t]\n{lines}")).problems();
        let [problem] = problems.as_slice() else {
            panic!("{lines}: {problems:?}");
        };
        let place = "config/stores/shop.toml:";
        problem.strip_prefix(place).expect("its place").to_owned()
    };
    let large = format!("every = \"1h\"\npayload = {:?}", "x".repeat(65_536));
    for (lines, expected) in [
        (
            "crom = \"@daily\"",
            "3: plugins.a.tasks.t.crom: unknown key; did you mean \"cron\"?",
        ),
        (
            "cron = \"0 8 * *\"",
            "3: plugins.a.tasks.t.cron: `0 8 * *` has 4 fields",
        ),
        (
            "cron = 8",
            "3: plugins.a.tasks.t.cron: expected a cron pattern such as",
        ),
        (
            "cron = \"0 0 31 2 *\"",
            "2: plugins.a.tasks.t: `0 0 31 2 *` is never due",
        ),
        (
            "cron = \"@daily\"\nevery = \"1h\"",
            "4: plugins.a.tasks.t.every: cron says already when the task is due; a task has one of",
        ),
        (
            "time_zone = \"Europe/berlin\"",
            "3: plugins.a.tasks.t.time_zone: there is no time zone `Europe/berlin`: did you mean `Europe/Berlin`?",
        ),
        (
            "every = \"999ms\"",
            "3: plugins.a.tasks.t.every: expected a duration from \"1s\" to \"87600h\"",
        ),
        (
            "every = \"1h\"\nphase = \"1h\"",
            "4: plugins.a.tasks.t.phase: expected a duration shorter than every, found \"1h\"",
        ),
        (
            "phase = \"1h\"",
            "3: plugins.a.tasks.t.phase: it goes with every, which is not said here",
        ),
        (
            "at = 18:00:00",
            "3: plugins.a.tasks.t.at: expected a time such as",
        ),
        (
            "at = \"2026-12-24T18:00[Europe/Berlin]\"",
            "3: plugins.a.tasks.t.at: expected a time such as",
        ),
        (
            "at = 1969-12-31T00:00:00Z",
            "3: plugins.a.tasks.t.at: expected a time in the years 1970 to 2999",
        ),
        (
            "every = \"1h\"\nfrom = 2026-02-01\nuntil = 2026-01-01",
            "2: plugins.a.tasks.t: its end",
        ),
        (
            "missed = { al = 1 }",
            "3: plugins.a.tasks.t.missed: expected \"skip\", \"latest\", \"all\" or",
        ),
        (
            "missed = { all = 0 }",
            "3: plugins.a.tasks.t.missed: expected a count from 1 to 1000, found 0",
        ),
        (
            "catch_up = \"25h\"",
            "3: plugins.a.tasks.t.catch_up: expected a duration from \"0ms\" to \"24h\"",
        ),
        (
            "overlap = \"wait\"",
            "3: plugins.a.tasks.t.overlap: expected one of \"skip\", \"queue\", \"allow\"",
        ),
        (
            "payload = [{ api_key = \"canary\" }]",
            "3: plugins.a.tasks.t.payload.api_key: it looks like a secret",
        ),
        (
            &large,
            "4: plugins.a.tasks.t.payload: expected a value of at most 65536 bytes as JSON, found 65538 bytes",
        ),
        (
            "enabled = 1",
            "3: plugins.a.tasks.t.enabled: expected true or false, found 1",
        ),
    ] {
        let told = problem(lines);
        assert!(told.starts_with(expected), "{lines}: {told}");
        assert!(!told.contains("canary"), "{told}");
    }
    for (text, expected) in [
        (
            "plugins.a.tasks.\"\" = {}",
            "plugins.a.tasks.\"\": expected a task's id of 1 to 128 bytes",
        ),
        (
            "plugins.a.tasks = []",
            "plugins.a.tasks: expected a table, found a list",
        ),
        (
            "plugins.a.trace = 1",
            "plugins.a.trace: expected true, false or a table",
        ),
        (
            "plugins.a.trace.failed = \"v1.*\"",
            "plugins.a.trace.failed: expected an event name such as",
        ),
        (
            "plugins.a.trace.fail = \"v1.A\"",
            "plugins.a.trace.fail: unknown key; did you mean \"failed\"?",
        ),
        ("tasks.missed = \"some\"", "tasks.missed: expected \"skip\""),
        ("tasks.cron = \"@daily\"", "tasks.cron: unknown key"),
        (
            "tasks.late_after = \"1ms\"",
            "tasks.late_after: expected a duration from \"1s\"",
        ),
        (
            "quota.tasks = 10001",
            "quota.tasks: expected a count from 0 to 10000",
        ),
    ] {
        let problems = shop(text).problems();
        let place = format!("config/stores/shop.toml:2: {expected}");
        assert!(problems[0].starts_with(&place), "{text}: {problems:?}");
    }
}

#[test]
fn what_is_wrong_with_a_default_task_is_told_once() {
    let problems = Setup::main(&format!(
        "[defaults]\n{SYNC}plugins.a.tasks.t.cron = \"0 0 31 2 *\"\n[stores.one]\n[stores.two]\n"
    ))
    .problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn the_store_says_what_the_tasks_do_not_and_variables_say_it_too() {
    let main = format!(
        "[defaults]\n{SYNC}[defaults.tasks]\ntime_zone = \"Asia/Tokyo\"\nmissed = \"latest\"\n[defaults.plugins.a.tasks.t]\n\
         cron = \"@daily\"\n[stores.one]\ntasks.gap = \"skip\"\n[stores.two]\n"
    );
    let loaded = Setup::main(&main)
        .variables(&[
            ("QM_STORES__TWO__TASKS__MISSED", "{ all = 5 }"),
            ("QM_DEFAULTS__TASKS__ATTEMPTS", "2"),
        ])
        .good();
    let [one, two] = loaded.config.stores() else {
        panic!("two stores");
    };
    let plan = |store: &StoreConfig| planned(store, None).0["t"].clone();
    let (first, second) = (plan(one), plan(two));
    assert_eq!(
        (first.timetable.gap, second.timetable.gap),
        (Gap::Skip, Gap::Shift)
    );
    assert_eq!(
        (first.missed, second.missed),
        (Missed::Latest, Missed::All { max: 5 })
    );
    assert_eq!(
        (first.attempts_max, second.attempts_max),
        (Some(2), Some(2))
    );
    assert_eq!(first.timetable.zone.name(), "Asia/Tokyo");
    // Thousands of stores have the same from the defaults.
    let shared = |store: &StoreConfig| only_plugin(store).tasks;
    assert!(Arc::ptr_eq(&shared(one), &shared(two)));
}

#[test]
fn what_a_plugin_describes_is_changed_taken_out_or_left_as_it_is() {
    let described = described("daily", "0 8 * * *");
    let of = |text: &str| planned(&shop(text).only_store(), Some(&described));
    let (plans, _) = of("plugins = [\"a\"]");
    let timeout = plans["daily"].timeout;
    assert_eq!(
        timeout,
        Some(Duration::from_secs(5)),
        "as other runs, at most"
    );
    let (plans, problems) = of(
        "[plugins.a.tasks.daily]\ntime_zone = \"Asia/Tokyo\"\ntimeout = \"1h\"\nfrom = 2026-01-01",
    );
    let plan = &plans["daily"];
    assert_eq!(problems, [""; 0]);
    assert_eq!(
        plan.timeout,
        Some(Duration::from_secs(3600)),
        "as the operator says"
    );
    assert_eq!(plan.timetable.from, Some(at("2025-12-31T15:00:00Z")));
    let first = plan.timetable.next_after(at("2026-01-01T00:00:00Z"));
    assert_eq!(first, Some(at("2026-01-01T23:00:00Z")));
    let (plans, _) = of("plugins.a.tasks.daily.every = \"2h\"");
    let two = Duration::from_secs(7200);
    let every = Rhythm::Every {
        period: two,
        phase: Duration::ZERO,
    };
    assert_eq!(plans["daily"].timetable.rhythm, every);
    let store = shop("plugins.a.tasks.daily.enabled = false").only_store();
    let planned = only_plugin(&store).planned(&store, Some(&described));
    assert!(planned.plans.is_empty() && planned.unplanned.is_empty());
    assert!(
        planned.declared.contains("daily"),
        "no run may have it either"
    );
}

#[test]
fn a_task_that_nobody_says_the_times_of_is_told_with_its_place() {
    let described = described("daily", "0 8 * * *");
    let text = "[plugins.a.tasks.dayly]\noverlap = \"queue\"\n[plugins.a.tasks.other]\n";
    let setup = shop(text);
    let store = setup.only_store();
    let planned = only_plugin(&store).planned(&store, Some(&described));
    let folder = setup.path().display().to_string();
    let told = planned.unplanned.iter();
    let told: Vec<String> = told
        .map(|it| it.to_string().replace(&folder, "config"))
        .collect();
    assert_eq!(
        told,
        [
            "config/stores/shop.toml:2: plugins.a.tasks.dayly: a has no task \"dayly\" of its own; did you mean \"daily\"?",
            "config/stores/shop.toml:4: plugins.a.tasks.other: a has no task \"other\" of its own; say with cron, every or at \
             when it is due, or take it out",
        ]
    );
    // As long as the plugin is missing, nobody knows.
    let unknown = only_plugin(&store).planned(&store, None);
    assert!(unknown.unplanned.is_empty() && unknown.plans.is_empty());
}

#[test]
fn a_change_that_makes_a_described_task_impossible_is_told_with_its_place() {
    let setup = shop("plugins.a.tasks.daily.until = 2020-01-01");
    let store = setup.only_store();
    let mut described = described("daily", "0 8 * * *");
    described[0].1.from = Some(at("2026-01-01T00:00:00Z"));
    let plugin = only_plugin(&store);
    let planned = plugin.planned(&store, Some(&described));
    let problem = plugin.check_plan(&store, "daily", &planned.plans["daily"]);
    let problem = problem.expect_err("it ends before it begins").to_string();
    let expected =
        "shop.toml:2: plugins.a.tasks.daily: the task \"daily\" of a cannot be planned: its end";
    assert!(problem.contains(expected), "{problem}");
}

#[test]
fn the_trace_is_on_where_it_is_said_or_all_of_it_is_granted() {
    let names = |text: &str| {
        let names = only_plugin(&shop(text).only_store()).trace_names();
        names.map(|names| [names.started, names.completed, names.failed].map(|it| it.to_string()))
    };
    let usual = ["Started", "Completed", "Failed"].map(|end| format!("v1.TaskExecution{end}"));
    let granted = |pattern: &str| format!("plugins.a.grants.commit = [{pattern:?}]\n");
    assert_eq!(names("plugins.a = {}"), None);
    assert_eq!(names(&granted("v1.TaskExecutionStarted")), None);
    assert_eq!(names(&granted("v1.Task*")), Some(usual.clone()));
    assert_eq!(
        names(&format!("{}plugins.a.trace = false", granted("*"))),
        None
    );
    assert_eq!(names("plugins.a.trace = true"), Some(usual.clone()));
    let [started, completed, _] = usual;
    let own = "v2.Broke".to_owned();
    assert_eq!(
        names("plugins.a.trace.failed = \"v2.Broke\""),
        Some([started, completed, own])
    );
}

#[test]
fn a_task_added_changed_or_taken_out_while_it_runs_is_a_difference_in_its_key() {
    let base = "[plugins.a.tasks.one]\ncron = \"@daily\"\n";
    for (new, keys) in [
        ("[plugins.a]\n", vec!["plugins.a.tasks.one"]),
        (
            "[plugins.a.tasks.one]\ncron = \"@daily\"\n[plugins.a.tasks.two]\nevery = \"1h\"\n",
            vec!["plugins.a.tasks.two"],
        ),
        (
            "[plugins.a.tasks.one]\ncron = \"@hourly\"\nmissed = \"all\"\n",
            vec!["plugins.a.tasks.one.cron", "plugins.a.tasks.one.missed"],
        ),
        (
            "[plugins.a.tasks.one]\nevery = \"1h\"\nphase = \"1m\"\n",
            vec!["cron", "every", "phase"],
        ),
        (
            "[plugins.a.tasks.one]\nat = 2030-01-01\n",
            vec!["cron", "at"],
        ),
        (
            "[plugins.a.tasks.one]\ncron = \"@daily\"\npayload = 1\nenabled = false\n",
            vec!["payload", "enabled"],
        ),
        (
            "plugins.a = { trace = true, quota = { tasks = 2 }, tasks = { one = { cron = \"@daily\" } } }\n",
            vec!["plugins.a.quota.tasks", "plugins.a.trace"],
        ),
        (
            "tasks = { time_zone = \"Asia/Tokyo\", late_after = \"2s\" }\nplugins.a.tasks.one.cron = \"@daily\"\n",
            vec!["tasks.time_zone", "tasks.late_after"],
        ),
        (
            "# A line more.\n[plugins.a.tasks.one]\ncron = \"@daily\"\n",
            vec![],
        ),
    ] {
        let setup = shop(base);
        let location = Location::Folder(setup.path().to_owned());
        let source = Source::new(location, setup.path().join(".env"));
        let loaded = source.load().expect("a usable configuration");
        let file = setup.path().join("stores/shop.toml");
        fs::write(file, format!("{SYNC}{new}")).expect("a file");
        let reloaded = source
            .reload(&loaded.config, loaded.origin)
            .expect("it can be used");
        let diff: Diff = reloaded.diff;
        let told: Vec<String> = diff.changed.into_values().flatten().collect();
        let full = |key: &str| match key.contains('.') {
            true => key.to_owned(),
            false => format!("plugins.a.tasks.one.{key}"),
        };
        let keys: Vec<String> = keys.into_iter().map(full).collect();
        assert_eq!(told, keys, "{new}");
        let tasks = only_plugin(&reloaded.config.stores()[0]).tasks;
        let enabled = |task: &TaskConfig| task.enabled;
        assert_eq!(
            tasks.values().any(enabled),
            !(new == "[plugins.a]\n" || new.contains("false"))
        );
    }
}
