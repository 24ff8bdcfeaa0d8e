"""What may stand in the section [policy], and what is said of what may not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from modelwright.errors import SpecError
from modelwright.retraining.policy import Policy, Span
from modelwright.retraining.policy_file import _GATE, _READERS, _RELEASE, find_policy, policy_of
from modelwright.retraining.rules import GateRules, ReleaseRules
from modelwright.spec import FILE_NAME, Spec, resolve_spec
from modelwright.spec_sections import DAY_S


def in_file(folder: Path, text: str) -> Policy | None:
    file = folder / FILE_NAME
    file.write_text(text)
    return find_policy(file, resolve_spec(file, {}))


def test_an_empty_section_is_a_policy_for_the_model_of_the_file(tmp_path: Path) -> None:
    assert in_file(tmp_path, 'data = "rows/telco churn.csv"\ntarget = "Churn"\n\n[policy]\n') == Policy("telco-churn")
    assert in_file(tmp_path, 'name = "churn"\ndata = "a.csv"\n[policy]\n') == Policy("churn")
    assert in_file(tmp_path, 'data = "a.csv"\n') is None


def test_training_does_not_mind_the_section(tmp_path: Path) -> None:
    assert in_file(tmp_path, 'data = "a.csv"\n[policy]\nmodel = "m"\n[[alert]]\nlog = true\n') == Policy("m")
    assert resolve_spec(tmp_path / FILE_NAME, {}) == Spec(data=str(tmp_path / "a.csv"))


def test_the_lines_of_the_template_are_a_policy_and_an_alert(tmp_path: Path) -> None:
    from modelwright.alerting.rules_file import find_alert_rules
    from modelwright.spec_template import template

    text = template(Spec(data="rows.csv", name="bikes"))
    assert in_file(tmp_path, text) is None
    lines = text[text.index("# [policy]") :].splitlines()
    live = "\n".join(line.removeprefix("# ") for line in lines if " = " in line or line.startswith("# ["))
    written = in_file(tmp_path, 'data = "rows.csv"\n' + live)
    default = Policy("churn", "0 3 * * 1", "Europe/Berlin", new_labels=500, label_delay_s=14 * DAY_S)
    assert written == default
    [rule] = find_alert_rules(tmp_path / FILE_NAME)
    assert (rule.name, len(rule.channels)) == ("on call", 3)


def test_every_field_is_read_and_comes_back_through_json(tmp_path: Path) -> None:
    policy = in_file(
        tmp_path,
        """
[policy]
model = "churn"
schedule = "0 3 * * 1"
time_zone = "Europe/Berlin"
on = ["performance", "drift"]
new_rows = 10_000
new_labels = 500
new_data = true
max_age = "none"
webhook = true
min_new_labels = 0
label_delay = "14d"
train_on = "since 2024-01-31"
window = "1d"
cool_down = "12h"
max_per_week = 2
[policy.gate]
require = "not worse"
max_latency = "5ms"
max_size = "20MB"
approval = true
[policy.release]
mode = "canary"
canary_share = 0.05
watch = "2d"
""",
    )
    assert policy == Policy(
        model="churn", schedule="0 3 * * 1", time_zone="Europe/Berlin", on=("performance", "drift"), new_rows=10_000,
        new_labels=500, new_data=True, max_age_s=None, webhook=True, min_new_labels=0, label_delay_s=14 * DAY_S,
        train_on=Span(since="2024-01-31"), window=Span(seconds=DAY_S), cool_down_s=DAY_S / 2, max_per_week=2,
        gate=GateRules(require="not worse", max_latency=0.005, max_size=20e6, approval=True),
        release=ReleaseRules(mode="canary", canary_share=0.05, watch_s=2 * DAY_S),
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy


def test_a_window_is_told_to_monitoring_in_its_words() -> None:
    from modelwright.monitoring.windows import read_span

    for text, told in (("1000 rows", "1000"), ("36h", "36h"), ("24h", "1d"), ("2w", "14d"), ("90s", "90s"), ("60m", "1h")):
        window = policy_of({"model": "m", "window": text}).window
        assert window.text == told
        assert (read_span(told).seconds, read_span(told).rows) == (window.seconds, window.rows)


@pytest.mark.parametrize(("kind", "readers"), [(Policy, _READERS), (GateRules, _GATE), (ReleaseRules, _RELEASE)])
def test_every_field_has_a_reader(kind: type[msgspec.Struct], readers: dict[str, object]) -> None:
    assert tuple(readers) == kind.__struct_fields__


def test_a_default_that_is_written_out_changes_nothing() -> None:
    written = {
        "model": "m", "time_zone": "UTC", "max_age": "90d", "train_on": "all", "window": "1000 rows", "cool_down": "24h",
        "gate": {"max_latency": "none", "max_size": "none"}, "release": {"max_stage": "1d"},
    }  # fmt: skip
    assert policy_of(written) == policy_of({"model": "m"}) == Policy("m")


@pytest.mark.parametrize(
    ("section", "place", "says"),
    [
        ({"modle": "m"}, "policy", "Did you mean 'model'"),
        ({"model": "a b"}, "policy, key 'model'", "is no name"),
        ({"model": ""}, "policy, key 'model'", "which model"),
        ({"schedule": "0 3 * *"}, "policy, key 'schedule'", "4 fields, not 5"),
        ({"schedule": "0 0 30 2 *"}, "policy, key 'schedule'", "never comes"),
        ({"time_zone": "Europe/Berln"}, "policy, key 'time_zone'", "no time zone 'Europe/Berln'"),
        ({"on": ["performence"]}, "policy, key 'on'", "Did you mean 'performance'"),
        ({"on": True}, "policy, key 'on'", "not a list of alarms"),
        ({"new_rows": 0}, "policy, key 'new_rows'", "from 1 on"),
        ({"new_data": "yes"}, "policy, key 'new_data'", "Write true or false"),
        ({"max_age": "3 moons"}, "policy, key 'max_age'", '"7d"'),
        ({"label_delay": -1}, "policy, key 'label_delay'", "not a length of time"),
        ({"train_on": "since yesterday"}, "policy, key 'train_on'", "'YESTERDAY' is no day"),
        ({"train_on": 0}, "policy, key 'train_on'", "no stretch of rows"),
        ({"window": "all"}, "policy, key 'window'", "no stretch of rows"),
        ({"window": 1.5}, "policy, key 'window'", "no stretch of rows"),
        ({"gate": 3}, "policy, key 'gate'", "not a table of keys"),
        ({"gate": {"requires": "better"}}, "policy, key 'gate'", "Did you mean 'require'"),
        ({"gate": {"require": "best"}}, "policy, key 'gate', key 'require'", "Did you mean 'better'"),
        ({"gate": {"level": 0}}, "policy, key 'gate', key 'level'", "from 1e-06 to 0.5"),
        ({"gate": {"level": float("nan")}}, "policy, key 'gate', key 'level'", "from 1e-06 to 0.5"),
        ({"release": {"watch_s": 3}}, "policy, key 'release'", "Did you mean 'watch'"),
        ({"release": {"mode": "canari"}}, "policy, key 'release', key 'mode'", "Did you mean 'canary'"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_the_mend(section: dict[str, object], place: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        policy_of({"model": "m", **section})
    assert caught.value.where == place
    assert says in str(caught.value)
