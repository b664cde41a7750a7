//! Any pattern, instant and text: nothing panics, and what a full pattern writes is read as the same instant.

#![no_main]

use dray_transforms::simple_date_format::SimpleDateFormat;
use libfuzzer_sys::fuzz_target;

/// Patterns that say all there is to say about an instant. One or two letters `y` would read the year 88 as 1988.
const FULL: [&str; 4] = [
    "G yyy-M-d H:m:s.S",
    "yyyyyyyyyMMddHHmmssSSSG",
    "EEEE, d. MMMM yyy G, hh:mm:ss.SSS a zzzz",
    "G yyy D k m s S Z",
];

/// The same by weeks, which the change of the calendar in 1582 leaves ambiguous, as do years before Christ.
const WEEKS: [&str; 3] = ["YYYY-ww-u K a m s S XXX", "y L W E H m s S", "y M F EEEE H:m:s.S"];

/// 1584-01-01
const WEEKS_FROM: i64 = -12_181_017_600_000;

fuzz_target!(|input: (String, String, i64, i64)| {
    let (pattern, text, millis, now_millis) = input;
    if let Ok(mut format) = SimpleDateFormat::compile(&pattern, now_millis) {
        let mut written = String::new();
        format.format(millis, &mut written);
        // What it wrote need not be what it reads: the pattern may well be ambiguous.
        let _ = (format.parse(&written), format.parse(&text));
    }
    let weeks = if millis < WEEKS_FROM { &[][..] } else { &WEEKS };
    for pattern in FULL.iter().chain(weeks) {
        let mut format = SimpleDateFormat::compile(pattern, now_millis).expect("a valid pattern");
        let mut written = String::new();
        format.format(millis, &mut written);
        assert_eq!(format.parse(&written), Ok(millis), "{pattern:?} {written:?}");
    }
});
