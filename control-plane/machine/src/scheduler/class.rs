//! Whether a class that a configuration names is one that an agent has. Agents list canonical names; a configuration may have the full
//! Java name, the simple name, or Connect's alias: the simple name without the suffix that says what kind of plugin it is.

/// What Connect cuts off a simple name to make an alias of it.
const SUFFIXES: [&str; 4] = ["Connector", "Converter", "Transformation", "Predicate"];

/// Whether `asked` names `class`. More than one class may be meant; the agent has the last word.
pub(super) fn is_named(class: &str, asked: &str) -> bool {
    // `$Value` of a nested class belongs to the simple name.
    let simple = class.rsplit('.').next().unwrap_or(class);
    let alias = SUFFIXES.iter().find_map(|suffix| simple.strip_suffix(suffix));
    class == asked || simple == asked || alias.is_some_and(|alias| !alias.is_empty() && alias == asked)
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
