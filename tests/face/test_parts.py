"""How the units of C are put together to parts that are compiled at once."""

from __future__ import annotations

from pathlib import Path

from compiling.parts import join


def test_every_unit_is_in_one_part_and_the_hot_ones_in_the_first(tmp_path: Path) -> None:
    units = {tmp_path / f"unit_{number}.c" for number in range(9)}
    for number, unit in enumerate(sorted(units)):
        unit.write_text("x" * number)
    hot = {tmp_path / "unit_1.c", tmp_path / "unit_8.c"}
    runtime = [tmp_path / "init.c", tmp_path / "dict_ops.c"]
    written = join(units, hot, runtime, 3, tmp_path)
    parts = [Path(path).read_text() for path in written]
    # the runtime as mypyc orders it, before what calls it
    assert parts[0] == "".join(
        f'#include "{name}"\n' for name in ("init.c", "dict_ops.c", "unit_1.c", "unit_8.c")
    )
    assert sorted("".join(parts).splitlines()) == sorted(
        f'#include "{unit.name}"' for unit in [*units, *runtime]
    )
    # the largest first, each to the part that is the smallest by then
    assert parts[1:] == [
        '#include "unit_7.c"\n#include "unit_2.c"\n#include "unit_0.c"\n',
        '#include "unit_6.c"\n#include "unit_3.c"\n',
        '#include "unit_5.c"\n#include "unit_4.c"\n',
    ]
