"""The stage ``generate``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from fairseq.dataclass.configs import GenerationConfig

from s2s_plugin.corpora.directions import untagged
from s2s_plugin.errors import UserError
from s2s_plugin.inference.attention import attention_examples
from s2s_plugin.inference.run_dir import REGENERATE
from s2s_plugin.inference.syntax import usable_parser
from s2s_plugin.report.learned import output_signs, warning
from s2s_plugin.report.run import Output
from s2s_plugin.report.sections.examples import choose
from s2s_plugin.stages.base import Job, Stage
from s2s_plugin.stages.commands import generate_command
from s2s_plugin.stages.generate.comparison import compare_with_exact_search, is_approximate
from s2s_plugin.stages.generate.decode import decode, generate_config
from s2s_plugin.stages.generate.outputs import make_rows, merge_same_source, read_hypotheses, read_items
from s2s_plugin.stages.same_run import check_dictionaries
from s2s_plugin.stages.score import applicable_metrics
from s2s_plugin.tasks.checkpoint import load_model
from s2s_plugin.tasks.config import generation_key, search_options
from s2s_plugin.utils.console import note
from s2s_plugin.utils.digests import check_folder, record_digests
from s2s_plugin.utils.io import fingerprint, write_json, write_lines, write_text

DEFAULT_SEARCH = {name: field.default for name, field in GenerationConfig.__dataclass_fields__.items()}


class GenerateStage(Stage):
    """Write ``outputs.jsonl`` and ``<subset>.hyp``: hypotheses in corpus order."""

    name = "generate"

    def command(self, job: Job) -> str:
        return generate_command(generate_config(job.fairseq, path=str(job.run_dir.best_checkpoint())))

    def begin(self, job: Job) -> None:
        if (shards := job.fairseq.dataset.num_shards) != 1:
            raise UserError(
                f"dataset.num_shards must be 1 for s2s generate, got {shards}; use workers=N on this machine, or "
                "fairseq-generate --num-shards on several"
            )
        super().begin(job)

    def is_done(self, job: Job) -> bool:
        run_dir, info = job.run_dir, job.run_dir.read_generation_info()
        if not run_dir.outputs.is_file() or not info:
            return False
        if done := info == _generation_info(job):
            check_folder(run_dir.folder, REGENERATE)
        return done

    def run(self, job: Job) -> None:
        cfg, run_dir = job.fairseq, job.run_dir
        checkpoint, data, subset = run_dir.best_checkpoint(), Path(cfg.task.data), cfg.dataset.gen_subset
        _, _, task = load_model(checkpoint, data)  # fairseq-generate would refuse it with a traceback
        check_dictionaries(cfg, run_dir)
        task.load_dataset(subset)  # damage is noticed before the old results are deleted
        items, parser = read_items(cfg, data, subset), usable_parser(job.cfg)
        for stale in (run_dir.generation_info, run_dir.digests, run_dir.scores, run_dir.search_comparison):
            stale.unlink(missing_ok=True)
        partial = run_dir.folder / "generate.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            nbest = cfg.generation.nbest if parser == "none" else cfg.generation.beam
            printed = decode(cfg, checkpoint, partial, job.cfg.workers, len(items), nbest)
            rows = make_rows(cfg, data, subset, items, read_hypotheses(printed, parser))
            shutil.move(printed, run_dir.folder / printed.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        if job.cfg.data.several_references:
            rows = merge_same_source(rows)
        groups = choose(Output(**row) for row in rows).values()
        shown = [rows[example.output.id] for examples in groups for example in examples]
        write_text(run_dir.attention, attention_examples(cfg, checkpoint, data, shown, run_dir))
        rows = [row | {"source": untagged(row["source"])} if "direction" in row else row for row in rows]
        write_lines(run_dir.outputs, [json.dumps(row, ensure_ascii=False) for row in rows])
        write_lines(run_dir.folder / f"{subset}.hyp", [row["hypothesis"] for row in rows])
        if is_approximate(cfg) and not cfg.generation.score_reference:
            write_json(
                run_dir.search_comparison, compare_with_exact_search(cfg, checkpoint, data, applicable_metrics(job.cfg))
            )
        signals = [run_dir.folder / "attention" / f"{row['id']}.npy" for row in shown if row["source"] is None]
        record_digests(run_dir.folder, [run_dir.outputs, run_dir.attention, *signals])
        write_json(run_dir.generation_info, _generation_info(job))
        outputs = [Output(**row) for row in rows]
        if text := warning(output_signs([each.hypothesis for each in outputs], [each.references for each in outputs])):
            note(text)

    def summary(self, job: Job) -> str:
        return str(job.run_dir.outputs)


def _generation_info(job: Job) -> dict[str, Any]:
    """Return what the outputs are made with: readable for the scores, and as a fingerprint."""
    cfg, checkpoint = job.fairseq, job.run_dir.best_checkpoint()
    search = {name: value for name, value in cfg.generation.items() if value != DEFAULT_SEARCH[name]}
    search |= search_options(cfg.task)
    if (parser := usable_parser(job.cfg)) != "none":
        search["output_parser"] = parser
    return {
        "subset": cfg.dataset.gen_subset,
        "checkpoint": checkpoint.name,
        "search": search,
        "beam": cfg.generation.beam,
        "several_references": job.cfg.data.several_references,
        "key": fingerprint(checkpoint, job.prepared.name, cfg.dataset.gen_subset, *generation_key(cfg)),
    }
