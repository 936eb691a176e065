//! Everything that can happen in a world, one step at a time.

use crate::store::machine::Held;
use crate::store::sabotage::Sabotage;
use crate::store::sim::guest::{self, Mood};
use crate::store::sim::host::{Host, Running, Surroundings, Then};
use crate::store::sim::network::{Move, Owner, SocketId};
use crate::store::sim::oracle::{Rule, Violation};
use crate::store::sim::plan::{Frugal, Hosts, Weights};
use crate::store::sim::world::World;
use crate::store::{Commit, Ending, Input, PushAnswer, RunEnd, RunOutcome, Usage};
use crate::time::Timestamp;

/// What may happen next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Travel(Move),
    Read(SocketId),
    ReadLate,
    Perform(usize),
    Confirm(usize),
    Finish(usize, usize),
    Boot(usize),
    Wait,
    Write,
    Sever(SocketId),
    Kill(usize),
    PowerCut(usize),
    Restore(usize),
    FailCommit(usize),
    TakeOver(usize),
    Drain(usize),
    Reconfigure(usize),
    Change(usize),
    Reset,
    Operate(usize),
    Doze,
    SetClock(usize),
}

impl World {
    /// Ordinary work at hand: what happens without any fault, and never by the passing of time.
    pub(super) fn work(&self) -> Vec<(u64, Step)> {
        let mut work = Vec::new();
        let travels = self.network.moves().into_iter().map(|step| {
            let weight = match step {
                Move::Open(_) | Move::Serve(_) | Move::Page(..) => Weights::WORK,
                Move::Broadcast(_) => Weights::WORK / 3,
                Move::Zombie(_) => Weights::WORK / 20,
            };
            (weight, Step::Travel(step))
        });
        work.extend(travels);
        work.extend(
            self.network
                .readable()
                .into_iter()
                .map(|id| (Weights::WORK, Step::Read(id))),
        );
        for (index, host) in self.hosts.iter().enumerate() {
            if host.next_effect().is_some() {
                work.push((3 * Weights::WORK, Step::Perform(index)));
            }
            if host.commit_in_flight().is_some() {
                work.push((Weights::WORK, Step::Confirm(index)));
            }
            work.extend((0..host.runs()).map(|run| (Weights::WORK / 2, Step::Finish(index, run))));
            let alone = self.plan.hosts != Hosts::Shared || !self.hosts.iter().any(Host::is_up);
            if !host.is_up() && alone && (index == 0 || self.twin_awake) {
                work.push((Weights::WORK, Step::Boot(index)));
            }
        }
        work
    }

    /// Everything that may happen next in a storm.
    pub(super) fn options(&self) -> Vec<(u64, Step)> {
        let mut options = self.work();
        let timed = self.next_deadline() < Timestamp::NEVER;
        if options.is_empty() && timed {
            options.push((Weights::WORK, Step::Wait));
        }
        let faults = self.faults();
        options.extend(
            faults
                .into_iter()
                .map(|(weight, step)| (weight * self.plan.intensity, step)),
        );
        options
    }

    /// Everything that need not happen.
    fn faults(&self) -> Vec<(u64, Step)> {
        let weights = &self.plan.weights;
        let late = if self.plan.frugal == Frugal::LateFrames {
            100
        } else {
            3
        };
        let mut faults = vec![
            (weights.wait, Step::Wait),
            (weights.reset, Step::Reset),
            (weights.doze, Step::Doze),
            (late * self.network.late() as u64, Step::ReadLate),
        ];
        if self.next_deadline() == Timestamp::NEVER {
            faults.remove(0);
        }
        faults.extend(
            self.network
                .breakable()
                .into_iter()
                .map(|id| (weights.sever, Step::Sever(id))),
        );
        for (index, host) in self.hosts.iter().enumerate() {
            faults.push((weights.clock, Step::SetClock(index)));
            if !host.is_up() {
                if self.plan.hosts == Hosts::Shared {
                    faults.push((weights.take_over, Step::TakeOver(index)));
                }
                continue;
            }
            faults.extend([
                (weights.kill, Step::Kill(index)),
                (weights.power_cut, Step::PowerCut(index)),
                (weights.restore, Step::Restore(index)),
                (weights.reconfigure, Step::Reconfigure(index)),
                (weights.change, Step::Change(index)),
                (weights.drain, Step::Drain(index)),
                (weights.operate, Step::Operate(index)),
            ]);
            if host.commit_in_flight().is_some() {
                faults.push((weights.commit_fails, Step::FailCommit(index)));
            }
        }
        faults
    }

    pub(super) fn take(&mut self, step: Step) -> Result<(), Violation> {
        self.steps += 1;
        for host in 0..self.hosts.len() {
            self.account(host)?;
        }
        match step {
            Step::Travel(step) => {
                let text = self.network.make(step, &mut self.backend, self.now);
                self.note(|| text);
            }
            Step::Read(id) => {
                if let Some((owner, input)) = self.network.read(id) {
                    self.deliver(owner, input)?;
                }
            }
            Step::ReadLate => {
                if let Some((owner, input)) = self.network.read_late() {
                    self.note(|| "a frame of a dead socket is read:".to_owned());
                    self.deliver(owner, input)?;
                }
            }
            Step::Perform(host) => self.perform(host)?,
            Step::Confirm(host) => self.confirm(host)?,
            Step::Finish(host, run) => self.finish(host, run)?,
            Step::Boot(host) | Step::TakeOver(host) => self.boot(host),
            Step::Wait => self.wait(),
            Step::Write => self.write(),
            Step::Sever(id) => {
                self.tally.add("sockets broken", 1);
                self.chronicle.disturbed = true;
                self.note(|| format!("socket {id} breaks"));
                self.network.sever(id);
            }
            Step::Kill(host) => self.kill(host)?,
            Step::PowerCut(host) => self.power_cut(host)?,
            Step::Restore(host) => self.restore(host)?,
            Step::FailCommit(host) => {
                self.note(|| format!("host {host}: a commit fails"));
                self.hosts[host].take_commit();
                self.kill(host)?;
            }
            Step::Drain(host) => {
                self.note(|| format!("host {host} is asked to stop"));
                self.hosts[host].handle(Input::Drain, self.now);
            }
            Step::Reconfigure(host) => self.reconfigure(host)?,
            Step::Change(host) => self.change(host),
            Step::Reset => self.reset(),
            Step::Operate(host) => self.operate(host),
            Step::Doze => self.doze(),
            Step::SetClock(host) => self.set_clock(host),
        }
        Ok(())
    }

    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        let (steps, now) = (self.steps, self.now.as_millis());
        if let Some(trace) = &mut self.trace {
            if trace.len() == self.trace_len {
                trace.pop_front();
            }
            trace.push_back(format!("{steps:>6} {now:>9} {}", text()));
        }
    }

    fn deliver(&mut self, owner: Owner, input: Input) -> Result<(), Violation> {
        let answer = PushAnswer::Accepted;
        let is_ack = matches!(&input, Input::PushAnswered { answer: it, .. } if *it == answer);
        if is_ack && self.plan.frugal == Frugal::AcksIgnored {
            return Ok(());
        }
        self.note(|| format!("host {} reads {}", owner.host, describe(&input)));
        self.hosts[owner.host].receive(owner, input, self.now);
        self.check_bounds(owner.host)
    }

    /// Nothing that comes in makes a machine hold more than it may. Past the window's end there may be a chunk that came
    /// when there was room, one of a refill that was asked for then, and what the stash held.
    fn check_bounds(&self, host: usize) -> Result<(), Violation> {
        let Some(Held {
            window,
            stash,
            landed,
            ..
        }) = self.hosts[host].held()
        else {
            return Ok(());
        };
        let limits = &self.plan.limits;
        let run = self.plan.guests.iter().map(|guest| guest.drafts).max();
        let push = run.unwrap_or(0).max(limits.push_events_max);
        let chunk = push.max(self.plan.page_events);
        let window_max = limits.window_events_max + 2 * chunk + limits.stash_events_max;
        let landed_max = limits.landed_max * self.plan.guests.len();
        if window > window_max || stash > limits.stash_events_max || landed > landed_max {
            let text = format!("{window} bodies, {stash} stashed events, {landed} landed triggers");
            return Err(Violation::new(Rule::Held, text));
        }
        Ok(())
    }

    fn surroundings(&mut self) -> (&mut Vec<Host>, Surroundings<'_>) {
        let surroundings = Surroundings {
            plan: &self.plan,
            backend: &self.backend,
            network: &mut self.network,
            journals: &mut self.journals,
            chronicle: &mut self.chronicle,
            now: self.now,
        };
        (&mut self.hosts, surroundings)
    }

    fn perform(&mut self, host: usize) -> Result<(), Violation> {
        if self.trace.is_some() {
            let text = format!("host {host} does {:?}", self.hosts[host].next_effect());
            self.note(|| text);
        }
        let (hosts, mut surroundings) = self.surroundings();
        match hosts[host].perform(&mut surroundings)? {
            Then::GoOn => {}
            Then::BeginAgain => {
                self.tally.add("restarts", 1);
                self.hosts[host].end(&mut self.network);
            }
            Then::Ended => {
                self.hosts[host].end(&mut self.network);
            }
        }
        Ok(())
    }

    fn boot(&mut self, host: usize) {
        self.note(|| format!("host {host} begins"));
        let (hosts, mut surroundings) = self.surroundings();
        hosts[host].boot(&mut surroundings);
    }

    fn confirm(&mut self, host: usize) -> Result<(), Violation> {
        let Some(commit) = self.hosts[host].take_commit() else {
            return Ok(());
        };
        if self.write_commit(host, &commit)? {
            self.hosts[host].handle(Input::Committed, self.now);
        } else {
            self.note(|| format!("host {host} has lost its lease"));
            self.tally.add("leases lost", 1);
            self.hosts[host].end(&mut self.network);
        }
        Ok(())
    }

    /// Whether the journal took the commit.
    fn write_commit(&mut self, host: usize, commit: &Commit) -> Result<bool, Violation> {
        self.note(|| format!("host {host} has committed"));
        let Host { journal, lease, .. } = self.hosts[host];
        let sabotage = self.plan.sabotage;
        let synced = commit.synced && sabotage != Some(Sabotage::StartNotSynced);
        let keep_kv = sabotage == Some(Sabotage::KvKeptOnRemoval);
        let before = self.journals[journal].content.clone();
        if self.journals[journal]
            .commit(lease, commit, synced, keep_kv)
            .is_err()
        {
            return Ok(false);
        }
        self.chronicle
            .on_commit(journal, &before, commit, &self.plan)?;
        Ok(true)
    }

    /// Charges what a host has decided to run: now, as what is decided later may have been given back meanwhile.
    fn account(&mut self, host: usize) -> Result<(), Violation> {
        let Host { journal, lease, .. } = self.hosts[host];
        let ration = self.hosts[host].ration(&self.plan);
        for (at, request) in self.hosts[host].take_decided() {
            if let Some(tank) = ration.fuel
                && self.journals[journal].is_held(lease)
            {
                self.chronicle.on_fuel(journal, &request, tank, at)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, host: usize, run: usize) -> Result<(), Violation> {
        let Some(Running { request, kv }) = self.hosts[host].take_run(run) else {
            return Ok(());
        };
        let guest = self.plan.guest(&request.stamp.run.plugin)?;
        let mood = if self.healed {
            Mood::Fine
        } else {
            let subject = guest::subject(&request.cause);
            guest.mood(&self.plan.moods, self.plan.seed, &subject)
        };
        let fine = || {
            let answer = guest.answer(&request.cause, request.mode, &kv);
            RunOutcome::Finished {
                drafts: answer.drafts,
                kv: answer.kv,
                schedule: answer.schedule,
                output: None,
            }
        };
        let not_now = || RunOutcome::Retry {
            error: "not now".into(),
        };
        let outcome = match mood {
            Mood::Fine => fine(),
            Mood::Hesitant { failures } if request.attempt > failures => fine(),
            Mood::Flaky if self.rng.bool() => fine(),
            Mood::Hesitant { .. } | Mood::Flaky | Mood::Hopeless => not_now(),
            Mood::Rejecting => RunOutcome::Reject {
                error: "never".into(),
            },
            Mood::Poisonous => {
                self.note(|| format!("host {host} is killed by {}", request.stamp));
                return self.kill(host);
            }
        };
        self.note(|| format!("host {host}: {} ends: {outcome:?}", request.stamp));
        self.tally.add("runs", 1);
        let token = request.token;
        let fuel = self.rng.u64(..=request.fuel);
        let (journal, wall) = (self.hosts[host].journal, self.hosts[host].wall(self.now));
        if let RunOutcome::Finished { schedule, .. } = &outcome {
            self.chronicle
                .diary
                .on_scheduled(journal, &request, schedule, wall);
        }
        self.chronicle.on_fuel_used(journal, &request, fuel);
        let ended = Input::RunFinished {
            token,
            end: RunEnd {
                outcome,
                ending: Ending::Finished,
                usage: Usage {
                    fuel,
                    ..Usage::default()
                },
                build: None,
            },
        };
        self.hosts[host].handle(ended, self.now);
        Ok(())
    }

    pub(super) fn write(&mut self) {
        self.events_left = self.events_left.saturating_sub(1);
        let name = self.plan.names[self.rng.usize(..self.plan.names.len())];
        let event = self.backend.write(name, "somewhere", self.now);
        self.note(|| format!("somebody writes {} {name}", event.seq));
        let id = self.backend.log().id.clone();
        self.network.publish(&[event], &id);
    }

    pub(super) fn kill(&mut self, host: usize) -> Result<(), Violation> {
        self.note(|| format!("host {host} is killed"));
        self.tally.add("kills", 1);
        self.chronicle.disturbed = true;
        let commit = self.hosts[host].end(&mut self.network);
        if let Some(commit) = commit.filter(|_| self.rng.bool()) {
            self.write_commit(host, &commit)?;
        }
        Ok(())
    }

    fn power_cut(&mut self, host: usize) -> Result<(), Violation> {
        self.kill(host)?;
        let journal = &mut self.journals[self.hosts[host].journal];
        let count = self.rng.usize(..=journal.losable().min(8));
        journal.lose(count);
        self.tally.add("commits lost", count as u64);
        self.chronicle.commits_lost |= count > 0;
        self.chronicle.diary.on_lost(self.hosts[host].journal);
        self.note(|| format!("a power cut takes back {count} commits"));
        Ok(())
    }

    fn restore(&mut self, host: usize) -> Result<(), Violation> {
        self.kill(host)?;
        let journal = &mut self.journals[self.hosts[host].journal];
        let count = self.rng.usize(..=journal.backups());
        journal.restore(count);
        self.tally.add("backups restored", 1);
        self.chronicle.restored |= count > 0;
        self.chronicle.diary.on_lost(self.hosts[host].journal);
        self.note(|| format!("a backup of {count} commits ago is put in place"));
        Ok(())
    }

    fn reset(&mut self) {
        self.note(|| "the log is wiped".to_owned());
        self.tally.add("logs wiped", 1);
        self.chronicle.disturbed = true;
        self.chronicle.on_reset();
        self.backend.reset();
        for id in self.network.breakable() {
            if self.rng.bool() {
                self.network.sever(id);
            }
        }
    }

    /// A host that has lost its lease notices by its heartbeat.
    pub(super) fn retire_fenced(&mut self) {
        for host in &mut self.hosts {
            if !self.journals[host.journal].is_held(host.lease) {
                host.end(&mut self.network);
            }
        }
    }
}

/// An input in one line.
fn describe(input: &Input) -> String {
    if let Input::Pulled {
        generation,
        request,
        events,
        ..
    } = input
    {
        let events: Vec<_> = events.iter().map(|it| it.seq.get()).collect();
        return format!("chunk {events:?} of pull {}.{}", generation.0, request.0);
    }
    format!("{input:?}")
}
