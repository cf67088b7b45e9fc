//! `make pictures`: makes README's pictures from real runs of the built programs on moto and the Permit
//! stand-in.
//!
//! Terminals become SVG; a headless Chromium renders the page as PNG. All go to `docs/pictures/`.

#![allow(clippy::print_stdout, reason = "telling is what this program is for")]

use std::path::{Path, PathBuf};
use std::process::Command;

use anstyle_svg::Term;
use anyhow::{Context, Result, ensure};
use permit_sandbox::Sandbox;
use serde_json::json;
use stand_ins::{Moto, Person, UserPool, people, project_root};

const POLICY: &str = r#"# Everyone who can sign in may look.
[[grant]]
tenant = "default"
role = "viewer"

[[grant]]
when = { group = "admins" }
tenant = "default"
role = "admin"

# The group "acme/editor" is the role editor in the tenant acme.
[[grant]]
when = { group = "{tenant}/{role}" }

[deprovision]
max_percent = 20
"#;

/// The largest picture to keep in the repository.
const LARGEST: u64 = 200 * 1024;

/// A folder with a policy, and an operator's settings.
struct Desk {
    folder: tempfile::TempDir,
    settings: Vec<(String, String)>,
    pictures: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let desk = Desk::new()?;
    let demo = Command::new(built("demo")?).env("CLICOLOR_FORCE", "1").output()?;
    ensure!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stdout));
    desk.picture("run", "$ make run", &String::from_utf8(demo.stdout)?)?;

    let sandbox = Sandbox::builder().tenant("acme").start().await?;
    let moto = Moto::start().await?;
    let (desk, pool) = desk.with_a_pool(&sandbox, &moto).await?;
    desk.run(&["sync", "--yes"])?;
    let jane = changed(&pool).await?;
    let page = desk.folder.path().join("plan.html");
    let plan = desk.run(&["plan", "--report", "plan.html"])?;
    desk.picture("plan", "$ permit-handoff plan", &plan)?;
    let arguments = ["explain", "--user", jane.as_str()];
    desk.picture("explain", &format!("$ permit-handoff {}", arguments.join(" ")), &desk.run(&arguments)?)?;
    desk.photograph(&page)?;
    Ok(())
}

impl Desk {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("policy.toml"), POLICY)?;
        let pictures = project_root().join("docs/pictures");
        std::fs::create_dir_all(&pictures)?;
        Ok(Self { folder, settings: Vec::new(), pictures })
    }

    /// Adds a pool of 239 people, and Permit.
    async fn with_a_pool(mut self, sandbox: &Sandbox, moto: &Moto) -> Result<(Self, UserPool)> {
        let pool = moto.create_pool("customers").await?;
        for some in people(239).chunks(100) {
            pool.add_all(some).await?;
        }
        self.settings = moto.settings().into_iter().collect();
        let more = [
            ("PERMIT_API_URL", sandbox.url()),
            ("PERMIT_API_KEY", sandbox.api_key().to_owned()),
            ("PERMIT_PROJECT", "default".to_owned()),
            ("PERMIT_ENVIRONMENT", "dev".to_owned()),
            ("HANDOFF_POLICY_FILE", "policy.toml".to_owned()),
            ("USER_POOL_ID", pool.id().to_owned()),
            ("COLUMNS", "80".to_owned()),
        ];
        self.settings.extend(more.map(|(name, value)| (name.to_owned(), value)));
        Ok((self, pool))
    }

    /// The output of a command, with its colours.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(built("permit-handoff")?);
        command.args(arguments).args(["--color", "always"]).envs(self.settings.iter().cloned());
        let output = command.current_dir(self.folder.path()).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(matches!(output.status.code(), Some(0 | 1)), "{arguments:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Writes an SVG of a terminal in which this was typed.
    fn picture(&self, name: &str, typed: &str, text: &str) -> Result<()> {
        let svg = Term::new().render_svg(&format!("\u{1b}[1m{typed}\u{1b}[0m\n{text}"));
        let path = self.pictures.join(format!("{name}.svg"));
        std::fs::write(&path, svg)?;
        told(&path)
    }

    fn photograph(&self, page: &Path) -> Result<()> {
        let picture = self.pictures.join("page.png");
        let profile = self.folder.path().join("profile");
        let browser = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
            Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
        });
        let mut command = Command::new(browser.context("there is no Chromium: run `make browser`")?);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=1100,1000",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display()));
        command.arg(format!("--screenshot={}", picture.display()));
        let output = command.arg(format!("file://{}", page.display())).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        told(&picture)
    }
}

fn told(picture: &Path) -> Result<()> {
    let size = std::fs::metadata(picture)?.len();
    ensure!(size <= LARGEST, "{} has {size} bytes, and may have {LARGEST}", picture.display());
    println!("{} ({} KB)", picture.display(), size / 1024);
    Ok(())
}

/// Changes the pool after the sync: three admins lose their group, five people are new, seven are in
/// groups whose tenant or role does not exist, two left. Returns the address of a person to explain.
async fn changed(pool: &UserPool) -> Result<String> {
    for n in [0, 10, 20] {
        let name = format!("person-{n:05}@example.com");
        let found = pool
            .api()
            .call("ListUsers", json!({"UserPoolId": pool.id(), "Filter": format!("email = \"{name}\"")}));
        let found = found.await?;
        let user = found["Users"][0]["Username"].as_str().context("the person is gone")?;
        let call = json!({"UserPoolId": pool.id(), "Username": user, "GroupName": "admins"});
        pool.api().call("AdminRemoveUserFromGroup", call).await?;
    }
    for n in 0..7 {
        let group = if n < 4 { "globex/editor" } else { "acme/owner" };
        pool.add(&Person::new(&format!("new-{n}@example.com")).in_group(group)).await?;
    }
    let jane = Person::new("jane@example.com").with("given_name", "Jane").with("family_name", "Example");
    pool.add(&jane.in_group("acme/editor").in_group("globex/editor")).await?;
    Ok("jane@example.com".to_owned())
}

/// The path of a program that was built beside this one.
fn built(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{name} is not built: run `make pictures`");
    Ok(path)
}
