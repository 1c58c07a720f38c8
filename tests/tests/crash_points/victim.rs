//! What happens to the process behind the proxy.

use std::process::Command;
use std::sync::{Arc, OnceLock};

use testfleet_testkit::{CommandProxy, Then};

use crate::point::{CrashPoint, Fault};
use crate::watch::name_of;

/// The process, once it has been started: its proxy is armed before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Victim {
    pid: Arc<OnceLock<u32>>,
    struck: Arc<OnceLock<String>>,
}

impl Victim {
    pub(crate) fn is(&self, pid: u32) {
        self.pid.set(pid).expect("one victim per case");
    }

    /// Arms the proxy with the fault of a point.
    pub(crate) fn await_at(&self, proxy: &CommandProxy, point: CrashPoint) {
        let victim = self.clone();
        proxy.arm(point.nth, point.at, move |command| {
            let _first = victim.struck.set(name_of(command));
            victim.suffer(point.fault)
        });
    }

    /// The command at which it was struck; `None` when it was not.
    pub(crate) fn struck(&self) -> Option<String> {
        self.struck.get().cloned()
    }

    fn suffer(&self, fault: Fault) -> Then {
        match fault {
            Fault::Cut => Then::Cut,
            Fault::CutAll => Then::CutAll,
            Fault::Kill => {
                signal(*self.pid.wait(), "KILL");
                Then::CutAll
            }
            Fault::Doze | Fault::Freeze => {
                signal(*self.pid.wait(), "STOP");
                Then::Hold
            }
        }
    }
}

/// Sends a signal to a process, which may have ended by itself meanwhile.
pub(crate) fn signal(pid: u32, signal: &str) {
    let output = Command::new("kill").args(["-s", signal, &pid.to_string()]).output();
    let output = output.expect("the command kill");
    let gone = String::from_utf8_lossy(&output.stderr).contains("No such process");
    assert!(
        output.status.success() || gone,
        "kill -s {signal} {pid} failed: {output:?}"
    );
}
