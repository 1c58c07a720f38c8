//! The name of this machine or container, for people to read.

use std::process::{Command, Stdio};

/// The host name, from the first of: the kernel (Linux), the environment, the `hostname` program. `localhost` when none
/// tells.
#[must_use]
pub fn host_name() -> String {
    let from_kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let from_environment = || std::env::var("HOSTNAME").ok();
    let named = |text: String| Some(text.trim().to_owned()).filter(|name| !name.is_empty());
    from_kernel()
        .and_then(named)
        .or_else(|| from_environment().and_then(named))
        .or_else(|| from_program().and_then(named))
        .unwrap_or_else(|| "localhost".to_owned())
}

fn from_program() -> Option<String> {
    let output = Command::new("hostname")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()
}
