//! The page of a run, in a real browser.

use std::path::Path;
use std::process::{Command, Output};

use stand_ins::Person;

use super::{POLICY, World};

/// What the browser makes of a page.
fn browse(page: &Path, arguments: &[&str]) -> Output {
    let browser = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    });
    let browser =
        browser.unwrap_or_else(|| panic!("install a browser first, as in apt-get install chromium"));
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-component-update",
    ]);
    command.args(["--disable-background-networking", "--disable-sync", "--disable-dev-shm-usage"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.args(["--enable-logging=stderr", "--v=0"]).args(arguments);
    command.arg(format!("file://{}", page.display())).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_shows_the_page_on_a_phone_and_asks_nobody_for_anything() {
    let world = World::start().await;
    for n in 0..30 {
        let person = Person::new(&format!("person-with-a-rather-long-address-{n}@department.example.com"))
            .with("given_name", "<img src=https://evil.example.com/x onerror=alert(1)>")
            .in_group("acme/editor")
            .in_group("nowhere/editor");
        world.pool.add(&person).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("sync.html");
    let (exit, text) = world.run(POLICY, &[], &["sync", "--report", report.to_str().unwrap()]).await;
    assert_eq!(exit, 1, "{text}");

    let shown = tokio::task::block_in_place(|| browse(&report, &["--dump-dom"]));
    let dom = String::from_utf8(shown.stdout).unwrap();
    assert!(dom.contains("<h1>Bulk sync</h1>") && dom.contains("<svg") && dom.contains("Rejected"), "{dom}");
    assert!(!dom.contains("<img"), "a name became an element: {dom}");
    let log = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(!log.contains("CONSOLE"), "the page's own policy stops some of it: {log}");

    // Whether anything is wider than a phone: the page stands in a frame of that width, and the frame is measured.
    let html = std::fs::read_to_string(&report).unwrap();
    let source = html.replace('&', "&amp;").replace('"', "&quot;");
    let harness = folder.path().join("harness.html");
    let measured = format!(
        "<!doctype html><iframe width=400 height=800 srcdoc=\"{source}\" onload=\"\
         const page = this.contentDocument.documentElement;\
         document.title = [page.clientWidth, page.scrollWidth, page.ownerDocument.querySelectorAll('svg').length]\
         .join(' ')\"></iframe>"
    );
    std::fs::write(&harness, measured).unwrap();
    let shown = tokio::task::block_in_place(|| browse(&harness, &["--dump-dom"]));
    let dom = String::from_utf8(shown.stdout).unwrap();
    let title = dom.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0;
    let numbers: Vec<u32> = title.split(' ').map(|number| number.parse().unwrap()).collect();
    let [width, needed, charts] = numbers[..] else { panic!("{title}") };
    assert!(width > 350 && needed <= width, "{needed} px of content in {width} px");
    assert_eq!(charts, 3);
}
