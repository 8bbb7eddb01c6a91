//! The command line.

use std::path::PathBuf;

use lexopt::prelude::{Long, Short, Value, ValueExt};
use pfsync::Action;

use crate::filter::Filter;

/// The text of `--help`.
pub const HELP: &str = "\
pfplane-dump: prints pfsync frames of versions 2 to 6 from captures and interfaces

usage: pfplane-dump [options] FILE...
       pfplane-dump [options] -i INTERFACE

  FILE                pcap or pcapng file; - is standard input
  -i, --interface IF  capture on an interface (Linux, root)
  -c, --count N       stop after N pfsync packets
  -v, --verbose       print every field, as pfctl does
      --json          print one JSON object for each frame
      --stats         print counts only
      --action NAME   print only this action; may be repeated. One of
                      CLR INS INS_ACK UPD UPD_C UPD_REQ DEL DEL_C BUS TDB EOF
      --id HEX        print only records of this state id
      --creator HEX   print only records of this host id
                      With these three, only frames with such a record are printed.
      --key-file FILE verify sealed frames, and decrypt encrypted ones, with the
                      keys of a pair of pfplane nodes: the file of ha-firewall's
                      --seal-key. The capture must have a hello of each node's run
                      (one each second) before.
  -h, --help          print this text
  -V, --version       print the version

Exit status: 0 if all frames are well formed, 1 if one is malformed, 2 on an error.

examples:
  pfplane-dump -i eth1 -v                          watch the sync link until Ctrl-C
  pfplane-dump --action DEL_C sync.pcap            which states were deleted
  pfplane-dump --id 069193c1d4c4da2f -v sync.pcap  the history of one state
  pfplane-dump --json sync.pcap | jq '.sections[].messages[].src.state'
  pfplane-dump --stats *.pcap && echo all well formed
";

/// The output style.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// One line a region.
    #[default]
    Lines,
    /// Every field.
    Verbose,
    /// JSON.
    Json,
    /// Counts.
    Stats,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Print frames.
    Show(Options),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// Which frames to print, and how.
#[derive(Debug, Default)]
pub struct Options {
    /// Capture files; "-" is standard input.
    pub files: Vec<PathBuf>,
    /// Interface to capture on.
    pub interface: Option<String>,
    /// Number of pfsync packets after which to stop.
    pub count: Option<u64>,
    /// The output style.
    pub style: Style,
    /// Which records to print.
    pub filter: Filter,
    /// The file of the keys of sealed frames.
    pub key_file: Option<PathBuf>,
}

impl Options {
    /// Parses the arguments, without the program's name.
    ///
    /// # Errors
    /// What is wrong with them.
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
                    let creator = u32::try_from(creator)
                        .map_err(|_| format!("{creator:x} is not a host id: at most 8 hex digits"))?;
                    options.filter.creator = Some(creator);
                }
                Long("key-file") => options.key_file = Some(text(&mut parser)?.into()),
                Value(file) => options.files.push(file.into()),
                other => return Err(other.unexpected().to_string()),
            }
        }
        match (options.files.is_empty(), &options.interface) {
            (true, None) => Err("no file or interface given; see --help".to_owned()),
            (false, Some(_)) => Err("files and an interface cannot be combined".to_owned()),
            _ => Ok(Command::Show(options)),
        }
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    parser.value().and_then(ValueExt::string).map_err(|error| error.to_string())
}

fn decimal(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn hex(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| format!("{text} is not a hexadecimal number"))
}

fn action(name: &str) -> Result<Action, String> {
    let wanted = name.to_ascii_uppercase().replace('-', "_");
    Action::ALL
        .into_iter()
        .find(|action| action.name() == wanted)
        .ok_or_else(|| format!("unknown action {name}; see --help"))
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
    fn all_options_are_parsed() {
        let options =
            parse("-v --action ins --action del-c --id 0x10 --creator deadbeef -c 3 a.pcap b.pcap").unwrap();
        assert_eq!((options.style, options.count, options.files.len()), (Style::Verbose, Some(3), 2));
        assert_eq!(options.filter.actions, [Action::Insert, Action::DeleteCompressed]);
        assert_eq!((options.filter.id, options.filter.creator), (Some(16), Some(0xdead_beef)));
    }

    #[test]
    fn a_wrong_command_line_is_explained() {
        for (line, word) in [
            ("", "no file"),
            ("-i eth0 a.pcap", "combined"),
            ("--action nonsense a", "unknown action"),
            ("--id xyz a", "hexadecimal"),
            ("--creator 1ffffffff a", "not a host id"),
            ("--nonsense", "nonsense"),
            ("-c", "argument"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
