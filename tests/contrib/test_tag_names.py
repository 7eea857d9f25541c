"""The tags of a view, made of its arguments."""

from __future__ import annotations

import pytest

from cachestorm.contrib.tag_names import filled_in


def test_names_in_braces_are_arguments() -> None:
    assert filled_in(["posts", "post:{pk}"], {"pk": 7}, "the view") == ["posts", "post:7"]


@pytest.mark.parametrize(("arguments", "there"), [({}, "no arguments"), ({"id": 7}, "id")])
def test_a_name_that_is_no_argument_is_refused_and_said(
    arguments: dict[str, object], there: str
) -> None:
    with pytest.raises(TypeError) as refused:
        filled_in(["post:{pk}"], arguments, "the view")
    assert str(refused.value) == (
        f"the tag 'post:{{pk}}' names 'pk', which is no argument of the view: it has {there}"
    )
