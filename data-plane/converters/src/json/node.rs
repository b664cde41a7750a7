//! A parsed JSON text, with the accessors of Jackson's `JsonNode` that Connect uses: they answer for every kind of node.
//!
//! Texts and numbers stay slices of the input.

use std::borrow::Cow;
use std::collections::HashMap;

use bigdecimal::BigDecimal;
use num_bigint::BigInt;

/// One JSON value.
#[derive(Clone, Debug)]
pub(super) enum Node<'a> {
    /// There was no value at all.
    Missing,
    Null,
    Boolean(bool),
    Number(Number<'a>),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    /// Each name once.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    /// The schema that was known before, not parsed again; only a member of an envelope is one.
    KnownSchema,
}

impl<'a> Node<'a> {
    /// An object; of members with the same name the last value wins and keeps the place of the first.
    pub(super) fn object(members: Vec<(Cow<'a, str>, Node<'a>)>) -> Self {
        /// Up to here comparing each with each is faster than hashing.
        const FEW: usize = 16;
        let repeated = if members.len() <= FEW {
            members
                .iter()
                .enumerate()
                .any(|(i, (name, _))| members.iter().take(i).any(|(before, _)| before == name))
        } else {
            let mut seen = std::collections::HashSet::with_capacity(members.len());
            !members.iter().all(|(name, _)| seen.insert(name))
        };
        if !repeated {
            return Self::Object(members);
        }
        let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
        let mut unique: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
        for (name, node) in members {
            let place = *places.entry(name.clone()).or_insert(unique.len());
            match unique.get_mut(place) {
                Some(slot) => slot.1 = node,
                None => unique.push((name, node)),
            }
        }
        Self::Object(unique)
    }

    /// The name Connect's messages use.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "MISSING",
            Self::Null => "NULL",
            Self::Boolean(_) => "BOOLEAN",
            Self::Number(_) => "NUMBER",
            Self::String(_) => "STRING",
            Self::Array(_) => "ARRAY",
            Self::Object(_) | Self::KnownSchema => "OBJECT",
        }
    }

    /// The member of an object; none for any other node.
    pub(super) fn get(&self, name: &str) -> Option<&Node<'a>> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(found, _)| found == name).map(|(_, node)| node)
    }

    /// The text of a string.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self, Self::Boolean(true))
    }

    /// The number, where this is one.
    pub(super) fn number(&self) -> Option<Number<'a>> {
        if let Self::Number(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// Java's `longValue`: 0 for what is not a number.
    pub(super) fn long(&self) -> i64 {
        self.number().map_or(0, Number::long)
    }
}

/// A number as it was written, without leading zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<'a> {
    pub(super) negative: bool,
    /// No sign, no leading zeros; at least one digit stands before a point.
    pub(super) text: &'a str,
    /// Neither a point nor an exponent.
    pub(super) integral: bool,
}

impl Number<'_> {
    /// The digits before the point, those after it, and the exponent.
    fn parts(&self) -> (&str, &str, i64) {
        if self.integral {
            return (self.text, "", 0);
        }
        let (mantissa, exponent) = self.text.split_once(['e', 'E']).unwrap_or((self.text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // Past 64 bits the parser refuses the number by its scale, so what is used here always fits.
        (whole, fraction, exponent.parse().unwrap_or(i64::MAX))
    }

    /// The scale as Java's `BigDecimal` has it; none when it does not fit into 32 bits.
    pub(super) fn scale(&self) -> Option<i32> {
        let (_, fraction, exponent) = self.parts();
        let digits = i64::try_from(fraction.len()).ok()?;
        // The exponent by itself must fit as well.
        let exponent = i32::try_from(exponent).ok()?;
        i32::try_from(digits.checked_sub(i64::from(exponent))?).ok()
    }

    /// The whole part, of which the low 64 bits are kept; narrower integers are cut out of those.
    pub(super) fn long(self) -> i64 {
        let (whole, fraction, exponent) = self.parts();
        let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(exponent);
        let kept = usize::try_from(point).unwrap_or(0);
        let digits = whole.bytes().chain(fraction.bytes());
        let mut value = digits.take(kept).fold(0_i64, |sum, digit| {
            sum.wrapping_mul(10).wrapping_add(i64::from(digit.wrapping_sub(b'0')))
        });
        // 10^64 has no low 64 bits, so more steps change nothing.
        for _ in 0..kept.saturating_sub(whole.len() + fraction.len()).min(64) {
            value = value.wrapping_mul(10);
        }
        if self.negative { value.wrapping_neg() } else { value }
    }

    /// Whether it is an integer of 32 bits, which Jackson keeps apart from longer ones.
    pub(super) fn is_int(self) -> bool {
        // Eleven digits are too many, and ten fit into 64 bits.
        self.integral && self.text.len() <= 10 && i32::try_from(self.long()).is_ok()
    }

    pub(super) fn double(self) -> f64 {
        let value: f64 = self.text.parse().unwrap_or(0.0);
        if self.negative && !self.is_zero() {
            -value
        } else {
            value
        }
    }

    pub(super) fn float(self) -> f32 {
        let value: f32 = self.text.parse().unwrap_or(0.0);
        if self.negative && !self.is_zero() {
            -value
        } else {
            value
        }
    }

    /// Java's exact numbers know no negative zero; one that only rounds to zero keeps its sign.
    fn is_zero(self) -> bool {
        let (whole, fraction, _) = self.parts();
        whole.bytes().chain(fraction.bytes()).all(|digit| digit == b'0')
    }

    /// The exact number, with as many decimals as were written.
    pub(super) fn decimal(self) -> BigDecimal {
        let (whole, fraction, _) = self.parts();
        let unscaled: BigInt = [whole, fraction].concat().parse().unwrap_or_default();
        let scale = i64::from(self.scale().unwrap_or(0));
        BigDecimal::new(if self.negative { -unscaled } else { unscaled }, scale)
    }
}
