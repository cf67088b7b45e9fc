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

/// The error of `open` for a file and these options, if any.
fn refused(name: &str, bytes: impl AsRef<[u8]>, reading: &Reading) -> Option<String> {
    let file = written(name, bytes);
    let policy: Policy = POLICY.parse().unwrap();
    let source = policy.sources.of_file("crm").unwrap();
    FileDirectory::open(&file.path, &source, reading, &policy).err()
}

#[test]
fn a_slip_in_what_is_said_of_a_file_is_told_with_what_to_do() {
    let columns = |names: &[&str]| Reading {
        columns: Some(names.iter().map(|&name| name.to_owned()).collect()),
        ..Reading::default()
    };
    let mapped = |column: &str, claim: &str, ignored: &[&str]| Reading {
        mapped: vec![(column.to_owned(), claim.to_owned())],
        ignored: ignored.iter().map(|&name| name.to_owned()).collect(),
        ..Reading::default()
    };
    let none = Reading::default();
    let gz = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
    let text = "7,a@acme.com\n";
    for (name, bytes, reading, said) in [
        ("a.csv", text.as_bytes(), columns(&["id", "id"]), "the column `id` comes twice"),
        ("a.csv", text.as_bytes(), columns(&["id", "emial"]), "did you mean `email`?"),
        ("a.csv", b"id,Active\n1,yes\n", mapped("Active", "status", &["Active"]), "leave out one of them"),
        ("a.csv", b"id,Active\n1,yes\n", mapped("Actvie", "status", &[]), "did you mean `Active`?"),
        ("a.csv", b"[{\"id\":1}]", none.clone(), "--format json"),
        ("a.json", b"id,email\n1,a@acme.com\n", none.clone(), "--format csv"),
        ("a.csv", &gz, none.clone(), "unpack it"),
        ("a.csv", b"PK\x03\x04\0\0", none.clone(), "save it as CSV"),
        ("a.csv", b"i\0d\0,\0", none.clone(), "UTF-16"),
        ("a.csv", b" \n\n", none.clone(), "there is nothing in it"),
        (
            "a.json",
            b"{\"First Name\":\"x\",\"Employee ID\":7}",
            none.clone(),
            "--map 'Employee ID=sub'; if the people are",
        ),
        ("a.jsonl", b"[{\"n\":1}]", none.clone(), "--people members"),
        (
            "a.csv",
            b"First Name,Login\nx,y\n",
            none.clone(),
            "--map Login=sub; without a header line, name the columns",
        ),
        ("a.csv", b"First Name,Surname\nx,y\n", none, "--map COLUMN=sub"),
    ] {
        let refused = refused(name, bytes, &reading).unwrap_or_default();
        assert!(refused.contains(said), "{name} {}: {refused}", String::from_utf8_lossy(bytes));
    }
    for (bytes, reading) in [
        ("7,x,a@acme.com\n", columns(&["id", "", "email"])),
        ("7|a@acme.com\n", columns(&["id", " email"])),
        ("id|email|First, Last\n7|a@acme.com|x\n", Reading::default()),
    ] {
        assert_eq!(refused("a.csv", bytes, &reading), None, "{bytes}");
    }
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

/// The peak memory of this process, in KiB, as Linux counts it.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Enough people to need some 150 MiB together.
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

/// The CSV of `firebase auth:export`, which leaves some texts that people write unquoted.
mod unquoted {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const POLICY: &str = "[[source]]\nname = \"app\"\nprovider = \"firebase\"\n[[grant]]\nwhen = { group = \"{tenant}/{role}\" }\n";

    #[derive(Clone, Debug)]
    struct Account {
        name: String,
        photo: String,
        disabled: Option<bool>,
        is_admin: bool,
    }

    impl Account {
        fn key(n: usize) -> String {
            format!("fb{n}")
        }

        fn email(n: usize) -> String {
            format!("p{n}@acme.com")
        }

        /// A line as the versions with 28 columns write it. `quotes` quotes names as later versions do.
        fn line(&self, n: usize, quotes: bool) -> String {
            let name = match (&self.name, quotes) {
                (name, false) if name.contains(',') => format!("\"{name}\""),
                (name, true) if name.contains([',', '"', '\n', '\r']) => {
                    format!("\"{}\"", name.replace('"', "\"\""))
                }
                (name, _) => name.clone(),
            };
            let disabled = self.disabled.map(|disabled| disabled.to_string()).unwrap_or_default();
            let custom = if self.is_admin { "\"{\"\"groups\"\":[\"\"acme/admin\"\"]}\"" } else { "" };
            let photo = &self.photo;
            let (key, email, between) = (Self::key(n), Self::email(n), ",".repeat(16));
            format!(
                "{key},{email},true,,,{name},{photo},{between}1690000000000,1700000000000,,{disabled},{custom},\n"
            )
        }
    }

    /// A line in the exporter's form, for any person.
    fn forged() -> impl Strategy<Value = String> {
        (0_usize..5, any::<bool>(), any::<bool>()).prop_map(|(n, disabled, is_admin)| {
            let one =
                Account { name: "x".to_owned(), photo: String::new(), disabled: Some(disabled), is_admin };
            one.line(n, true)
        })
    }

    /// Text from a malicious person.
    fn text() -> impl Strategy<Value = String> {
        let pieces = select(vec![
            "\"",
            "\"\"",
            ",",
            "\n",
            "\r\n",
            "x",
            "fb1",
            ",,,,,,,,,,,,,,,,1690000000000,,,false,,",
        ]);
        let piece = prop_oneof![4 => pieces.prop_map(str::to_owned), 1 => forged()];
        prop_oneof![
            2 => Just(String::new()),
            1 => prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat()),
            1 => forged().prop_map(|line| format!("x,{}1,2,,false,,\n{line}fb9,q@acme.com,true,,,x,", ",".repeat(16))),
        ]
    }

    fn accounts() -> impl Strategy<Value = Vec<Account>> {
        let account = (text(), text(), prop::option::of(any::<bool>()), any::<bool>());
        let account =
            account.prop_map(|(name, photo, disabled, is_admin)| Account { name, photo, disabled, is_admin });
        prop::collection::vec(account, 2..6)
    }

    #[tokio::test]
    async fn a_line_before_a_part_of_one_is_unsure() {
        let one = |photo: &str| Account {
            name: "x".to_owned(),
            photo: photo.to_owned(),
            disabled: Some(true),
            is_admin: false,
        };
        let own = format!("x{},1,2,,false,\"{{\"\"groups\"\":[\"\"acme/admin\"\"]}}\",\n", ",".repeat(16));
        let lines = [one("").line(0, true), one(&own).line(1, true), one("").line(2, true)].concat();
        let file = written("users.csv", lines);
        let policy: Policy = POLICY.parse().unwrap();
        let source = policy.sources.of_file("app").unwrap();
        let directory = FileDirectory::open(&file.path, &source, &Reading::default(), &policy).unwrap();
        let (people, invalid, summary) = super::people(&directory).await;
        assert_eq!(people.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["fb0", "fb2"]);
        let told: Vec<&str> = invalid.iter().map(|(text, _)| text.as_str()).collect();
        assert!(told[0].starts_with("fb1, line 2: ") && told[1].starts_with("line 3: "), "{told:?}");
        assert!(summary.doubt.is_some() && directory.notes()[0].contains("Use the JSON export"));
    }

    proptest! {
        /// Whatever people write, everyone else is read as the directory has them, or reported as unsure,
        /// and no one is read as another person. A person can only forge what follows their own text. A
        /// person who was not read does not count as having left.
        #[test]
        fn nobody_of_the_directory_is_another_by_what_people_write(accounts in accounts(), quotes in any::<bool>()) {
            let lines = accounts.iter().enumerate().map(|(n, account)| account.line(n, quotes));
            let file = written("users.csv", lines.collect::<String>());
            let policy: Policy = POLICY.parse().unwrap();
            let source = policy.sources.of_file("app").unwrap();
            let directory = FileDirectory::open(&file.path, &source, &Reading::default(), &policy).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (people, is_whole) = runtime.block_on(async {
                let (sender, mut receiver) = mpsc::channel(64);
                let mut people = BTreeMap::new();
                let receive = async {
                    while let Some(record) = receiver.recv().await {
                        match record {
                            Record::Identity(identity) => drop(people.insert(identity.key.as_str().to_owned(), Some(identity))),
                            Record::Invalid { key, .. } => drop(key.map(|key| people.insert(key.as_str().to_owned(), None))),
                        }
                    }
                };
                let (read, ()) = tokio::join!(directory.read(None, sender), receive);
                (people, read.is_ok_and(|summary| summary.doubt.is_none()))
            });
            for (n, account) in accounts.iter().enumerate() {
                let Some(found) = people.get(&Account::key(n)) else {
                    prop_assert!(!is_whole, "{} is missing", Account::key(n));
                    continue;
                };
                let Some(found) = found else { continue };
                prop_assert!(!found.evidence.adopts, "it takes on no user of somebody else's");
                prop_assert_eq!(found.email.as_ref().unwrap().as_str(), Account::email(n));
                if [&account.name, &account.photo].iter().any(|text| text.contains(['"', ',', '\n', '\r'])) {
                    continue;
                }
                prop_assert_eq!(found.enabled, account.disabled != Some(true));
                let groups: Vec<&String> = found.groups.iter().chain([&found.known_groups]).flatten().collect();
                prop_assert_eq!(!groups.is_empty(), account.is_admin, "{:?}", groups);
            }
        }
    }
}
