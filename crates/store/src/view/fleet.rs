//! What holds for the whole fleet, and the tenants that share it.

use std::collections::BTreeMap;

use deadpool_redis::redis::{Value, cmd, pipe};
use serde::Serialize;

use super::Hash;
use super::reading::read_sound;
use crate::error::StoreError;
use crate::link::Store;

/// The fleet as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FleetView {
    /// Tests in flight in all, at most; `None` means no limit.
    pub max_concurrency: Option<u32>,
    /// In which order the runs of a tenant are served: `fair` or `finish-first`.
    pub order: String,
    /// Tests in flight.
    pub in_flight: u64,
}

/// A tenant as operators see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TenantView {
    /// Its name.
    pub tenant: String,
    /// By which it shares endpoints with others.
    pub weight: f64,
    /// Its runs that wait, at all endpoints.
    pub waiting_runs: u64,
    /// Endpoints at which they wait.
    pub endpoints: u64,
}

impl Store {
    /// What holds for the whole fleet.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn fleet_view(&self) -> Result<FleetView, StoreError> {
        let keys = self.keys();
        let mut pipeline = pipe();
        pipeline
            .cmd("HMGET")
            .arg(keys.shard("fleet"))
            .arg("max_concurrency")
            .arg("order");
        pipeline.cmd("ZCARD").arg(keys.shard("leases"));
        pipeline.cmd("HLEN").arg(keys.shard("control:owners"));
        let mut rows = self
            .query_all::<Vec<Value>>("HMGET", pipeline.ignore_errors())
            .await?
            .into_iter();
        let (most, order): (Option<String>, Option<String>) = read_sound("HMGET", rows.next())?;
        let leases: u64 = read_sound("ZCARD", rows.next())?;
        let control: u64 = read_sound("HLEN", rows.next())?;
        Ok(FleetView {
            max_concurrency: most.and_then(|most| most.parse().ok()),
            order: order.unwrap_or_else(|| "fair".to_owned()),
            in_flight: leases.saturating_sub(control),
        })
    }

    /// Tenants that somebody has given a weight, and those with runs that wait, by name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn tenant_views(&self) -> Result<Vec<TenantView>, StoreError> {
        let mut command = cmd("HGETALL");
        command.arg(self.keys().shard("tenants"));
        let mut pipeline = pipe();
        pipeline.add_command(command);
        let mut rows = self
            .query_all::<Vec<Value>>("HGETALL", pipeline.ignore_errors())
            .await?
            .into_iter();
        let weights: Hash = read_sound("HGETALL", rows.next())?;
        let mut tenants: BTreeMap<String, TenantView> = BTreeMap::new();
        let weight_of = |tenant: &str| {
            weights
                .get(tenant)
                .and_then(|weight| weight.parse().ok())
                .unwrap_or(1.0)
        };
        let empty = |tenant: &str| TenantView {
            tenant: tenant.to_owned(),
            weight: weight_of(tenant),
            waiting_runs: 0,
            endpoints: 0,
        };
        for tenant in weights.keys() {
            tenants.insert(tenant.clone(), empty(tenant));
        }
        for endpoint in self.endpoint_names().await? {
            for (tenant, waiting_runs) in self.lines_at(&endpoint).await? {
                let view = tenants.entry(tenant.clone()).or_insert_with(|| empty(&tenant));
                view.waiting_runs += waiting_runs;
                view.endpoints += 1;
            }
        }
        Ok(tenants.into_values().collect())
    }
}
