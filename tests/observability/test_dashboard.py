"""Tests that the Grafana dashboard in docs/grafana.json has every metric of `/metrics`, and no other."""

import json
import re
from pathlib import Path

from conftest import MODEL, Serve, body
from server.http import get, post

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana.json"
_NAME = re.compile(r"dragoman_\w+")
_KIND = re.compile(r"^# TYPE (dragoman_\w+) (counter|gauge|histogram)$", re.MULTILINE)


def shown() -> set[str]:
    """The names of the metrics in the queries of the dashboard."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return {name for panel in panels for target in panel["targets"] for name in _NAME.findall(target["expr"])}


def test_the_dashboard_shows_every_metric_and_no_other(serve: Serve) -> None:
    url = serve(id=MODEL)
    assert post(url, body()).status == 200
    kinds = dict(_KIND.findall(get(url, "/metrics").content.decode()))
    exported = {
        f"{name}_bucket" if kind == "histogram" else name for name, kind in kinds.items() if not name.endswith("_created")
    }
    assert shown() == exported


def test_the_panels_do_not_overlap_and_have_titles() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels) == len({panel["id"] for panel in panels})
    assert all(panel["title"] and panel["targets"] for panel in panels)
