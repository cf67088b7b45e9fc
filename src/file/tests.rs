use std::fmt::Write as _;

use super::*;

const POLICY: &str = "[user]\nattributes = [\"locale\"]\n[[grant]]\ntenant = \"t\"\nrole = \"r\"";

struct Written {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn written(name: &str, bytes: impl AsRef<[u8]>) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Written { _folder: folder, path }
}

fn opened(file: &Written) -> Result<FileDirectory, String> {
    let policy: Policy = POLICY.parse().unwrap();
    let source = policy.sources.of_file("crm").unwrap();
    FileDirectory::open(&file.path, &source, &Reading::default(), &policy)
}

async fn people(directory: &FileDirectory) -> (Vec<Identity>, Vec<(String, Option<UserKey>)>, Summary) {
    let (sender, mut receiver) = mpsc::channel(8);
    let (mut people, mut invalid) = (Vec::new(), Vec::new());
    let receive = async {
        while let Some(record) = receiver.recv().await {
            match record {
                Record::Identity(identity) => people.push(identity),
                Record::Invalid { user, key, reason } => invalid.push((format!("{user}: {reason}"), key)),
            }
        }
    };
    let (read, ()) = tokio::join!(directory.read(None, sender), receive);
    (people, invalid, read.unwrap())
}

#[tokio::test]
async fn who_is_unsure_and_known_is_there_and_who_is_unknown_may_be_anybody() {
    let known = opened(&written("a.csv", "id,status\nu1,active\nu2,hibernating\n"));
    let file = written("b.csv", "id,status\nu1,active\nu2,hibernating\nu3\n");
    let u = |key| UserKey::new(key).unwrap();
    assert!(known.is_ok(), "{:?}", known.err());
    let directory = opened(&file).unwrap();
    let (people, invalid, summary) = people(&directory).await;
    assert_eq!(people.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["u1"]);
    assert_eq!(invalid.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>(), [Some(u("u2")), None]);
    assert!(invalid[1].0.starts_with("line 4: "), "{invalid:?}");
    assert!(summary.doubt.unwrap().contains("line 4"));
    assert_eq!(directory.contains(&u("u2")).await, Ok(true));
    assert!(directory.contains(&u("u9")).await.unwrap_err().0.contains("may be anybody's"));
}

#[tokio::test]
async fn nobody_is_missing_from_a_file_that_was_written_meanwhile() {
    let file = written("users.csv", "sub,locale\nu1,de\n");
    let directory = opened(&file).unwrap();
    let u2 = UserKey::new("u2").unwrap();
    assert_eq!(directory.contains(&u2).await, Ok(false));
    std::fs::write(&file.path, "sub,locale\nu1,de\nu2,fr\n").unwrap();
    assert!(directory.contains(&u2).await.unwrap_err().0.contains("run it again"));
    let (sender, _receiver) = mpsc::channel(8);
    assert!(directory.read(None, sender).await.is_err());
}

#[tokio::test]
async fn the_lines_of_one_person_wait_for_each_other_wherever_they_are() {
    let lines = "{\"sub\":\"u1\",\"groups\":[\"a\"]}\n{\"sub\":\"u2\"}\n{\"sub\":\"u1\",\"groups\":[\"b\"]}\n\
                 {\"sub\":\"u3\",\"locale\":\"de\"}\n{\"sub\":\"u3\",\"locale\":\"fr\"}\n{\"sub\":\"u2\",\"status\":\"odd\"}\n";
    let file = written("a.jsonl", lines);
    let directory = opened(&file).unwrap();
    let (people, invalid, summary) = people(&directory).await;
    assert_eq!(people.len(), 1);
    assert_eq!(people[0].groups, Some(["a".to_owned(), "b".to_owned()].into()));
    let told: Vec<&str> = invalid.iter().map(|(text, _)| text.as_str()).collect();
    assert!(
        told[0].starts_with("u3, line 4 and line 5: ") && told[1].starts_with("u2, line 2 and line 6: "),
        "{told:?}"
    );
    assert_eq!(summary.doubt, None, "all of them are known");
}

/// The most memory that this process has had, in KiB, as Linux counts it.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// So many people that they would take some 150 MiB together.
const MANY: u64 = 300_000;

/// Reads them, and says how much memory that took.
async fn read_many(file: Written) -> u64 {
    let before = peak_memory();
    let directory = opened(&file).unwrap();
    assert_eq!(directory.records(), MANY);
    let (sender, mut receiver) = mpsc::channel(8);
    let reading = tokio::spawn(async move { directory.read(None, sender).await });
    let mut people = 0;
    while let Some(record) = receiver.recv().await {
        assert!(matches!(record, Record::Identity(_)));
        people += 1;
    }
    reading.await.unwrap().unwrap();
    assert_eq!(people, MANY);
    peak_memory() - before
}

#[tokio::test]
async fn three_hundred_thousand_lines_are_streamed() {
    let mut text = String::from("sub,email,locale\n");
    (0..MANY).for_each(|n| writeln!(text, "user-{n:08},person-{n:08}@example.com,en-GB").unwrap());
    let file = written("users.csv", &text);
    drop(text);
    let grown = read_many(file).await;
    assert!(grown < 32 * 1024, "reading took {grown} KiB");
}

#[tokio::test]
async fn three_hundred_thousand_people_of_one_document_are_streamed() {
    let mut text = String::from("{\"users\": [");
    (0..MANY).for_each(|n| {
        let comma = if n == 0 { "" } else { "," };
        write!(text, "{comma}\n{{\"sub\": \"user-{n:08}\", \"email\": \"person-{n:08}@example.com\"}}")
            .unwrap();
    });
    text.push_str("]}");
    let file = written("users.json", &text);
    drop(text);
    let grown = read_many(file).await;
    assert!(grown < 32 * 1024, "reading took {grown} KiB");
}
