//! Settings that change, while a host lives or between two of its lives.

use crate::store::Input;
use crate::store::sim::host::{Pace, Standing};
use crate::store::sim::oracle::Violation;
use crate::store::sim::plan::{Change, Reconfigure};
use crate::store::sim::world::World;

impl World {
    /// What the plan says changes: as often as not, the process that finds it changed is another one.
    pub(super) fn reconfigure(&mut self, host: usize) -> Result<(), Violation> {
        if self.rng.bool() {
            self.kill(host)?;
        }
        match self.plan.reconfigure {
            Reconfigure::ClientId => self.hosts[host].renames += 1,
            Reconfigure::Membership => self.toggle(host, Standing::Removed),
            Reconfigure::Availability => self.toggle(host, Standing::Missing),
        }
        self.tell_settings(host);
        Ok(())
    }

    /// Something else changes that a host must take while it lives.
    pub(super) fn change(&mut self, host: usize) {
        self.tally.add("changes while living", 1);
        let change = self.rng.choice(self.plan.changes);
        match change.copied().unwrap_or(Change::Surroundings) {
            Change::Surroundings => {
                self.note(|| format!("host {host} is to begin again"));
                self.hosts[host].handle(Input::Renew, self.now);
            }
            Change::Timing => {
                let paces = [Pace::Planned, Pace::Hasty, Pace::Slow];
                self.hosts[host].pace = self.rng.choice(paces).expect("there are three");
            }
            Change::Limits => self.hosts[host].cramped ^= true,
            Change::Patterns => {
                self.chronicle.repatterned += 1;
                self.hosts[host].wide ^= true;
            }
            Change::Rations => self.hosts[host].meagre ^= true,
            Change::Catalog => self.toggle(host, Standing::Missing),
            Change::Timetables => {
                self.hosts[host].retimed ^= true;
                let journal = self.hosts[host].journal;
                self.chronicle.diary.on_changed(journal, |_| true);
            }
            Change::Grants => self.toggle(host, Standing::Barred),
        }
        self.tell_settings(host);
    }

    fn tell_settings(&mut self, host: usize) {
        let settings = Box::new(self.hosts[host].settings(&self.plan));
        self.note(|| format!("host {host} is told {settings:?}"));
        self.hosts[host].note_tasks(&self.plan, &self.journals, &mut self.chronicle, self.now);
        self.hosts[host].handle(Input::Reconfigure { settings }, self.now);
    }

    /// A plugin goes `away`, or comes back; what is back in the catalog may still lack a grant.
    fn toggle(&mut self, host: usize, away: Standing) {
        let choice = self.plan.guests.len().min(self.plan.reconfigurable);
        let chosen = self.rng.usize(..choice);
        let plugin = self.plan.guests[chosen].plugin.clone();
        self.chronicle.membership_changed |= away == Standing::Removed;
        let standing = self.hosts[host]
            .configured
            .get_mut(&plugin)
            .expect("every guest is configured");
        *standing = match *standing {
            Standing::Serving => away,
            // What a membership has taken away, only that gives back.
            Standing::Removed if away != Standing::Removed => Standing::Removed,
            Standing::Missing if away == Standing::Barred => away,
            Standing::Barred if away == Standing::Missing => away,
            Standing::Missing | Standing::Barred | Standing::Removed => Standing::Serving,
        };
        let standing = *standing;
        self.note(|| format!("{plugin} is {standing:?} now"));
    }
}
