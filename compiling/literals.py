"""Literals by a number of the unit's own, so that a new one does not change every unit.

Called by setup.py in a quick build, after mypyc and before the C compiler.

1. mypyc keeps the literals of all modules in one array and writes an index of it into the
   units. One literal more in one module moves the indices of most, and ccache finds nothing.
2. Here each unit counts its own literals, `CPyStatics[unit[7]]`, and the unit of the group,
   which is compiled anyway, says which index of the array the unit's seventh is.
3. The look-up between costs time at run time. Hence only in a quick build.
"""

from __future__ import annotations

import re
from pathlib import Path

USE = re.compile(r"\bCPyStatics\[(\d+)\]")
DECLARATION = re.compile(r"^extern PyObject \*CPyStatics\[\d+\];$", re.MULTILINE)


def number_by_unit(units: list[Path], central: Path, header: Path) -> None:
    """Rewrites the units of a group in place, and the central unit and header with them.

    Raises:
        ValueError: what mypyc wrote has another shape than that of mypy 2.4.1.
    """
    text, count = DECLARATION.subn("extern PyObject *CPyStatics[];", header.read_text("utf-8"))
    if count != 1:
        raise ValueError(f"{header} declares no array of literals")
    header.write_text(text, "utf-8")
    tables = []
    for unit in units:
        name = f"CPyLiterals_{unit.stem}"
        text = unit.read_text("utf-8")
        indices = list(dict.fromkeys(USE.findall(text)))
        place = {index: n for n, index in enumerate(indices)}

        def renumber(
            use: re.Match[str], name: str = name, place: dict[str, int] = place
        ) -> str:
            return f"CPyStatics[{name}[{place[use[1]]}]]"

        text = USE.sub(renumber, text)
        unit.write_text(f"extern const unsigned short {name}[];\n{text}", "utf-8")
        tables.append(f"const unsigned short {name}[] = {{{', '.join([*indices, '0'])}}};\n")
    with central.open("a", encoding="utf-8") as file:
        file.writelines(tables)
