//! The command `pfplane-dump`; `options::HELP` describes it.

use std::fs;
use std::io::{self, BufWriter, LineWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use pfplane_dump::capture::{self, CapturedPacket};
use pfplane_dump::decoder::Decoder;
use pfplane_dump::options::{Command, HELP, Options, Style};
use pfplane_dump::report::Output;
use pfplane_dump::seal::Keys;
use pfplane_dump::styles::{Json, Lines, Stats, Verbose};
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

/// Prints all frames and returns whether one was malformed.
fn show(options: &Options) -> Result<bool, String> {
    let keys = options.key_file.as_deref().map(read_keys).transpose()?;
    let stdout = io::stdout().lock();
    let mut out: Box<dyn Write> = match options.interface {
        Some(_) => Box::new(LineWriter::new(stdout)),
        None => Box::new(BufWriter::new(stdout)),
    };
    let mut decoder = Decoder::new(options.filter.clone());
    if let Some(keys) = keys {
        decoder = decoder.with_keys(keys);
    }
    let result = match options.style {
        Style::Lines => decode(options, &mut decoder, &mut Lines::new(&mut out)),
        Style::Verbose => decode(options, &mut decoder, &mut Verbose::new(&mut out)),
        Style::Json => decode(options, &mut decoder, &mut Json::new(&mut out)),
        Style::Stats => {
            let mut stats = Stats::default();
            let result = decode(options, &mut decoder, &mut stats);
            stats.write(&mut out).map_err(|error| error.to_string())?;
            result
        }
    };
    // A closed pipe, for example to `head`, is not an error.
    let _ = out.flush();
    result.map(|()| decoder.malformed())
}

fn decode(options: &Options, decoder: &mut Decoder, output: &mut dyn Output) -> Result<(), String> {
    let mut remaining = options.count.unwrap_or(u64::MAX);
    let mut unsupported = None;
    let mut each = |captured: CapturedPacket<'_>| {
        if remaining == 0 {
            return ControlFlow::Break(());
        }
        if !link::is_supported(captured.link_type) {
            unsupported = Some(captured.link_type);
        }
        remaining -= u64::from(decoder.packet(&captured, output));
        if remaining == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    if let Some(interface) = &options.interface {
        live::for_each_packet(interface, &mut each).map_err(|error| format!("{interface}: {error}"))?;
    }
    for file in &options.files {
        let bytes = read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        capture::for_each_packet(&bytes, &mut each)
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    match unsupported {
        Some(link_type) => {
            Err(format!("link type {link_type} is not supported; supported are {}", link::SUPPORTED))
        }
        None => Ok(()),
    }
}

fn read_keys(file: &Path) -> Result<Keys, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string());
    text.and_then(|text| Keys::parse(&text))
        .map_err(|error| format!("--key-file {}: {error}", file.display()))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    fs::read(file)
}
