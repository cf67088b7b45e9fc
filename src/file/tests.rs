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

fn opened(file: &Written, reading: Reading) -> Result<FileDirectory, String> {
    FileDirectory::open(&file.path, "crm", reading, &POLICY.parse().unwrap())
}

async fn people(directory: &FileDirectory) -> (Vec<Identity>, Vec<String>) {
    let (sender, mut receiver) = mpsc::channel(8);
    let (mut people, mut broken) = (Vec::new(), Vec::new());
    let receive = async {
        while let Some(record) = receiver.recv().await {
            match record {
                Record::Identity(identity) => people.push(identity),
                Record::Invalid { user, reason } => broken.push(format!("{user}: {reason}")),
            }
        }
    };
    let (read, ()) = tokio::join!(directory.read(None, sender), receive);
    read.unwrap();
    (people, broken)
}

fn keys(people: &[Identity]) -> Vec<&str> {
    people.iter().map(|identity| identity.key.as_str()).collect()
}

#[tokio::test]
async fn a_quote_that_is_never_closed_takes_nobody_with_it() {
    let file = written("users.csv", "sub,locale\r\nu1,de\r\nu2,\"fr\r\nu3,en\r\nu4,\"it\"\r\nu5\r\n");
    let directory = opened(&file, Reading::default()).unwrap();
    let (people, broken) = people(&directory).await;
    assert_eq!(keys(&people), ["u1", "u3", "u4"]);
    assert!(
        broken[0].starts_with("line 3: a quote is opened") && broken[1].starts_with("line 6: "),
        "{broken:?}"
    );
    // Either of the broken lines may be that of u2: nothing may be taken from them.
    let contains = async |key: &str| directory.contains(&UserKey::new(key).unwrap()).await;
    assert_eq!(contains("u3").await, Ok(true));
    assert!(contains("u2").await.unwrap_err().0.contains("may be anybody's"));
}

#[tokio::test]
async fn who_is_in_the_file_is_asked_anew_when_the_file_is_another() {
    let file = written("users.csv", "sub,locale\nu1,de\n");
    let directory = opened(&file, Reading::default()).unwrap();
    let u2 = UserKey::new("u2").unwrap();
    assert_eq!(directory.contains(&u2).await, Ok(false));
    std::fs::write(&file.path, "sub,locale\nu1,de\nu2,fr\n").unwrap();
    assert_eq!(directory.contains(&u2).await, Ok(true));
    std::fs::remove_file(&file.path).unwrap();
    assert!(directory.contains(&u2).await.is_err());
}

#[tokio::test]
async fn a_column_that_is_not_there_says_nothing_of_anybody() {
    let whole = opened(&written("a.csv", "sub,locale\nu1,\n"), Reading::default());
    let file = written("users.csv", "sub,email\nu1,a@example.com\n");
    let partial = opened(&file, Reading::default()).unwrap();
    let (people, _) = people(&partial).await;
    assert_eq!((&people[0].told, &people[0].groups), (&Told::nothing(), &None));
    let Form::Csv { told, .. } = &whole.unwrap().0.form else { panic!("no CSV") };
    assert_eq!(*told, Told::all());
}

#[tokio::test]
async fn a_file_without_a_header_is_read_by_the_columns_that_are_named() {
    let file =
        written("firebase.csv", "f1,one@example.com,true,hash,salt\nf2,two@example.com,false,hash,salt\n");
    let refused = opened(&file, Reading::default()).err().unwrap();
    assert!(refused.contains("--columns uid,email,emailVerified"), "{refused}");
    let columns = ["uid", "email", "emailVerified"].map(str::to_owned).to_vec();
    let reading = Reading { columns: Some(columns), ..Reading::default() };
    let (people, broken) = people(&opened(&file, reading).unwrap()).await;
    assert_eq!((keys(&people), broken.len()), (vec!["f1", "f2"], 0));
    assert!(people[0].verified_email.is_some() && people[1].verified_email.is_none());
}

#[test]
fn what_is_no_file_of_people_is_refused_with_what_to_do() {
    for (name, bytes, words) in [
        ("a.csv", "sub,email,email\n", "comes twice"),
        ("a.csv", "employee,mail\n", "--map employee=sub"),
        ("a.csv", "", "there is nothing in it"),
        ("a.json", "\n", "there is nothing in it"),
        ("a.json", "[{\"sub\": \"u\"}]", "jq -c '.[]'"),
        ("a.json", "{\"users\": [{\"localId\": \"f\"}]}", "jq -c '.users[]'"),
        ("a.json", "{\n \"users\": [\n", "jq -c '.users[]'"),
        ("a.csv", "s\0u\0b\0", "UTF-16"),
    ] {
        let refused = opened(&written(name, bytes), Reading::default()).err().unwrap();
        assert!(refused.contains(words), "{bytes}: {refused}");
    }
    assert!(
        opened(&written("a.csv", b"sub,na\xefve\n"), Reading::default()).err().unwrap().contains("UTF-8")
    );
}

/// The most memory that this process has had, in KiB, as Linux counts it.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_million_lines_are_streamed() {
    const LINES: usize = 1_000_000;
    let mut text = String::with_capacity(LINES * 60);
    text.push_str("sub,email,locale\n");
    (0..LINES).for_each(|n| writeln!(text, "user-{n:08},person-{n:08}@example.com,en-GB").unwrap());
    let file = written("users.csv", &text);
    drop(text);
    let directory = opened(&file, Reading::default()).unwrap();

    let (sender, mut receiver) = mpsc::channel(8);
    let before = peak_memory();
    let reading = tokio::spawn(async move { directory.read(None, sender).await });
    let mut people = 0;
    while let Some(record) = receiver.recv().await {
        assert!(matches!(record, Record::Identity(_)));
        people += 1;
    }
    reading.await.unwrap().unwrap();
    assert_eq!(people, LINES);
    // One person takes some hundred bytes: all of them together would take hundreds of MiB.
    let grown = peak_memory() - before;
    assert!(grown < 64 * 1024, "reading took {grown} KiB");
}
