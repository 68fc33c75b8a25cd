//! Runs the scenarios of [`althing_testkit::congestion`]: prints what came of their aims, and draws each.
//!
//! ```text
//! network --out target/network --seed 1 steps loss
//! ```
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use althing_testkit::congestion::{run, scenarios, svg};
use clap::{Arg, ArgAction, Command, value_parser};

fn main() -> ExitCode {
    let matches = Command::new("network")
        .about("What the bandwidth estimator makes of bad lines, in virtual time")
        .arg(
            Arg::new("out")
                .long("out")
                .value_parser(value_parser!(PathBuf))
                .help("Folder for the pictures (SVG); without it nothing is drawn"),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .default_value("1")
                .value_parser(value_parser!(u64))
                .help("Where all luck comes from"),
        )
        .arg(
            Arg::new("words")
                .action(ArgAction::Append)
                .help("Run only scenarios whose name contains one of these"),
        )
        .get_matches();
    let words: Vec<&String> = matches.get_many("words").unwrap_or_default().collect();
    let seed = matches.get_one("seed").copied().unwrap_or(1);
    let out: Option<&PathBuf> = matches.get_one("out");
    if let Some(problem) = out.and_then(|out| fs::create_dir_all(out).err()) {
        println!("the folder cannot be made: {problem}");
        return ExitCode::FAILURE;
    }
    let (mut met, mut missed) = (0, 0);
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    for scenario in scenarios().into_iter().filter(|scenario| wanted(scenario.name)) {
        let report = run(&scenario, seed);
        for finding in report.findings() {
            let word = if finding.met { "ok  " } else { "FAIL" };
            println!("{word} {:16} {finding}", scenario.name);
            met += u32::from(finding.met);
            missed += u32::from(!finding.met);
        }
        if let Some(out) = out
            && let Err(problem) = fs::write(out.join(scenario.name).with_extension("svg"), svg(&report))
        {
            println!("the picture cannot be written: {problem}");
            return ExitCode::FAILURE;
        }
    }
    if let Some(out) = out {
        println!("pictures are in {}", out.display());
    }
    println!("network result: {met} passed; {missed} failed");
    if missed == 0 && met > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
