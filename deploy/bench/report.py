"""Results: one JSON file for each workload, and one table of them all."""

import json
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from stats import noise, paired_ratio
from workloads import WORKLOADS, Cluster, ColdStart, Conversion, Flow, Latency

RESULTS = Path(__file__).resolve().parent / "results"

Value = dict[str, Any]
Result = dict[str, Any]


def summary(w: Flow | Latency | ColdStart | Conversion, rounds: list[dict[str, Value]], once: dict[str, Value], metric: str, against: str = "connect",
            more: list[str] = ["records_per_s", "peak_rss_mb"]) -> Result:
    """Medians of each arm, how many times better Dray is than `against`, the noise, and whether what is required is reached."""
    def values(arm: str, key: str) -> list[float]:
        return [value[arm][key] for value in rounds]

    medians = {key: {arm: median(values(arm, key)) for arm in rounds[0] if key in rounds[0][arm]}
                    | {arm: value[key] for arm, value in once.items()} for key in [metric, *more]}
    ratio = paired_ratio(values(against, metric), values("dray", metric))
    ours, target = medians[metric]["dray"], w.target
    if target.times is not None:
        reached, found = ratio.low >= target.times, f"{ratio.low:.2f}×"
    else:
        assert target.at_most is not None
        reached, found = ours <= target.at_most, f"{ours:.1f}"
    return {"n": len(rounds), "metric": metric, "medians": medians, "ratio": asdict(ratio) | {"against": against},
            "noise": noise(values("dray", metric), values("dray again", metric)), "target": target.text, "reached": reached, "found": found}


def write(folder: Path, result: Result) -> None:
    """The workload's own file, and the table of all."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result['workload']}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    results = [json.loads(path.read_text()) for w in WORKLOADS if (path := folder / f"{w}.json").exists()]
    (folder / "README.md").write_text(table([result for result in results if "summary" in result], [result for result in results if "figures" in result]))


def figures(w: Cluster, rounds: list[Value]) -> list[Value]:
    """Each figure's median and spread beside what is required of it. All rounds have to reach it, not their median."""
    found = []
    for figure in w.figures:
        values = [value[figure.key] for value in rounds]
        found.append(asdict(figure) | {"median": median(values), "low": min(values), "high": max(values), "n": len(values),
                                       "reached": None if figure.required is None else max(values) <= figure.required})
    return found


def figure_rows(workload: str, found: list[Value]) -> list[str]:
    def cell(value: float | None) -> str:
        return "" if value is None else f"{value:g}" if value == 0 else short(value)

    return [f"| {workload} | {f['what']} | {f['unit']} | **{cell(f['median'])}** ({cell(f['low'])}–{cell(f['high'])}, n {f['n']}) | {cell(f['required'])} | "
            f"{cell(f['aim'])} | {f['connect']} | {'' if f['reached'] is None else 'yes' if f['reached'] else 'no'} |" for f in found]


def cluster_part(results: list[Result]) -> list[str]:
    if not results:
        return []
    return ["", "## The cluster", "",
            "Real processes on both cores, nothing pinned: etcd (one node, loopback), broker, control planes, agents, and the clients that measure;",
            "each round on a cluster of its own. Median (smallest–largest of n rounds); *reached*: by every round. Connect: 4.3.1 on the same machine,",
            "measured once before (its own best settings where it says tuned), not again in these runs.", "",
            "| workload | figure | unit | Dray | required | aim | Connect | reached |", "|---|---|---|---|---|---|---|---|",
            *(row for result in results for row in figure_rows(result["workload"], result["figures"])), "",
            *(f"* {result['workload']}: {result['what']}" for result in results)]


def table(results: list[Result], clusters: list[Result]) -> str:
    lines = [
        "# Results",
        "",
        "Written by `make bench`, from the JSON files beside it; [how it is measured and how to read it](../README.md). Medians of n rounds. ×: how",
        "many times less than the real Kafka Connect 4.3.1 in the same rounds (tuned; W7 and C5: default; converters: Apicurio's converter in a JVM), with",
        "the 95 % interval: its lower end is what has to reach what is required. A/A: the largest difference between two runs of Dray in one round. \\*: one run only.",
        "",
        "| workload | unit | Dray | Connect tuned | Connect default | librdkafka raw | × | A/A | n | also | required | reached |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(row(result) for result in results),
        *cluster_part(clusters),
        "",
        "## On what",
        "",
    ]
    for key, ids in grouped(results + clusters, lambda r: "; ".join(f"{k} {v}" for k, v in {**r["machine"], **r["versions"]}.items())):
        lines.append(f"* {', '.join(ids)}: {key}")
    lines += ["", "## What each arm promises", ""]
    for key, ids in grouped(results, lambda r: "".join(f"\n  * {NAMES[arm]}: {text}" for arm, text in r["guarantees"].items())):
        lines.append(f"* {', '.join(ids)}{key}")
    for result in results:
        if result.get("profile"):
            lines += ["", f"## Where the time goes: {result['workload']}", "",
                      "One more run of Dray, not counted, from its second second on (`perf`, by thread, library and function):", "",
                      "```text", result["profile"].rstrip(), "```"]
    return "\n".join(lines) + "\n"


NAMES = {"dray": "Dray", "connect": "Connect tuned", "default": "Connect default", "raw": "librdkafka raw", "dray librdkafka": "Dray on librdkafka"}


def row(result: Result) -> str:
    about = result["summary"]
    medians, ratio = about["medians"][about["metric"]], about["ratio"]

    def cell(arm: str) -> str:
        return "" if arm not in medians else short(medians[arm]) + (" \\*" if arm in result["once"] else "")

    cells = [f"**{result['workload']}** {result['what']}", result["unit"], cell("dray"), cell("connect"), cell("default"), cell("raw"),
             f"**{ratio['median']:.2f}** ({ratio['low']:.2f}–{ratio['high']:.2f})", f"{about['noise'] * 100:.1f} %", str(about["n"]),
             also(result), about["target"], f"{'yes' if about['reached'] else 'no'} ({about['found']})"]
    return f"| {' | '.join(cells)} |"


def also(result: Result) -> str:
    about = result["summary"]
    labels = {"records_per_s": ("records/s", "{:,.0f}"), "peak_rss_mb": ("peak RSS MB", "{:.0f}"), "p50_ms": ("p50 ms", "{:.1f}"),
              "cpu_percent": ("% of a core", "{:.1f}"), "steal_percent": ("% of a core stolen by the host", "{:.1f}"), "empty_rss_mb": ("empty RSS MB", "{:.1f}"), "empty_threads": ("empty threads", "{:.0f}"),
              "empty_cpu_percent": ("empty % of a core", "{:.1f}"), "rest_ready_ms": ("REST ready ms", "{:,.0f}")}
    order = ["dray", "connect", "default", "raw"]
    texts = []
    for key, medians in about["medians"].items():
        if key in labels:
            label, form = labels[key]
            texts.append(f"{label}: " + ", ".join(f"{NAMES[arm]} {form.format(medians[arm])}" for arm in order if arm in medians))
    if "dray librdkafka" in result["once"]:
        texts.append(f"Dray on librdkafka \\*: {short(about['medians'][about['metric']]['dray librdkafka'])}")
    return "; ".join(texts)


def short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 10 else f"{value:.2f}"


def grouped(results: list[Result], text: Any) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for result in results:
        groups.setdefault(text(result), []).append(result["workload"])
    return list(groups.items())
