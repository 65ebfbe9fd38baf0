//! The verifier without Python: `cargo run --release -p verify --example judge -- BUNDLE [TRUST]`.

use std::path::PathBuf;
use std::process::ExitCode;
use verify::Brought;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(bundle), trust) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: judge BUNDLE [TRUST]");
        return ExitCode::from(3);
    };
    let mut say = |line: &str| {
        println!("{line}");
        Ok(())
    };
    match verify::verify_file(&bundle, trust.as_deref(), Brought::default(), &mut say) {
        Ok((verdict, sentence)) => {
            println!("{sentence}");
            ExitCode::from(verdict.code())
        }
        Err(error) => {
            eprintln!("judge: {error}");
            ExitCode::from(3)
        }
    }
}
