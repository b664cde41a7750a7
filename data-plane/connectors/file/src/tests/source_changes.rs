//! What happens to a file while the source reads it.

use super::source::append;
use super::*;
use crate::watch::Watch;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn a_file_that_comes_later_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("later/in.txt");
    let mut task = reading(&file, None, &[]).await;
    assert_eq!(polled(&mut task).await, []);
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    assert_eq!(polled(&mut task).await, []);
    append(&file, b"hello\n");
    assert_eq!(next_lines(&mut task).await, lines(&[("hello", 6)]));
}

#[tokio::test(start_paused = true)]
async fn a_line_comes_once_it_is_complete() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    append(&file, b"one\ntw");
    let mut task = reading(&file, None, &[]).await;
    assert_eq!(polled(&mut task).await, lines(&[("one", 4)]));
    assert_eq!(polled(&mut task).await, []);
    append(&file, b"o");
    assert_eq!(polled(&mut task).await, []);
    append(&file, b"\nthree\n");
    assert_eq!(polled(&mut task).await, lines(&[("two", 8), ("three", 14)]));
}

#[tokio::test(start_paused = true)]
async fn a_truncated_file_is_read_from_its_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    append(&file, b"one\ntwo\nhalf");
    let mut task = reading(&file, None, &[]).await;
    assert_eq!(polled(&mut task).await.len(), 2);
    assert_eq!(polled(&mut task).await, []);
    std::fs::write(&file, "new\n").unwrap();
    assert_eq!(
        next_lines(&mut task).await,
        lines(&[("half", 0)]),
        "what was held back is not lost"
    );
    assert_eq!(next_lines(&mut task).await, lines(&[("new", 4)]));
}

#[tokio::test(start_paused = true)]
async fn a_position_beyond_the_end_starts_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    append(&file, b"one\n");
    assert_eq!(
        next_lines(&mut reading(&file, Some(5), &[]).await).await,
        lines(&[("one", 4)])
    );
    assert_eq!(
        polled(&mut reading(&file, Some(4), &[]).await).await,
        [],
        "the end itself is not beyond"
    );
}

#[tokio::test(start_paused = true)]
async fn a_replaced_file_is_read_to_its_end_before_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let (file, old) = (directory.path().join("in.txt"), directory.path().join("in.txt.1"));
    append(&file, b"one\n");
    let mut task = reading(&file, None, &[]).await;
    assert_eq!(polled(&mut task).await, lines(&[("one", 4)]));
    std::fs::rename(&file, &old).unwrap();
    append(&file, b"first of the new\n");
    append(&old, b"two\n");
    assert_eq!(next_lines(&mut task).await, lines(&[("two", 8)]));
    append(&old, b"three\nrest");
    assert_eq!(next_lines(&mut task).await, lines(&[("three", 14)]));
    assert_eq!(
        next_lines(&mut task).await,
        lines(&[("rest", 0)]),
        "a restart begins in the new file"
    );
    assert_eq!(next_lines(&mut task).await, lines(&[("first of the new", 17)]));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_file_is_read_on_until_there_is_another() {
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    let mut writer = std::fs::File::create(&file).unwrap();
    writer.write_all(b"one\n").unwrap();
    let mut task = reading(&file, None, &[]).await;
    assert_eq!(polled(&mut task).await, lines(&[("one", 4)]));
    std::fs::remove_file(&file).unwrap();
    for _ in 0..3 {
        assert_eq!(polled(&mut task).await, []);
    }
    writer.write_all(b"two\n").unwrap();
    assert_eq!(next_lines(&mut task).await, lines(&[("two", 8)]));
    append(&file, b"new\n");
    assert_eq!(next_lines(&mut task).await, lines(&[("new", 4)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_regular_file_fails() {
    let directory = tempfile::tempdir().unwrap();
    let mut task = reading(directory.path(), None, &[]).await;
    let error = task.poll(&mut SourceBatch::new()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("could not read '{}' at position 0", directory.path().display())
    );
}

/// On the real clock: the watcher's thread does not know about paused time.
#[tokio::test]
async fn news_of_a_file_arrive_and_of_others_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let (file, other) = (directory.path().join("in.txt"), directory.path().join("other.txt"));
    let (news, others) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let watch = Watch::new(&file, news.clone()).unwrap();
    let second = Watch::new(&other, others.clone()).unwrap();
    append(&file, b"created\n");
    timeout(Duration::from_secs(30), news.notified()).await.unwrap();
    drop(watch);
    append(&other, b"x\n");
    timeout(Duration::from_secs(30), others.notified()).await.unwrap();
    drop(second);
}
