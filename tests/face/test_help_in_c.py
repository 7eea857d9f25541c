"""How help is put into C: what the tables look like, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiling.help_texts import HelpTexts, Source, c_string

SOURCE = '''\
"""A module."""

LIMIT = 3

def double(number: int, limit: int = LIMIT) -> int:
    """Twice "a number"."""
    return number * 2
'''

TABLES = r"""
static PyMethodDef kinmodule_methods[] = {
    {"double", (PyCFunction)CPyPy_double, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(NULL) /* docstring */},
    {NULL, NULL, 0, NULL}
};
static int CPyExec_kin(PyObject *module)
{
    PyObject* modname = NULL;
    return 0;
}
static struct PyModuleDef kinmodule = {
    PyModuleDef_HEAD_INIT,
    "kin",
    NULL, /* docstring */
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "kin.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def texts_of(module: Path) -> HelpTexts:
    pytest.importorskip("mypyc")
    return HelpTexts({"kin": module})


def test_docstrings_and_signatures_take_their_places(module: Path, tmp_path: Path) -> None:
    unit = tmp_path / "kin.c"
    unit.write_text(TABLES, encoding="utf-8")
    texts_of(module).put_into([unit])
    text = unit.read_text(encoding="utf-8")
    default = "cachestorm.named_defaults.NAMED + 'kin.LIMIT'"
    assert f'PyDoc_STR("double(number, limit={default})\\n"' in text
    assert '"Twice \\042a number\\042.")' in text
    assert '"kin",\n    "A module.", /* docstring */' in text
    assert 'PyImport_ImportModule("cachestorm.named_defaults")' in text


def test_a_table_that_is_not_there_is_refused(module: Path, tmp_path: Path) -> None:
    unit = tmp_path / "kin.c"
    unit.write_text(TABLES.replace("PyDoc_STR", "DOC"), encoding="utf-8")
    with pytest.raises(ValueError, match="no table with double"):
        texts_of(module).put_into([unit])


def test_a_start_that_cannot_import_is_refused(module: Path, tmp_path: Path) -> None:
    unit = tmp_path / "kin.c"
    unit.write_text(TABLES.replace("modname", "name"), encoding="utf-8")
    with pytest.raises(ValueError, match="1 modules import defaults, 0 can"):
        texts_of(module).put_into([unit])


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("self, key, /, value=None", "$self, key, /, value=None"),
        ("self, *keys, count=-1", "$self, *keys, count=-1"),
        ("self, key, *, size=4 * 1024", "$self, key, *, size=4096"),
        ("self, **fields", "$self, **fields"),
        ("self, key=made()", None),
    ],
)
def test_a_signature_is_written_as_inspect_reads_it(
    tmp_path: Path, parameters: str, expected: str | None
) -> None:
    path = tmp_path / "kin.py"
    path.write_text(f"class Kin:\n    def go({parameters}): ...\n", encoding="utf-8")
    source = Source("kin", path)
    [(_, function)] = source.functions()
    assert source.signature(function, "$") == expected


def test_a_string_of_c_keeps_every_character() -> None:
    text = 'a "quote"\n\\ ü ?? 0\n'
    pieces = c_string(text).replace('"\n"', "")[1:-1]
    read = pieces.encode().decode("unicode_escape").encode("latin-1").decode()
    assert read == text
