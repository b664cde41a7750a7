//! `\Q…\E`, which Java writes out before it reads anything else.

/// The characters of a pattern, each quoted one escaped if it needs that.
pub(super) fn written_out(pattern: &str) -> Vec<char> {
    let mut chars = pattern.chars();
    let mut out = Vec::with_capacity(pattern.len() + 2);
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Q') => quoted(&mut chars, &mut out),
                Some(escaped) => out.extend(['\\', escaped]),
                None => out.push('\\'),
            },
            _ => out.push(c),
        }
    }
    out
}

fn quoted(chars: &mut std::str::Chars<'_>, out: &mut Vec<char>) {
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.as_str().starts_with('E') => {
                chars.next();
                return;
            }
            // A number before the quote (`\1\Q2\E`) must not grow by it.
            '0'..='9' if first => out.extend(['\\', 'x', '3', c]),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => out.extend(['\\', c]),
            c => out.push(c),
        }
        first = false;
    }
}
