//! A parsed JSON text, with the accessors of Jackson's `JsonNode` that Connect uses: they answer for every kind of node.
//!
//! Texts and numbers stay slices of the input.

use bigdecimal::BigDecimal;
use num_bigint::BigInt;

use super::parser::Sink;
use super::scan::Text;

/// The values of a text that are not yet Connect's. Kept for the next text, so that parsing does not allocate.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    cells: Vec<Cell>,
    /// The texts that had escapes.
    unescaped: String,
}

/// One JSON value; ranges are those of the input or the tape.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell {
    Null,
    Boolean(bool),
    Number {
        negative: bool,
        integral: bool,
        start: usize,
        len: u16,
        low: i64,
        decimals: u8,
    },
    Text {
        start: usize,
        end: usize,
    },
    Unescaped {
        start: usize,
        end: usize,
    },
    Array {
        start: usize,
        end: usize,
    },
    /// Names and values by turns.
    Object {
        start: usize,
        end: usize,
    },
    KnownSchema,
}

impl Tape {
    pub(crate) fn clear(&mut self) {
        self.cells.clear();
        self.unescaped.clear();
    }

    /// The node of a cell of this tape.
    pub(crate) fn node<'a>(&'a self, input: &'a [u8], cell: Option<Cell>) -> Node<'a> {
        Node {
            tape: self,
            input,
            cell,
        }
    }

    fn row(&mut self, parts: &[Cell]) -> (usize, usize) {
        let start = self.cells.len();
        self.cells.extend_from_slice(parts);
        (start, self.cells.len())
    }
}

impl Sink for Tape {
    type Node = Cell;

    fn null(&mut self) -> Cell {
        Cell::Null
    }

    fn boolean(&mut self, value: bool) -> Cell {
        Cell::Boolean(value)
    }

    fn number(&mut self, number: Number<'_>) -> Cell {
        Cell::Number {
            negative: number.negative,
            integral: number.integral,
            start: number.start,
            // A number has 1000 digits at most.
            len: number.text.len() as u16,
            low: number.low,
            decimals: number.decimals,
        }
    }

    fn string(&mut self, text: Text<'_>) -> Cell {
        match text {
            Text::Plain(range) => Cell::Text {
                start: range.start,
                end: range.end,
            },
            Text::Unescaped(text) => {
                let start = self.unescaped.len();
                self.unescaped.push_str(text);
                Cell::Unescaped {
                    start,
                    end: self.unescaped.len(),
                }
            }
        }
    }

    fn array(&mut self, elements: &[Cell]) -> Cell {
        let (start, end) = self.row(elements);
        Cell::Array { start, end }
    }

    fn object(&mut self, members: &[Cell]) -> Cell {
        let (start, end) = self.row(members);
        Cell::Object { start, end }
    }

    fn known_schema(&mut self) -> Cell {
        Cell::KnownSchema
    }

    fn bytes<'s>(&'s self, string: Cell, input: &'s [u8]) -> &'s [u8] {
        self.node(input, Some(string)).text().unwrap_or_default().as_bytes()
    }
}

/// One JSON value, or none at all.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    tape: &'a Tape,
    input: &'a [u8],
    cell: Option<Cell>,
}

impl<'a> Node<'a> {
    /// The name Connect's messages use.
    pub(crate) fn kind(self) -> &'static str {
        match self.cell {
            None => "MISSING",
            Some(Cell::Null) => "NULL",
            Some(Cell::Boolean(_)) => "BOOLEAN",
            Some(Cell::Number { .. }) => "NUMBER",
            Some(Cell::Text { .. } | Cell::Unescaped { .. }) => "STRING",
            Some(Cell::Array { .. }) => "ARRAY",
            Some(Cell::Object { .. } | Cell::KnownSchema) => "OBJECT",
        }
    }

    /// The text that it was parsed from.
    pub(crate) fn input(self) -> &'a [u8] {
        self.input
    }

    pub(crate) fn is_null(self) -> bool {
        matches!(self.cell, Some(Cell::Null))
    }

    pub(crate) fn is_known_schema(self) -> bool {
        matches!(self.cell, Some(Cell::KnownSchema))
    }

    fn of(self, cell: Cell) -> Self {
        Self {
            cell: Some(cell),
            ..self
        }
    }

    fn cells(self, start: usize, end: usize) -> &'a [Cell] {
        self.tape.cells.get(start..end).unwrap_or_default()
    }

    /// The elements of an array.
    pub(crate) fn elements(self) -> Option<impl ExactSizeIterator<Item = Node<'a>>> {
        if let Some(Cell::Array { start, end }) = self.cell {
            Some(self.cells(start, end).iter().map(move |cell| self.of(*cell)))
        } else {
            None
        }
    }

    /// The members of an object, each name once; a name is the node of a string.
    pub(crate) fn members(self) -> Option<impl ExactSizeIterator<Item = (Node<'a>, Node<'a>)>> {
        if let Some(Cell::Object { start, end }) = self.cell {
            let (members, _) = self.cells(start, end).as_chunks::<2>();
            Some(
                members
                    .iter()
                    .map(move |[name, value]| (self.of(*name), self.of(*value))),
            )
        } else {
            None
        }
    }

    /// The member of an object; none for any other node.
    pub(crate) fn get(self, name: &str) -> Option<Self> {
        let mut members = self.members()?;
        members
            .find(|(found, _)| found.text() == Some(name))
            .map(|(_, node)| node)
    }

    /// The text of a string.
    pub(crate) fn text(self) -> Option<&'a str> {
        let bytes = match self.cell {
            Some(Cell::Text { start, end }) => self.input.get(start..end),
            Some(Cell::Unescaped { start, end }) => self.tape.unescaped.as_bytes().get(start..end),
            None
            | Some(
                Cell::Null
                | Cell::Boolean(_)
                | Cell::Number { .. }
                | Cell::Array { .. }
                | Cell::Object { .. }
                | Cell::KnownSchema,
            ) => return None,
        };
        // The scanner has checked it.
        Some(std::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default())
    }

    /// The text of a string, for a sink.
    pub(crate) fn string(self) -> Option<Text<'a>> {
        if let Some(Cell::Text { start, end }) = self.cell {
            return Some(Text::Plain(start..end));
        }
        self.text().map(Text::Unescaped)
    }

    /// The value of a boolean.
    pub(crate) fn boolean(self) -> Option<bool> {
        if let Some(Cell::Boolean(value)) = self.cell {
            Some(value)
        } else {
            None
        }
    }

    pub(crate) fn is_true(self) -> bool {
        self.boolean() == Some(true)
    }

    /// The number, where this is one.
    pub(crate) fn number(self) -> Option<Number<'a>> {
        let Some(Cell::Number {
            negative,
            integral,
            start,
            len,
            low,
            decimals,
        }) = self.cell
        else {
            return None;
        };
        Some(Number {
            negative,
            start,
            text: self.input.get(start..start + usize::from(len)).unwrap_or_default(),
            integral,
            low,
            decimals,
        })
    }

    /// Java's `longValue`: 0 for what is not a number.
    pub(crate) fn long(self) -> i64 {
        self.number().map_or(0, Number::long)
    }
}

/// A number as it was written, without leading zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<'a> {
    pub(crate) negative: bool,
    /// Where the text starts in the input.
    pub(crate) start: usize,
    /// ASCII: no sign, no leading zeros; at least one digit stands before a point.
    pub(crate) text: &'a [u8],
    /// Neither a point nor an exponent.
    pub(crate) integral: bool,
    /// The low 64 bits of an integral number; all digits of a short one.
    pub(crate) low: i64,
    /// How many digits of a short number, which has 18 at most, stand after the point.
    pub(crate) decimals: u8,
}

/// The powers of ten that a double holds exactly, as far as a short number needs them.
const POWERS_OF_TEN: [f64; 18] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
];
/// The integers up to here are doubles.
const MAX_EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

impl<'a> Number<'a> {
    /// In the place of the decimals of a number that is not short.
    pub(crate) const NOT_SHORT: u8 = u8::MAX;

    fn text(&self) -> &'a str {
        std::str::from_utf8(self.text).unwrap_or_default()
    }

    /// The digits before the point, those after it, and the exponent.
    fn parts(&self) -> (&'a str, &'a str, i64) {
        if self.integral {
            return (self.text(), "", 0);
        }
        let (mantissa, exponent) = self.text().split_once(['e', 'E']).unwrap_or((self.text(), "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // Past 64 bits the parser refuses the number by its scale, so what is used here always fits.
        (whole, fraction, exponent.parse().unwrap_or(i64::MAX))
    }

    /// The scale as Java's `BigDecimal` has it; none when it does not fit into 32 bits.
    pub(crate) fn scale(&self) -> Option<i32> {
        let (_, fraction, exponent) = self.parts();
        let digits = i64::try_from(fraction.len()).ok()?;
        // The exponent by itself must fit as well.
        let exponent = i32::try_from(exponent).ok()?;
        i32::try_from(digits.checked_sub(i64::from(exponent))?).ok()
    }

    /// The whole part, of which the low 64 bits are kept; narrower integers are cut out of those.
    pub(crate) fn long(self) -> i64 {
        if self.integral {
            return self.low;
        }
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
    pub(crate) fn is_int(self) -> bool {
        // Eleven digits are too many, and ten fit into 64 bits.
        self.integral && self.text.len() <= 10 && i32::try_from(self.low).is_ok()
    }

    #[inline]
    pub(crate) fn double(self) -> f64 {
        // The quotient of two exact numbers is rounded once, as it must be.
        match POWERS_OF_TEN.get(usize::from(self.decimals)) {
            Some(power) if self.low.unsigned_abs() <= MAX_EXACT => self.low as f64 / power,
            Some(_) | None => self.any_double(),
        }
    }

    #[inline(never)]
    fn any_double(self) -> f64 {
        let value: f64 = self.text().parse().unwrap_or(0.0);
        if self.negative && !self.is_zero() {
            -value
        } else {
            value
        }
    }

    pub(crate) fn float(self) -> f32 {
        let value: f32 = self.text().parse().unwrap_or(0.0);
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
    pub(crate) fn decimal(self) -> BigDecimal {
        let (whole, fraction, _) = self.parts();
        let unscaled: BigInt = [whole, fraction].concat().parse().unwrap_or_default();
        let scale = i64::from(self.scale().unwrap_or(0));
        BigDecimal::new(if self.negative { -unscaled } else { unscaled }, scale)
    }
}
