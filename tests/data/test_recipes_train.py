"""Recipes' real data through the whole pipeline, with a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import SHARED, call

CORPORA = {
    "libreoffice_help en-de": "data=libreoffice_help",
    "libreoffice_help de-en": "data=libreoffice_help data.source_lang=de data.target_lang=en",
    "libreoffice_help en-ko": "data=libreoffice_help data.target_lang=ko subword.jamo=true",
    "ding en-de": "data=ding",
    "debian_descriptions": "data=debian_descriptions",
    "multi30k de-en": f"data=multi30k data.from_dir={SHARED / 'multi30k'}",
}


@pytest.mark.slow
@pytest.mark.parametrize("corpus", CORPORA)
def test_trains_on(tmp_path: Path, corpus: str):
    if "multi30k" in corpus and not (SHARED / "multi30k").is_dir():
        pytest.skip("needs the sample of Multi30k beside the checkout, in ../shared/data/multi30k")
    call(f"s2s run app=nmt model=tiny optimization.max_update=40 {CORPORA[corpus]}", cwd=tmp_path, timeout=1800)
    scores = json.loads((tmp_path / "runs" / "nmt" / "default" / "scores.json").read_text())
    prepared = json.loads(next((tmp_path / "data-bin").glob("*/prepared.json")).read_text())
    assert scores["sentences"] == prepared["pairs"]["test"] > 200
    assert prepared["pairs"]["train"] > 10_000
