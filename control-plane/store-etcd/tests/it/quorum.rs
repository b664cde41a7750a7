//! The suite once more, on three members whose leader was killed: two carry it, and one of the client's endpoints answers nothing.

use super::cluster::leader;
use super::*;
use tokio::sync::OnceCell;

/// One for all cases; with-etcd.sh ends it, and removes its folder with its own.
static BEREFT: OnceCell<Vec<String>> = OnceCell::const_new();

async fn bereft(folder: tempfile::TempDir) -> Server {
    let server = Server::start_in(folder, 3, &[]);
    let leads = leader(&server).await.to_string();
    server.sh("kill9", &[&leads]);
    while leader(&server).await.to_string() == leads {}
    server
}

async fn subject(own: bool) -> Etcd {
    let own = if own {
        Some(bereft(tempfile::tempdir().expect("a folder")).await)
    } else {
        None
    };
    let endpoints = match &own {
        Some(server) => server.endpoints.clone(),
        None => {
            let shared = BEREFT.get_or_init(async || {
                let beside = std::env::var("DRAY_TEST_ETCD_DIR").expect("DRAY_TEST_ETCD_DIR: run `make test`");
                let folder = tempfile::tempdir_in(std::path::Path::new(&beside).join("..")).expect("a folder");
                let server = std::mem::ManuallyDrop::new(bereft(folder).await);
                server.endpoints.clone()
            });
            shared.await.clone()
        }
    };
    Etcd {
        store: Arc::new(patient(&endpoints).await),
        endpoints,
        _own: own,
    }
}

dray_store::conformance!(tokio::test, subject);
