//! The command line.

use lexopt::prelude::{Long, Short, ValueExt};
use pfplane_sim::{FAULTS, Faults, Options, Plan};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
pfplane-sim: simulates clusters of pfplane engines in virtual time, under every fault, and checks each connection

  --seeds N        run N seeds (default 200)
  --first S        start at seed S (default 0)
  --seed S         run seed S only
  --plan NAME      what happens (default: each seed draws it; every second one is 'faults'):
                     faults        every fault of the link and the nodes in turn, and recovery from them
                     adaptive      timeouts shrink while tables fill with idle and half-open connections
                     full          tables are 80 to 100 % full
                     unequal       nodes have different capacities and numbers of lanes
                     operator      an operator clears and kills states, pushes and requests bulk transfers
                     link          the sync link fails, and the hosts report it
                     pauses        nodes pause for 1 to 60 s
                     translation   source NAT and limits per source, on a bad link
                     one-way       frames pass in one direction only
                     split-brain   both nodes of a divided pair translate to one address
                     dying         the link loses frames while a node dies
                     forged        an attacker on the link forges messages that pass every check
                     election      nodes elect a master, and die, stop and are cut off
                     seal          an attacker replays, reorders and reflects the frames of sealed nodes that restart
                     repair        the link loses frames between pfplane nodes, which send them again
  --seal           the same as --plan seal
  --nodes K        K nodes, 2 to 5 (default: each seed draws them; most plans always have 2)
  --lanes L        L lanes on every node, 1 to 16 (default: each node draws 1 to 4 at each start)
  --flows F        start about F connections in each fault phase (default: each seed draws 20 to 80)
  --pfplane        the nodes know each other for pfplane nodes in every plan. The attacker of plan 'faults' stays away then:
                   nothing protects the numbers of frames
  --faults A,B     the faults of plan 'faults' to inject (default: all; none: no faults):
                   loss dup reorder delay partition restart pause drift hostile stall
  --soak MINUTES   run one cluster under load and faults for so long, and watch its memory and counters
  --threads T      run T seeds at the same time (default: one per core)
  --keep-going     continue after a seed fails; print at the end how many failed and why
  --log            print every event of every seed; without it, a failing seed prints its last events

The same seed and options give the same run, byte for byte. For the first seed that fails, the simulator prints its last
events, the command that repeats it, and the file with its whole log. The exit status is then 1.
";

/// What to run.
pub(crate) struct Command {
    /// The seeds.
    pub seeds: core::ops::Range<u64>,
    /// What is simulated.
    pub options: Options,
    /// Seeds that run at the same time.
    pub threads: usize,
    /// Continue after a seed fails.
    pub keep_going: bool,
    /// Print every event.
    pub log: bool,
    /// Minutes of a soak.
    pub soak: Option<u64>,
}

impl Command {
    /// Parses the arguments; `None` if the help is requested.
    ///
    /// # Errors
    /// A message for the user.
    pub(crate) fn parse(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Option<Self>, String> {
        let (mut count, mut first, mut only) = (200u64, 0u64, None);
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut command = Self {
            seeds: 0..0,
            options: Options::default(),
            threads,
            keep_going: false,
            log: false,
            soak: None,
        };
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
                "pfplane" => command.options.pfplane = true,
                "plan" => {
                    let name = parser.value().map_err(text)?.string().map_err(text)?;
                    command.options.plan = Some(Plan::parse(&name)?);
                }
                "seal" => command.options.plan = Some(Plan::Seal),
                "soak" => command.soak = Some(number(&mut parser, 1, 10_000)?),
                "keep-going" => command.keep_going = true,
                "log" => command.log = true,
                "help" => return Ok(None),
                unknown => return Err(format!("unknown option --{unknown}; see --help")),
            }
        }
        command.seeds = only.map_or(first..first + count, |seed| seed..seed + 1);
        debug_assert_eq!(FAULTS.len(), 10, "the help lists them");
        Ok(Some(command))
    }
}

fn number(parser: &mut lexopt::Parser, min: u64, max: u64) -> Result<u64, String> {
    let text = |error: lexopt::Error| error.to_string();
    let value: u64 = parser.value().map_err(text)?.parse().map_err(text)?;
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(format!("{value} is not from {min} to {max}"))
}
