//! Whether a class that a configuration names is one that an agent has. Agents list canonical names; a configuration may have the full
//! Java name, the simple name, or Connect's alias: the simple name without the suffix that says what kind of plugin it is.

/// What Connect cuts off a simple name to make an alias of it.
const SUFFIXES: [&str; 4] = ["Connector", "Converter", "Transformation", "Predicate"];

/// Whether `asked` names `class`. More than one class may be meant; the agent has the last word.
pub(super) fn is_named(class: &str, asked: &str) -> bool {
    let alias = || SUFFIXES.iter().find_map(|suffix| class.strip_suffix(suffix));
    class == asked || ends_as(class, asked) || alias().is_some_and(|alias| ends_as(alias, asked))
}

/// Whether `asked` is all that stands after the last dot. `$Value` of a nested class belongs to it.
fn ends_as(class: &str, asked: &str) -> bool {
    // Asked for every plugin of every agent that joins, and nearly always the last byte decides.
    if asked.is_empty() || class.as_bytes().last() != asked.as_bytes().last() || asked.contains('.') {
        return false;
    }
    let before = class.strip_suffix(asked);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_in_four_ways() {
        let file = "org.apache.kafka.connect.file.FileStreamSourceConnector";
        let value = "org.apache.kafka.connect.transforms.InsertField$Value";
        for (class, asked, named) in [
            (file, file, true),
            (file, "FileStreamSourceConnector", true),
            (file, "FileStreamSource", true),
            (file, "FileStream", false),
            (file, "StreamSourceConnector", false),
            (file, "", false),
            (value, value, true),
            (value, "InsertField$Value", true),
            (value, "Value", false),
            ("a.b.TopicNameMatchesPredicate", "TopicNameMatches", true),
            (value, "InsertField", false),
            ("org.apache.kafka.connect.json.JsonConverter", "Json", true),
            ("Connector", "", false),
            ("Bare", "Bare", true),
        ] {
            assert_eq!(is_named(class, asked), named, "{class} by {asked}");
        }
    }
}
