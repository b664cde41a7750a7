//! OpenMetrics as Prometheus' older text format: counters and infos are called by the names of their series, and there is no end mark.

/// The same in text format 0.0.4.
pub(super) fn older(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            // It stands before the type, which decides what it is called.
            (Some("HELP"), Some(_), words) => help = words,
            (Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    other => ("", other),
                };
                if let Some(help) = help.take() {
                    text.push_str(&format!("# HELP {name}{suffix} {help}\n"));
                }
                text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
            }
            _ => {} // units and the end
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::older;

    #[test]
    fn names_are_those_of_the_series() {
        let open = "# HELP a Things.\n# TYPE a counter\na_total{x=\"# TYPE\"} 1\n# HELP b It is so.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
                    # HELP c Now.\n# TYPE c gauge\n# UNIT c s\nc 1.5\n# TYPE d unknown\nd 1\n# EOF\n";
        let text = "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"# TYPE\"} 1\n# HELP b_info It is so.\n# TYPE b_info gauge\n\
                    b_info{v=\"1\"} 1\n# HELP c Now.\n# TYPE c gauge\nc 1.5\n# TYPE d untyped\nd 1\n";
        assert_eq!(older(open), text);
    }
}
