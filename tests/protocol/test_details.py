"""Authorization details: what is acceptable, and when two acts are the same."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_agent.protocol.details import (
    LONGEST_DETAILS,
    BadDetails,
    at_audience,
    bare,
    check_act,
    enriched,
    narrowed,
    read_details,
    same_act,
)

ACT = {"type": "payment", "title": "Pay 45.00 EUR to Corner Shop", "amount": "45.00"}
_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
_VALUES = st.recursive(
    st.booleans() | st.integers(-5, 5) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_MEMBERS = st.dictionaries(st.sampled_from(["amount", "currency", "order", "to"]), _VALUES)


@given(_MEMBERS, st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(members: dict[str, Any], random: Any) -> None:
    act = {**ACT, **members}
    shuffled = list(act.items())
    random.shuffle(shuffled)
    (approved,) = enriched([act], "ask_1", 1)
    assert same_act(dict(shuffled), approved)


@given(_MEMBERS, st.sampled_from(["amount", "currency", "order", "to"]), _VALUES)
def test_one_other_field_is_another_act(members: dict[str, Any], name: str, value: Any) -> None:
    act = {**ACT, **members}
    changed = {**act, name: value}
    is_equal = name in act and json.dumps(act[name], sort_keys=True) == json.dumps(
        value, sort_keys=True
    )
    assert same_act(act, changed) is is_equal
    less = {key: one for key, one in act.items() if key != name}
    assert same_act(act, less) is (name not in act)


@given(_VALUES, _VALUES)
def test_values_are_equal_only_as_json(one: Any, other: Any) -> None:
    equal = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert same_act({**ACT, "x": one}, {**ACT, "x": other}) is equal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("45.0", "45.00"),
        (1, True),
        (0, False),
        (1, "1"),
        ([1, 2], [2, 1]),
        ("a", "a "),
        ("\u00e9", "e\u0301"),
    ],
)
def test_no_value_is_taken_for_another(one: Any, other: Any) -> None:
    assert not same_act({**ACT, "x": one}, {**ACT, "x": other})


def test_what_the_server_adds_does_not_count() -> None:
    (approved,) = enriched([ACT], "ask_1", 1_800_000_000)
    assert approved == {**ACT, "approval_id": "ask_1", "approved_at": 1_800_000_000}
    assert bare(approved) == ACT


@pytest.mark.parametrize(
    "change",
    [
        {"type": None},
        {"type": ""},
        {"type": "a b"},
        {"type": "x" * 65},
        {"type": 1},
        {"title": None},
        {"title": "  "},
        {"title": 7},
        {"title": "x" * 201},
        {"title": "two\nlines"},
        {"title": "a\u2028b"},
        {"title": "tab\t"},
        {"title": "Pay \u202e00.54"},
        {"title": "Pay \u2066x\u2069"},
        {"title": "Pay\u200b 45"},
        {"title": "bell \x07"},
        {"title": "\ud800"},
        {"approval_id": "x"},
        {"approved_at": 1},
        {"amount": 45.0},
        {"amount": None},
        {"amount": 2**53},
        {"amount": "\0"},
        {"amount": "\ud800"},
        {"a": {"b": {"c": {"d": {}}}}},
        {"a": [[[[]]]]},
        {"a": list(range(65))},
        {"a": "x" * 4_096},
        {"locations": "https://shop.example"},
        {"actions": [1]},
        {"datatypes": {}},
        {"privileges": [None]},
        {"identifier": 1},
    ],
)
def test_an_unacceptable_act_is_refused(change: dict[str, Any]) -> None:
    act = {name: value for name, value in {**ACT, **change}.items() if value is not None}
    if "amount" in change and change["amount"] is None:
        act["amount"] = None
    with pytest.raises(BadDetails) as caught:
        check_act(act)
    assert str(caught.value).isascii()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        "[]",
        "[1]",
        "[[]]",
        json.dumps(ACT),
        json.dumps([ACT] * 6),
        '[{"type":"a","type":"b","title":"t"}]',
        '[{"type":"a","title":"t","x":1.5}]',
        '[{"type":"a","title":"t","x":1e2}]',
        '[{"type":"a","title":"t","x":NaN}]',
        '[{"type":"a","title":"t","x":{"y":1,"y":2}}]',
        "[" * 100_000,
        '[{"type":"a","title":"t","x":' + "9" * 5_000 + "}]",
        json.dumps([{**ACT, "x": "y" * LONGEST_DETAILS}]),
        json.dumps([{**ACT, "x": "y" * 2_500}] * 4),
    ],
)
def test_an_unacceptable_parameter_is_refused(text: str) -> None:
    with pytest.raises(BadDetails):
        read_details(text)


def test_acceptable_details_are_read_as_they_are() -> None:
    act = {
        **ACT,
        "to": {"name": "Käse & Söhne", "lines": [1, True, "x"]},
        "locations": ["https://a"],
    }
    assert read_details(json.dumps([act, ACT])) == [act, ACT]
    deep = {**ACT, "a": {"b": {"c": ["d"]}}}
    assert read_details(json.dumps([deep])) == [deep]


def test_a_token_may_have_fewer_acts_and_no_other_ones() -> None:
    other = {**ACT, "amount": "1.00"}
    granted = enriched([ACT, other], "ask_1", 1)
    assert narrowed(granted, [other]) == [granted[1]]
    for wanted in ({**ACT, "amount": "45.0"}, {**ACT, "currency": "EUR"}):
        with pytest.raises(BadDetails):
            narrowed(granted, [wanted])


def test_an_act_for_another_place_is_left_out() -> None:
    here, there = {**ACT, "locations": ["https://a"]}, {**ACT, "locations": ["https://b"]}
    granted = deepcopy([ACT, here, there])
    assert at_audience(granted, ["https://a"]) == [ACT, here]
