//! The page of a run, in a real browser.

use std::path::Path;
use std::process::{Command, Output};

use stand_ins::{Person, project_root};

use super::{POLICY, World};

/// Opens the page in a headless browser. Returns the browser's output.
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

/// How long a page's scripts may wait, in virtual time.
const WAITS: &str = "--virtual-time-budget=20000";

/// Writes the page without its content security policy, and with these scripts at its end.
fn with_scripts(page: &Path, harness: &Path, scripts: &[&str]) {
    let html = std::fs::read_to_string(page).unwrap();
    let (before, after) = html.split_once("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
    let open = format!("{before}{}", after.split_once('>').unwrap().1);
    let scripts = format!("<script>{}</script>", scripts.join("</script><script>"));
    std::fs::write(harness, open.replace("</body>", &format!("{scripts}</body>"))).unwrap();
}

/// The title that these scripts set.
fn probed(page: &Path, harness: &Path, scripts: &[&str], more: &[&str]) -> String {
    with_scripts(page, harness, scripts);
    let shown = browse(harness, &[&["--dump-dom"], more].concat());
    let dom = String::from_utf8(shown.stdout).unwrap();
    let title = dom.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0;
    title.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// A person searches, filters, sorts and opens a person's row.
const USED: &str = "(async () => {
  const at = id => document.getElementById(id);
  const shown = () => [...document.querySelectorAll('#people tbody th')].map(th => th.textContent);
  const said = [at('count').textContent];
  const set = async (id, value) => {
    at(id).value = value;
    at(id).dispatchEvent(new Event('input', {bubbles: true}));
    at(id).dispatchEvent(new Event('change', {bubbles: true}));
    await new Promise(done => setTimeout(done, 200));
  };
  await set('search', 'address-7');
  said.push(shown().join('+'));
  const button = document.querySelector('#people tbody th button');
  button.click();
  said.push(button.getAttribute('aria-expanded'), document.querySelector('.why').textContent);
  await set('search', '');
  await set('problem', 'any');
  said.push(at('count').textContent);
  await set('problem', '');
  await set('role', 'acme/editor');
  said.push(at('count').textContent);
  await set('role', '');
  document.querySelector('[data-sort=name]').click();
  said.push(shown()[0], document.querySelector('#people thead th').getAttribute('aria-sort'));
  document.title = said.join(' | ');
})()";

/// What axe-core finds, in the light and the dark colours.
const AXE: &str = "(async () => {
  document.querySelector('#people tbody th button').click();
  const found = await axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']});
  document.title = 'axe: ' + JSON.stringify(found.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 120))]));
})()";

async fn synced_page(world: &World, folder: &Path) -> std::path::PathBuf {
    for n in 0..30 {
        let person = Person::new(&format!("person-with-a-rather-long-address-{n}@department.example.com"))
            .with("given_name", "<img src=https://evil.example.com/x onerror=alert(1)>")
            .in_group(if n < 10 { "acme/editor" } else { "acme/viewer" })
            .in_group(if n % 2 == 0 { "nowhere/editor" } else { "readers" });
        world.pool.add(&person).await.unwrap();
    }
    let report = folder.join("sync.html");
    let (exit, text) = world.run(POLICY, &[], &["sync", "--report", report.to_str().unwrap()]).await;
    assert_eq!(exit, 1, "{text}");
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_searched_filtered_and_opened_in_a_browser_and_anybody_can_use_it() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let report = synced_page(&world, folder.path()).await;
    tokio::task::block_in_place(|| {
        let shown = browse(&report, &["--dump-dom"]);
        let dom = String::from_utf8(shown.stdout).unwrap();
        assert!(dom.contains("<h1>Bulk sync</h1>") && dom.contains("30 of 30 people"), "{dom}");
        assert!(!dom.contains("<img"), "a name became an element: {dom}");
        let log = String::from_utf8_lossy(&shown.stderr).into_owned();
        assert!(!log.contains("CONSOLE"), "the page's own policy stops some of it: {log}");

        let harness = folder.path().join("harness.html");
        let said = probed(&report, &harness, &[USED], &[WAITS]);
        let said: Vec<&str> = said.split(" | ").collect();
        assert_eq!(said[0], "30 of 30 people");
        assert_eq!(said[1], "person-with-a-rather-long-address-7@department.example.com");
        assert_eq!(said[2], "true");
        assert!(
            said[3].contains("acme/editor: line 6") && said[3].contains("default/viewer: line 2"),
            "{said:?}"
        );
        assert_eq!((said[4], said[5]), ("15 of 30 people", "10 of 30 people"), "{said:?}");
        assert_eq!(said[6..], ["person-with-a-rather-long-address-0@department.example.com", "ascending"]);

        let axe = project_root().join(".local/browser/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(axe).expect("`make browser` installs axe-core");
        let axe = axe.replace("</script", "<\\/script");
        // In light and dark mode.
        for scheme in ["--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0"] {
            assert_eq!(probed(&report, &harness, &[&axe, AXE], &[scheme, WAITS]), "axe: []", "{scheme}");
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_fits_a_phone() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let report = synced_page(&world, folder.path()).await;
    // Checks whether anything is wider than a phone: a frame of that width holds the page, and the test
    // measures the frame.
    let html = std::fs::read_to_string(&report).unwrap();
    let source = html.replace('&', "&amp;").replace('"', "&quot;");
    let harness = folder.path().join("harness.html");
    let measured = format!(
        "<!doctype html><iframe width=400 height=800 srcdoc=\"{source}\" onload=\"\
         const page = this.contentDocument.documentElement;\
         document.title = [page.clientWidth, page.scrollWidth, page.ownerDocument.querySelectorAll('#people tr').length]\
         .join(' ')\"></iframe>"
    );
    std::fs::write(&harness, measured).unwrap();
    let shown = tokio::task::block_in_place(|| browse(&harness, &["--dump-dom"]));
    let dom = String::from_utf8(shown.stdout).unwrap();
    let title = dom.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0;
    let numbers: Vec<u32> = title.split(' ').map(|number| number.parse().unwrap()).collect();
    let [width, needed, rows] = numbers[..] else { panic!("{title}") };
    assert!(width > 350 && needed <= width, "{needed} px of content in {width} px");
    assert_eq!(rows, 31);
}

/// The longest that a search, a filter or a sort of 10,000 people may take, in milliseconds.
const STUTTER: f64 = 200.0;

/// Times searches, filters and sorts, including drawing; then opens everyone. Timers fire at once.
const MEASURED: &str = "(() => {
  window.setTimeout = ring => { ring(); return 0; };
  const at = id => document.getElementById(id);
  const timed = work => {
    const times = [];
    for (let n = 0; n < 5; n += 1) {
      const begun = performance.now();
      work(n);
      document.body.getBoundingClientRect();
      times.push(performance.now() - begun);
    }
    return times.sort((a, b) => a - b)[2];
  };
  const set = (id, event, value) => { at(id).value = value; at(id).dispatchEvent(new Event(event, {bubbles: true})); };
  const times = [
    timed(n => set('search', 'input', `person12${n}`)),
    timed(n => set('search', 'input', n % 2 ? 'nobody has this' : '')),
    timed(n => set('role', 'change', n % 2 ? 'acme/editor' : '')),
    timed(n => set('problem', 'change', n % 2 ? 'any' : '')),
    timed(() => document.querySelector('[data-sort=name]').click()),
    timed(() => document.querySelector('[data-sort=gained]').click()),
  ];
  set('search', 'input', ''); set('role', 'change', ''); set('problem', 'change', '');
  let opened = 0;
  for (;;) {
    for (const button of [...document.querySelectorAll('#people tbody th button')]) {
      button.click();
      const why = button.closest('tr').nextSibling.textContent;
      if (/default\\/viewer: line \\d+/.test(why)) opened += 1;
    }
    if (at('after').disabled) break;
    at('after').click();
  }
  document.title = [opened, at('count').textContent, ...times.map(time => time.toFixed(1))].join(' | ');
})()";

/// A person filters and prints.
const PRINTED: &str = "(() => {
  const role = document.getElementById('role');
  role.value = 'acme/editor';
  role.dispatchEvent(new Event('change'));
  const shown = query => getComputedStyle(document.querySelector(query));
  const rows = () => document.querySelectorAll('#people tbody tr').length;
  console.log(`on the screen: ${rows()} rows, controls ${shown('form').display}, filters ${shown('#filters').display}`);
  addEventListener('beforeprint', () => console.log(`to be printed: ${rows()} rows`));
  matchMedia('print').addEventListener('change', print => {
    if (!print.matches) return;
    const paper = shown('body').backgroundColor;
    console.log(`on paper: controls ${shown('form').display}, filters ${shown('#filters').display} (${document.getElementById('filters').textContent}), paper ${paper}, overflow ${shown('.scroll').overflow}`);
  });
})()";

/// 10,000 people, the most that a page has: it does not stutter, it has everyone's reason, and it prints
/// everyone who was found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_ten_thousand_people_does_not_stutter_and_can_be_printed() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let lines = (0..10_000).map(|n| {
        let group = if n % 40 == 0 {
            "acme/editor"
        } else if n % 7 == 0 {
            "nowhere/editor"
        } else {
            ""
        };
        format!("u{n},person{n}@department.example.com,{group}\n")
    });
    let people = folder.path().join("people.csv");
    std::fs::write(&people, format!("sub,email,groups\n{}", lines.collect::<String>())).unwrap();
    let page = folder.path().join("plan.html");
    let arguments =
        ["plan", "--file", people.to_str().unwrap(), "--source", "crm", "--report", page.to_str().unwrap()];
    let (exit, text) = world.run(POLICY, &[], &arguments).await;
    assert_eq!(exit, 1, "{text}");
    tokio::task::block_in_place(|| {
        let harness = folder.path().join("harness.html");
        let said = probed(&page, &harness, &[MEASURED], &[]);
        let said: Vec<&str> = said.split(" | ").collect();
        assert_eq!(said[..2], ["10000", "10,000 of 10,000 people"], "everybody opens, and says why");
        for time in &said[2..] {
            assert!(time.parse::<f64>().unwrap() < STUTTER, "of 10,000 people, in milliseconds: {said:?}");
        }

        with_scripts(&page, &harness, &[PRINTED]);
        let pdf = folder.path().join("plan.pdf");
        let print = format!("--print-to-pdf={}", pdf.display());
        let printed = browse(&harness, &[&print, "--blink-settings=preferredColorScheme=0"]);
        let log = String::from_utf8_lossy(&printed.stderr).into_owned();
        for words in [
            "on the screen: 100 rows, controls flex, filters none",
            "to be printed: 250 rows",
            "on paper: controls none, filters block (Role: acme/editor), paper rgb(255, 255, 255), overflow visible",
        ] {
            assert!(log.contains(words), "{words}: {log}");
        }
        assert!(std::fs::read(&pdf).unwrap().starts_with(b"%PDF"));
    });
}
