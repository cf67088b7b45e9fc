//! Tests the script that installs the stand-ins, in the folder where they are installed.

use std::fs;
use std::process::Command;

use stand_ins::project_root;

#[test]
fn a_second_installation_does_nothing_and_needs_no_network() {
    for (script, stamp) in [
        ("install-stand-ins.sh", ".local/stand-ins.stamp"),
        ("install-providers.sh", ".local/providers/stamp"),
    ] {
        let stamp = project_root().join(stamp);
        let before = fs::metadata(&stamp).expect("`make stand-ins providers` ran").modified().unwrap();
        let output = Command::new(project_root().join("scripts").join(script))
            .env("PIP_INDEX_URL", "http://127.0.0.1:1/")
            .env("npm_config_registry", "http://127.0.0.1:1/")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(fs::metadata(&stamp).unwrap().modified().unwrap(), before);
    }
}

#[test]
fn the_pins_name_no_registry() {
    for folder in ["npm", "npm-providers"] {
        let lock = project_root().join("stand-ins").join(folder).join("package-lock.json");
        assert!(!fs::read_to_string(lock).unwrap().contains("\"resolved\""), "{folder}");
    }
    let requirements = fs::read_to_string(project_root().join("stand-ins/requirements.txt")).unwrap();
    for line in requirements.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.contains("==") && !line.contains("://"), "{line}");
    }
}
