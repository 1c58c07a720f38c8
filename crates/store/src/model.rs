//! Calls of models: limits that hold over all workers.
//!
//! A model has no runs that wait in a line: whoever wants to call asks, waits, and asks again. Its limits are brought by each
//! call and never stored.

use std::time::Duration;

use testfleet_model::configuration::ModelLimits;

use crate::admission::call_burst;
use crate::error::StoreError;
use crate::link::Store;
use crate::script;
use crate::submission::millis;

/// Whether a call of a model may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It may.
    Entered,
    /// Not before this time has passed; which limit says so: `hold`, `max_concurrency` or `rate`. Others may leave earlier.
    Wait(Duration, String),
}

impl Store {
    /// Lets a call of a model in, within its limits. `model` is the name under which they are kept, `permit` names the call of
    /// this worker: asking again with the same one is safe. After `lasts` its place is free in any case, so nothing may take
    /// longer; and once the worker has been taken for lost, to whoever finds no room.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn enter_model(
        &self,
        model: &str,
        worker: &str,
        permit: &str,
        limits: &ModelLimits,
        lasts: Duration,
    ) -> Result<Entry, StoreError> {
        let most = limits.max_concurrency.map(|most| most.to_string()).unwrap_or_default();
        let (interval, slack) = match &limits.rate {
            Some(rate) => {
                let interval = millis(rate.per).max(1) as f64 * 1_000.0 / rate.count.max(1) as f64;
                let slack = interval * (call_burst(rate).max(1) - 1) as f64;
                (format!("{interval:.3}"), format!("{slack:.3}"))
            }
            None => (String::new(), String::new()),
        };
        let mut answer = self
            .run(&script::ENTER_MODEL, |command| {
                command.arg(model).arg(worker).arg(permit).arg(millis(lasts).max(1));
                command.arg(&most).arg(&interval).arg(&slack);
            })
            .await?;
        match answer.text()?.as_str() {
            "entered" => Ok(Entry::Entered),
            "wait" => Ok(Entry::Wait(Duration::from_millis(answer.number()?), answer.text()?)),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// A call of a model is over. `hold`: how long its server wants nobody to call.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn leave_model(
        &self,
        model: &str,
        worker: &str,
        permit: &str,
        hold: Option<Duration>,
    ) -> Result<(), StoreError> {
        let hold = hold.map(|hold| millis(hold).to_string()).unwrap_or_default();
        let mut answer = self
            .run(&script::LEAVE_MODEL, |command| {
                command.arg(model).arg(worker).arg(permit).arg(&hold);
            })
            .await?;
        match answer.text()?.as_str() {
            "left" => Ok(()),
            other => Err(answer.unknown_word(other)),
        }
    }
}
