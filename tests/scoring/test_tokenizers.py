"""The tokenizer of a language or a script: Korean, Japanese and Chinese are not scored by spaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call
from fairseq.scoring import build_scorer
from omegaconf import OmegaConf
from sacrebleu.metrics import BLEU, TER

from s2s_plugin.scoring.base import Scorer
from s2s_plugin.scoring.rewards import build_reward
from s2s_plugin.scoring.tokenizers import is_han_or_kana, is_latin, tokenizer_of_language, tokenizer_of_texts
from s2s_plugin.scoring.validation import Metric

TEXTS = {
    "de": (["Öffnet ein neues Fenster.", "Die Größe der Tabelle (A1:B2)."], "13a"),
    "ru": (["Открывает новое окно.", "Размер таблицы."], "13a"),
    "ar": (["يفتح نافذة جديدة.", "حجم الجدول."], "13a"),
    "hi": (["नई विंडो खोलता है।", "तालिका का आकार"], "13a"),
    "ko": (["새 창을 엽니다.", "LibreOffice Calc에서 표의 크기를 바꿉니다."], "char"),
    "ja": (["新しいウィンドウを開きます。", "表の大きさを変更します。"], "char"),
    "zh": (["打开 LibreOffice Calc 的新窗口。", "更改表格的大小。"], "zh"),
    "th": (["เปิดหน้าต่างใหม่", "ขนาดของตาราง"], "char"),
    "none": (["12.5", "", "!?"], "13a"),
}


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [("ko", "char"), ("ko-KR", "char"), ("KOR", "char"), ("ja_JP", "char"), ("zh", "zh"), ("zh-Hant-TW", "zh"),
     ("cmn", "zh"), ("th", "char"), ("de", "auto"), ("korean", "auto"), ("answer", "auto"), ("en+ko", "auto")],
)  # fmt: skip
def test_of_a_language(language: str, tokenizer: str):
    assert tokenizer_of_language(language) == tokenizer


@pytest.mark.parametrize("language", TEXTS)
def test_of_a_script(language: str):
    texts, tokenizer = TEXTS[language]
    assert tokenizer_of_texts(texts) == tokenizer
    assert is_han_or_kana(texts) == (language in ("ja", "zh"))
    assert is_latin(texts) == (language in ("de", "none"))
    if language != "de":  # a few Korean lines among others change nothing
        assert tokenizer_of_texts([*TEXTS["de"][0] * 5, *texts]) == "13a"


def scorer_of(name: str, references: list[str], hypotheses: list[str]) -> Scorer:
    scorer = build_scorer(name, None)
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        scorer.add_string(reference, hypothesis)
    return scorer


@pytest.mark.parametrize("language", [name for name in TEXTS if name != "none"])
def test_scores_are_sacrebleus_with_that_tokenizer(language: str):
    references, tokenizer = TEXTS[language]
    hypotheses = [references[0], references[1][:-3] + "x"]
    direct = BLEU(tokenize=tokenizer)
    scorer = scorer_of("s2s_bleu", references, hypotheses)
    value, signature = scorer.evaluate()
    assert value == direct.corpus_score(hypotheses, [references]).score > 0
    assert signature == str(direct.get_signature()) and f"|tok:{tokenizer}|" in signature
    asian = is_han_or_kana(references)
    edits = TER(normalized=True, asian_support=True) if asian else TER()
    value, signature = scorer_of("s2s_ter", references, hypotheses).evaluate()
    assert value == edits.corpus_score(hypotheses, [references]).score
    assert f"|asian:{'yes' if asian else 'no'}|" in signature
    value, signature = scorer_of("s2s_rouge1", references, hypotheses).evaluate()
    assert f"|tok:{'rouge' if language == 'de' else 'unicode'}|" in signature and value > 30
    if asian:  # one of eight to twenty characters is wrong, not all of one word
        assert 0 < scorer_of("s2s_ter", references, hypotheses).score() < 50


def test_rewards_and_batches_keep_to_the_text():
    """What was scored before does not decide on a tokenizer."""
    reward, references = build_reward("gleu"), TEXTS["ko"][0]
    assert reward("Ein Fenster.", "Ein Fenster.") == 1
    close = reward(references[0][:-2], references[0])
    assert close == build_reward("gleu", "char")(references[0][:-2], references[0]) > 0.5
    metric = Metric("bleu")
    metric.value([10, 10] + [5, 4, 3, 2] * 2)
    assert metric.statistics([(references[0], references[0])])[0] == len(references[0].replace(" ", ""))


@pytest.mark.slow
def test_a_run_tells_by_its_target_language(own_files: Path, tmp_path: Path):
    files = f"data.source={own_files}/letters.en data.target={own_files}/letters.de data.target_lang=ko"
    tiny = "model=tiny subword.size=40 dataset.max_tokens=500 optimization.max_update=2 workers=1"
    done = call(f"s2s run app=nmt {files} {tiny}", cwd=tmp_path)
    run = tmp_path / "runs/nmt/default"
    assert "|tok:char|" in json.loads((run / "scores.json").read_text())["metrics"]["BLEU"]["signature"]
    assert OmegaConf.load(run / "config.yaml").task.eval_tokenizer == "char"
    assert "--eval-tokenizer char" in done.stderr and "--sacrebleu-tokenizer char" in done.stderr
