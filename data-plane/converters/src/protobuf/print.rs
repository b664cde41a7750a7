//! The text of a .proto file, to the letter of Confluent's.

use std::fmt::Write as _;

/// A message with all that it holds.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
    /// Names and members.
    pub(super) oneofs: Vec<(String, Vec<Field>)>,
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enum>,
}

#[derive(Debug)]
pub(super) struct Field {
    /// With a space behind it, where there is one.
    pub(super) label: &'static str,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) number: i32,
    /// What the option `confluent.field_meta` says.
    pub(super) params: Vec<(&'static str, String)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Enum {
    pub(super) name: String,
    pub(super) values: Vec<(String, i32)>,
}

/// The file of a message.
pub(super) fn print(package: &str, imports: &[&str], message: &Message) -> String {
    let mut out = Text::default();
    out.line("syntax = \"proto3\";");
    if !package.is_empty() {
        out.line(&format!("package {package};"));
    }
    if !imports.is_empty() {
        out.blank();
    }
    for import in imports {
        out.line(&format!("import \"{import}\";"));
    }
    out.blank();
    out.message(message);
    out.text
}

#[derive(Default)]
struct Text {
    text: String,
    level: usize,
}

impl Text {
    fn line(&mut self, line: &str) {
        let level = 2 * self.level;
        writeln!(self.text, "{:level$}{line}", "").expect("a text takes more text");
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn message(&mut self, message: &Message) {
        let has_definitions = !message.messages.is_empty() || !message.enums.is_empty();
        if message.fields.is_empty() && message.oneofs.is_empty() && !has_definitions {
            self.line(&format!("message {} {{}}", message.name));
            return;
        }
        self.line(&format!("message {} {{", message.name));
        self.level += 1;
        for field in &message.fields {
            self.field(field);
        }
        if !message.oneofs.is_empty() && !message.fields.is_empty() {
            self.blank();
        }
        for (name, members) in &message.oneofs {
            self.line(&format!("oneof {name} {{"));
            self.level += 1;
            for member in members {
                self.field(member);
            }
            self.level -= 1;
            self.line("}");
        }
        if has_definitions && !(message.fields.is_empty() && message.oneofs.is_empty()) {
            self.blank();
        }
        for message in &message.messages {
            self.message(message);
        }
        for of in &message.enums {
            self.line(&format!("enum {} {{", of.name));
            self.level += 1;
            for (symbol, number) in &of.values {
                self.line(&format!("{symbol} = {number};"));
            }
            self.level -= 1;
            self.line("}");
        }
        self.level -= 1;
        self.line("}");
    }

    fn field(&mut self, field: &Field) {
        let Field {
            label,
            kind,
            name,
            number,
            params,
        } = field;
        if params.is_empty() {
            self.line(&format!("{label}{kind} {name} = {number};"));
            return;
        }
        self.line(&format!("{label}{kind} {name} = {number} [(confluent.field_meta) = {{"));
        self.level += 1;
        self.line("params: [");
        self.level += 1;
        for (place, (key, value)) in params.iter().enumerate() {
            self.line("{");
            self.level += 1;
            let (key, value) = (format!("key: \"{key}\""), format!("value: \"{}\"", escaped(value)));
            // Confluent's has the value of these first, as it always had.
            let (first, second) = if key.contains("connect") {
                (key, value)
            } else {
                (value, key)
            };
            self.line(&format!("{first},"));
            self.line(&second);
            self.level -= 1;
            self.line(if place + 1 < params.len() { "}," } else { "}" });
        }
        self.level -= 1;
        self.line("]");
        self.level -= 1;
        self.line("}];");
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' | '\'' | '"' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
