//! Files of people, in every form: `sync --file` reads them before anything is done. Reading must not panic, must end alike
//! whenever it is done, and must give no person twice.

#![no_main]

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use permit_handoff::domain::directory::{Directory as _, Record};
use permit_handoff::domain::policy::Policy;
use permit_handoff::file::{FileDirectory, Format, Reading};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    "[[source]]\nname = \"app\"\nprovider = \"firebase\"\n[[grant]]\nwhen = { group = \"{tenant}/{role}\" }\n".parse().expect("a policy")
});

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().expect("a runtime"));

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    let format = if choice & 1 == 0 { Format::Csv } else { Format::Json };
    let source = POLICY.sources.of_file(if choice & 2 == 0 { "crm" } else { "app" }).expect("a source");
    let columns = (choice & 4 != 0).then(|| vec!["sub".to_owned(), "groups".to_owned()]);
    let reading = Reading { format: Some(format), columns, ..Reading::default() };
    let Ok(directory) = FileDirectory::open(file.path(), &source, &reading, &POLICY) else { return };
    assert_eq!(read(&directory), read(&directory));
});

/// Who is in the file, and whether it was read whole.
fn read(directory: &FileDirectory) -> (Vec<String>, bool) {
    RUNTIME.block_on(async {
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
