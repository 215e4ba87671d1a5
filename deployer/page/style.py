"""The colours and the style sheet. No foreign word reaches it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from string import Template


@dataclass(frozen=True)
class Palette:
    """The colours of a theme. A tone is text and background; a test holds their contrast at 4.5 or more."""

    text: str
    muted: str
    page: str
    card: str
    line: str
    edge: str  # of a field, which has to be found: 3 or more against the page
    good: tuple[str, str]
    bad: tuple[str, str]
    care: tuple[str, str]
    busy: tuple[str, str]
    calm: tuple[str, str]
    # What a deployment spent its time on, from the foot of a bar to its top.
    waiting: str
    updating: str
    verifying: str
    moving: str
    reverting: str


PALETTES = {
    "light": Palette(
        text="#16191f",
        muted="#545b64",
        page="#ffffff",
        card="#fafbfb",
        line="#dfe3e6",
        edge="#7d8998",
        good=("#176329", "#e6f4e9"),
        bad=("#a5130b", "#fdecea"),
        care=("#704600", "#fff3d6"),
        busy=("#0a5299", "#e6f1fb"),
        calm=("#414750", "#eceff1"),
        waiting="#c9d0d6",
        updating="#8d9bab",
        verifying="#3f83c8",
        moving="#14827a",
        reverting="#cc5a2b",
    ),
    "dark": Palette(
        text="#e9ebed",
        muted="#a9b4bf",
        page="#161d26",
        card="#1b232d",
        line="#333f4c",
        edge="#8391a0",
        good=("#86d997", "#15331d"),
        bad=("#ffa69e", "#451a18"),
        care=("#f7c873", "#3a2a0b"),
        busy=("#93c8ff", "#122c45"),
        calm=("#c3ccd5", "#2b343f"),
        waiting="#4d5a68",
        updating="#8292a4",
        verifying="#5b9fe3",
        moving="#3fb5a8",
        reverting="#ee8456",
    ),
}
TONES = ("good", "bad", "care", "busy", "calm")
STAGES = ("waiting", "updating", "verifying", "moving", "reverting")


def palette(theme: str) -> Palette:
    """A theme that CloudWatch may add one day is shown in the light one."""
    return PALETTES.get(theme, PALETTES["light"])


def style(theme: str) -> str:
    """The style sheet for a theme."""
    colours = asdict(palette(theme))
    tones = {name: colours.pop(name) for name in TONES}
    rules = [
        f".deployments .{name}.badge, .deployments .{name}.banner {{ color: {text}; background: {ground} }}\n"
        f".deployments .{name}.card {{ border-inline-start-color: {text}; border-inline-start-width: 4px }}\n"
        f".deployments .{name}.outcome, .deployments .{name}.value {{ color: {text} }}\n"
        f".deployments .{name}.mark {{ fill: {text}; stroke: {text} }}\n"
        f".deployments .{name}.count {{ fill: {text} }}\n"
        for name, (text, ground) in tones.items()
    ]
    bad = tones["bad"][0]
    rules += [  # what calls a person looks like nothing else on the page
        f".deployments .bad.banner {{ color: {colours['page']}; background: {bad} }}\n"
        f".deployments .bad.banner .mark {{ fill: {colours['page']} }}\n"
        f".deployments .bad.banner .stroke {{ stroke: {bad} }}\n"
    ]
    rules += [f".deployments .{stage}.stage {{ fill: {colours.pop(stage)} }}\n" for stage in STAGES]
    return _STYLE.substitute(colours) + "".join(rules)


# Widths follow the widget's own, which is a part of a dashboard, not the window's.
_STYLE = Template("""
.deployments { container-type: inline-size; padding: 12px; color: $text; background: $page;
  font: 13px/1.45 "Amazon Ember", system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: anywhere; text-align: start }
.deployments * { box-sizing: border-box; margin: 0; padding: 0; min-width: 0 }
.deployments h2 { font-size: 17px; font-weight: 650; line-height: 1.3 }
.deployments h3 { font-size: 12px; font-weight: 600; color: $muted; margin-bottom: 4px }
.deployments .muted { color: $muted; font-size: 12px }
.deployments code, .deployments pre {
  font: 12px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
.deployments svg { vertical-align: -2px; overflow: visible }
.deployments .mark .fill { stroke: none }
.deployments .mark .stroke { fill: none; stroke: $page; stroke-width: 1.7; stroke-linecap: round;
  stroke-linejoin: round }
.deployments .mark .ring, .deployments .mark .line { fill: none; stroke-width: 1.5; stroke-linecap: round;
  stroke-linejoin: round }
.deployments .badge { display: inline-block; padding: 0 7px; border-radius: 9px; font-size: 12px;
  font-weight: 600; white-space: nowrap }
.deployments .outcome { font-weight: 600; white-space: nowrap }
.deployments .outcome svg { margin-inline-end: 5px }

.deployments .banner { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 12px; padding: 10px 14px;
  margin-bottom: 10px; border-radius: 6px }
.deployments .banner > svg { flex: none }
.deployments .banner .told { flex: 1 1 220px }
.deployments .banner .when { font-size: 12px; text-align: end }
.deployments .card { padding: 9px 12px; overflow: hidden; background: $card; border: 1px solid $line;
  border-radius: 6px; margin-bottom: 10px }
.deployments .cards, .deployments .figures { display: grid; gap: 10px; margin-bottom: 10px;
  grid-template-columns: repeat(4, 1fr) }
.deployments .cards > .card, .deployments .figures > div { margin: 0 }
.deployments .sides { display: grid; gap: 0 24px; grid-template-columns: 1fr 1fr }
.deployments .open + .open { margin-top: 6px }
.deployments .fact { font-size: 16px; font-weight: 650; line-height: 1.35 }
.deployments .value { font-size: 22px; font-weight: 650; line-height: 1.2;
  font-variant-numeric: tabular-nums }
.deployments .fact code { font-size: 13px; font-weight: 400 }
.deployments h2::first-letter { text-transform: uppercase }
.deployments code { white-space: nowrap }

.deployments .act { display: flex; flex-wrap: wrap; align-items: end; gap: 8px 10px }
.deployments .act h3 { flex: 1 1 100%; margin: 0 }
.deployments .act label { display: flex; flex-direction: column; gap: 2px; font-size: 12px; color: $muted }
.deployments .act .who { flex: 1 1 150px; max-width: 320px }
.deployments .act .why { flex: 2 1 220px }
.deployments .act p { flex: 1 1 100% }
.deployments input { font: inherit; font-size: 13px; color: $text; background: $page; padding: 5px 8px;
  border: 1px solid $edge; border-radius: 4px; width: 100% }
.deployments .buttons { display: flex; flex-wrap: wrap; gap: 8px }
.deployments button { font: inherit; font-weight: 600; color: $text; background: $page; padding: 5px 14px;
  border: 1px solid $edge; border-radius: 15px; cursor: pointer; white-space: nowrap }
.deployments button:hover { border-color: $text }
.deployments button:disabled { opacity: .55; cursor: default }
.deployments :focus-visible { outline: 2px solid $text; outline-offset: 2px }
.deployments cwdb-action { display: none }

.deployments .chart { display: block; width: 100%; height: auto }
.deployments .chart text { font-size: 11px; fill: $muted; font-variant-numeric: tabular-nums }
.deployments .chart .name { fill: $text; font-size: 10.5px }
.deployments .chart .count { font-weight: 600; font-size: 10.5px }
.deployments .chart .grid { stroke: $line; stroke-width: 1; fill: none }
.deployments .chart .break { stroke: $card; stroke-width: 2; fill: none }
.deployments .chart .hit { fill: transparent }
.deployments .chart g:hover > .hit { fill: $line; fill-opacity: .6 }
.deployments .legend { display: flex; flex-wrap: wrap; gap: 2px 14px; margin-top: 6px; font-size: 12px;
  color: $muted }
.deployments .legend svg { margin-inline-end: 4px }

.deployments .pair { margin-top: 10px }
.deployments dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 12px }
.deployments dt { color: $muted; font-size: 12px }
.deployments pre { margin-top: 4px; padding: 8px 10px; white-space: pre-wrap; background: $page;
  border: 1px solid $line; border-radius: 4px }
/* Turned round, so that it begins at the end. */
.deployments .log { display: flex; flex-direction: column-reverse; max-height: 220px; overflow: auto;
  border: 1px solid $line; border-radius: 4px; background: $page }
.deployments .log pre { margin: 0; border: 0 }
.deployments .steps { list-style: none; margin-top: 4px }
.deployments .steps li { display: grid; grid-template-columns: 58px 84px 62px 1fr; gap: 0 8px; padding: 2px 0;
  font-size: 12px }
.deployments .steps .time { color: $muted }

.deployments table { width: 100%; border-collapse: collapse }
.deployments caption { text-align: start; font-size: 12px; font-weight: 600; color: $muted;
  padding-bottom: 4px }
.deployments th { padding: 3px 14px 3px 0; color: $muted; font-size: 12px; font-weight: 600;
  text-align: start; white-space: nowrap }
.deployments td { padding: 5px 14px 5px 0; vertical-align: baseline; border-top: 1px solid $line }
.deployments tbody tr:hover td { background: $card }
.deployments .time, .deployments .word { white-space: nowrap; font-variant-numeric: tabular-nums }
.deployments .release { width: 24% }
.deployments .reason { width: 46%; padding-inline-end: 0 }
.deployments table.checks td, .deployments table.checks th { padding-inline-end: 12px }
.deployments table.checks { table-layout: fixed }
.deployments table.checks th:first-child { width: 20% }
@container (max-width: 1000px) {
  .deployments .cards, .deployments .figures { grid-template-columns: 1fr 1fr }
  .deployments .sides { grid-template-columns: 1fr }
}
@container (max-width: 760px) {
  .deployments .history thead { display: none }
  .deployments .history, .deployments .history caption, .deployments .history tbody { display: block }
  .deployments .history tr { display: flex; flex-wrap: wrap; align-items: baseline; gap: 1px 10px;
    padding: 6px 0; border-top: 1px solid $line }
  .deployments .history td { padding: 0; border: 0; width: auto }
  .deployments .history .took::before { content: "in " }
  .deployments .history .reason { width: 100% }
}
@container (max-width: 460px) {
  .deployments .cards { gap: 6px }
  .deployments .quiet.card { display: flex; flex-wrap: wrap; gap: 0 8px; align-items: baseline;
    padding: 5px 12px }
  .deployments .quiet.card h3 { margin: 0 }
  .deployments .cards { grid-template-columns: 1fr }
  .deployments .banner .when { text-align: start; flex: 1 1 100% }
  .deployments dl { grid-template-columns: 1fr; gap: 0 }
  .deployments dd { margin-bottom: 4px }
  .deployments .steps li { grid-template-columns: 58px 84px 1fr }
  .deployments .steps li .because { grid-column: 1 / -1 }
  .deployments table.checks, .deployments table.checks tbody, .deployments table.checks tr,
  .deployments table.checks td { display: block; width: 100% }
  .deployments table.checks thead { display: none }
  .deployments table.checks td[data-label]::before { content: attr(data-label) " "; color: $muted }
}
""")
