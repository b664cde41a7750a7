//! Where the values of a JSON text go: the batch. Without a schema the parser writes straight into it.

use dray_connect::backing::{Backing, BatchNumber, Span};
use dray_connect::datum::{Datum, Utf8Span};

use super::node::Number;
use super::parser::Sink;
use super::scan::Text;

/// A batch, and where in it the text lies that is read.
pub(crate) struct Out<'b> {
    pub(crate) batch: &'b mut Backing,
    /// None when the text is not in the batch; then strings are copied in.
    pub(crate) span: Option<Span>,
    /// The parts of what is not whole yet.
    pub(crate) stack: &'b mut Vec<Datum>,
    /// How much deeper structs within themselves may go.
    pub(crate) levels: usize,
}

impl Out<'_> {
    /// A string of `input`.
    #[inline(always)]
    pub(crate) fn text(&mut self, text: Text<'_>, input: &[u8]) -> Datum {
        match (text, self.span) {
            (Text::Plain(range), Some(span)) => {
                let span = span.slice(range.start, range.end);
                // The scanner has checked it.
                Datum::Str(Utf8Span::checked_by_caller(self.batch, span))
            }
            (text, _) => self.copied(text.bytes(input)),
        }
    }

    #[inline(never)]
    fn copied(&mut self, text: &[u8]) -> Datum {
        self.batch.text(std::str::from_utf8(text).unwrap_or_default())
    }
}

/// The sink of a text without a schema.
pub(crate) struct Schemaless<'b, 'i> {
    pub(crate) out: Out<'b>,
    pub(crate) input: &'i [u8],
}

impl Sink for Schemaless<'_, '_> {
    type Node = Datum;

    fn null(&mut self) -> Datum {
        Datum::Null
    }

    fn boolean(&mut self, value: bool) -> Datum {
        Datum::Boolean(value)
    }

    #[inline(always)]
    fn number(&mut self, number: Number<'_>) -> Datum {
        schemaless_number(number)
    }

    #[inline(always)]
    fn string(&mut self, text: Text<'_>) -> Datum {
        self.out.text(text, self.input)
    }

    fn array(&mut self, elements: &[Datum]) -> Datum {
        self.out.batch.array(elements)
    }

    fn object(&mut self, members: &[Datum]) -> Datum {
        self.out.batch.map_of_parts(members)
    }

    /// Only an envelope has one, and an envelope has a schema.
    fn known_schema(&mut self) -> Datum {
        Datum::Null
    }

    #[inline]
    fn batch(&self) -> Option<BatchNumber> {
        Some(self.out.batch.number())
    }

    fn bytes<'s>(&'s self, string: Datum, _input: &'s [u8]) -> &'s [u8] {
        if let Datum::Str(span) = string {
            self.out.batch.bytes(span.span())
        } else {
            &[]
        }
    }
}

#[inline]
pub(crate) fn schemaless_number(number: Number<'_>) -> Datum {
    if number.integral {
        Datum::Int64(number.low)
    } else {
        Datum::Float64(number.double())
    }
}
