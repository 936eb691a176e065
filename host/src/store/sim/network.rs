//! Model network: sockets between hosts and the backend. Frames of one socket arrive in order, but broadcasts do not wait
//! for pages, may come late, twice or never; a dead socket's pushes may still land, and its last frames may still arrive.

use std::collections::{BTreeMap, VecDeque};

use crate::event::{Event, SeqNum};
use crate::id::BackendId;
use crate::store::sim::backend::{Backend, Fate, Push};
use crate::store::sim::plan::NetworkFaults;
use crate::store::sim::tally::Tally;
use crate::store::{Generation, Input, PullKind, PushAnswer, RequestId};
use crate::time::Timestamp;

/// Which process holds the host's end: the host, and how often it has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) host: usize,
    pub(super) boot: u64,
}

/// A socket, counted in a world's life.
pub(super) type SocketId = u64;

/// A frame from a host.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Pull {
        request: RequestId,
        after: SeqNum,
        backend_id: Option<BackendId>,
        kind: PullKind,
    },
    Ack {
        request: RequestId,
    },
    Push {
        request: RequestId,
        push: Push,
    },
}

/// One socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) owner: Owner,
    pub(super) generation: Generation,
    stage: Stage,
    to_backend: VecDeque<Request>,
    to_host: VecDeque<Input>,
    /// Frames that were on their way when it broke: the host may read them yet, after it has noticed.
    stranded: VecDeque<Input>,
    pulls: Vec<OpenPull>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
    /// Gone; the host has yet to read the rest.
    Broken,
}

/// A pull stays open for broadcasts when its pages are through, even a finite one.
#[derive(Debug)]
struct OpenPull {
    request: RequestId,
    kind: PullKind,
    paging: Paging,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paging {
    /// A page can go out.
    Ready {
        after: SeqNum,
    },
    /// A page went out, and its Ack is awaited.
    Sent {
        after: SeqNum,
        last: bool,
    },
    Done,
}

/// A broadcast that has not reached its socket yet.
#[derive(Debug)]
struct Broadcast {
    socket: SocketId,
    chunk: Input,
}

/// A frame of a dead socket that may still be read.
#[derive(Debug)]
struct LateFrame {
    owner: Owner,
    input: Input,
}

/// All sockets, and what outlives them.
#[derive(Debug)]
pub(super) struct Network {
    sockets: BTreeMap<SocketId, Socket>,
    sockets_opened: u64,
    broadcasts: Vec<Broadcast>,
    zombies: Vec<Push>,
    late: Vec<LateFrame>,
    page_events: usize,
    pub(super) faults: NetworkFaults,
    pub(super) tally: Tally,
    rng: fastrand::Rng,
}

/// What the network can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// A socket opens, or fails to.
    Open(SocketId),
    /// The backend reads a socket's next frame.
    Serve(SocketId),
    /// The backend sends the next page of a pull.
    Page(SocketId, usize),
    /// A broadcast reaches its socket, or is lost.
    Broadcast(usize),
    /// A push of a dead socket lands, or is lost.
    Zombie(usize),
}

impl Network {
    pub(super) fn new(page_events: usize, seed: u64) -> Self {
        Self {
            sockets: BTreeMap::new(),
            sockets_opened: 0,
            broadcasts: Vec::new(),
            zombies: Vec::new(),
            late: Vec::new(),
            page_events,
            faults: NetworkFaults::default(),
            tally: Tally::default(),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    fn chance(&mut self, permille: u64) -> bool {
        permille > 0 && self.rng.u64(..1000) < permille
    }

    /// Whether nothing travels any more.
    pub(super) fn is_silent(&self) -> bool {
        self.moves().is_empty() && self.readable().is_empty()
    }

    /// Everything that could happen next, but for a host reading.
    pub(super) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (&id, socket) in &self.sockets {
            if socket.stage == Stage::Opening {
                moves.push(Move::Open(id));
            }
            if !socket.to_backend.is_empty() {
                moves.push(Move::Serve(id));
            }
            let pulls = socket.pulls.iter().enumerate();
            let ready = pulls.filter(|(_, pull)| matches!(pull.paging, Paging::Ready { .. }));
            moves.extend(ready.map(|(index, _)| Move::Page(id, index)));
        }
        moves.extend((0..self.broadcasts.len()).map(Move::Broadcast));
        moves.extend((0..self.zombies.len()).map(Move::Zombie));
        moves
    }

    /// Sockets with a frame for their host.
    pub(super) fn readable(&self) -> Vec<SocketId> {
        let readable = self
            .sockets
            .iter()
            .filter(|(_, socket)| !socket.to_host.is_empty());
        readable.map(|(&id, _)| id).collect()
    }

    /// How many frames of dead sockets could still be read.
    pub(super) fn late(&self) -> usize {
        self.late.len()
    }

    /// Sockets that could break.
    pub(super) fn breakable(&self) -> Vec<SocketId> {
        let whole = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.stage != Stage::Broken);
        whole.map(|(&id, _)| id).collect()
    }

    /// A host wants a socket.
    pub(super) fn connect(&mut self, owner: Owner, generation: Generation) {
        self.sockets_opened += 1;
        let socket = Socket {
            owner,
            generation,
            stage: Stage::Opening,
            to_backend: VecDeque::new(),
            to_host: VecDeque::new(),
            stranded: VecDeque::new(),
            pulls: Vec::new(),
        };
        self.sockets.insert(self.sockets_opened, socket);
    }

    /// A host sends a frame; on a socket that is gone it vanishes.
    pub(super) fn send(&mut self, owner: Owner, generation: Generation, request: Request) {
        let socket = self.sockets.values_mut().find(|socket| {
            socket.owner == owner && socket.generation == generation && socket.stage == Stage::Open
        });
        if let Some(socket) = socket {
            socket.to_backend.push_back(request);
        }
    }

    /// A second copy of a push that will arrive at some other time.
    pub(super) fn send_again(&mut self, push: Push) {
        self.zombies.push(push);
    }

    /// A host drops its socket.
    pub(super) fn disconnect(&mut self, owner: Owner, generation: Generation) {
        let found = self
            .sockets
            .iter()
            .find(|(_, socket)| socket.owner == owner && socket.generation == generation);
        if let Some((&id, _)) = found {
            self.bury(id, true);
        }
    }

    /// A process is gone, and with it whatever was on its way to it.
    pub(super) fn abandon(&mut self, host: usize) {
        let ids: Vec<_> = self
            .sockets
            .iter()
            .filter(|(_, it)| it.owner.host == host)
            .collect();
        let ids: Vec<_> = ids.into_iter().map(|(&id, _)| id).collect();
        for id in ids {
            self.bury(id, false);
        }
        self.late.retain(|frame| frame.owner.host != host);
    }

    fn bury(&mut self, id: SocketId, host_lives: bool) {
        let Some(socket) = self.sockets.remove(&id) else {
            return;
        };
        self.orphan(socket.to_backend);
        if host_lives {
            let frames = socket.to_host.into_iter().chain(socket.stranded);
            self.late.extend(frames.map(|input| LateFrame {
                owner: socket.owner,
                input,
            }));
        }
        self.broadcasts.retain(|broadcast| broadcast.socket != id);
    }

    /// Pushes that were still on their way may land all the same.
    fn orphan(&mut self, requests: VecDeque<Request>) {
        for request in requests {
            match request {
                Request::Push { push, .. } => self.zombies.push(push),
                Request::Pull { .. } | Request::Ack { .. } => {}
            }
        }
    }

    /// A socket breaks: some of what was on its way arrives, and the host is told.
    pub(super) fn sever(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        let arrives = self.rng.usize(..=socket.to_host.len());
        socket.stranded = socket.to_host.split_off(arrives);
        let error = "the socket broke".into();
        socket.to_host.push_back(Input::Disconnected {
            generation: socket.generation,
            error,
        });
        socket.stage = Stage::Broken;
        socket.pulls.clear();
        let requests = std::mem::take(&mut socket.to_backend);
        self.orphan(requests);
        self.broadcasts.retain(|broadcast| broadcast.socket != id);
    }

    /// The next frame for a host.
    pub(super) fn read(&mut self, id: SocketId) -> Option<(Owner, Input)> {
        let socket = self.sockets.get_mut(&id)?;
        let input = socket.to_host.pop_front()?;
        let owner = socket.owner;
        if socket.stage == Stage::Broken && socket.to_host.is_empty() {
            self.bury(id, true);
        }
        Some((owner, input))
    }

    /// A frame of a dead socket, at last.
    pub(super) fn read_late(&mut self) -> Option<(Owner, Input)> {
        if self.late.is_empty() {
            return None;
        }
        let frame = self.late.swap_remove(self.rng.usize(..self.late.len()));
        Some((frame.owner, frame.input))
    }

    /// Frames of dead sockets are lost for good.
    pub(super) fn forget_late(&mut self) {
        self.late.clear();
    }

    /// Makes one move; says what happened for the trace.
    pub(super) fn make(&mut self, step: Move, backend: &mut Backend, now: Timestamp) -> String {
        match step {
            Move::Open(id) => self.open(id),
            Move::Serve(id) => self.serve(id, backend, now),
            Move::Page(id, pull) => self.page(id, pull, backend),
            Move::Broadcast(index) => self.broadcast_arrives(index),
            Move::Zombie(index) => {
                let push = self.zombies.swap_remove(index);
                if self.rng.bool() {
                    return "a push of a dead socket is lost".to_owned();
                }
                let answer = self.append(&push, backend, now, None);
                format!("a push of a dead socket arrives: {answer:?}")
            }
        }
    }

    fn open(&mut self, id: SocketId) -> String {
        let fails = self.chance(self.faults.connect_fails);
        let Some(socket) = self.sockets.get_mut(&id) else {
            return String::new();
        };
        let generation = socket.generation;
        if fails {
            let error = "connection refused".into();
            socket
                .to_host
                .push_back(Input::Disconnected { generation, error });
            socket.stage = Stage::Broken;
            return format!("socket {id} is refused");
        }
        socket.stage = Stage::Open;
        socket.to_host.push_back(Input::Connected { generation });
        format!("socket {id} opens")
    }

    fn serve(&mut self, id: SocketId, backend: &mut Backend, now: Timestamp) -> String {
        let socket = self.sockets.get_mut(&id);
        let Some(request) = socket.and_then(|socket| socket.to_backend.pop_front()) else {
            return String::new();
        };
        let text = format!("backend reads from socket {id}: {}", describe(&request));
        if self.chance(self.faults.request_lost) {
            return format!("{text}, and forgets it");
        }
        match request {
            Request::Pull {
                request,
                after,
                backend_id,
                kind,
            } => {
                self.start_pull(id, request, after, backend_id, kind, backend);
                text
            }
            Request::Ack { request } => {
                self.acknowledge(id, request);
                text
            }
            Request::Push { request, push } => {
                let answer = self.append(&push, backend, now, Some((id, request)));
                format!("{text}: {answer:?}")
            }
        }
    }

    fn start_pull(
        &mut self,
        id: SocketId,
        request: RequestId,
        after: SeqNum,
        backend_id: Option<BackendId>,
        kind: PullKind,
        backend: &Backend,
    ) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        let actual = &backend.log().id;
        if backend_id.is_some_and(|id| id != *actual) {
            let refusal = Input::PullRefused {
                generation: socket.generation,
                request,
                error: "BackendIdMismatchError".into(),
                mismatch: Some(actual.clone()),
            };
            socket.to_host.push_back(refusal);
            return;
        }
        socket.pulls.push(OpenPull {
            request,
            kind,
            paging: Paging::Ready { after },
        });
    }

    fn acknowledge(&mut self, id: SocketId, request: RequestId) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        let generation = socket.generation;
        let Some(pull) = socket.pulls.iter_mut().find(|pull| pull.request == request) else {
            return;
        };
        // Whichever chunk it was for: a broadcast's Ack lets the next page go, too.
        let Paging::Sent { after, last } = pull.paging else {
            return;
        };
        pull.paging = if last {
            Paging::Done
        } else {
            Paging::Ready { after }
        };
        if last && pull.kind == PullKind::Finite {
            socket.to_host.push_back(Input::PullEnded {
                generation,
                request,
            });
        }
    }

    fn page(&mut self, id: SocketId, pull: usize, backend: &Backend) -> String {
        let stalls = self.chance(self.faults.request_lost);
        let page_events = self.page_events;
        let Some(socket) = self.sockets.get_mut(&id) else {
            return String::new();
        };
        let generation = socket.generation;
        let pull = &mut socket.pulls[pull];
        let Paging::Ready { after } = pull.paging else {
            return String::new();
        };
        if stalls {
            pull.paging = Paging::Done;
            return format!("backend forgets pull {:?} half way", pull.request);
        }
        let (events, last) = backend.page(after, page_events);
        let end = events.last().map_or(after, |event| event.seq);
        pull.paging = Paging::Sent { after: end, last };
        let text = format!("backend sends {after}..={end} for pull {:?}", pull.request);
        let request = pull.request;
        let backend_id = backend.log().id.clone();
        socket.to_host.push_back(Input::Pulled {
            generation,
            request,
            backend_id,
            events,
        });
        text
    }

    /// Offers a push to the log, tells everybody, and answers whoever still listens.
    fn append(
        &mut self,
        push: &Push,
        backend: &mut Backend,
        now: Timestamp,
        listener: Option<(SocketId, RequestId)>,
    ) -> PushAnswer {
        let fate = self.fate();
        let (answer, events) = backend.append(push, fate, now);
        let what = match answer {
            PushAnswer::Accepted => "pushes accepted",
            PushAnswer::ServerAhead { .. } => "pushes refused",
            PushAnswer::BackendIdMismatch { .. } => "pushes for another log",
            PushAnswer::Unknown { .. } => "pushes failed",
        };
        self.tally.add(what, 1);
        if listener.is_none() && !events.is_empty() {
            self.tally.add("zombies admitted", 1);
        }
        let answer_first = self.rng.u8(..4) == 0;
        if answer_first {
            self.answer(listener, &answer);
        }
        self.publish(&events, &backend.log().id);
        if !answer_first {
            self.answer(listener, &answer);
        }
        answer
    }

    fn fate(&mut self) -> Fate {
        if self.chance(self.faults.push_denied) {
            Fate::StoredButDenied
        } else if self.chance(self.faults.push_fails) {
            Fate::Failed
        } else if self.chance(self.faults.push_torn) {
            Fate::Torn
        } else {
            Fate::Stored
        }
    }

    fn answer(&mut self, listener: Option<(SocketId, RequestId)>, answer: &PushAnswer) {
        let lost = self.chance(self.faults.answer_lost);
        let Some((id, request)) = listener.filter(|_| !lost) else {
            return;
        };
        if let Some(socket) = self.sockets.get_mut(&id) {
            let generation = socket.generation;
            let answer = answer.clone();
            socket.to_host.push_back(Input::PushAnswered {
                generation,
                request,
                answer,
            });
        }
    }

    /// Tells every open pull of every socket what was appended; sometimes by and by.
    pub(super) fn publish(&mut self, events: &[Event], backend_id: &BackendId) {
        if events.is_empty() {
            return;
        }
        let mut late = Vec::new();
        let mut rng = self.rng.fork();
        let delayed = self.faults.broadcast_delayed;
        for (&id, socket) in &mut self.sockets {
            for pull in &socket.pulls {
                let chunk = Input::Pulled {
                    generation: socket.generation,
                    request: pull.request,
                    backend_id: backend_id.clone(),
                    events: events.to_vec(),
                };
                if delayed > 0 && rng.u64(..1000) < delayed {
                    late.push(Broadcast { socket: id, chunk });
                } else {
                    socket.to_host.push_back(chunk);
                }
            }
        }
        self.broadcasts.extend(late);
    }

    fn broadcast_arrives(&mut self, index: usize) -> String {
        if self.chance(self.faults.broadcast_lost) {
            self.broadcasts.swap_remove(index);
            self.tally.add("broadcasts lost", 1);
            return "a broadcast is lost".to_owned();
        }
        let repeats = self.chance(self.faults.broadcast_repeated);
        let broadcast = &self.broadcasts[index];
        if let Some(socket) = self.sockets.get_mut(&broadcast.socket) {
            socket.to_host.push_back(broadcast.chunk.clone());
        }
        if !repeats {
            self.broadcasts.swap_remove(index);
        }
        "a broadcast comes late".to_owned()
    }
}

fn describe(request: &Request) -> String {
    match request {
        Request::Pull {
            request,
            after,
            kind,
            ..
        } => {
            format!("pull {} ({kind:?}) after {after}", request.0)
        }
        Request::Ack { request } => format!("ack of pull {}", request.0),
        Request::Push { request, push } => format!("push {} {}", request.0, describe_push(push)),
    }
}

/// A push in one line.
pub(super) fn describe_push(push: &Push) -> String {
    let drafts = push.drafts.iter();
    let drafts: Vec<_> = drafts
        .map(|it| format!("{}={}", it.seq, it.session_id))
        .collect();
    format!("of [{}]", drafts.join(", "))
}
