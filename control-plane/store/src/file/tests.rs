//! The suite, and what a file goes through: crashes, damage, a second process, a full disk.

use super::disk::DiskFault;
use super::*;
use crate::conformance::{self, Journal, Subject};
use crate::{Change, WatchEvent, campaign, list_all};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind};
use std::process::{Command as Process, Stdio};
use tempfile::TempDir;
use tokio::time::Instant;

struct InFile {
    store: Arc<FileStore>,
    _folder: TempDir,
}

impl FileStore {
    async fn fault(&self, fault: DiskFault) {
        let commands = self.commands.as_ref().unwrap();
        assert!(commands.send(Command::Fault(fault)).await.is_ok());
    }
}

#[async_trait]
impl Subject for InFile {
    fn store(&self) -> Arc<dyn MetadataStore> {
        self.store.clone()
    }

    async fn compact(&self, revision: Revision) {
        self.store.ask(|reply| Command::Compact(revision, reply)).await.unwrap();
    }
}

async fn subject(_own: bool) -> InFile {
    let folder = tempfile::tempdir().unwrap();
    InFile {
        store: Arc::new(open(&folder)),
        _folder: folder,
    }
}

fn open(folder: &TempDir) -> FileStore {
    FileStore::open(folder.path(), History::default()).unwrap()
}

mod suite {
    use super::*;

    crate::conformance!(tokio::test, subject);
}

fn key() -> Key {
    Key::root("x")
}

async fn put(store: &FileStore, key: &Key, value: &str) -> Revision {
    match store.txn(Txn::new().put(key, value.to_owned())).await.unwrap() {
        TxnOutcome::Committed(revision) => revision,
        TxnOutcome::Conflict { .. } => unreachable!("it compares nothing"),
    }
}

#[tokio::test]
async fn everything_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let start = put(&store, &key(), "0").await;
    for number in 0..50 {
        put(&store, &key().child(number.to_string()), "x").await;
    }
    store
        .txn(Txn::new().delete(key().child("7").only()).put(&key(), vec![1; 1 << 20]))
        .await
        .unwrap();
    let all = list_all(&store, &Key::root("x").below()).await.unwrap();
    let above = store.get(&key(), Read::Linearizable).await.unwrap();
    assert_eq!(
        (all.value.len(), above.value.as_ref().unwrap().create_revision),
        (49, start)
    );
    let mut watch = store.watch(&key().below(), all.revision).await.unwrap();
    drop(store);
    assert!(matches!(watch.next().await, Some(Err(Error::Closed))));
    let store = open(&folder);
    assert_eq!(list_all(&store, &Key::root("x").below()).await.unwrap(), all);
    assert_eq!(store.get(&key(), Read::AtLeast(all.revision)).await.unwrap(), above);
    // History is not kept across a restart: a watcher from before is told; one that has seen all goes on.
    let mut old = store.watch(&key().below(), start).await.unwrap();
    assert_eq!(
        old.next().await.unwrap().unwrap(),
        WatchEvent::Compacted { oldest: all.revision }
    );
    let mut seen_all = store.watch(&key().below(), all.revision).await.unwrap();
    let next = put(&store, &key().child("next"), "x").await;
    assert_eq!(next, all.revision.next());
    assert!(matches!(seen_all.next().await, Some(Ok(WatchEvent::Batch { revision, .. })) if revision == next));
}

/// The leader is always ours: what a process of before left behind is gone when the folder is open. Leases that speak for nobody
/// live on, for their whole time.
#[tokio::test]
async fn leases_of_the_process_before_end() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, outcome) = (key().child("leader"), key().child("outcome"));
    let store: Arc<dyn MetadataStore> = Arc::new(open(&folder));
    let first = campaign(&store, &leader, "1".into(), Duration::from_secs(3600))
        .await
        .unwrap();
    let lease = store.grant(Duration::from_secs(5), LeaseKind::Expiry).await.unwrap();
    store
        .txn(Txn::new().put_leased(&outcome, "done", lease.id))
        .await
        .unwrap();
    let term = first.term();
    drop((first, store));
    let opening = Instant::now();
    let store: Arc<dyn MetadataStore> = Arc::new(open(&folder));
    let found = store.get(&outcome, Read::Linearizable).await.unwrap();
    assert_eq!(store.get(&leader, Read::Linearizable).await.unwrap().value, None);
    let campaigning = campaign(&store, &leader, "2".into(), Duration::from_secs(3600));
    let second = tokio::time::timeout(conformance::PATIENCE, campaigning)
        .await
        .expect("it does not wait for the lease of an hour")
        .unwrap();
    assert!(second.term() > term);
    assert_eq!(found.value.unwrap().lease, Some(lease.id));
    let mut watch = store.watch(&outcome.only(), found.revision).await.unwrap();
    let event = watch.next().await.unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Batch { changes, .. } if changes == [Change::Delete(outcome)]));
    assert!(
        opening.elapsed() + Duration::from_millis(100) >= lease.ttl,
        "{:?}",
        opening.elapsed()
    );
    let fresh = store.grant(Duration::from_secs(2), LeaseKind::Expiry).await.unwrap();
    assert!(fresh.id > lease.id, "a lease is never named twice");
}

#[tokio::test]
async fn a_second_process_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    put(&store, &key(), "1").await;
    match FileStore::open(folder.path(), History::default()) {
        Err(error @ Error::InUse { .. }) => {
            let text = error.to_string();
            assert!(
                text.contains(&std::process::id().to_string()) && text.contains(&folder.path().display().to_string()),
                "{text}"
            );
        }
        other => panic!("{:?}", other.err()),
    }
    put(&store, &key(), "2").await;
    drop(store);
    assert_eq!(
        open(&folder)
            .get(&key(), Read::Linearizable)
            .await
            .unwrap()
            .value
            .unwrap()
            .value,
        "2"
    );
}

/// Whatever is in the file instead of a store: a clear error, and the bytes stay as they are.
#[tokio::test]
async fn a_foreign_file_is_left_alone() {
    let foreign = tempfile::tempdir().unwrap();
    let other = redb::Database::create(foreign.path().join("other.redb")).unwrap();
    let write = other.begin_write().unwrap();
    write
        .open_table(redb::TableDefinition::<u64, u64>::new("theirs"))
        .unwrap();
    write.commit().unwrap();
    drop(other);
    let theirs = std::fs::read(foreign.path().join("other.redb")).unwrap();
    for (bytes, changes) in [
        (b"# not a database\n".to_vec(), false),
        (vec![0; 100_000], false),
        (Vec::new(), true),
        (theirs, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        std::fs::write(&path, &bytes).unwrap();
        match FileStore::open(folder.path(), History::default()) {
            Err(error @ Error::Unreadable { .. }) => assert!(error.to_string().contains("store.redb"), "{error}"),
            other => panic!("{} bytes: {:?}", bytes.len(), other.err()),
        }
        // redb writes its own header into an empty file, and rewrites its own database.
        assert!(changes || std::fs::read(&path).unwrap() == bytes);
    }
    // A store that is gone, though it was closed in order, is not begun anew without a word.
    let folder = tempfile::tempdir().unwrap();
    put(&open(&folder), &key(), "1").await;
    std::fs::remove_file(folder.path().join("store.redb")).unwrap();
    assert!(matches!(
        FileStore::open(folder.path(), History::default()),
        Err(Error::Unreadable { .. })
    ));
    // An older copy is noticed as well.
    let folder = tempfile::tempdir().unwrap();
    put(&open(&folder), &key(), "1").await;
    let older = std::fs::read(folder.path().join("store.redb")).unwrap();
    put(&open(&folder), &key(), "2").await;
    std::fs::write(folder.path().join("store.redb"), older).unwrap();
    assert!(matches!(
        FileStore::open(folder.path(), History::default()),
        Err(Error::Unreadable { .. })
    ));
}

/// A flipped byte anywhere is either an error or changes nothing that is kept; never a smaller or another store.
#[tokio::test]
async fn damage_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for number in 0..40 {
        put(&store, &key().child(number.to_string()), &"v".repeat(number * 20)).await;
    }
    let all = list_all(&store, &key().below()).await.unwrap();
    drop(store);
    let path = folder.path().join("store.redb");
    let lock = std::fs::read(folder.path().join("store.lock")).unwrap();
    let good = std::fs::read(&path).unwrap();
    let (mut refused, mut untouched) = (0, 0);
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    let places = (0..400)
        .chain((400..used).step_by(397))
        .chain((0..used).filter(|place| good[*place] == b'v').step_by(211));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut tried = 0;
    for place in places {
        let mut bad = good.clone();
        bad[place] ^= 0x55;
        std::fs::write(&path, &bad).unwrap();
        std::fs::write(folder.path().join("store.lock"), &lock).unwrap();
        tried += 1;
        match FileStore::open(folder.path(), History::default()) {
            Ok(store) => {
                let found = list_all(&store, &key().below()).await.unwrap();
                drop(store);
                if found != all {
                    std::panic::set_hook(hook);
                    panic!("byte {place}: {} entries at {}", found.value.len(), found.revision);
                }
            }
            Err(Error::Unreadable { .. }) => {
                refused += 1;
                untouched += usize::from(std::fs::read(&path).unwrap() == bad);
            }
            Err(other) => panic!("byte {place}: {other:?}"),
        }
    }
    std::panic::set_hook(hook);
    println!("{refused} of {tried} refused, {untouched} of them without a change to the file");
    assert!(refused > 100 && tried > 500, "{refused} of {tried}");
    assert_eq!(untouched, refused, "what is damaged stays as it is");
    // Cut off.
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    std::fs::write(folder.path().join("store.lock"), &lock).unwrap();
    assert!(matches!(
        FileStore::open(folder.path(), History::default()),
        Err(Error::Unreadable { .. })
    ));
    // Nothing of that was the end of it.
    std::fs::write(&path, &good).unwrap();
    std::fs::write(folder.path().join("store.lock"), &lock).unwrap();
    assert_eq!(list_all(&open(&folder), &key().below()).await.unwrap(), all);
}

/// A write to disk that fails is known to be there or not, because the file is read again.
#[tokio::test]
async fn a_failed_write_is_decided() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder));
    let first = put(&store, &key(), "1").await;
    store.fault(DiskFault::BeforeCommit(ErrorKind::StorageFull)).await;
    let full = store.txn(Txn::new().put(&key(), "2")).await.unwrap_err();
    assert!(matches!(full, Error::NoSpace { .. }), "{full:?}");
    store.fault(DiskFault::BeforeCommit(ErrorKind::Other)).await;
    assert!(store.txn(Txn::new().put(&key(), "2")).await.unwrap_err().is_retryable());
    assert_eq!(
        store
            .get(&key(), Read::Linearizable)
            .await
            .unwrap()
            .value
            .unwrap()
            .mod_revision,
        first
    );
    store.fault(DiskFault::AfterCommit(ErrorKind::Other)).await;
    let second = put(&store, &key(), "2").await;
    assert_eq!(second, first.next());
    assert_eq!(
        store
            .get(&key(), Read::Linearizable)
            .await
            .unwrap()
            .value
            .unwrap()
            .value,
        "2"
    );
    // The journal under many of them.
    let mut trouble = tokio::task::JoinSet::new();
    trouble.spawn({
        let store = store.clone();
        async move {
            for round in 0.. {
                tokio::time::sleep(Duration::from_millis(7)).await;
                let fault = if round % 2 == 0 {
                    DiskFault::BeforeCommit
                } else {
                    DiskFault::AfterCommit
                };
                store.fault(fault(ErrorKind::Other)).await;
            }
        }
    });
    let met = Journal::new(store.clone()).run(4, 40).await;
    trouble.shutdown().await;
    assert!(met.written == 160 && met.unavailable > 3, "{met:?}");
    let revision = store.get(&key(), Read::Linearizable).await.unwrap().revision;
    drop(store);
    assert_eq!(
        open(&folder).get(&key(), Read::Linearizable).await.unwrap().revision,
        revision
    );
}

/// While the file cannot be opened again the outcome is unknown; once it can, the write is there after all.
#[tokio::test]
async fn an_undecided_write_lands_later() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let first = put(&store, &key(), "1").await;
    let (path, away) = (folder.path().join("store.redb"), folder.path().join("away"));
    store.fault(DiskFault::AfterCommit(ErrorKind::Other)).await;
    // Under another name the open file is still written to, and cannot be opened again; a directory is in its place.
    std::fs::rename(&path, &away).unwrap();
    std::fs::create_dir(&path).unwrap();
    let unknown = store
        .txn(Txn::new().if_modified(&key(), first).put(&key(), "2"))
        .await
        .unwrap_err();
    assert!(unknown.is_unknown(), "{unknown:?}");
    assert!(store.txn(Txn::new().put(&key(), "3")).await.unwrap_err().is_retryable());
    assert_eq!(
        store
            .get(&key(), Read::Linearizable)
            .await
            .unwrap()
            .value
            .unwrap()
            .value,
        "1"
    );
    let mut watch = store.watch(&key().only(), first).await.unwrap();
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&away, &path).unwrap();
    let again = store
        .txn(Txn::new().if_modified(&key(), first).put(&key(), "2 again"))
        .await
        .unwrap();
    assert!(matches!(again, TxnOutcome::Conflict { .. }), "{again:?}");
    let event = watch.next().await.unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Batch { revision, .. } if revision == first.next()));
    assert_eq!(
        store
            .get(&key(), Read::Linearizable)
            .await
            .unwrap()
            .value
            .unwrap()
            .value,
        "2"
    );
}

/// `kill -9` at any moment: what was answered is there, and at most the write that was on its way besides.
#[tokio::test]
async fn a_crash_loses_nothing_that_was_answered() {
    const CHILD: &str = "DRAY_TEST_STORE_CHILD";
    if let Ok(folder) = std::env::var(CHILD) {
        let store = FileStore::open(Path::new(&folder), History::default()).unwrap();
        for number in list_all(&store, &key().below()).await.unwrap().value.len().. {
            put(
                &store,
                &key().child(format!("{number:06}")),
                &"x".repeat(number * 97 % 5_000),
            )
            .await;
            println!("number {number}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut answered = 0;
    for round in 0..12 {
        let mut child = Process::new(std::env::current_exe().unwrap());
        child.args([
            "file::tests::a_crash_loses_nothing_that_was_answered",
            "--exact",
            "--nocapture",
        ]);
        let mut child = child
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut seen = 0;
        for line in output.lines() {
            if let Some(number) = line.unwrap().split("number ").nth(1) {
                answered = number.parse::<usize>().unwrap() + 1;
                seen += 1;
                // Killed while the next writes are on their way.
                if seen == 5 + round * 3 {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        assert!(seen >= 5 + round * 3, "the child ended by itself after {seen}");
        let store = open(&folder);
        let found = list_all(&store, &key().below()).await.unwrap().value;
        let values: BTreeMap<_, _> = found
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.len()))
            .collect();
        assert!(
            found.len() == answered || found.len() == answered + 1,
            "{} found, {answered} answered",
            found.len()
        );
        for number in 0..found.len() {
            assert_eq!(values[&key().child(format!("{number:06}"))], number * 97 % 5_000);
        }
    }
}
