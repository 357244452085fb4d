"""The words after ``s2s``: what each does, which options it reads, examples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A word after ``s2s``.

    Args:
        arguments: what follows it.
        summary: one line of ``s2s --help``.
        details: the paragraph of ``s2s STAGE --help``.
        options: groups of the config, or single options, that it reads.
        examples: complete commands.
    """

    arguments: str
    summary: str
    details: str
    options: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


RUN = ("app", "name", "run_dir", "verbose")
DECODING = ("generation.beam", "generation.lenpen", "generation.max_len_a", "generation.max_len_b",
            "generation.no_repeat_ngram_size", "generation.sampling", "generation.sampling_topp",
            "generation.temperature", "output_parser", "workers")  # fmt: skip
TRAINING = ("checkpoint_metric", "average", "finetune_from", "optimization.max_update", "optimization.lr",
            "optimization.clip_norm", "dataset.max_tokens", "dataset.batch_size", "dataset.validate_interval_updates",
            "checkpoint.patience", "common.seed", "live")  # fmt: skip
OWN_DATA = ("data.pairs", "data.valid_pairs", "data.test_pairs", "data.source_column", "data.target_column",
            "data.source", "data.target", "data.valid_source", "data.valid_target", "data.test_source",
            "data.test_target", "data.dialogues", "data.manifest", "data.on_bad_item")  # fmt: skip
SCORES = ("metrics", "perplexity", "baselines")
# Plainer words for some of fairseq's options.
INPUT = "; the run's model decodes, options of the run need not be repeated"

COMMANDS = {
    "check": Command(
        "DATA", "mistakes in a corpus, before training on it",
        "Finds leaks between splits, duplicates, broken text, wrong languages, pairs that do not fit together; with "
        "check.write, writes a copy without them. DATA is a table, two files of text (or what their names have in "
        "common, with data.source_lang and data.target_lang), a manifest, a prepared folder, or data=NAME.",
        ("data.source_column", "data.target_column", "data.valid_pairs", "data.test_pairs", "data.valid_source",
         "data.valid_target", "data.test_source", "data.test_target", "check"),
        ("s2s check my.csv", "s2s check my.en my.de data.test_source=test.en data.test_target=test.de",
         "s2s check my.csv check.write=cleaned", "s2s check my.csv check.run=runs/nmt/mine"),
    ),
    "prepare": Command(
        "app=APP", "build the corpus: download, split, subwords",
        "Builds the training, validation and test sets of an app's default corpus, of another one (data=NAME, see s2s "
        "list corpora), or of your own files. Prepared data with the same options is used again.",
        ("data", "subword", "audio", "video", "image", "prepared_dir"),
        ("s2s prepare app=nmt", "s2s prepare app=nmt data.pairs=my.csv",
         "s2s prepare app=asr data.manifest=my.tsv"),
    ),
    "train": Command(
        "app=APP", "train a model, or resume training",
        "Trains on the prepared data and prints the equivalent fairseq-train command. After an interruption the same "
        "command resumes; a larger optimization.max_update continues. Other options need another name=.",
        (*RUN, *TRAINING, "model", "criterion", "lr_scheduler", "ema"),
        ("s2s train app=nmt model=tiny name=small", "s2s train app=nmt optimization.max_update=5000",
         "s2s train app=nmt name=tuned finetune_from=default data.source=my.en data.target=my.de"),
    ),
    "generate": Command(
        "app=APP", "decode the test set",
        "Decodes the test set with the best checkpoint to outputs.jsonl in the run's folder.", (*RUN, *DECODING),
        ("s2s generate app=nmt generation.beam=10", "s2s generate app=nmt name=wide search=greedy"),
    ),
    "score": Command(
        "app=APP", "score the outputs, and trivial baselines",
        "Computes the app's metrics with confidence intervals over the generated outputs, to scores.json.",
        (*RUN, *SCORES), ("s2s score app=nmt", "s2s score app=nmt perplexity=true 'metrics=[s2s_chrf]'"),
    ),
    "report": Command(
        "app=APP", "write report.html",
        "Writes report.html, which needs no other file, to the run's folder.", RUN, ("s2s report app=nmt",),
    ),
    "diagnose": Command(
        "RUN", "show where a trained model is weak",
        "Measures a finished run, in minutes, and adds a section to its report: scores by length, rare words, other "
        "test sets, attention as alignment, use of the source, beams of 1 to 100. RUN is a folder such as "
        "runs/nmt/default, or app=APP; a packaged model is measured on data.test_source and data.test_target.",
        ("app", "name", "run_dir", "diagnose"),
        ("s2s diagnose runs/nmt/default", "s2s diagnose app=nmt name=wide 'diagnose.measures=[length,words]'",
         "s2s diagnose runs/nmt/default 'diagnose.challenge=[news=news.en:news.de]'",
         "s2s diagnose en-de.s2s data.test_source=my.en data.test_target=my.de"),
    ),
    "run": Command(
        "app=APP", "all of these; finished stages are skipped",
        "Runs prepare, train, generate, score and report. Finished stages are skipped, so the same command continues "
        "after an interruption. s2s STAGE --help lists the options of each stage; all of them work here.",
        (*RUN, *OWN_DATA, *TRAINING, *DECODING, *SCORES, "examples"),
        ("s2s run app=nmt", "s2s run experiment=multi30k", "s2s run app=nmt name=wide model.decoder_hidden_size=768",
         "s2s run app=nmt name=mine data.pairs=my.csv",
         "s2s run -m app=nmt model.dropout=0.1,0.3"),
    ),
    "translate": Command(
        "app=APP [TEXT|FILE ...]", "decode sentences, files or standard input",
        "Decodes the sentences and files that are named, or each line of standard input as it comes; of a table, such "
        f"as a .csv, one column{INPUT}.",
        ("translate_to", "window", "data.source_column", "generation.nbest", "generation.print_alignment", *DECODING),
        ("s2s translate app=nmt 'A new window opens.'", "s2s translate app=summarize texts.txt",
         "s2s translate app=nmt my.csv data.source_column=english",
         "s2s translate app=nmt 'Help.' generation.print_alignment=hard",
         "echo 'A new window opens.' | s2s translate app=nmt"),
    ),
    "backtranslate": Command(
        "app=APP TEXT TABLE.jsonl", "training pairs of text in the target language",
        "Translates each line of TEXT by a run of the reverse direction and writes the pairs to TABLE.jsonl, for "
        "data.extra_pairs of a run that writes the language of TEXT; data.extra_tag tells it which they are. Pairs of "
        "very different lengths, and copies, are left out. The same command continues after an interruption.",
        ("translate_to", *DECODING),
        ("s2s backtranslate app=nmt name=reverse more.de synthetic.jsonl",
         "s2s backtranslate app=nmt name=reverse more.de sampled.jsonl search=greedy generation.sampling=true",
         "s2s run app=nmt name=better data.extra_pairs=synthetic.jsonl 'data.extra_tag=\"<bt>\"' "
         "'subword.special_tokens=[\"<bt>\"]'"),
    ),
    "datastore": Command(
        "app=APP [TABLE|SOURCES TARGETS]", "decoder states of pairs, for task.knn",
        "Writes the decoder's state at each target token of the run's training pairs, or of a table or two files, to "
        "task.knn, by default runs/APP/NAME/datastore. A search with task.knn=FOLDER then asks the states nearest to "
        "its own: a new domain without training (kNN-MT).",
        ("task.knn", "data.source_column", "data.target_column", "translate_to"),
        ("s2s datastore app=nmt my.csv task.knn=stores/my", "s2s datastore app=nmt my.en my.de task.knn=stores/my",
         "s2s translate app=nmt 'A new window opens.' task.knn=stores/my generation.print_alignment=hard"),
    ),
    "attention": Command(
        "[TEXT|FILE ...]", "show what each output token attends to",
        "Draws a map of source and output for each sentence, line of a file or of standard input; a tab and an output "
        f"after a sentence shows that output. Models of media take files{INPUT}.",
        ("explain.png", "explain.json", "translate_to", *DECODING),
        ("s2s attention 'A new window opens.'", "s2s attention app=nmt name=wide 'Help.' explain.png=help.png",
         "s2s attention app=asr my.wav", "printf 'Help.\\tHilfe.\\n' | s2s attention app=nmt"),
    ),
    "explain": Command(
        "[TEXT|FILE ...]", "show why an output is what it is",
        "Shows, for each sentence, what each output token owes to which source token (attention, gradient x input, "
        "leaving it out), the other hypotheses of the beam, and the most similar training pairs. A tab and an output "
        f"after a sentence explains that output{INPUT}.",
        ("explain.json", "explain.neighbors", "explain.rivals", "translate_to", *DECODING),
        ("s2s explain 'A new window opens.'", "s2s explain app=nmt name=wide 'Help.' explain.json=true"),
    ),
    "chat": Command(
        "app=chatbot", "converse in the terminal",
        f"Replies to each line until quit or Ctrl-D{INPUT}.", ("chat",), ("s2s chat app=chatbot",),
    ),
    "transcribe": Command(
        "FILE ...", "recordings to text",
        f"Prints the text of recordings, or of all in a folder{INPUT}.", DECODING, ("s2s transcribe my.wav",),
    ),
    "lipread": Command(
        "FILE ...", "silent videos to text",
        f"Prints the text of videos, or of all in a folder{INPUT}.", DECODING, ("s2s lipread my.mp4",),
    ),
    "caption": Command(
        "FILE ...", "pictures to captions",
        f"Prints a caption for each picture, or for all in a folder{INPUT}.", DECODING, ("s2s caption my.png",),
    ),
    "pronounce": Command(
        "WORD ...", "words to pronunciations",
        f"Prints the pronunciation of each word{INPUT}.", DECODING, ("s2s pronounce hello world",),
    ),
    "live": Command(
        "RUN", "show a training in the browser",
        "Serves a page of the run at 127.0.0.1, which other machines cannot reach: losses, metric, learning rate, time "
        "left, and what each checkpoint makes of three validation items, with attention. It reads what the training "
        "writes, so that it may start and end at any time; live=true does the same while s2s train or s2s run trains.",
        (), ("s2s live runs/nmt/default", "s2s live runs/nmt/default --port 9000", "s2s run app=nmt live=true"),
    ),
    "list": Command(
        "[TOPIC]", "apps, corpora, models, attentions, experiments, your runs",
        "TOPIC is apps, corpora, models, attentions, experiments or runs; without it all are listed. Attentions that a "
        "package of yours registers are among them with common.user_dir=FOLDER.", (), ("s2s list runs",),
    ),
    "compare": Command(
        "RUN RUN ...", "scores of several runs, with a paired test",
        "Prints all metrics with intervals and a paired bootstrap test against the first run. Options: --metrics "
        "s2s_bleu,s2s_chrf for other metrics, --direction en-de for one direction of a multilingual run.",
        (), ("s2s compare runs/nmt/default runs/nmt/wide",),
    ),
    "annotate": Command(
        "[FILE ...] --factors NAMES", "factors of words, such as parts of speech",
        "Prints each line with factors of its words, word|value|value, as subword.factors takes them: of pos, lemma, "
        "morph (inflection) and case. Taggers for German, English and Korean are in the extra structure; --language de "
        "unless a file is named my.de. Training by subword.annotate=[pos,case] needs no such file.",
        (), ("s2s annotate my.de --factors pos,case > my.factors.de",
             "echo 'A new window.' | s2s annotate --language en --factors pos,lemma"),
    ),
    "export": Command(
        "RUN [--to FILE.s2s | --onnx DIR | --web PAGE.html]", "write a run as one file, as ONNX, or as a web page",
        "The file needs neither the data nor the folder of the run: weights, text side or frontend, config, model card "
        "and ten examples. It stands for the run in other commands: model=FILE.s2s; and s2s_plugin.load reads it. "
        "--precision bf16 or int8 makes it smaller. --onnx DIR writes ONNX graphs and a program that decodes with them "
        "instead, --web PAGE.html a page in which a text model itself runs, offline and without a server; RUN may then "
        "be such a file. --examples FILE stores lines of yours, not of the test set.",
        (), ("s2s export runs/nmt/default", "s2s export runs/nmt/default --to en-de.s2s --precision int8",
             "s2s export en-de.s2s --onnx graphs --precision int8", "s2s export runs/nmt/default --web page.html",
             "s2s translate model=en-de.s2s 'Save the document.'"),
    ),
    "verify": Command(
        "FILE.s2s", "check a packaged model by its examples",
        "Checks every digest, loads the model, and compares its outputs for the examples in it with those stored.",
        (), ("s2s verify en-de.s2s",),
    ),
    "push": Command(
        "FILE.s2s OWNER/NAME", "upload a packaged model to the Hugging Face hub",
        "Puts the file, and its card as README.md, into a repository, which is made if there is none (--private). "
        "model=hf:OWNER/NAME then stands for the file in other commands, and s2s_plugin.load(\"hf:OWNER/NAME\") reads "
        "it; @REVISION names a commit, tag or branch. It needs the extra hub, and a token: hf auth login.",
        (), ("s2s push en-de.s2s me/en-de", "s2s translate model=hf:me/en-de 'Save the document.'"),
    ),
    "serve": Command(
        "FILE.s2s [...]", "serve models over HTTP",
        "REST with an OpenAPI description, streams of partial outputs, conversations; inputs that wait are decoded "
        "together. It listens at 127.0.0.1:8000, which other machines cannot reach: --host, --port; "
        "--key-file FILE has a key that each request must have. It needs the extra serve.",
        (), ("s2s serve nmt-default.s2s", "s2s serve en-de.s2s de-en.s2s --host 0.0.0.0 --key-file key.txt"),
    ),
    "demo": Command(
        "RUN [...]", "explore a model in the browser",
        "Opens the page that s2s serve shows: outputs with the probability of each token and the attention to the "
        "source, the beam, other tokens to force at a place, options of the search, the microphone. RUN is a folder "
        "such as runs/nmt/default, or FILE.s2s. Other machines cannot reach it. It needs the extra serve.",
        (), ("s2s demo runs/nmt/default", "s2s demo nmt-default.s2s --no-browser --port 8001"),
    ),
    "average": Command(
        "CHECKPOINT ... --to FILE", "average the weights of checkpoints",
        "Writes a checkpoint with the mean of their weights.",
        (), ("s2s average checkpoint1.pt checkpoint2.pt --to mean.pt",),
    ),
    "import-opennmt": Command(
        "CHECKPOINT [RUN]", "make a run of a recurrent model of OpenNMT-py",
        "Converts a checkpoint of OpenNMT-py 1.x to 3.x: LSTM or GRU, global attention, input feeding, copying. RUN is "
        "the folder of the run, by default runs/nmt/CHECKPOINT. --source-model and --target-model are SentencePiece "
        "models of its text, without which it reads and writes tokens. What ours lacks is named. Nothing in the file "
        "is executed.",
        (), ("s2s import-opennmt model_step_50000.pt runs/nmt/old",
             "s2s import-opennmt model.pt runs/nmt/old --source-model spm.model --source-lang en --target-lang de",
             "s2s translate app=nmt name=old 'Save the document.'"),
    ),
    "import-joeynmt": Command(
        "FOLDER [RUN]", "make a run of a recurrent model of JoeyNMT",
        "Converts the best checkpoint in a folder of JoeyNMT 1.x or 2.x: LSTM or GRU, Luong's or Bahdanau's attention, "
        "with the SentencePiece models that its config names if they lie there. RUN is the folder of the run, by "
        "default runs/nmt/FOLDER. Nothing in the files is executed.",
        (), ("s2s import-joeynmt models/iwslt14_bahdanau runs/nmt/old", "s2s export runs/nmt/old"),
    ),
    "import-lstm": Command(
        "CHECKPOINT [OUT]", "convert a checkpoint of fairseq's lstm",
        "Converts a checkpoint of fairseq's own lstm architecture. OUT is a file, by default CHECKPOINT with .s2s.pt "
        "instead of .pt, or the folder of a run such as runs/nmt/old, which also gets the dictionaries of the data.",
        (), ("s2s import-lstm checkpoint_best.pt", "s2s import-lstm checkpoint_best.pt runs/nmt/old --data data-bin"),
    ),
}  # fmt: skip
