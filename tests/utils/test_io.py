"""Files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import write_text


def test_a_file_is_replaced_whole(tmp_path: Path):
    for text in ("first", "second"):
        write_text(tmp_path / "new" / "file", text)
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "file"]
    assert (tmp_path / "new" / "file").read_text() == "second"


@pytest.mark.parametrize("name", ["file/a", "file/a/b"])
def test_a_parent_that_is_a_file_is_the_users_mistake(tmp_path: Path, name: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=rf"{name}: cannot be written"):
        write_text(tmp_path / name, "text")
