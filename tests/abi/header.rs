//! Reads `include/lava.h` as far as the tests need it: its functions with their comments, and its macros.

use std::sync::OnceLock;

use lava_tests::root;

use crate::{bless, drift};

/// One function of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The type that it returns.
    pub(crate) returns: String,
    /// Types of its parameters, in order, without their names.
    pub(crate) parameters: Vec<String>,
    /// Lines of its comment without the stars.
    pub(crate) comment: Vec<String>,
}

impl Function {
    /// The prototype as a program is compiled against it: names of parameters do not matter.
    pub(crate) fn prototype(&self) -> String {
        let parameters =
            if self.parameters.is_empty() { "void".to_owned() } else { self.parameters.join(", ") };
        format!("{} {}({parameters})", self.returns, self.name)
    }
}

/// Functions of the committed header, in order.
pub(crate) fn functions() -> &'static [Function] {
    static FUNCTIONS: OnceLock<Vec<Function>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let found = parse_functions(&text());
        assert!(
            found.len() > 50,
            "only {} functions found: the reader of the header is broken",
            found.len()
        );
        found
    })
}

/// The committed header; the one that is about to be committed, while generated files are written.
pub(crate) fn text() -> String {
    if bless() {
        return drift::generated_header().to_owned();
    }
    std::fs::read_to_string(root().join("include/lava.h")).expect("include/lava.h")
}

/// Names of the header's macros that end in `_INIT`.
pub(crate) fn init_macros() -> Vec<String> {
    let text = text();
    let names =
        text.lines().filter_map(|line| line.strip_prefix("#define ")?.split_whitespace().next());
    names.filter(|name| name.ends_with("_INIT")).map(str::to_owned).collect()
}

pub(crate) fn parse_functions(text: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    let mut comment = Vec::new();
    let mut declaration = String::new();
    let mut in_comment = false;
    for line in text.lines() {
        if line.starts_with("/*") {
            in_comment = true;
            comment.clear();
        }
        if in_comment {
            in_comment = !line.ends_with("*/");
            comment.push(line.trim_start_matches([' ', '/', '*']).to_owned());
            continue;
        }
        if line.starts_with("LAVA_API") || !declaration.is_empty() {
            declaration.push_str(line.trim());
            declaration.push(' ');
            if line.ends_with(';') {
                functions.push(parse_declaration(&declaration, std::mem::take(&mut comment)));
                declaration.clear();
            }
        }
    }
    functions
}

fn parse_declaration(declaration: &str, comment: Vec<String>) -> Function {
    let inner = declaration.trim_end_matches([' ', ';', ')']).trim_start_matches("LAVA_API");
    let (head, parameters) = inner.split_once('(').expect("a function");
    let (returns, name) = split_declarator(head);
    let parameters = parameters.split(',').filter(|text| text.trim() != "void");
    Function {
        name,
        returns,
        parameters: parameters.map(|parameter| split_declarator(parameter).0).collect(),
        comment,
    }
}

/// `const char *text` becomes (`const char *`, `text`).
fn split_declarator(text: &str) -> (String, String) {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let at = text.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    (text[..at].trim_end().to_owned(), text[at..].to_owned())
}

#[test]
fn reads_declarations_over_several_lines() {
    let text = "/**\n * Does it.\n */\nLAVA_API\nlava_status lava_thing_do(struct lava_thing *const *thing,\n    \
                size_t count);\n\nLAVA_API uint32_t lava_version(void);\n";
    let found = parse_functions(text);
    assert_eq!(
        found[0].prototype(),
        "lava_status lava_thing_do(struct lava_thing *const *, size_t)"
    );
    assert_eq!(found[0].comment, ["", "Does it.", ""]);
    assert_eq!(found[1].prototype(), "uint32_t lava_version(void)");
    assert!(found[1].comment.is_empty(), "a comment belongs to one function only");
}
