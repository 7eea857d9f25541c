"""What compiled code does with a call that it refuses, and how the build makes it do so."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachestorm import Cache
from cachestorm.refused_calls import again
from compiling.argument_errors import ArgumentErrors

SOURCE = "def double(number: int, *, times: int = 1) -> int:\n    return number * 2\n"

UNIT = r"""#include "kin.h"
PyObject *CPyPy_double(PyObject *self, PyObject *const *args, size_t nargs, PyObject *kwnames) {
    static const char * const kwlist[] = {"number", "times", 0};
    static CPyArg_Parser parser = {"O|$O:double", kwlist, 0};
    if (!CPyArg_ParseStackAndKeywords(args, nargs, kwnames, &parser, &obj_number, &obj_times)) {
        return NULL;
    }
    CPyTagged retval = CPyDef_kin___double(arg_number);
    if (retval == CPY_INT_TAG) {
        return NULL;
    }
    return retbox;
fail: ;
    CPy_AddTraceback("kin.py", "double", 1, CPyStatic_kin___globals);
    return NULL;
}
"""

PROPERTY_SOURCE = """
class Kin:
    @property
    def size(self) -> int:
        return 1

    @size.setter
    def size(self, value: int) -> None:
        pass
"""

# as mypyc writes it, with a wrapper of another function before it
SETTER = r"""
static int
Kin_set_size(KinObject *self, PyObject *value, void *closure)
{
    char retval = 2;
    CPyTagged tmp;
    if (likely(PyLong_Check(value)))
        tmp = CPyTagged_FromObject(value);
    else {
        CPy_TypeError("int", value); return -1;
    }
    retval = CPyDef_Kin_____mypyc_setter__size((PyObject *) self, tmp);
    if (retval == 2) {
        return -1;
    }
    return 0;
}
"""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    (tmp_path / "kin.py").write_text(SOURCE)
    unit = tmp_path / "kin.c"
    unit.write_text(UNIT)
    return unit


def rewrite(unit: Path) -> str:
    pytest.importorskip("mypyc")
    ArgumentErrors({"kin": unit.with_suffix(".py")}).put_into([unit])
    return unit.read_text()


def test_a_wrapper_calls_the_source_where_arguments_fail_and_nowhere_else(unit: Path) -> None:
    text = rewrite(unit)
    call = 'return CPyRefused_vectorcall("kin:double", NULL, args, nargs, kwnames);'
    wrapper = text[text.index("PyObject *CPyPy_") :]
    assert (wrapper.count(call), wrapper.count("return NULL;")) == (2, 1)
    assert text.index("#include") < text.index("*CPyRefused_call(") < text.index("*CPyPy_")


def test_arguments_by_position_alone_are_parsed_the_short_way(unit: Path) -> None:
    assert "CPyArg_ParseStackAndKeywordsSimple(args" in rewrite(unit)


def test_a_wrapper_of_another_shape_is_refused(unit: Path) -> None:
    unit.write_text(UNIT.replace("fail: ;", "failed: ;"))
    with pytest.raises(ValueError, match="the wrapper of kin:double has 1 parsers, 0 failures"):
        rewrite(unit)


def test_a_setter_refuses_to_delete_and_calls_the_source_for_another_type(unit: Path) -> None:
    unit.with_suffix(".py").write_text(SOURCE + PROPERTY_SOURCE)
    unit.write_text(UNIT + SETTER)
    text = rewrite(unit)
    setter = text[text.index("Kin_set_size(") :]
    assert setter.index("if (value == NULL) {") < setter.index("PyLong_Check(value)")
    assert "\"property '%s' of '%s' object has no deleter\"" in setter
    call = 'return CPyRefused_change("kin:Kin.size", (PyObject *)self, value, NULL);'
    assert (call in setter, "CPy_TypeError" in setter) == (True, False)


def test_a_setter_of_another_shape_is_refused(unit: Path) -> None:
    unit.with_suffix(".py").write_text(SOURCE + PROPERTY_SOURCE)
    unit.write_text(UNIT + SETTER.replace("char retval", "int retval"))
    with pytest.raises(ValueError, match="1 properties are set by 0 setters"):
        rewrite(unit)


def test_the_source_makes_the_call_with_the_same_cache() -> None:
    cache = Cache()
    cache.rpush("l", "a", "b")
    name = "cachestorm.commands.lists:Lists.lindex"
    assert again(name, (cache, "l"), {"index": 1}) == "b"
    with pytest.raises(TypeError, match=r"Lists\.lindex\(\) missing 1 required positional"):
        again(name, (cache, "l"), None)


def test_the_source_of_a_function_and_of_what_makes_a_cache_is_found() -> None:
    with pytest.raises(TypeError, match="a key is a str, not int"):
        again("cachestorm.operations.names:exact_key", (3,), None)
    with pytest.raises(Exception, match="bytes or like '256mb', not"):
        again("cachestorm.cache:Cache.__init__", (Cache(), 1.5), None)


def test_without_a_source_the_error_of_compiled_code_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cachestorm.refused_calls._source", lambda name: Path("/nowhere/at.py"))
    monkeypatch.setattr("cachestorm.refused_calls._modules", {})
    assert again("cachestorm.commands.hashes:Hashes.hlen", (), None) is NotImplemented


def test_what_is_declared_a_bool_is_one_for_what_the_source_calls() -> None:
    cache = Cache()
    cache.zadd("z", {"a": 1})
    name = "cachestorm.commands.tags:Tags.invalidate"
    assert again(name, (cache, "t"), {"cascade": 1}) == 0
    name = "cachestorm.commands.sorted_sets:SortedSets.zrank"
    assert again(name, (cache, "z", "a"), {"withscore": "yes"}) == (0, 1.0)


def test_where_the_source_cannot_set_what_is_final_the_error_of_compiled_code_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(number: int) -> None:
        raise AttributeError("attribute '_tags' of 'Kin' objects is not writable")

    name = "cachestorm.cache:Kin.__init__"
    monkeypatch.setattr("cachestorm.refused_calls._functions", {name: refuse, "other": refuse})
    assert again(name, (1,), None) is NotImplemented
    with pytest.raises(AttributeError, match="is not writable"):
        again("other", (1,), None)
