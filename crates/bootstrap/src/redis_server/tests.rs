//! Against the real server of this machine.

use std::io::Read;
use std::os::unix::net::UnixStream;

use super::*;

fn kept(directory: &Path) -> StartOptions {
    StartOptions {
        data_directory: Some(directory.to_owned()),
        append_only: true,
        ..StartOptions::default()
    }
}

fn ask(server: &PrivateRedis, words: &[&str]) -> String {
    let client = deadpool_redis::redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut command = deadpool_redis::redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    let value: deadpool_redis::redis::Value = command.query(&mut connection).unwrap();
    format!("{value:?}")
}

#[test]
fn a_started_server_answers_on_its_socket_and_leaves_nothing_behind() {
    let mut server = PrivateRedis::start(&StartOptions::default()).unwrap();
    assert!(server.is_running());
    assert!(server.url().starts_with("redis+unix:///"));
    assert_eq!(server.tcp_url(), None);
    assert!(ask(&server, &["PING"]).contains("PONG"));
    let directory = server.data_directory().to_owned();
    assert!(directory.exists());
    drop(server);
    assert!(!directory.exists());
}

#[test]
fn an_ordered_stop_keeps_the_data_for_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = PrivateRedis::start(&kept(directory.path())).unwrap();
    ask(&server, &["SET", "a", "kept"]);
    server.stop().unwrap();
    assert!(!server.is_running());
    drop(server);
    let server = PrivateRedis::start(&kept(directory.path())).unwrap();
    assert!(ask(&server, &["GET", "a"]).contains("kept"));
}

#[test]
fn a_restart_keeps_address_and_data() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = PrivateRedis::start(&StartOptions {
        tcp: true,
        ..kept(directory.path())
    })
    .unwrap();
    ask(&server, &["SET", "a", "kept"]);
    let before = (server.url(), server.tcp_url(), server.pid());
    server.restart().unwrap();
    assert_eq!((server.url(), server.tcp_url()), (before.0, before.1));
    assert_ne!(server.pid(), before.2);
    assert!(ask(&server, &["GET", "a"]).contains("kept"));
}

#[test]
fn a_killed_server_is_noticed_and_can_be_started_again() {
    let mut server = PrivateRedis::start(&StartOptions::default()).unwrap();
    send_signal(server.pid(), "KILL");
    assert!(poll(STOP_WITHIN, || !server.is_running()));
    assert!(matches!(server.stop(), Ok(())));
    server.restart().unwrap();
    assert!(server.is_running());
}

#[test]
fn a_second_owner_of_a_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = PrivateRedis::start(&kept(directory.path())).unwrap();
    let second = PrivateRedis::start(&kept(directory.path()));
    assert!(matches!(second, Err(StartError::InUse { .. })));
}

#[test]
fn a_server_left_by_a_killed_owner_is_ended_before_the_next_starts() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = PrivateRedis::start(&StartOptions::default()).unwrap();
    let mut connection = UnixStream::connect(elsewhere.socket()).unwrap();
    // The directory as a killed owner leaves it: no lock, and a note of a socket where a server answers.
    std::fs::write(
        directory.path().join("server.socket"),
        elsewhere.socket().display().to_string(),
    )
    .unwrap();
    let server = PrivateRedis::start(&kept(directory.path())).unwrap();
    assert_eq!(connection.read(&mut [0; 1]).unwrap(), 0, "the leftover has ended");
    assert!(ask(&server, &["PING"]).contains("PONG"));
}

/// Tells the process that plays the owner where to start its server.
const OWNER_DIRECTORY: &str = "OWNER_DIRECTORY";
const READY: &str = "ready";

#[test]
fn the_server_ends_when_its_owner_is_killed() {
    if let Some(directory) = std::env::var_os(OWNER_DIRECTORY).map(PathBuf::from) {
        return be_an_owner_until_killed(&directory);
    }
    let directory = tempfile::tempdir().unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args([
            "redis_server::tests::the_server_ends_when_its_owner_is_killed",
            "--exact",
        ])
        .env(OWNER_DIRECTORY, directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(
        poll(STOP_WITHIN * 3, || directory.path().join(READY).exists()),
        "the owner has started its server"
    );
    let socket = PathBuf::from(std::fs::read_to_string(directory.path().join("server.socket")).unwrap());
    let mut connection = UnixStream::connect(&socket).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(
        connection.read(&mut [0; 1]).unwrap(),
        0,
        "the connection ends with the server"
    );
    let own = socket.parent().unwrap().to_owned();
    assert!(poll(STOP_WITHIN, || !own.exists()), "and its directory goes too");
}

fn be_an_owner_until_killed(directory: &Path) {
    let _server = PrivateRedis::start(&kept(directory)).unwrap();
    std::fs::write(directory.join(READY), "").unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_server_that_refuses_its_settings_is_reported_with_its_log() {
    let options = StartOptions {
        settings: vec![("no-such-setting".to_owned(), "1".to_owned())],
        ..StartOptions::default()
    };
    let error = PrivateRedis::start(&options).unwrap_err();
    assert!(
        matches!(&error, StartError::Exited { log, .. } if log.contains("no-such-setting")),
        "{error}"
    );
}

#[test]
fn a_program_that_never_answers_is_killed_after_the_bound() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("server");
    std::fs::write(&program, "#!/bin/sh\necho warming up\nkill -s STOP $$\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let within = Duration::from_millis(300);
    let options = StartOptions {
        program: Some(program),
        ready_within: within,
        ..StartOptions::default()
    };
    let error = PrivateRedis::start(&options).unwrap_err();
    assert!(matches!(error, StartError::NotReady { .. }), "{error}");
}

#[test]
fn a_data_directory_with_a_long_path_and_spaces_is_fine() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("with spaces ".repeat(8)).join("x".repeat(120));
    let server = PrivateRedis::start(&kept(&deep)).unwrap();
    assert!(ask(&server, &["PING"]).contains("PONG"));
}
