"""What each lever costs: the page, the picture, and one setting measured for real."""

import sys
import xml.etree.ElementTree as ET

import pytest

import stages
from benchmarks.levers_page import COLUMNS, Row, markdown, picture, table

ROWS = [
    Row(1, "", "", {c.name: 10.0 for c in COLUMNS}),
    Row(1, "framing", "none", {c.name: 5.0 for c in COLUMNS if c.name not in ("rate", "server", "clients")}),
]


def test_setting_that_loses_messages_has_no_rate_on_any_page() -> None:
    assert "framing=none" in "\n".join(table(ROWS))
    assert list(table(ROWS))[-1].split()[1] == "lost"
    assert list(markdown(ROWS, 3, "How."))[-1].startswith("| `framing=none` | lost |")
    assert "lost" in "\n".join(picture(ROWS))


def test_picture_is_well_formed_and_its_longest_bar_is_the_largest_figure() -> None:
    drawing = ET.fromstring("\n".join(picture(ROWS)))  # noqa: S314 - it was made above
    fills = [rect for rect in drawing.iter("{http://www.w3.org/2000/svg}rect") if rect.get("fill") == "#2f6db5"]
    assert {rect.get("width") for rect in fills} == {"120.0"}


@pytest.mark.skipif(sys.platform != "linux", reason="the figures come from Linux's /proc")
def test_each_setting_is_measured_once_and_each_stage_as_it_is() -> None:
    from benchmarks.levers import LEFT_OUT, settings

    wanted = list(settings(None))
    assert len(set(wanted)) == len(wanted)
    assert [number for number, lever, _ in wanted if not lever] == list(stages.catalogue())
    there = {
        (lever.name, setting)
        for stage in stages.catalogue().values()
        for lever in stage.levers
        for setting in lever.settings[1:]
        if lever.name not in LEFT_OUT
    }
    defaults = {(lever.name, lever.settings[0]) for stage in stages.catalogue().values() for lever in stage.levers}
    assert there - defaults <= {(lever, setting) for _, lever, setting in wanted if lever}


@pytest.mark.skipif(sys.platform != "linux", reason="the figures come from Linux's /proc")
def test_measured_setting_costs_what_a_capture_would_show() -> None:
    from benchmarks.levers import measured

    plain, framed = measured(1, ""), measured(1, "framing=none")
    line = len(b'{"type":"say","from":"m00","text":""}\n') + 100
    assert plain["down"] == line
    assert plain["up"] == line
    assert "rate" in plain
    assert "rate" not in framed
