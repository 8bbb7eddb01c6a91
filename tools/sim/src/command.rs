//! The command line.

use lexopt::prelude::{Long, Short, ValueExt};
use pfplane_sim::{FAULTS, Faults, Options};

/// What `--help` prints.
pub const HELP: &str = "\
pfplane-sim: clusters of pfplane engines in virtual time, under every fault, with an oracle that knows every connection

  --seeds N        run N seeds (default 200)
  --first S        the first of them (default 0)
  --seed S         run seed S alone
  --nodes K        K nodes, 2 to 5 (default: each seed draws them)
  --lanes L        L lanes on every node, 1 to 16 (default: each node draws 1 to 4 at each start)
  --flows F        connections begun in each storm, about (default: each seed draws 20 to 80)
  --faults A,B     which faults there are (default all; none: no fault at all):
                   loss dup reorder delay partition restart pause drift hostile stall
  --threads T      seeds at the same time (default: one a core)
  --census         go on behind seeds that fail, and end with how many did and why
  --log            print the events of every seed as they happened; a failing seed prints the last ones anyhow

The same seed and options give the same run, byte for byte. The first seed that fails is printed with its last events, the
command that runs it again, and where its whole log is; the exit status is 1 then.
";

/// What is to be done.
pub struct Command {
    /// The seeds.
    pub seeds: core::ops::Range<u64>,
    /// What is simulated.
    pub options: Options,
    /// How many at the same time.
    pub threads: usize,
    /// Go on behind seeds that fail, and count them.
    pub census: bool,
    /// Print everything.
    pub log: bool,
}

impl Command {
    /// Reads the arguments; `None` when the help is wanted.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Option<Self>, String> {
        let (mut count, mut first, mut only) = (200u64, 0u64, None);
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut command =
            Self { seeds: 0..0, options: Options::default(), threads, census: false, log: false };
        let mut parser = lexopt::Parser::from_args(arguments);
        let text = |error: lexopt::Error| error.to_string();
        while let Some(argument) = parser.next().map_err(text)? {
            let name = match argument {
                Long(name) => name.to_owned(),
                Short('h') => return Ok(None),
                other => return Err(other.unexpected().to_string()),
            };
            match name.as_str() {
                "seeds" => count = number(&mut parser, 1, u64::MAX / 2)?,
                "first" => first = number(&mut parser, 0, u64::MAX / 2)?,
                "seed" => only = Some(number(&mut parser, 0, u64::MAX / 2)?),
                "nodes" => command.options.nodes = Some(number(&mut parser, 2, 5)? as u32),
                "lanes" => command.options.lanes = Some(number(&mut parser, 1, 16)? as u32),
                "flows" => command.options.flows = Some(number(&mut parser, 1, 5000)? as u32),
                "threads" => command.threads = number(&mut parser, 1, 256)? as usize,
                "faults" => {
                    let names = parser.value().map_err(text)?.string().map_err(text)?;
                    command.options.faults = Faults::parse(&names)?;
                }
                "census" => command.census = true,
                "log" => command.log = true,
                "help" => return Ok(None),
                unknown => return Err(format!("there is no option --{unknown}; --help lists them")),
            }
        }
        command.seeds = only.map_or(first..first + count, |seed| seed..seed + 1);
        debug_assert_eq!(FAULTS.len(), 10, "the help names them");
        Ok(Some(command))
    }
}

fn number(parser: &mut lexopt::Parser, least: u64, most: u64) -> Result<u64, String> {
    let text = |error: lexopt::Error| error.to_string();
    let value: u64 = parser.value().map_err(text)?.parse().map_err(text)?;
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(format!("{value} is not from {least} to {most}"))
}
