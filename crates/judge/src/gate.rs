//! Who may call a model now: the limits of models hold over all workers, and who keeps them is not known here.

use std::time::Duration;

use futures_util::future::BoxFuture;
use testfleet_model::configuration::ModelLimits;

/// A model's limits, and the name under which they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The name.
    pub key: String,
    /// The limits of the configuration that calls.
    pub limits: ModelLimits,
    /// The longest that a call may take: when it is over, its place is free whatever became of the caller.
    pub longest: Duration,
}

/// Lets calls in.
pub trait Gate: std::fmt::Debug + Send + Sync {
    /// Waits until a call may begin. It may wait for long; the caller has the time of its test, and stops waiting when that
    /// is over. `holder`: the incarnation of the worker that calls; what it holds ends with it.
    fn enter<'a>(&'a self, model: &'a Limited, holder: &'a str) -> BoxFuture<'a, Box<dyn Pass>>;
}

/// The place of a call. Dropping it gives the place back as well as can be; [`Pass::leave`] does so for certain.
pub trait Pass: Send {
    /// The call is over. `hold`: how long the server wants nobody to call, where it said so.
    fn leave(self: Box<Self>, hold: Option<Duration>) -> BoxFuture<'static, ()>;
}

/// Lets everybody in.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenGate;

impl Gate for OpenGate {
    fn enter<'a>(&'a self, _: &'a Limited, _: &'a str) -> BoxFuture<'a, Box<dyn Pass>> {
        Box::pin(async { Box::new(OpenPass) as Box<dyn Pass> })
    }
}

struct OpenPass;

impl Pass for OpenPass {
    fn leave(self: Box<Self>, _: Option<Duration>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}
