//! The command `pfplane-dump`; see `pfplane_dump::options::HELP`.

use std::fs;
use std::io::{self, BufWriter, LineWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use pfplane_dump::capture::{self, Captured};
use pfplane_dump::json::Json;
use pfplane_dump::lines::Lines;
use pfplane_dump::options::{Command, HELP, Options, Style};
use pfplane_dump::stats::Stats;
use pfplane_dump::verbose::Verbose;
use pfplane_dump::walk::{Output, Walker};
use pfplane_dump::{link, live};

const MALFORMED: u8 = 1;
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let result = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Command::Show(options)) => show(&options),
        Ok(Command::Help) => print(HELP).map(|()| false),
        Ok(Command::Version) => {
            print(concat!("pfplane-dump ", env!("CARGO_PKG_VERSION"), "\n")).map(|()| false)
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(MALFORMED),
        Err(error) => {
            let _ = writeln!(io::stderr(), "pfplane-dump: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn print(text: &str) -> Result<(), String> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}

/// Shows everything and says whether something was malformed.
fn show(options: &Options) -> Result<bool, String> {
    let stdout = io::stdout().lock();
    let mut out: Box<dyn Write> = match options.interface {
        Some(_) => Box::new(LineWriter::new(stdout)),
        None => Box::new(BufWriter::new(stdout)),
    };
    let mut walker = Walker::new(options.filter.clone());
    let result = match options.style {
        Style::Lines => walk(options, &mut walker, &mut Lines::new(&mut out)),
        Style::Verbose => walk(options, &mut walker, &mut Verbose::new(&mut out)),
        Style::Json => walk(options, &mut walker, &mut Json::new(&mut out)),
        Style::Stats => {
            let mut stats = Stats::default();
            let result = walk(options, &mut walker, &mut stats);
            stats.write(&mut out).map_err(|error| error.to_string())?;
            result
        }
    };
    // A reader that closed its end early, such as `head`, is no failure.
    let _ = out.flush();
    result.map(|()| walker.malformed())
}

fn walk(options: &Options, walker: &mut Walker, output: &mut dyn Output) -> Result<(), String> {
    let mut left = options.count.unwrap_or(u64::MAX);
    let mut strange = None;
    let mut each = |captured: Captured<'_>| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        if !link::understood(captured.link_type) {
            strange = Some(captured.link_type);
        }
        left -= u64::from(walker.packet(&captured, output));
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    if let Some(interface) = &options.interface {
        live::for_each(interface, &mut each).map_err(|error| format!("{interface}: {error}"))?;
    }
    for file in &options.files {
        let bytes = read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        capture::for_each(&bytes, &mut each).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    match strange {
        Some(link_type) => {
            Err(format!("link type {link_type} is not understood; these are: {}", link::UNDERSTOOD))
        }
        None => Ok(()),
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    fs::read(file)
}
