//! Tickets: state that a later call needs something from an earlier one to reach.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::draw::{fold, mix};

/// Tickets kept; the oldest go first.
const MOST_TICKETS: usize = 100_000;

/// Number of the first ticket.
const FIRST_NUMBER: u64 = 1001;

/// All tickets.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<Desk>);

#[derive(Debug, Default)]
struct Desk {
    opened: u64,
    by_id: HashMap<String, Ticket>,
    /// Idempotency key → id.
    by_key: HashMap<String, String>,
    order: VecDeque<String>,
}

/// One ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ticket {
    pub(crate) id: String,
    pub(crate) status: TicketStatus,
    pub(crate) subject: String,
    pub(crate) replies: Vec<String>,
    /// What later steps must bring.
    #[serde(skip)]
    pub(crate) token: String,
    #[serde(skip)]
    key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TicketStatus {
    Open,
    Closed,
}

impl TicketStatus {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What can be done to a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Get,
    Reply(String),
    Close,
    Reopen,
}

/// Why a step was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepError {
    /// There is no such ticket, or no longer.
    Unknown,
    /// The token is missing or that of another ticket.
    WrongToken,
    /// The ticket is in the wrong state.
    Conflict(TicketStatus),
}

impl Tickets {
    /// Opens a ticket. The same idempotency key gives the same ticket again.
    pub(crate) fn open(&self, subject: &str, key: Option<&str>) -> Ticket {
        let mut desk = self.desk();
        if let Some(known) = key
            .and_then(|key| desk.by_key.get(key))
            .and_then(|id| desk.by_id.get(id))
        {
            return known.clone();
        }
        let number = FIRST_NUMBER + desk.opened;
        desk.opened += 1;
        let id = format!("T-{number}");
        let ticket = Ticket {
            token: format!("{:016x}", mix(fold(id.as_bytes()))),
            id: id.clone(),
            status: TicketStatus::Open,
            subject: subject.to_owned(),
            replies: Vec::new(),
            key: key.map(str::to_owned),
        };
        desk.insert(ticket.clone());
        ticket
    }

    /// Takes a step, or says why not.
    pub(crate) fn step(&self, id: &str, token: Option<&str>, step: Step) -> Result<Ticket, StepError> {
        let mut desk = self.desk();
        let ticket = desk.by_id.get_mut(id).ok_or(StepError::Unknown)?;
        if token != Some(ticket.token.as_str()) {
            return Err(StepError::WrongToken);
        }
        match (step, ticket.status) {
            (Step::Get, _) => {}
            (Step::Reply(text), TicketStatus::Open) => ticket.replies.push(text),
            (Step::Close, TicketStatus::Open) => ticket.status = TicketStatus::Closed,
            (Step::Reopen, TicketStatus::Closed) => ticket.status = TicketStatus::Open,
            (_, status) => return Err(StepError::Conflict(status)),
        }
        Ok(ticket.clone())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn insert(&mut self, ticket: Ticket) {
        if self.order.len() >= MOST_TICKETS
            && let Some(oldest) = self.order.pop_front().and_then(|id| self.by_id.remove(&id))
            && let Some(key) = oldest.key
        {
            self.by_key.remove(&key);
        }
        if let Some(key) = ticket.key.clone() {
            self.by_key.insert(key, ticket.id.clone());
        }
        self.order.push_back(ticket.id.clone());
        self.by_id.insert(ticket.id.clone(), ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_needs_the_id_and_the_token_of_an_earlier_one() {
        let tickets = Tickets::default();
        let ticket = tickets.open("broken kettle", None);
        let step = |id: &str, token| tickets.step(id, token, Step::Get);
        assert_eq!(step("T-9", Some(ticket.token.as_str())), Err(StepError::Unknown));
        assert_eq!(step(&ticket.id, None), Err(StepError::WrongToken));
        assert_eq!(step(&ticket.id, Some(ticket.token.as_str())), Ok(ticket.clone()));
    }

    #[test]
    fn a_closed_ticket_takes_no_reply_until_it_is_reopened() {
        let tickets = Tickets::default();
        let ticket = tickets.open("broken kettle", None);
        let step = |step| tickets.step(&ticket.id, Some(ticket.token.as_str()), step);
        step(Step::Close).unwrap();
        assert_eq!(
            step(Step::Reply("hello".into())),
            Err(StepError::Conflict(TicketStatus::Closed))
        );
        step(Step::Reopen).unwrap();
        assert_eq!(step(Step::Reply("hello".into())).unwrap().replies, ["hello"]);
    }

    #[test]
    fn the_same_idempotency_key_opens_one_ticket() {
        let tickets = Tickets::default();
        let first = tickets.open("broken kettle", Some("k"));
        assert_eq!(tickets.open("broken kettle", Some("k")).id, first.id);
        assert_ne!(tickets.open("broken kettle", Some("other")).id, first.id);
    }

    #[test]
    fn the_oldest_tickets_go_first() {
        let tickets = Tickets::default();
        let first = tickets.open("first", Some("first"));
        for _ in 0..MOST_TICKETS {
            tickets.open("another", None);
        }
        let gone = tickets.step(&first.id, Some(first.token.as_str()), Step::Get);
        assert_eq!(gone, Err(StepError::Unknown));
        assert_ne!(tickets.open("first", Some("first")).id, first.id);
    }
}
