//! The model network between agents and replicas: streams that keep their order while they live, links that are cut in one direction or
//! both, delays, and ends that do not notice.

use crate::coverage::Seen;
use crate::world::{Input, Item, Said, World};
use crate::{AGENT_SLOTS, REPLICAS, Time};
use dray_model::message::{FromAgent, ToAgent};
use dray_session as session;
use std::collections::VecDeque;

/// What a stream carries.
pub(crate) enum Payload {
    Up(FromAgent),
    Down(ToAgent),
    /// The other end has closed.
    End,
}

/// Which way, seen from the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

#[derive(Default)]
struct Stream {
    queue: VecDeque<(Time, Payload)>,
    last: Time,
    pumping: bool,
    blocked_since: Option<Time>,
}

/// A connection, from a stream that was opened until both ends have forgotten it.
pub(crate) struct Connection {
    pub(crate) agent: usize,
    agent_life: u64,
    number: session::ConnectionId,
    pub(crate) replica: usize,
    replica_life: u64,
    up: Stream,
    down: Stream,
    agent_open: bool,
    pub(crate) replica_open: bool,
    /// How long a blocked link is borne: HTTP/2 pings notice it then.
    patience: Time,
}

/// What is wrong between an agent and a replica, in each direction.
#[derive(Clone, Copy, Default)]
pub(crate) struct Link {
    pub(crate) up_blocked_until: Time,
    pub(crate) down_blocked_until: Time,
    pub(crate) slow_until: Time,
    /// How long a message takes then, at most: up and down.
    pub(crate) slow_most: (Time, Time),
}

pub(crate) struct Network {
    pub(crate) connections: Vec<Connection>,
    pub(crate) links: [[Link; REPLICAS]; AGENT_SLOTS],
}

impl Default for Network {
    fn default() -> Self {
        Self {
            connections: Vec::new(),
            links: [[Link::default(); REPLICAS]; AGENT_SLOTS],
        }
    }
}

impl World {
    fn blocked(&self, agent: usize, replica: usize, way: Way) -> bool {
        let link = &self.network.links[agent][replica];
        self.now
            < if way == Way::Up {
                link.up_blocked_until
            } else {
                link.down_blocked_until
            }
    }

    fn delay(&mut self, agent: usize, replica: usize, way: Way) -> Time {
        let link = self.network.links[agent][replica];
        let slow = self.now < link.slow_until;
        let most = if way == Way::Up {
            link.slow_most.0
        } else {
            link.slow_most.1
        };
        self.random.range(1, if slow { most } else { 20 })
    }

    /// An agent opens a stream; the attempt arrives after a while.
    pub(crate) fn dial(&mut self, agent: usize, number: session::ConnectionId, endpoints: &[String]) {
        let named: Vec<usize> = endpoints
            .iter()
            .filter_map(|name| name.strip_prefix('r')?.parse().ok())
            .collect();
        let replica = if named.is_empty() {
            self.agents[agent].next_endpoint = (self.agents[agent].next_endpoint + 1) % REPLICAS;
            self.agents[agent].next_endpoint
        } else {
            self.random.pick(&named)
        };
        let delay = self.delay(agent, replica, Way::Up);
        let life = self.agents[agent].process.life;
        self.after(
            delay,
            Item::Dialled {
                agent,
                life,
                number,
                replica,
            },
        );
    }

    pub(crate) fn dialled(&mut self, agent: usize, life: u64, number: session::ConnectionId, replica: usize) {
        if self.agents[agent].process.life != life || self.agents[agent].hung_up.contains(&number) {
            return;
        }
        let blocked = self.blocked(agent, replica, Way::Up) || self.blocked(agent, replica, Way::Down);
        if blocked || !self.replicas[replica].process.up {
            let after = if blocked {
                self.random.range(500, 5_000)
            } else {
                self.random.range(1, 50)
            };
            return self.for_agent(agent, after, Input::Disconnected(number));
        }
        let patience = self.random.range(8_000, 20_000);
        self.network.connections.push(Connection {
            agent,
            agent_life: life,
            number,
            replica,
            replica_life: self.replicas[replica].process.life,
            up: Stream::default(),
            down: Stream::default(),
            agent_open: true,
            replica_open: true,
            patience,
        });
        let delay = self.delay(agent, replica, Way::Down);
        // The connection's first message must not overtake this.
        let at = self.now + delay;
        let connection = self.network.connections.last_mut().expect("it was just made");
        connection.down.last = at;
        self.for_agent(agent, delay, Input::Connected(number));
    }

    /// The agent's end of its connection of this number.
    pub(crate) fn connection_of(&self, agent: usize, number: session::ConnectionId) -> Option<usize> {
        let life = self.agents[agent].process.life;
        let found = |c: &Connection| c.agent == agent && c.agent_life == life && c.number == number && c.agent_open;
        self.network.connections.iter().rposition(found)
    }

    pub(crate) fn send(&mut self, at: usize, payload: Payload, way: Way) {
        let (agent, replica) = (self.network.connections[at].agent, self.network.connections[at].replica);
        let delay = self.delay(agent, replica, way);
        let now = self.now;
        let connection = &mut self.network.connections[at];
        let stream = if way == Way::Up {
            &mut connection.up
        } else {
            &mut connection.down
        };
        let ready = (now + delay).max(stream.last);
        stream.last = ready;
        stream.queue.push_back((ready, payload));
        if !stream.pumping {
            stream.pumping = true;
            self.after(ready - now, Item::Pump { connection: at, way });
        }
    }

    /// Delivers what is ready, in order.
    pub(crate) fn pump(&mut self, at: usize, way: Way) {
        let (agent, replica) = (self.network.connections[at].agent, self.network.connections[at].replica);
        let blocked = self.blocked(agent, replica, way);
        let now = self.now;
        let connection = &mut self.network.connections[at];
        let (patience, number) = (connection.patience, connection.number);
        let open = if way == Way::Up {
            connection.replica_open
        } else {
            connection.agent_open
        };
        let stream = if way == Way::Up {
            &mut connection.up
        } else {
            &mut connection.down
        };
        if !open {
            stream.queue.clear();
            stream.pumping = false;
            return;
        }
        if blocked {
            let since = *stream.blocked_since.get_or_insert(now);
            if now > since + patience {
                return self.break_connection(at);
            }
            return self.after(200, Item::Pump { connection: at, way });
        }
        stream.blocked_since = None;
        let Some((ready, _)) = stream.queue.front() else {
            stream.pumping = false;
            return;
        };
        if *ready > now {
            let wait = ready - now;
            return self.after(wait, Item::Pump { connection: at, way });
        }
        let payload = stream.queue.pop_front().map(|(_, payload)| payload);
        self.after(0, Item::Pump { connection: at, way });
        match payload {
            Some(Payload::Up(message)) => self.for_replica(replica, 0, Said::Message(at, message)),
            Some(Payload::Down(message)) => self.for_agent(agent, 0, Input::Message(number, message)),
            Some(Payload::End) if way == Way::Up => {
                self.network.connections[at].replica_open = false;
                self.for_replica(replica, 0, Said::Closed(at));
            }
            Some(Payload::End) => {
                self.network.connections[at].agent_open = false;
                self.for_agent(agent, 0, Input::Disconnected(number));
            }
            None => {}
        }
    }

    /// The agent closes its end: what it said before may still arrive, or not.
    pub(crate) fn agent_closes(&mut self, agent: usize, number: session::ConnectionId) {
        if let Some(at) = self.connection_of(agent, number) {
            self.network.connections[at].agent_open = false;
            if self.random.permille(500) {
                self.network.connections[at].up.queue.clear();
            }
            self.send(at, Payload::End, Way::Up);
        }
    }

    /// The replica closes its end, after what it has said.
    pub(crate) fn replica_closes(&mut self, at: usize) {
        if std::mem::take(&mut self.network.connections[at].replica_open) {
            self.send(at, Payload::End, Way::Down);
        }
    }

    /// The stream breaks: what is on its way is lost, and both ends notice some time.
    pub(crate) fn break_connection(&mut self, at: usize) {
        let (agent_after, replica_after) = (self.random.range(1, 300), self.random.range(1, 300));
        self.break_connection_in(at, agent_after, replica_after);
    }

    pub(crate) fn break_connection_in(&mut self, at: usize, agent_after: Time, replica_after: Time) {
        let connection = &mut self.network.connections[at];
        connection.up.queue.clear();
        connection.down.queue.clear();
        let (agent, replica, number) = (connection.agent, connection.replica, connection.number);
        let agent_open = std::mem::take(&mut connection.agent_open);
        let replica_open = std::mem::take(&mut connection.replica_open);
        let lives = (connection.agent_life, connection.replica_life);
        if agent_open && self.agents[agent].process.life == lives.0 {
            self.for_agent(agent, agent_after, Input::Disconnected(number));
        }
        if replica_open && self.replicas[replica].process.life == lives.1 {
            self.for_replica(replica, replica_after, Said::Closed(at));
        }
    }

    /// Connections that an end still believes in.
    pub(crate) fn open_connections(&self) -> Vec<usize> {
        let all = self.network.connections.iter().enumerate();
        all.filter(|(_, c)| c.agent_open || c.replica_open)
            .map(|(at, _)| at)
            .collect()
    }

    /// A process is gone: its ends are, and the others notice – soon when its host lives, else when pings stay away.
    pub(crate) fn ends_gone(&mut self, is_gone: impl Fn(&Connection) -> bool, host_gone: bool) {
        for at in self.open_connections() {
            if is_gone(&self.network.connections[at]) {
                let after = if host_gone {
                    self.random.range(8_000, 20_000)
                } else {
                    self.random.range(1, 100)
                };
                self.break_connection_in(at, after, after);
            }
        }
    }

    /// Half of a connection breaks.
    pub(crate) fn half_open(&mut self, at: usize) {
        let late = self.random.range(5_000, 20_000);
        let (agent_after, replica_after) = if self.random.permille(500) {
            (1, late)
        } else {
            (late, 1)
        };
        self.coverage.see(Seen::HalfOpen);
        self.break_connection_in(at, agent_after, replica_after);
    }
}
