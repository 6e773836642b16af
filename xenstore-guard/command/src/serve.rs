//! The daemon: one thread, one loop.
//!
//! A turn of the loop: wait; note who has something; give each of them a turn of its own, which is limited; send what the
//! core has for anybody. Who is not done comes again in the next turn, after the others.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use xen::DomId;
use xen::linux::{Devices, DomainState, RingFiles};
use xen::store::ring::RingError;
use xen::store::{Header, Operation, wire};
use xenstore_guard_core::{Config, ConnectionId, Environment as _, Peer, ProtocolError, Server};

use crate::arguments::{Assignment, ServeArguments};
use crate::clients::{Clients, Received};
use crate::core_affinity::CoreAffinity;
use crate::host::Host;
use crate::rings::Rings;
use crate::signals::Signals;
use crate::socket::Socket;
use crate::{Error, policy_file, readiness, state_file};

/// Requests of one connection before the others have their turn.
const REQUESTS_PER_TURN: usize = 32;
/// Bytes that are copied out of a ring at a time: all that it holds.
const RING_BYTES: usize = xen::store::ring::RING_BYTES;
/// Events taken from the kernel at a time.
const EVENTS: usize = 64;

/// What epoll tells of: below `CONNECTION` one of these, from there on the number of a connection.
const SIGNALS: u64 = 0;
const SOCKET: u64 = 1;
const RINGS: u64 = 2;
const CONNECTION: u64 = 16;

fn token(id: ConnectionId) -> u64 {
    CONNECTION + u64::from(id.number())
}

/// Whose event it is; none where it is not a connection's.
fn connection(event: Event) -> Option<ConnectionId> {
    let number = event.data.u64().checked_sub(CONNECTION)?;
    u32::try_from(number).ok().map(ConnectionId::from_number)
}

/// Serves until a signal ends it.
///
/// # Errors
/// It cannot start, or the kernel refuses what the loop cannot do without.
pub fn run(arguments: &ServeArguments) -> Result<(), Error> {
    let signals = Signals::catch()?;
    let config = policy_file::load(arguments.policy.as_deref())?;
    let rings = open_rings(arguments.rings.as_deref())?;
    let socket = Socket::listen(&arguments.socket)?;
    let mut daemon = Daemon::start(config, Host::new(rings), socket, signals, arguments)?;
    readiness::announce();
    log::info!("serving {}", arguments.socket.display());
    daemon.serve()?;
    if let Some(path) = &arguments.state {
        state_file::save(path, &daemon.server)?;
        log::info!("state left in {}", path.display());
    }
    Ok(())
}

/// The devices of a host with domains. Of one where only some are there a driver is missing, which is an error.
const DEVICES: [&str; 3] = ["/dev/xen/evtchn", "/dev/xen/gntdev", "/dev/xen/privcmd"];

/// The ring files of a directory, or this host's domains where it has any.
fn open_rings(directory: Option<&Path>) -> Result<Option<Rings>, Error> {
    if let Some(directory) = directory {
        return Ok(Some(Rings::new(Box::new(RingFiles::open(directory)?))));
    }
    if !DEVICES.iter().any(|device| Path::new(device).exists()) {
        log::info!("no /dev/xen and no --rings: no domain can be introduced");
        return Ok(None);
    }
    Ok(Some(Rings::new(Box::new(Devices::open()?))))
}

/// Every socket may be used: by default a process has 1024 of them.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        log::warn!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}

struct Daemon {
    server: Server,
    host: Host,
    clients: Clients,
    socket: Socket,
    /// The socket is not asked for clients: this process has no file left for one.
    full: bool,
    epoll: OwnedFd,
    _signals: Signals,
    /// Who has something to be done.
    ready: BTreeSet<ConnectionId>,
    /// Whose requests wait while the core keeps them from a transaction of another ([`Server::wake_at`]).
    held: BTreeSet<ConnectionId>,
    /// Events of rings may wait that their file does not tell of.
    more_events: bool,
    affinity: CoreAffinity,
}

impl Daemon {
    fn start(
        config: Config,
        mut host: Host,
        socket: Socket,
        signals: Signals,
        arguments: &ServeArguments,
    ) -> Result<Self, Error> {
        allow_many_files();
        let state = arguments.state.as_deref().map(state_file::take).transpose()?.flatten();
        let served: Vec<_> = state.iter().flat_map(|state| state.connections.clone()).collect();
        let fresh = state.is_none();
        let server = match state {
            Some(state) => Server::restore(config, state, &mut host)
                .map_err(|error| Error::Server(format!("the state is not taken over: {error}")))?,
            None => Server::new(config),
        };
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(Error::system("epoll_create1"))?;
        let watch = |file, token| {
            epoll::add(&epoll, file, EventData::new_u64(token), EventFlags::IN).map_err(Error::system("epoll_ctl"))
        };
        watch(std::os::fd::AsFd::as_fd(&signals), SIGNALS)?;
        watch(std::os::fd::AsFd::as_fd(&socket), SOCKET)?;
        if let Some(rings) = &host.rings {
            watch(rings.host().events(), RINGS)?;
        }
        let mut daemon = Self {
            server,
            host,
            clients: Clients::new(),
            socket,
            full: false,
            epoll,
            _signals: signals,
            ready: BTreeSet::new(),
            held: BTreeSet::new(),
            more_events: false,
            affinity: CoreAffinity::new(),
        };
        if fresh {
            daemon.take_own_ring()?;
        }
        for connection in served {
            daemon.take_ring_over(connection.peer);
        }
        // Of what changed before the host was listened to nobody will tell.
        daemon.look_for_deaths();
        for assignment in &arguments.assign {
            daemon.assign(assignment)?;
        }
        daemon.note_fresh_rings();
        Ok(daemon)
    }

    /// Serves the domain that this process runs in, over its ring.
    fn take_own_ring(&mut self) -> Result<(), Error> {
        let Some(rings) = &mut self.host.rings else {
            return Ok(());
        };
        if let Some(port) = rings.take_own()? {
            let peer = Peer::Domain {
                domid: DomId::INITIAL,
                ring: 0,
                port,
            };
            self.server
                .connect(peer)
                .map_err(|error| Error::Server(format!("domain 0: {error}")))?;
        }
        Ok(())
    }

    /// Serves a ring where the daemon before this one left off. A domain that is gone since then is forgotten.
    fn take_ring_over(&mut self, peer: Peer) {
        let (Peer::Domain { domid, port, .. }, Some(rings)) = (peer, &mut self.host.rings) else {
            return;
        };
        let mapped = if domid == DomId::INITIAL {
            rings.take_own().map(drop).map_err(|error| error.to_string())
        } else {
            rings.map(domid, port).map_err(|error| error.to_string())
        };
        if let Err(error) = mapped {
            log::warn!("domain {domid}: not taken over: {error}");
            self.release(domid);
        }
    }

    /// Has the core forget a domain.
    fn release(&mut self, domid: DomId) {
        let answer = self.request(Operation::Release, format!("{domid}\0").as_bytes());
        match answer {
            Ok((header, _)) if header.operation == Operation::Release as u32 => log::info!("domain {domid} is gone"),
            Ok((_, error)) => {
                let error = String::from_utf8_lossy(&error);
                log::error!(
                    "domain {domid} is gone, but not released: {}",
                    error.trim_end_matches('\0')
                );
            }
            Err(error) => log::error!("domain {domid} is gone, but not released: {error}"),
        }
    }

    /// Tells the core a domain's name in the manifest, as a builder does.
    fn assign(&mut self, assignment: &Assignment) -> Result<(), Error> {
        let failed = |what: String| Error::Server(format!("--assign {}={}: {what}", assignment.domid, assignment.name));
        let words = ["assign", &assignment.domid.to_string(), &assignment.name].join("\0") + "\0";
        let (header, payload) = self.request(Operation::Control, words.as_bytes()).map_err(failed)?;
        if header.operation == Operation::Control as u32 {
            return Ok(());
        }
        Err(failed(
            String::from_utf8_lossy(&payload).trim_end_matches('\0').to_owned(),
        ))
    }

    /// Has the core do one request of its host.
    fn request(&mut self, operation: Operation, payload: &[u8]) -> Result<(Header, Vec<u8>), String> {
        let id = self.server.connect(Peer::Socket).map_err(|error| error.to_string())?;
        let message = wire::message(operation, 1, 0, &[payload]);
        let answer = self
            .server
            .receive(id, &message)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                self.server.process(id, &mut self.host);
                let answer = self.server.output(id);
                let (header, rest) = answer
                    .split_first_chunk::<{ wire::HEADER_BYTES }>()
                    .ok_or("no answer")?;
                Ok((Header::decode(header), rest.to_vec()))
            });
        self.server.disconnect(id, &mut self.host);
        answer
    }

    fn serve(&mut self) -> Result<(), Error> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        loop {
            self.wait(&mut events)?;
            let told = std::mem::take(&mut events);
            for event in &told {
                match event.data.u64() {
                    SIGNALS => return Ok(()),
                    SOCKET => self.accept()?,
                    RINGS => self.take_events()?,
                    _ => self.ready.extend(connection(*event)),
                }
            }
            events = told;
            events.clear();
            if self.more_events {
                self.take_events()?;
            }
            self.server.advance(self.host.now());
            for id in std::mem::take(&mut self.ready) {
                self.turn(id)?;
            }
            self.note_fresh_rings();
            self.send_outputs()?;
            if self.server.wake_at().is_none() {
                self.ready.append(&mut self.held);
            }
        }
    }

    /// Waits until somebody has something.
    fn wait(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        let before = Instant::now();
        let timeout = self.timeout().and_then(|timeout| Timespec::try_from(timeout).ok());
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::system("epoll_wait")(error)),
        }
        match events.as_slice() {
            [event] if self.ready.is_empty() && event.data.u64() >= CONNECTION => {
                if let Some(id) = connection(*event) {
                    self.affinity.note(id, before.elapsed());
                }
            }
            _ => self.affinity.let_go(),
        }
        Ok(())
    }

    /// How long to wait: not at all where somebody is not done.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() || self.more_events {
            return Some(Duration::ZERO);
        }
        let wake = self.server.wake_at();
        let wake = wake.map(|at| Duration::from_nanos(at.saturating_sub(self.host.now())));
        wake.into_iter().chain(self.affinity.patience()).min()
    }

    fn accept(&mut self) -> Result<(), Error> {
        loop {
            let stream = match self.socket.accept() {
                Ok(Some(stream)) => stream,
                Ok(None) => return Ok(()),
                Err(error) => {
                    log::error!("a client cannot be served: {error}; {} are", self.clients.count());
                    epoll::delete(&self.epoll, &self.socket).map_err(Error::system("epoll_ctl"))?;
                    self.full = true;
                    return Ok(());
                }
            };
            match self.server.connect(Peer::Socket) {
                Ok(id) => {
                    if let Ok(peer) = socket_peercred(&stream) {
                        self.affinity.add(id, peer.pid);
                    }
                    self.clients.add(&self.epoll, token(id), id, stream)?;
                }
                Err(error) => log::error!("a client is not served: {error}"),
            }
        }
    }

    fn close(&mut self, id: ConnectionId) -> Result<(), Error> {
        self.clients.remove(id);
        self.affinity.remove(id);
        self.server.disconnect(id, &mut self.host);
        if self.full {
            epoll::add(&self.epoll, &self.socket, EventData::new_u64(SOCKET), EventFlags::IN)
                .map_err(Error::system("epoll_ctl"))?;
            self.full = false;
        }
        Ok(())
    }

    /// Notes which rings have something, and which domains died.
    fn take_events(&mut self) -> Result<(), Error> {
        let Some(rings) = &mut self.host.rings else {
            return Ok(());
        };
        let events = rings.take_events()?;
        self.more_events = events.more;
        let connections = events
            .rings
            .iter()
            .filter_map(|&domid| self.server.connection_of(domid));
        self.ready.extend(connections);
        if events.domain_changed {
            self.look_for_deaths();
        }
        Ok(())
    }

    fn look_for_deaths(&mut self) {
        let Some(rings) = &self.host.rings else { return };
        let states: Vec<_> = rings
            .domains()
            .into_iter()
            .map(|domid| (domid, rings.domain_state(domid)))
            .collect();
        for (domid, state) in states {
            match state {
                DomainState::Alive => {}
                DomainState::Shutdown => self.server.domain_died(domid, &mut self.host),
                DomainState::Gone => self.release(domid),
            }
        }
    }

    /// Offers the features of rings that were introduced, and looks into them.
    fn note_fresh_rings(&mut self) {
        let Some(rings) = &mut self.host.rings else { return };
        for domid in rings.take_fresh() {
            let Some(id) = self.server.connection_of(domid) else {
                continue;
            };
            if let Some(ring) = rings.ring(domid) {
                ring.begin(self.server.features(domid));
            }
            rings.notify(domid);
            rings.connect(domid, id);
            self.ready.insert(id);
        }
    }

    /// Does what a connection asks for, up to a limit.
    fn turn(&mut self, id: ConnectionId) -> Result<(), Error> {
        if self.clients.has(id) {
            return self.socket_turn(id);
        }
        if let Some(domid) = self.host.rings.as_ref().and_then(|rings| rings.domain_of(id)) {
            self.ring_turn(id, domid);
        }
        Ok(())
    }

    fn socket_turn(&mut self, id: ConnectionId) -> Result<(), Error> {
        let received = self.clients.receive(&mut self.server, id);
        self.process(id);
        if !self.clients.send(&mut self.server, id) || received == Received::Closed {
            return self.close(id);
        }
        if received == Received::Part || self.server.has_request(id) {
            self.ready.insert(id);
        }
        self.clients.update_interest(&self.epoll, token(id), &self.server, id)
    }

    /// Has the core do requests that wait, up to the limit of a turn.
    fn process(&mut self, id: ConnectionId) {
        for _ in 0..REQUESTS_PER_TURN {
            if !self.server.process(id, &mut self.host) {
                break;
            }
        }
    }

    fn ring_turn(&mut self, id: ConnectionId, domid: DomId) {
        match self.ring_steps(id, domid) {
            Ok(again) => {
                if again {
                    self.ready.insert(id);
                } else if self.server.wake_at().is_some() && self.server.pending_request_bytes(id) > 0 {
                    self.held.insert(id);
                }
            }
            Err(error) => {
                self.server.ring_failed(id);
                if let Some(rings) = &mut self.host.rings {
                    if rings.may_tell(domid) {
                        log::warn!("domain {domid}: {error}; its ring is ignored until it asks for a fresh start");
                    }
                    rings.fail(domid, error.as_field());
                }
            }
        }
    }

    /// Takes requests out of a ring, has them done, and puts answers in; whether there is more to do now.
    fn ring_steps(&mut self, id: ConnectionId, domid: DomId) -> Result<bool, RingFailure> {
        let Some(rings) = &mut self.host.rings else {
            return Ok(false);
        };
        if rings.asks_to_reconnect(domid) {
            rings.reset(domid);
            self.server.reset(id, &mut self.host);
            return Ok(true);
        }
        let mut moved = self.send_to_ring(id, domid)?;
        let mut buffer = [0; RING_BYTES];
        let mut taken = 0;
        if let Some(ring) = self.host.rings.as_ref().and_then(|rings| rings.ring(domid)) {
            let room = self.server.input_room(id).min(RING_BYTES);
            taken = ring.read_requests(buffer.get_mut(..room).unwrap_or_default())?;
            self.server.receive(id, buffer.get(..taken).unwrap_or_default())?;
        }
        self.process(id);
        moved |= self.send_to_ring(id, domid)? || taken > 0;
        if moved && let Some(rings) = &mut self.host.rings {
            rings.notify(domid);
        }
        // What came while this was done is seen the next time, without an event for it.
        Ok(moved || self.server.has_request(id))
    }

    /// Puts what the core has for a domain into its ring, as far as it fits; whether something was put in.
    fn send_to_ring(&mut self, id: ConnectionId, domid: DomId) -> Result<bool, RingFailure> {
        let mut sent = false;
        let Some(ring) = self.host.rings.as_ref().and_then(|rings| rings.ring(domid)) else {
            return Ok(false);
        };
        loop {
            let bytes = self.server.output(id);
            if bytes.is_empty() {
                return Ok(sent);
            }
            let count = ring.write_replies(bytes)?;
            if count == 0 {
                return Ok(sent);
            }
            self.server.sent(id, count);
            sent = true;
        }
    }

    /// Sends what the core has for anybody: events above all.
    fn send_outputs(&mut self) -> Result<(), Error> {
        let waiting: Vec<_> = self.server.outputs().collect();
        for id in waiting {
            if self.clients.has(id) {
                if self.clients.send(&mut self.server, id) {
                    self.clients.update_interest(&self.epoll, token(id), &self.server, id)?;
                } else {
                    self.close(id)?;
                }
            } else {
                self.ready.insert(id);
            }
        }
        Ok(())
    }
}

/// Why a ring is not served any more.
#[derive(Debug, thiserror::Error)]
enum RingFailure {
    #[error(transparent)]
    Index(#[from] xen::ring::BadIndex),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl RingFailure {
    /// As the ring's page says it.
    fn as_field(&self) -> RingError {
        match self {
            Self::Index(_) => RingError::Index,
            Self::Protocol(_) => RingError::Protocol,
        }
    }
}
