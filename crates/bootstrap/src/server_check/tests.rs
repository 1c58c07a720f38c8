//! Against real servers with different settings, and against answers of servers that are not here.

use super::*;
use crate::redis_server::{PrivateRedis, StartOptions};

const OPTIONS: CheckOptions = CheckOptions {
    connect_timeout: Duration::from_secs(5),
    response_timeout: Duration::from_secs(5),
    allow_volatile: false,
};

fn server(settings: &[(&str, &str)]) -> PrivateRedis {
    let settings = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    PrivateRedis::start(&StartOptions {
        append_only: true,
        settings,
        ..StartOptions::default()
    })
    .unwrap()
}

async fn check(server: &PrivateRedis) -> Result<ServerReport, ServerCheckError> {
    check_url(&SecretUrl::new(server.url()), OPTIONS).await
}

async fn check_as(server: &PrivateRedis, credentials: &str) -> Result<ServerReport, ServerCheckError> {
    check_url(&SecretUrl::new(format!("{}?{credentials}", server.url())), OPTIONS).await
}

#[tokio::test]
async fn a_private_server_with_an_append_only_file_passes_without_warnings() {
    let report = check(&server(&[])).await.unwrap();
    assert!(
        report.version.starts_with("Redis ") || report.version.starts_with("Valkey "),
        "{report:?}"
    );
    assert_eq!(report.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_forgets_is_refused_unless_that_is_allowed() {
    let forgetful = server(&[
        ("appendonly", "no"),
        ("maxmemory", "50mb"),
        ("maxmemory-policy", "allkeys-lru"),
    ]);
    let error = check(&forgetful).await.unwrap_err();
    assert!(
        matches!(&error, ServerCheckError::Volatile { reasons, .. } if reasons.len() == 2),
        "{error}"
    );
    for part in ["appendonly yes", "maxmemory-policy noeviction", "redis.allow_volatile"] {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
    let allowed = CheckOptions {
        allow_volatile: true,
        ..OPTIONS
    };
    let report = check_url(&SecretUrl::new(forgetful.url()), allowed).await.unwrap();
    assert_eq!(report.warnings.len(), 2);
}

#[tokio::test]
async fn an_evicting_policy_without_a_memory_limit_is_only_a_warning() {
    let report = check(&server(&[("maxmemory-policy", "allkeys-lru")])).await.unwrap();
    assert_eq!(report.warnings.len(), 1, "{report:?}");
}

#[tokio::test]
async fn a_missing_and_a_wrong_password_are_told_apart() {
    let locked = server(&[("requirepass", "hunter2")]);
    assert!(matches!(
        check(&locked).await,
        Err(ServerCheckError::PasswordMissing { .. })
    ));
    let error = check_as(&locked, "pass=hunter3").await.unwrap_err();
    assert!(matches!(error, ServerCheckError::PasswordWrong { .. }), "{error}");
    assert!(!error.to_string().contains("hunter"), "{error}");
    check_as(&locked, "pass=hunter2").await.unwrap();
}

#[tokio::test]
async fn a_user_without_rights_is_told_which_command_it_lacks() {
    let limited = server(&[("user", "ada on >lovelace ~* +@all -info")]);
    let error = check_as(&limited, "user=ada&pass=lovelace").await.unwrap_err();
    assert!(
        matches!(error, ServerCheckError::NotPermitted { command: "INFO", .. }),
        "{error}"
    );
    let limited = server(&[("user", "ada on >lovelace ~* +@all -fcall")]);
    let error = check_as(&limited, "user=ada&pass=lovelace").await.unwrap_err();
    assert!(
        matches!(error, ServerCheckError::NotPermitted { command: "FCALL", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn the_rights_that_the_message_recommends_are_enough() {
    let limited = server(&[("user", "ada on >lovelace ~* +@all -@dangerous +info")]);
    check_as(&limited, "user=ada&pass=lovelace").await.unwrap();
}

#[tokio::test]
async fn a_server_without_config_command_passes() {
    let closed = server(&[("user", "default on nopass ~* +@all -config")]);
    check(&closed).await.unwrap();
}

#[tokio::test]
async fn a_dead_server_refuses_and_a_frozen_one_runs_into_the_timeout() {
    let mut gone = server(&[]);
    gone.pause();
    let hasty = CheckOptions {
        response_timeout: Duration::from_millis(100),
        connect_timeout: Duration::from_millis(100),
        ..OPTIONS
    };
    let error = check_url(&SecretUrl::new(gone.url()), hasty).await.unwrap_err();
    assert!(matches!(error, ServerCheckError::Timeout { .. }), "{error}");
    gone.kill();
    assert!(matches!(check(&gone).await, Err(ServerCheckError::Refused { .. })));
}

#[tokio::test]
async fn an_unknown_host_is_unreachable_and_a_strange_url_is_no_url() {
    let error = check_url(&SecretUrl::new("redis://nowhere.invalid"), OPTIONS)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ServerCheckError::Unreachable { .. } | ServerCheckError::Timeout { .. }
        ),
        "{error}"
    );
    let error = check_url(&SecretUrl::new("http://h"), OPTIONS).await.unwrap_err();
    assert!(matches!(error, ServerCheckError::Url { .. }), "{error}");
}

#[tokio::test]
async fn a_replica_is_refused() {
    let replica = server(&[("replicaof", "127.0.0.1 1")]);
    let error = check(&replica).await.unwrap_err();
    assert!(
        matches!(&error, ServerCheckError::NotPrimary { role, .. } if role == "slave"),
        "{error}"
    );
}

#[tokio::test]
async fn a_node_of_a_cluster_is_refused() {
    let node = server(&[("cluster-enabled", "yes")]);
    let error = check(&node).await.unwrap_err();
    assert!(matches!(&error, ServerCheckError::Cluster { .. }), "{error}");
}

#[test]
fn old_versions_are_refused_and_a_valkey_is_called_by_its_name() {
    let info = |version: &str| {
        ServerInfo::parse(&format!(
            "{version}\r\nrole:master\r\naof_enabled:1\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
        ))
    };
    for old in ["redis_version:6.2.14", "redis_version:soon", "other:1"] {
        assert!(
            matches!(judge(&info(old), "u", true), Err(ServerCheckError::TooOld { .. })),
            "{old}"
        );
    }
    let report = judge(&info("redis_version:7.2.4\r\nvalkey_version:9.1.0"), "u", false).unwrap();
    assert_eq!(report.version, "Valkey 9.1.0");
    assert_eq!(
        judge(&info("redis_version:7.0.15"), "u", false).unwrap().version,
        "Redis 7.0.15"
    );
}

#[test]
fn a_server_that_does_not_say_is_not_trusted() {
    let info = ServerInfo::parse("redis_version:7.4.0\r\nrole:master\r\n");
    assert!(matches!(judge(&info, "u", false), Err(ServerCheckError::Volatile { reasons, .. }) if reasons.len() == 2));
}
