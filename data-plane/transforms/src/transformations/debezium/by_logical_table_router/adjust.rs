//! How names of schemas are made fit for Avro.

use dray_connect::{Error, Result};

/// What becomes of characters that Avro's names do not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adjustment {
    /// They stay.
    None,
    /// Each becomes `_`; a digit at the beginning stays behind one.
    Avro,
    /// Each becomes `_u` and its code in UTF-16, and so does `_` itself.
    AvroUnicode,
}

impl Adjustment {
    pub(super) fn read(key: &str, text: Option<&str>) -> Result<Self> {
        let Some(text) = text else { return Ok(Self::None) };
        match text.trim().to_lowercase().as_str() {
            "none" => Ok(Self::None),
            "avro" => Ok(Self::Avro),
            "avro_unicode" => Ok(Self::AvroUnicode),
            _ => {
                let problem = format!("The '{key}' value is invalid: Value must be one of none, avro, avro_unicode");
                Err(Error::invalid_config(key, Some(text), Some(&problem)))
            }
        }
    }

    pub(super) fn adjust(self, name: &str) -> String {
        let mut adjusted = String::with_capacity(name.len());
        for (place, c) in name.chars().enumerate() {
            let first = c.is_ascii_alphabetic() || (c == '_' && self == Self::Avro);
            if self == Self::None || first || (place > 0 && (c == '.' || c.is_ascii_digit())) {
                adjusted.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                match self {
                    Self::None | Self::Avro => adjusted.push('_'),
                    Self::AvroUnicode if *unit < 0x100 => adjusted.push_str(&format!("_u00{unit:x}")),
                    Self::AvroUnicode => adjusted.push_str(&format!("_u{unit:x}")),
                }
            }
            if self == Self::Avro && c.is_ascii_digit() {
                adjusted.push(c);
            }
        }
        adjusted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_for_avro() {
        for (name, avro, unicode) in [
            ("a.b_c1", "a.b_c1", "a.b_u005fc1"),
            ("1a-ü", "_1a__", "_u0031a_u002d_u00fc"),
            ("-€😀", "____", "_u002d_u20ac_ud83d_ude00"),
            ("", "", ""),
        ] {
            assert_eq!(Adjustment::None.adjust(name), name);
            assert_eq!(Adjustment::Avro.adjust(name), avro);
            assert_eq!(Adjustment::AvroUnicode.adjust(name), unicode);
        }
    }
}
