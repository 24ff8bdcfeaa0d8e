"""What a check found: travels as JSON, and inputs alone page nobody."""

from __future__ import annotations

import msgspec

from modelwright.monitoring.checked import Alarm, Checked, Realised


def test_drift_of_inputs_explains_and_the_rest_pages() -> None:
    drift = Alarm("drift", "age", "The median went from 30 to 40.", 0.2, 1e-9)
    worse = Alarm("performance", "", "Accuracy fell from 0.9 to 0.8.", 0.1, 1e-5)
    found = Checked("churn", "3", "2026-01-01", "2026-01-02", 1000, 300, "alarm", (worse, drift))
    assert found.pages == (worse,)
    assert found.of("drift", "quality") == (drift,)


def test_a_check_is_the_same_after_a_way_through_json() -> None:
    realised = Realised("accuracy", True, 0.8, 0.75, 0.84, 0.9, 300, "alarm")
    found = Checked("churn", "3", "a", "b", 1000, 300, "alarm", realised=realised, exceeded=("age",))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Checked) == found
