//! Java's `SimpleDateFormat` for UTC and the root locale: patterns, formatting and lenient parsing.
