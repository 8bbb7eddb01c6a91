//! The command line.

use std::path::PathBuf;

use lexopt::prelude::{Long, Short, Value, ValueExt};
use pfsync::Action;

use crate::filter::Filter;

/// What `--help` says.
pub const HELP: &str = "\
pfplane-dump: shows pfsync frames, versions 2 to 6, of captures and live interfaces

usage: pfplane-dump [options] FILE...
       pfplane-dump [options] -i INTERFACE

  FILE                pcap or pcapng; - is standard input
  -i, --interface IF  listen on an interface (root, Linux)
  -c, --count N       stop after N packets of pfsync
  -v, --verbose       every field, in pf's words
      --json          one JSON object a frame
      --stats         counts only
      --action NAME   only this action; may be given several times. One of
                      CLR INS INS_ACK UPD UPD_C UPD_REQ DEL DEL_C BUS TDB EOF
      --id HEX        only this state
      --creator HEX   only states of this host id
  -h, --help          this text
  -V, --version       the version

Exit status: 0 all frames were sound, 1 something was malformed, 2 it could not be done.

examples:
  pfplane-dump -i eth1 -v                          watch the sync link, until Ctrl-C
  pfplane-dump --action DEL_C sync.pcap            which states went away
  pfplane-dump --id 069193c1d4c4da2f -v sync.pcap  the life of one state
  pfplane-dump --json sync.pcap | jq '.sections[].messages[].src.state'
  pfplane-dump --stats *.pcap && echo all sound
";

/// How frames are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// One line an action.
    #[default]
    Lines,
    /// Every field.
    Verbose,
    /// JSON.
    Json,
    /// Counts.
    Stats,
}

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// Show frames.
    Show(Options),
    /// Show the help.
    Help,
    /// Show the version.
    Version,
}

/// What to show of what.
#[derive(Debug, Default)]
pub struct Options {
    /// Captures; "-" is standard input.
    pub files: Vec<PathBuf>,
    /// Interface to listen on.
    pub interface: Option<String>,
    /// Packets of pfsync after which to stop.
    pub count: Option<u64>,
    /// How to show them.
    pub style: Style,
    /// Which to show.
    pub filter: Filter,
}

impl Options {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// A sentence about what cannot be understood.
    pub fn parse(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Command, String> {
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut options = Self::default();
        while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
            match argument {
                Short('h') | Long("help") => return Ok(Command::Help),
                Short('V') | Long("version") => return Ok(Command::Version),
                Short('v') | Long("verbose") => options.style = Style::Verbose,
                Long("json") => options.style = Style::Json,
                Long("stats") => options.style = Style::Stats,
                Short('i') | Long("interface") => options.interface = Some(text(&mut parser)?),
                Short('c') | Long("count") => options.count = Some(decimal(&text(&mut parser)?)?),
                Long("action") => options.filter.actions.push(action(&text(&mut parser)?)?),
                Long("id") => options.filter.id = Some(hex(&text(&mut parser)?)?),
                Long("creator") => {
                    let creator = hex(&text(&mut parser)?)?;
                    let creator = u32::try_from(creator).map_err(|_| format!("{creator:x} is no host id"))?;
                    options.filter.creator = Some(creator);
                }
                Value(file) => options.files.push(file.into()),
                other => return Err(other.unexpected().to_string()),
            }
        }
        match (options.files.is_empty(), &options.interface) {
            (true, None) => Err("name a file or an interface; --help explains".to_owned()),
            (false, Some(_)) => Err("either files or an interface".to_owned()),
            _ => Ok(Command::Show(options)),
        }
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    parser.value().and_then(ValueExt::string).map_err(|error| error.to_string())
}

fn decimal(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn hex(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| format!("{text} is no hexadecimal number"))
}

fn action(name: &str) -> Result<Action, String> {
    let wanted = name.to_ascii_uppercase().replace('-', "_");
    Action::ALL
        .into_iter()
        .find(|action| action.name() == wanted)
        .ok_or_else(|| format!("there is no action {name}; --help lists them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        match Options::parse(line.split_whitespace().map(Into::into))? {
            Command::Show(options) => Ok(options),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_full_command_line_is_understood() {
        let options =
            parse("-v --action ins --action del-c --id 0x10 --creator deadbeef -c 3 a.pcap b.pcap").unwrap();
        assert_eq!((options.style, options.count, options.files.len()), (Style::Verbose, Some(3), 2));
        assert_eq!(options.filter.actions, [Action::Insert, Action::DeleteCompressed]);
        assert_eq!((options.filter.id, options.filter.creator), (Some(16), Some(0xdead_beef)));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (line, word) in [
            ("", "name a file"),
            ("-i eth0 a.pcap", "either"),
            ("--action nonsense a", "no action"),
            ("--id xyz a", "hexadecimal"),
            ("--creator 1ffffffff a", "no host id"),
            ("--nonsense", "nonsense"),
            ("-c", "argument"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
