//! Query parameters: `a=1&b`, percent-encoded.

use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The values of a parameter, in order; one that is there without a value has an empty one.
pub(crate) fn values<'a>(query: Option<&'a str>, name: &'a str) -> impl Iterator<Item = String> + 'a {
    query.unwrap_or_default().split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (!pair.is_empty() && decode(key) == name).then(|| decode(value).into_owned())
    })
}

/// A flag as Jersey reads one: `true` in any case, and everything else is false. `otherwise`, if it is not there or empty.
pub(crate) fn flag(query: Option<&str>, name: &str, otherwise: bool) -> bool {
    values(query, name)
        .next()
        .filter(|value| !value.is_empty())
        .map_or(otherwise, |value| value.eq_ignore_ascii_case("true"))
}

fn decode(text: &str) -> Cow<'_, str> {
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found() {
        let query = Some("expand=info&x&expand=st%61tus&expand&includeTasks=TRUE&onlyFailed=yes&=&&a+b=c+d");
        assert_eq!(values(query, "expand").collect::<Vec<_>>(), ["info", "status", ""]);
        assert_eq!(values(query, "x").collect::<Vec<_>>(), [""]);
        assert_eq!(values(query, "a b").collect::<Vec<_>>(), ["c d"]);
        assert_eq!(values(query, "Expand").count(), 0);
        assert!(flag(query, "includeTasks", false) && !flag(query, "onlyFailed", true) && flag(query, "no", true));
        assert_eq!(values(None, "x").count(), 0);
    }
}
