//! The suite on a real etcd, and what only a real one can show. `make test` starts it; one test:
//! `deploy/rig/with-etcd.sh cargo test -p dray-store-etcd NAME`.

mod cluster;
mod faults;
mod quorum;
mod secure;
mod server;

use async_trait::async_trait;
use dray_store::conformance::{PATIENCE, Subject};
use dray_store::{MetadataStore, Revision};
use dray_store_etcd::{EtcdConfig, EtcdStore};
use server::Server;
use std::sync::Arc;

struct Etcd {
    store: Arc<EtcdStore>,
    endpoints: Vec<String>,
    _own: Option<Server>,
}

#[async_trait]
impl Subject for Etcd {
    fn store(&self) -> Arc<dyn MetadataStore> {
        self.store.clone()
    }

    async fn compact(&self, revision: Revision) {
        let mut members = Vec::new();
        for endpoint in &self.endpoints {
            let mut member = etcd_client::Client::connect([endpoint], None).await.expect("a client");
            // One that is down answers nothing.
            if member.status().await.is_ok() {
                members.push(member);
            }
        }
        let compacted = members[0].compact(revision.get().cast_signed(), None).await;
        compacted.expect("compacted");
        // A member that is behind would still show what another has forgotten.
        for member in &mut members {
            member.get("x", None).await.expect("a read");
        }
    }

    fn answers_progress(&self) -> bool {
        self.store.answers_progress()
    }
}

/// A store for tests that are not about an etcd which stands still for some seconds, as a busy disk makes it.
async fn patient(endpoints: &[String]) -> EtcdStore {
    let patient = EtcdConfig {
        timeout: PATIENCE,
        attempt: PATIENCE,
        ..EtcdConfig::new(endpoints)
    };
    EtcdStore::connect(patient).await.expect("a store")
}

async fn subject(own: bool) -> Etcd {
    let own = own.then(|| Server::start(1, &[]));
    let endpoints = own
        .as_ref()
        .map_or_else(server::shared, |server| server.endpoints.clone());
    Etcd {
        store: Arc::new(patient(&endpoints).await),
        endpoints,
        _own: own,
    }
}

dray_store::conformance!(tokio::test, subject);
