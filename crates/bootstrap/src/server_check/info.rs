//! What a server says of itself: the answer of `INFO`, and what follows from it.

use std::collections::HashMap;

/// The fields of `INFO`.
#[derive(Debug, Clone, Default)]
pub struct ServerInfo(HashMap<String, String>);

impl ServerInfo {
    /// Reads the answer of `INFO`; lines that are no fields are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let fields = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(':'));
        Self(
            fields
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Name and version for people.
    pub(super) fn version(&self) -> String {
        match (self.field("valkey_version"), self.field("redis_version")) {
            (Some(version), _) => format!("Valkey {version}"),
            (None, Some(version)) => format!("Redis {version}"),
            (None, None) => "an unknown server".to_owned(),
        }
    }

    /// Major and minor version of Redis, which Valkey states too. `None` when it says nothing that can be read.
    pub(super) fn redis_version(&self) -> Option<(u32, u32)> {
        let version = self.field("redis_version").or_else(|| self.field("valkey_version"))?;
        let mut parts = version.split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.field("redis_mode") == Some("cluster") || self.field("cluster_enabled") == Some("1")
    }

    pub(super) fn role_that_is_not_primary(&self) -> Option<String> {
        if self.field("redis_mode") == Some("sentinel") {
            return Some("sentinel".to_owned());
        }
        self.field("role").filter(|role| *role != "master").map(str::to_owned)
    }

    /// Why acknowledged writes may be gone one day; empty is what we want. Each says what to set.
    pub(super) fn reasons_to_forget(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        match self.field("aof_enabled") {
            Some("1") => {}
            Some(_) => reasons.push("it has no append-only file, set `appendonly yes`".to_owned()),
            None => reasons.push("it does not say whether it has an append-only file".to_owned()),
        }
        match self.field("maxmemory_policy") {
            Some("noeviction") => {}
            Some(policy) if self.evicts() => {
                reasons.push(format!(
                    "it evicts keys when memory is full ({policy}), set `maxmemory-policy noeviction`"
                ));
            }
            Some(_) => {}
            None => reasons.push("it does not say whether it evicts keys".to_owned()),
        }
        reasons
    }

    /// What works now and deserves a look.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(policy) = self
            .field("maxmemory_policy")
            .filter(|policy| *policy != "noeviction" && !self.evicts())
        {
            remarks.push(format!(
                "maxmemory-policy is {policy}: harmless only while maxmemory is 0, set it to noeviction"
            ));
        }
        if self.field("aof_enabled") == Some("1")
            && self.field("aof_last_write_status").is_some_and(|status| status != "ok")
        {
            remarks.push("the last write of the append-only file failed: look at the server's disk".to_owned());
        }
        remarks
    }

    fn evicts(&self) -> bool {
        self.field("maxmemory") != Some("0")
    }
}
