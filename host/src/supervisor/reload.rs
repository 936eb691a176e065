//! Reading the configuration again: what is good is applied, what is not is told and changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::{info, warn};

use super::{Changed, ReloadOutcome, ReloadReport, Supervisor};
use crate::config::{Config, Diff, Location, Origin, Refused, Reloaded, Source};
use crate::telemetry::Reload;

/// Changed stores that are named in the log one by one.
const STORES_TOLD_MAX: usize = 20;

impl Supervisor {
    /// The same because somebody asked for it. What was refused may be mended without a trace, as when a folder is back that
    /// was away for a moment.
    pub(super) async fn reload_as_asked(&mut self) -> ReloadReport {
        let report = self.reload().await;
        if report.outcome == ReloadOutcome::Refused {
            self.parts.changes.forget();
        }
        report
    }

    /// Reads the configuration again and applies it.
    pub(super) async fn reload(&mut self) -> ReloadReport {
        let (source, running, was) = self.basis();
        let reloaded = tokio::task::spawn_blocking(move || source.reload(&running, was)).await;
        let report = match reloaded.expect("reading the configuration does not panic") {
            Ok(reloaded) => self.apply(reloaded).await,
            Err(refused) => self.refuse(refused),
        };
        let outcome = match report.outcome {
            ReloadOutcome::Unchanged => Reload::Unchanged,
            ReloadOutcome::Applied | ReloadOutcome::WouldApply => Reload::Applied,
            ReloadOutcome::Refused => Reload::Refused,
        };
        let problems = self.state.problems.len();
        let metrics = &self.parts.shared.metrics;
        metrics.config_reloaded(outcome, problems, self.state.loaded_at);
        report
    }

    /// What a reload would do; or `config`, a folder or file, in place of what is in force.
    pub(super) async fn preview(&self, config: Option<PathBuf>) -> ReloadReport {
        let (source, running, was) = self.basis();
        let load = move || match config {
            None => source.reload(&running, was),
            Some(path) => {
                let source = source.at(Location::find(Some(&path)));
                source.load().map(|loaded| loaded.over(&running))
            }
        };
        let loaded = tokio::task::spawn_blocking(load).await;
        match loaded.expect("reading the configuration does not panic") {
            Ok(reloaded) => {
                let outcome = match reloaded.diff.is_empty() {
                    true => ReloadOutcome::Unchanged,
                    false => ReloadOutcome::WouldApply,
                };
                report(&reloaded, outcome)
            }
            Err(refused) => report_of_refused(refused),
        }
    }

    /// What another reading is compared with.
    fn basis(&self) -> (Source, Arc<Config>, Origin) {
        (self.parts.source.clone(), self.config.clone(), self.origin)
    }

    async fn apply(&mut self, reloaded: Reloaded) -> ReloadReport {
        let outcome = match reloaded.diff.is_empty() {
            true => ReloadOutcome::Unchanged,
            false => ReloadOutcome::Applied,
        };
        let report = report(&reloaded, outcome);
        self.tell(&report);
        self.parts.changes.also(reloaded.files);
        self.origin = reloaded.origin;
        self.state.problems = reloaded.problems;
        self.state.refused = false;
        self.state.kept = reloaded.kept;
        self.state.restart_needed = reloaded.restart_needed;
        if outcome == ReloadOutcome::Unchanged {
            // What was only moved to another line is named where it stands now.
            self.config = Arc::new(reloaded.config);
        } else {
            self.config = Arc::new(reloaded.config);
            self.state.changes += 1;
            self.parts.running.send_replace(self.config.clone());
            self.plugins_at_hand().await;
        }
        self.state.loaded_at = self.parts.shared.clock.now();
        self.reconcile(Changed::Anything).await;
        report
    }

    /// Gives the catalog a moment to bring what new stores want, so that they need not begin without it.
    async fn plugins_at_hand(&mut self) {
        /// A plugin that was checked before is loaded in milliseconds. Others come when they come.
        const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);
        let config = self.config.clone();
        let ready = self.parts.shelf.wait_for(|shelf| shelf.is_for(&config));
        // Whether or not it came: a subscription without its plugin is parked until it does.
        drop(tokio::time::timeout(PATIENCE, ready).await);
    }

    fn refuse(&mut self, refused: Refused) -> ReloadReport {
        // A secret that is missing may come.
        self.parts.changes.also(refused.files.clone());
        let report = report_of_refused(refused);
        self.tell(&report);
        self.state.problems.clone_from(&report.problems);
        self.state.refused = true;
        let shelf = self.parts.shelf.borrow().clone();
        self.publish(&shelf);
        report
    }

    /// Tells the log what is different, and mistakes once.
    fn tell(&mut self, report: &ReloadReport) {
        if report.outcome == ReloadOutcome::Applied {
            let Diff {
                server,
                rollouts,
                added,
                removed,
                changed,
            } = &report.diff;
            let (added, removed, stores) = (added.len(), removed.len(), changed.len());
            info!(
                added,
                removed,
                changed = stores,
                ?server,
                ?rollouts,
                "configuration applied"
            );
            for (store, keys) in changed.iter().take(STORES_TOLD_MAX) {
                info!(%store, ?keys, "store reconfigured");
            }
            for key in &report.restart_needed {
                warn!(key, "keeps its value until the server is started again");
            }
        }
        if self.told == report.problems {
            return;
        }
        if report.problems.is_empty() {
            info!("the configuration has no mistakes any more");
        }
        for problem in &report.problems {
            let store = problem.store.as_deref();
            let kept = store.is_none_or(|store| report.kept.iter().any(|id| id.as_str() == store));
            let consequence = match (report.outcome, kept) {
                (ReloadOutcome::Refused, _) => "nothing is changed until it is mended",
                (_, true) => "the store keeps its previous configuration until it is mended",
                (_, false) => "the store does not run until it is mended",
            };
            warn!(store, "{problem}; {consequence}");
        }
        self.told.clone_from(&report.problems);
    }
}

fn report(reloaded: &Reloaded, outcome: ReloadOutcome) -> ReloadReport {
    ReloadReport {
        outcome,
        diff: reloaded.diff.clone(),
        kept: reloaded.kept.clone(),
        restart_needed: reloaded.restart_needed.clone(),
        problems: reloaded.problems.clone(),
        notes: reloaded.notes.clone(),
    }
}

fn report_of_refused(refused: Refused) -> ReloadReport {
    ReloadReport {
        outcome: ReloadOutcome::Refused,
        diff: Diff::default(),
        kept: Vec::new(),
        restart_needed: Vec::new(),
        problems: refused.problems,
        notes: refused.notes,
    }
}
