"""Settings travel as JSON and come back as they were."""

import json
from fractions import Fraction

import pytest

from misr.frame import Retag
from misr.settings import Settings, as_json, from_json

SETTINGS = [
    Settings(),
    Settings(
        model="fast-x2",
        scale=1.5,
        options={"crf": "20"},
        without=frozenset({"audio", "data"}),
        start=Fraction(1, 3),
        framerate=Fraction(24000, 1001),
        retag=Retag(matrix=1, siting=2),
        on_error="repeat",
    ),
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_come_back_from_json_as_they_were(settings: Settings) -> None:
    assert from_json(json.loads(json.dumps(as_json(settings)))) == settings


@pytest.mark.parametrize("lost", ["retag", "start", "without"])
def test_settings_of_another_misr_are_no_settings(lost: str) -> None:
    told = as_json(Settings())
    del told[lost]
    with pytest.raises((KeyError, TypeError)):
        from_json(told)
    with pytest.raises(TypeError):
        from_json(as_json(Settings()) | {"unheard_of": 1})
