//! One file per decoder: it gives the input to the code that reads such things in the programs, and checks what must
//! hold whatever the input was. A check that fails panics.
//!
//! Everywhere: no panic; an error says something, and where; what was read and written again reads the same; no secret
//! is repeated. Time is bounded by whoever calls.
//!
//! An input is bytes. Where a decoder needs more than one text, they are separated by lines, so that inputs can be
//! written by hand and survive mutation: see [`input`].

pub mod baseline;
pub mod checkpoint;
pub mod claim;
pub mod configuration;
pub mod egress;
mod endpoint;
pub mod import;
mod input;
pub mod job;
pub mod judge;
pub mod mail;
pub mod metric;
pub mod request;
pub mod response;
pub mod result;
pub mod retry_after;
pub mod scalar;
mod server;
pub mod settings;
pub mod socket;
pub mod template;
pub mod test_set;
pub mod token;

/// A decoder by the name of its file, its target and its corpus.
pub type Decoder = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Decoder; 20] = [
    ("baseline", baseline::check),
    ("checkpoint", checkpoint::check),
    ("claim", claim::check),
    ("configuration", configuration::check),
    ("egress", egress::check),
    ("import", import::check),
    ("job", job::check),
    ("judge", judge::check),
    ("mail", mail::check),
    ("metric", metric::check),
    ("request", request::check),
    ("response", response::check),
    ("result", result::check),
    ("retry_after", retry_after::check),
    ("scalar", scalar::check),
    ("settings", settings::check),
    ("socket", socket::check),
    ("template", template::check),
    ("test_set", test_set::check),
    ("token", token::check),
];
