//! Schemas as a registry has them: the text of a .proto file, or its descriptor in base64, and the files that it imports.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::{Error, Result};
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::{DescriptorProto, FileDescriptorProto, UninterpretedOption};
use prost_reflect::{DescriptorPool, MessageDescriptor};

use super::builtin;
use crate::schema_registry::Reference;

/// What errors call the file itself, which has no name.
const ITSELF: &str = "the schema";
const FIELD_META: &str = "confluent.field_meta";
/// Brackets within each other in the value of an option: reading it recurses.
const MAX_BRACKETS: usize = 50;

/// A file, with all that it needs.
#[derive(Debug)]
pub(super) struct File {
    pool: DescriptorPool,
    package: String,
    /// Its messages, as they are counted.
    tree: Vec<Node>,
}

/// A message and those within it.
#[derive(Clone, Debug)]
struct Node {
    name: String,
    within: Vec<Node>,
}

impl File {
    /// The file of a text. What it refers to comes in such an order that each stands behind what it needs itself.
    pub(super) fn parse(text: &str, references: &[Reference]) -> Result<Self> {
        let mut pool = DescriptorPool::new();
        let mut trees = HashMap::new();
        for reference in references {
            // As in Java: nobody's version of a file that is always there counts.
            if !builtin::has(&reference.name) {
                let source = Source::parse(&reference.name, &reference.text)?;
                trees.insert(reference.name.as_str(), (source.package(), source.tree()));
                source.add(&mut pool)?;
            }
        }
        let source = Source::parse(ITSELF, text)?;
        let (mut package, mut tree) = (source.package(), source.tree());
        // A file with nothing but a public import stands for that one.
        if let Some(import) = source.only_import().filter(|_| tree.is_empty()) {
            if let Some(known) = trees.get(import) {
                (package, tree) = known.clone();
            } else if let Some(known) = builtin::file(import) {
                (package, tree) = (known.package().to_owned(), tree_of(&known.message_type, false));
            }
        }
        source.add(&mut pool)?;
        Ok(Self { pool, package, tree })
    }

    /// The message that indexes say.
    pub(super) fn message(&self, indexes: &[usize]) -> Result<MessageDescriptor> {
        let (mut name, mut nodes) = (self.package.clone(), &self.tree);
        for index in indexes {
            let node = nodes.get(*index).ok_or_else(|| {
                Error::data(format!(
                    "the message says that it is of message {indexes:?} of its schema, which there is none of"
                ))
            })?;
            push_name(&mut name, &node.name);
            nodes = &node.within;
        }
        self.named(&name)
    }

    /// The message that values are written as, with its indexes: the one of that name, whatever the package, or else the first.
    pub(super) fn find(&self, name: &str) -> Result<(MessageDescriptor, Vec<usize>)> {
        let (mut indexes, mut nodes) = (Vec::new(), &self.tree);
        for part in name.split('.') {
            if let Some(index) = nodes.iter().position(|node| node.name == part) {
                indexes.push(index);
                nodes = &nodes[index].within;
            }
        }
        if indexes.is_empty() {
            indexes.push(0);
        }
        Ok((self.message(&indexes)?, indexes))
    }

    /// The message of that full name, or else the first.
    pub(super) fn named_or_first(&self, name: &str) -> Result<MessageDescriptor> {
        self.pool
            .get_message_by_name(name)
            .map_or_else(|| self.message(&[0]), Ok)
    }

    fn named(&self, name: &str) -> Result<MessageDescriptor> {
        let found = self.pool.get_message_by_name(name);
        found.ok_or_else(|| Error::data(format!("the schema has no message {name}")))
    }
}

fn push_name(name: &mut String, last: &str) {
    if !name.is_empty() {
        name.push('.');
    }
    name.push_str(last);
}

/// One file, not yet resolved.
enum Source {
    Text(Box<FileDescriptorProto>),
    /// Its bytes besides: they have options that the parsed one has not.
    Bytes(Box<FileDescriptorProto>, Vec<u8>),
}

impl Source {
    fn parse(name: &str, text: &str) -> Result<Self> {
        let cannot = |cause: String| Error::data(format!("{name} is no .proto file: {cause}"));
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        let trimmed = text.trim();
        let file = if !trimmed.is_empty() && trimmed.bytes().all(is_base64) {
            let mut bytes = STANDARD.decode(trimmed).map_err(|cause| cannot(cause.to_string()))?;
            // It has the name that it was made under. Of two the last one counts.
            let named = FileDescriptorProto {
                name: Some(name.to_owned()),
                ..FileDescriptorProto::default()
            };
            bytes.extend(named.encode_to_vec());
            let file = FileDescriptorProto::decode(&*bytes).map_err(|cause| cannot(cause.to_string()))?;
            Self::Bytes(Box::new(file), bytes)
        } else {
            let parsed = protox_parse::parse(name, text).map_err(|cause| {
                // The parser takes the word for a mistake.
                if says_edition(text) {
                    editions(name)
                } else {
                    // With the line and the column, where there are some.
                    let text = format!("{cause:?}");
                    let known = text.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
                    match known {
                        Some(_) => Error::data(text),
                        None => Error::data(format!("{name}: {text}")),
                    }
                }
            });
            let mut file = parsed?;
            simplify(&mut file)?;
            Self::Text(Box::new(file))
        };
        if file.proto().syntax() == "editions" {
            return Err(editions(name));
        }
        Ok(file)
    }

    fn proto(&self) -> &FileDescriptorProto {
        match self {
            Self::Text(file) | Self::Bytes(file, _) => file,
        }
    }

    fn package(&self) -> String {
        self.proto().package().to_owned()
    }

    fn tree(&self) -> Vec<Node> {
        match self {
            Self::Text(file) => tree_of(&file.message_type, false),
            Self::Bytes(file, _) => tree_of(&file.message_type, true),
        }
    }

    fn only_import(&self) -> Option<&str> {
        let file = self.proto();
        match (&file.dependency[..], &file.public_dependency[..]) {
            ([only], [0]) => Some(only),
            (_, _) => None,
        }
    }

    /// Adds it to a pool, behind what is always there and it imports.
    fn add(self, pool: &mut DescriptorPool) -> Result<()> {
        let name = self.proto().name().to_owned();
        for import in &self.proto().dependency {
            add_builtin(import, pool)?;
        }
        let added = match self {
            Self::Text(file) => pool.add_file_descriptor_proto(*file),
            Self::Bytes(_, bytes) => pool.decode_file_descriptor_proto(&*bytes),
        };
        added.map_err(|cause| Error::data(format!("{name} cannot be resolved: {cause}")))
    }
}

fn add_builtin(name: &str, pool: &mut DescriptorPool) -> Result<()> {
    if pool.get_file_by_name(name).is_some() {
        return Ok(());
    }
    let Some(file) = builtin::file(name) else {
        return Ok(());
    };
    for import in &file.dependency {
        add_builtin(import, pool)?;
    }
    let added = pool.add_file_descriptor_proto(file);
    added.map_err(|cause| Error::data(format!("{name} cannot be resolved: {cause}")))
}

fn editions(name: &str) -> Error {
    Error::data(format!(
        "{name} is written in an edition of Protobuf; there are proto2 and proto3 here"
    ))
}

/// Whether the first statement is that of an edition.
fn says_edition(text: &str) -> bool {
    text.lines().any(|line| {
        let rest = line.trim_start().strip_prefix("edition");
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    })
}

/// The messages of a file. Those that a parser has made for its maps do not count, as in Java.
fn tree_of(messages: &[DescriptorProto], has_entries: bool) -> Vec<Node> {
    let is_entry = |message: &DescriptorProto| message.options.as_ref().is_some_and(|options| options.map_entry());
    let counts = |message: &&DescriptorProto| has_entries || !is_entry(message);
    let node = |message: &DescriptorProto| Node {
        name: message.name().to_owned(),
        within: tree_of(&message.nested_type, has_entries),
    };
    messages.iter().filter(counts).map(node).collect()
}

/// Keeps what says how bytes are read, and leaves out what may need files that nobody has: services, extensions and options of one's own.
fn simplify(file: &mut FileDescriptorProto) -> Result<()> {
    file.service.clear();
    file.extension.clear();
    file.options = None;
    file.source_code_info = None;
    let mut has_meta = false;
    for message in &mut file.message_type {
        simplify_message(message, &mut has_meta)?;
    }
    for kind in &mut file.enum_type {
        simplify_enum(kind);
    }
    // Confluent's converter writes the option without the import.
    if has_meta && !file.dependency.iter().any(|import| import == builtin::META) {
        file.dependency.push(builtin::META.to_owned());
    }
    Ok(())
}

fn simplify_message(message: &mut DescriptorProto, has_meta: &mut bool) -> Result<()> {
    message.extension.clear();
    for range in &mut message.extension_range {
        range.options = None;
    }
    // Of these only the mark of entries that a parser has made for a `map` counts. One that the file has itself is known by its name.
    if let Some(options) = &mut message.options {
        options.uninterpreted_option.clear();
    }
    for oneof in &mut message.oneof_decl {
        oneof.options = None;
    }
    for kind in &mut message.enum_type {
        simplify_enum(kind);
    }
    for field in &mut message.field {
        let Some(options) = &mut field.options else {
            continue;
        };
        let stated = std::mem::take(&mut options.uninterpreted_option);
        for option in stated {
            if is_plain(&option, "packed") {
                options.packed = Some(option.identifier_value() == "true");
            } else if option
                .name
                .first()
                .is_some_and(|part| part.is_extension && part.name_part.trim_start_matches('.') == FIELD_META)
            {
                if nests_too_deep(option.aggregate_value()) {
                    return Err(Error::data(format!(
                        "the option {FIELD_META} of field {} nests deeper than {MAX_BRACKETS} levels",
                        field.name.as_deref().unwrap_or_default()
                    )));
                }
                *has_meta = true;
                options.uninterpreted_option.push(option);
            }
        }
    }
    message
        .nested_type
        .iter_mut()
        .try_for_each(|message| simplify_message(message, has_meta))
}

fn simplify_enum(kind: &mut prost_reflect::prost_types::EnumDescriptorProto) {
    for value in &mut kind.value {
        value.options = None;
    }
    if let Some(options) = &mut kind.options {
        let stated = std::mem::take(&mut options.uninterpreted_option);
        let allows = stated.iter().find(|option| is_plain(option, "allow_alias"));
        options.allow_alias = allows.map(|option| option.identifier_value() == "true");
    }
}

fn is_plain(option: &UninterpretedOption, name: &str) -> bool {
    matches!(&option.name[..], [part] if !part.is_extension && part.name_part == name)
}

fn nests_too_deep(text: &str) -> bool {
    let (mut level, mut quote) = (0_usize, None);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(rest.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{' | '[' | '<') => level += 1,
            (None, '}' | ']' | '>') => level = level.saturating_sub(1),
            (None, _) => {}
        }
        if level > MAX_BRACKETS {
            return true;
        }
    }
    false
}
