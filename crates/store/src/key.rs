//! Every key, spelled once. `lua/lib/keys.lua` builds the same names inside scripts.
//!
//! All keys of a shard share the hash tag `{<shard>}`, so that a script may touch any of them in a cluster. There
//! is one shard, `0`, today (see `docs/adr/`).

use testfleet_model::RunId;

/// The names of the keys under one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    root: String,
}

impl Keys {
    /// The keys under `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            root: format!("{prefix}:{{0}}"),
        }
    }

    /// What scripts get as `KEYS[1]`.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// A key of the shard itself: `ready:endpoints`, `leases`, `workers`, `delayed`, `control`, `dead`, `bell`, …
    #[must_use]
    pub fn shard(&self, name: &str) -> String {
        format!("{}:{name}", self.root)
    }

    /// The hash of a run.
    #[must_use]
    pub fn run(&self, run: RunId) -> String {
        format!("{}:run:{run}", self.root)
    }

    /// A part of a run: `config`, `tests`, `results`, `owners`, `again`, `tries`, `countdown`, `summary`.
    #[must_use]
    pub fn run_part(&self, run: RunId, part: &str) -> String {
        format!("{}:run:{run}:{part}", self.root)
    }

    /// The hash of an endpoint. It has a part at its end too: the name is somebody else's and may end in `:slots`.
    #[must_use]
    pub fn endpoint(&self, endpoint: &str) -> String {
        format!("{}:endpoint:{endpoint}:limits", self.root)
    }

    /// A part of an endpoint: `slots`, `tenants`, `lingering`, `history`, `<tenant>:waiting`.
    #[must_use]
    pub fn endpoint_part(&self, endpoint: &str, part: &str) -> String {
        format!("{}:endpoint:{endpoint}:{part}", self.root)
    }

    /// The hash of a worker incarnation.
    #[must_use]
    pub fn worker(&self, worker: &str) -> String {
        format!("{}:worker:{worker}", self.root)
    }

    /// The hash of a stored test configuration.
    #[must_use]
    pub fn configuration(&self, id: &str) -> String {
        format!("{}:config:{id}", self.root)
    }

    /// The hash of a baseline.
    #[must_use]
    pub fn baseline(&self, name: &str) -> String {
        format!("{}:baseline:{name}", self.root)
    }
}
