//! The replacement texts of `Matcher.replaceFirst`: `$1`, `${name}` and backslashes.

use super::Error;

/// A replacement in Java's syntax. As in Java it is read while it is used: what is wrong in it shows up with the first
/// match, and only if nothing before it is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A digit, and those behind it: how many of them count depends on the pattern.
    Number(String),
    Name(String),
    Wrong(String),
}

impl Replacement {
    /// Reads a replacement. What is wrong in it is an error of the replacing.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let part = match c {
                '\\' => match rest.next() {
                    Some(c) => {
                        plain.push(c);
                        continue;
                    }
                    None => Part::Wrong("character to be escaped is missing".to_owned()),
                },
                '$' => reference(&mut rest),
                _ => {
                    plain.push(c);
                    continue;
                }
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            let last = matches!(part, Part::Wrong(_));
            parts.push(part);
            if last {
                break;
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Self { parts }
    }

    /// Writes the replacement behind `out`. `group` gives what a group has matched, `names` the numbers of the named ones.
    pub(super) fn append(
        &self,
        out: &mut String,
        groups: usize,
        names: &[(String, usize)],
        mut group: impl FnMut(usize, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Number(digits) => {
                    let (number, rest) = number(digits, groups)?;
                    group(number, out)?;
                    out.push_str(rest);
                }
                Part::Name(name) => {
                    let number = names.iter().find(|(known, _)| known == name).map(|&(_, number)| number);
                    let number = number.ok_or_else(|| Error::Replacement(format!("No group with name {{{name}}}")))?;
                    group(number, out)?;
                }
                Part::Wrong(message) => return Err(Error::Replacement(message.clone())),
            }
        }
        Ok(())
    }
}

/// Java takes the first digit in any case, and more of them as long as there is such a group.
fn number(digits: &str, groups: usize) -> Result<(usize, &str), Error> {
    let mut number = 0;
    for (place, digit) in digits.bytes().enumerate() {
        let longer = number * 10 + usize::from(digit - b'0');
        if longer > groups {
            if place == 0 {
                return Err(Error::NoGroup(longer));
            }
            return Ok((number, &digits[place..]));
        }
        number = longer;
    }
    Ok((number, ""))
}

/// What stands behind a dollar.
fn reference(rest: &mut std::str::Chars<'_>) -> Part {
    let Some(first) = rest.next() else {
        return Part::Wrong("Illegal group reference: group index is missing".to_owned());
    };
    if first == '{' {
        let text = rest.as_str();
        let length = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (name, behind) = text.split_at(length);
        if name.is_empty() {
            return Part::Wrong("named capturing group has 0 length name".to_owned());
        }
        let Some(behind) = behind.strip_prefix('}') else {
            return Part::Wrong("named capturing group is missing trailing '}'".to_owned());
        };
        *rest = behind.chars();
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return Part::Wrong(format!("capturing group name {{{name}}} starts with digit character"));
        }
        return Part::Name(name.to_owned());
    }
    if !first.is_ascii_digit() {
        return Part::Wrong("Illegal group reference".to_owned());
    }
    let text = rest.as_str();
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (more, behind) = text.split_at(length);
    *rest = behind.chars();
    Part::Number(format!("{first}{more}"))
}
