//! The help of every command, as people read it: a change of it shows in `snapshots/`.

use std::process::Command;

fn help(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dray"))
        .args(args)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands below one, from its help.
fn below(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = commands
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect()
}

fn walk(path: &[&str], text: &mut String) {
    let help = help(path);
    *text += &format!(
        "$ dray {}--help\n{help}\n",
        path.iter().map(|word| format!("{word} ")).collect::<String>()
    );
    for name in below(&help) {
        walk(&[path, &[name.as_str()]].concat(), text);
    }
}

#[test]
fn every_command_says_what_it_does() {
    let root = help(&[]);
    let nouns = below(&root);
    assert!(nouns.iter().any(|noun| noun == "connector"), "{nouns:?}");
    insta::assert_snapshot!("help", root);
    for noun in nouns {
        let mut text = String::new();
        walk(&[&noun], &mut text);
        insta::assert_snapshot!(format!("help-{noun}"), text);
    }
}
