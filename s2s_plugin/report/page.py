"""The page: header, score cards, commands and configuration, put together into one HTML document."""

from __future__ import annotations

import re
from importlib.resources import files
from string import Template
from typing import Any

from s2s_plugin.report.markup import Section, breakable, esc, missing, number
from s2s_plugin.report.run import Run

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<header class="top">
$header
</header>
<nav aria-label="Sections"><ul>$links</ul></nav>
<main>
$sections
</main>
<script>
for (const pre of document.querySelectorAll("pre.copy")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.onclick = () => {
    getSelection().selectAllChildren(pre);
    button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  pre.before(button);
}
</script>
</body>
</html>
""")


def render_page(run: Run, sections: list[Section]) -> str:
    """The whole document. It refers to nothing outside itself, and forbids the browser to."""
    return PAGE.substitute(
        title=esc(" · ".join(_names(run))),
        style=files(__package__).joinpath("style.css").read_text(encoding="utf-8"),
        header=_header(run),
        links="".join(f'<li><a href="#{part.anchor}">{esc(part.title)}</a></li>' for part in sections),
        sections="\n".join(
            f'<section id="{part.anchor}">\n<h2>{esc(part.title)}</h2>\n{part.body}\n</section>' for part in sections
        ),
    )


def scores_section(run: Run) -> Section:
    """A card for each metric, with its signature and its baselines."""
    metrics = run.scores.get("metrics") or {}
    if not metrics:
        return Section("scores", "Scores", missing("scores.json", "score", "the scores"))
    cards = "\n".join(_card(name, metric, run.scores) for name, metric in metrics.items())
    return Section("scores", "Scores", f'<div class="cards">\n{cards}\n</div>{_directions(run.scores)}')


def _directions(scores: dict[str, Any]) -> str:
    """Of a model that translates in several directions, a table with a row for each."""
    directions = scores.get("directions") or {}
    if not directions:
        return ""
    metrics = list(next(iter(directions.values()))["metrics"])  # perplexity is of all together
    heads = "".join(f'<th scope="col">{esc(name)}</th>' for name in metrics)
    rows = "\n".join(
        f'<tr><th scope="row">{esc(name)}</th><td>{found["sentences"]:,}</td>'
        + "".join(f"<td>{_with_baselines(metric, found)}</td>" for metric in metrics)
        + "</tr>"
        for name, found in directions.items()
    )
    return (
        '\n<table class="bars"><thead><tr><th scope="col">Direction</th><th scope="col">'
        f'<abbr title="Number of sentences">n</abbr></th>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>\n'
        '<p class="note">The scores above are of all directions together. In brackets 95 % intervals, '
        "then the trivial baselines.</p>"
    )


def _with_baselines(metric: str, found: dict[str, Any]) -> str:
    """``33.1 [31.9, 34.4]``, or where there is no interval the score alone; below it ``copy of the source 1.0``."""
    value = found["metrics"][metric]
    between = "[{}, {}]".format(*map(number, value["interval"])) if "interval" in value else ""
    baselines = ", ".join(f"{esc(name)} {number(each[metric])}" for name, each in found["baselines"].items())
    return f'<b>{number(value["score"])}</b> {between}<br><span class="quiet">{baselines}</span>'


def commands_section(run: Run) -> Section:
    """The plain fairseq commands that do what this run did, by stage."""
    title = "Commands"
    if not run.commands.strip():
        return Section("commands", title, missing("commands.txt", "prepare", "the commands"))
    lead = '<p class="note">Plain fairseq commands that do the same as this run, stage by stage.</p>'
    stages = "\n".join(
        (f"<h3>{esc(stage)}</h3>\n" if stage else "") + f'<div class="code"><pre class="copy">{esc(text)}</pre></div>'
        for stage, text in split_commands(run.commands)
    )
    return Section("commands", title, f"{lead}\n{stages}")


def split_commands(text: str) -> list[tuple[str, str]]:
    """The stages of ``commands.txt`` and their commands; what stands before the first stage has no name."""
    parts = re.split(r"^#[ \t]*(\w+)[ \t]*$", text, flags=re.MULTILINE)
    pairs = [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    return [(stage, commands.strip()) for stage, commands in pairs if commands.strip()]


def config_section(run: Run) -> Section:
    """The resolved configuration, folded away."""
    title = "Configuration"
    if not run.config_text.strip():
        return Section("config", title, missing("config.yaml", "prepare", "the configuration"))
    body = (
        "<details>\n<summary>The resolved configuration, <code>config.yaml</code></summary>\n"
        f'<div class="code"><pre class="copy">{esc(run.config_text.strip())}</pre></div>\n</details>'
    )
    return Section("config", title, body)


def _names(run: Run) -> list[str]:
    """The name of the run, then that of its application."""
    names = [run.config.get("name") or run.folder.resolve().name, run.config.get("app")]
    return [str(name) for name in names if name]


def _header(run: Run) -> str:
    name, *app = _names(run)
    eyebrow = f'<p class="eyebrow">{esc(app[0])}</p>\n' if app else ""
    facts = "\n".join(f"<div><dt>{esc(key)}</dt><dd>{breakable(value)}</dd></div>" for key, value in _facts(run))
    return f'{eyebrow}<h1>{esc(name)}</h1>\n<dl class="facts">\n{facts}\n</dl>'


def _facts(run: Run) -> list[tuple[str, str]]:
    """What one wants to know beside the scores, as far as it is known."""
    scores = run.scores
    facts = [("Data", _data(run.config)), ("Date", f"{run.date.day} {run.date:%B %Y, %H:%M}")]
    if scores.get("subset"):
        sentences = scores.get("sentences")
        things = "items" if run.from_signals else "sentences"
        count = f", {sentences:,} {things}" if isinstance(sentences, int) else ""
        facts.append(("Scored on", f"{scores['subset']}{count}"))
    if isinstance(scores.get("parameters"), int):
        facts.append(("Parameters", f"{scores['parameters']:,}"))
    if isinstance(scores.get("train_seconds"), (int, float)):
        facts.append(("Training time", duration(scores["train_seconds"])))
    if scores.get("precision"):
        facts.append(("Precision", str(scores["precision"])))
    if isinstance(scores.get("search"), dict):
        facts.append(("Search", ", ".join(f"{key} {value}" for key, value in scores["search"].items())))
    if scores.get("seed") is not None:
        facts.append(("Seed", str(scores["seed"])))
    if scores.get("checkpoint"):
        facts.append(("Checkpoint", str(scores["checkpoint"])))
    return [(key, value) for key, value in facts if value]


def _data(config: dict[str, Any]) -> str:
    """The name of the data: the ``data`` group's own, else the last part of the path fairseq reads."""
    data = config.get("data")
    if isinstance(data, dict):
        data = data.get("name")
    if not data and isinstance(config.get("task"), dict):
        data = config["task"].get("data")
    return str(data).rstrip("/").rsplit("/", 1)[-1] if data else ""


def duration(seconds: float) -> str:
    """A time for people: ``10 min 1 s``, ``3 h 20 min``."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _card(name: str, metric: Any, scores: dict[str, Any]) -> str:
    """One score: the number, its interval, which way is better, what trivial baselines get, how it was computed."""
    metric = metric if isinstance(metric, dict) else {"score": metric}
    better = {True: "higher is better", False: "lower is better"}.get(metric.get("higher_is_better"), "")
    baselines = "".join(
        f"<li>{esc(baseline)} <b>{_score(values[name])}</b></li>"
        for baseline, values in (scores.get("baselines") or {}).items()
        if isinstance(values, dict) and name in values
    )
    signature = breakable("|".join(text for text in (metric.get("signature"), metric.get("bootstrap")) if text))
    between = " to ".join(map(number, metric.get("interval") or ()))
    return "\n".join(
        line
        for line in (
            '<article class="card">',
            f"<h3>{esc(name)}</h3>",
            f'<p class="score">{_score(metric.get("score"))}</p>',
            f'<p class="quiet">95 % interval {between}</p>' if between else "",
            f'<p class="quiet">{better}</p>' if better else "",
            f'<ul class="baselines">{baselines}</ul>' if baselines else "",
            f'<p class="signature"><code>{signature}</code></p>' if signature else "",
            "</article>",
        )
        if line
    )


def _score(value: object) -> str:
    return number(value) if isinstance(value, (int, float)) else "–"
