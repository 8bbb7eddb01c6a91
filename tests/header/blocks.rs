//! The exported items of a source file, in their order, with families of constants kept together.

/// One constant of a family.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Constant {
    pub name: String,
    pub value: String,
    pub comment: String,
}

/// What stands together in the header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// A struct, a function, or a constant without a family.
    Item(String),
    /// Constants under a comment `// enum NAME: ...`, up to the next empty line.
    Family { name: String, comment: String, constants: Vec<Constant> },
}

/// The exported items of a file.
pub(crate) fn of_source(source: &str) -> Vec<Block> {
    let source = source.split("\n#[cfg(test)]\n").next().unwrap_or_default();
    let mut blocks = Vec::new();
    for paragraph in source.split("\n\n") {
        if let Some(family) = paragraph.trim_start().strip_prefix("// enum ") {
            blocks.push(family_of(family));
            continue;
        }
        blocks.extend(paragraph.lines().filter_map(item_of).map(|name| Block::Item(name.to_owned())));
    }
    blocks
}

fn item_of(line: &str) -> Option<&str> {
    let starts = ["pub const ", "pub struct ", "pub extern \"C\" fn ", "pub unsafe extern \"C\" fn "];
    let rest = starts.iter().find_map(|start| line.strip_prefix(start))?;
    let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    let exported = ["pfplane_", "PFPLANE_", "rte_"].iter().any(|prefix| name.starts_with(prefix));
    exported.then_some(name)
}

fn family_of(text: &str) -> Block {
    let (name, rest) = text.split_once(": ").expect("a name and a text");
    let (mut about, mut comment, mut constants) = (Vec::new(), Vec::new(), Vec::new());
    for line in rest.lines() {
        if let Some(doc) = line.strip_prefix("///") {
            comment.push(doc.trim());
        } else if let Some((name, value)) = constant_of(line) {
            let comment = std::mem::take(&mut comment).join(" ").replace("[`", "`").replace("`]", "`");
            constants.push(Constant { name: name.to_owned(), value: value.to_owned(), comment });
        } else {
            about.push(line.trim_start_matches("//").trim());
        }
    }
    Block::Family { name: name.to_owned(), comment: about.join(" "), constants }
}

fn constant_of(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("pub const ")?.split_once(": ")?;
    Some((name, rest.split_once(" = ")?.1.trim_end_matches(';')))
}

/// Longest line of an enum.
const WIDTH: usize = 120;

/// The lines inside an enum: each comment behind its constant where all fit, above it otherwise.
pub(crate) fn enumerators(constants: &[Constant]) -> String {
    let code: Vec<_> = constants.iter().map(|c| format!("    {} = {},", c.name, c.value)).collect();
    let widest = code.iter().map(String::len).max().unwrap_or_default();
    let fits = constants.iter().all(|constant| widest + 4 + constant.comment.len() <= WIDTH);
    let lines = code.iter().zip(constants).map(|(code, constant)| {
        if fits {
            return format!("{code:widest$} // {}\n", constant.comment);
        }
        format!("{}{code}\n", wrapped(&constant.comment))
    });
    lines.collect()
}

fn wrapped(comment: &str) -> String {
    let mut lines = vec![String::from("    //")];
    for word in comment.split(' ') {
        if lines.last().is_some_and(|line| line.len() + 1 + word.len() > WIDTH) {
            lines.push(String::from("    //"));
        }
        let line = lines.last_mut().expect("a line");
        line.push(' ');
        line.push_str(word);
    }
    lines.join("\n") + "\n"
}

#[test]
fn constants_under_a_comment_are_a_family_and_all_else_is_an_item() {
    let source = "//! Title

// enum pfplane_colour: What it looks like.
/// Like blood.
pub const PFPLANE_RED: u8 = 1;
/// Like grass.
pub const PFPLANE_GREEN: u8 = 0x02;

/// Alone.
pub const PFPLANE_MAX: u32 = 4;

const PRIVATE: u32 = 5;

/// Does it.
#[unsafe(no_mangle)]
pub extern \"C\" fn pfplane_do(
    x: u32,
) -> i32 {
}

#[cfg(test)]
pub const PFPLANE_TEST: u32 = 6;
";
    let constant = |name: &str, value: &str, comment: &str| Constant {
        name: name.to_owned(),
        value: value.to_owned(),
        comment: comment.to_owned(),
    };
    let constants =
        vec![constant("PFPLANE_RED", "1", "Like blood."), constant("PFPLANE_GREEN", "0x02", "Like grass.")];
    let lines = "    PFPLANE_RED = 1,      // Like blood.\n    PFPLANE_GREEN = 0x02, // Like grass.\n";
    assert_eq!(enumerators(&constants), lines);
    let family = Block::Family {
        name: "pfplane_colour".to_owned(),
        comment: "What it looks like.".to_owned(),
        constants,
    };
    let item = |name: &str| Block::Item(name.to_owned());
    assert_eq!(of_source(source), [family, item("PFPLANE_MAX"), item("pfplane_do")]);
}
