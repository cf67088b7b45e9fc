//! Files of people, in every form: `sync --file` reads them before it does anything else. Reading must
//! not panic, must give the same result each time, must give no person twice, and must give no more
//! people than the file has lines.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::LazyLock;

use permit_handoff::domain::directory::{Directory as _, Record};
use permit_handoff::domain::policy::Policy;
use permit_handoff::file::{FileDirectory, Format, Reading};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let source = |provider: &str| format!("[[source]]\nname = \"{provider}\"\nprovider = \"{provider}\"\n");
    let sources: String = ["firebase", "auth0", "cognito", "clerk"].map(source).concat();
    format!("{sources}[[grant]]\nwhen = {{ group = \"{{tenant}}/{{role}}\" }}\n").parse().expect("a policy")
});

/// The first byte chooses how the rest is read.
pub(crate) fn check(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    let format = if choice & 1 == 0 { Format::Csv } else { Format::Json };
    let name = ["crm", "firebase", "auth0", "cognito", "clerk"][usize::from(choice >> 3) % 5];
    let source = POLICY.sources.of_file(name).expect("a source");
    let columns = (choice & 2 != 0).then(|| vec!["sub".to_owned(), "groups".to_owned()]);
    let people = (choice & 4 != 0).then(|| "a.b".to_owned());
    let reading = Reading { format: Some(format), columns, people, ..Reading::default() };
    let Ok(directory) = FileDirectory::open(file.path(), &source, &reading, &POLICY) else { return };
    let (people, is_whole) = read(&directory);
    assert_eq!((people.clone(), is_whole), read(&directory), "it is read in two ways");
    let lines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r' | b'{' | b'[' | b',')).count() + 1;
    assert!(people.len() <= lines, "{} people in {lines} lines", people.len());
}

/// The people in the file, and whether it was read completely.
fn read(directory: &FileDirectory) -> (Vec<String>, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (sender, mut records) = tokio::sync::mpsc::channel(64);
        let (mut people, mut keys) = (Vec::new(), HashSet::new());
        let receive = async {
            while let Some(record) = records.recv().await {
                match record {
                    Record::Identity(identity) => {
                        let key = identity.key.as_str().to_owned();
                        assert!(keys.insert(key.clone()), "a person comes twice");
                        people.push(key);
                    }
                    Record::Invalid { user, reason, .. } => people.push(format!("{user} {reason}")),
                }
            }
        };
        let (read, ()) = tokio::join!(directory.read(None, sender), receive);
        (people, read.is_ok())
    })
}
